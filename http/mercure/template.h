/*
 * mercure/template - a URI template (RFC 6570) as a pattern: is a text of its form?
 *
 * RFC 6570 says how a template is written and how it is expanded. Which texts a
 * template matches it does not say; that is Mercure's (0.x): literal text stands for
 * itself, and each expression for an optional group of runs of characters. With
 *
 *   U    unreserved characters and the comma: A-Z a-z 0-9 - . _ ~ ,   or %XX
 *   U=   these and =
 *   R    these and the reserved characters : / ? # [ ] @ ! $ & ' ( ) * + ;
 *
 * an expression of n variables matches nothing at all, or
 *
 *   {a,b}   a run of U               {+a,b}  a run of R
 *   {#a,b}  # and a run of R
 *   {.a,b}  . and a run of U, then up to n - 1 times . and a run of U
 *   {/a,b}  / and the same with /
 *   {;a,b}  ; and a run of U=, then up to n - 1 times ; and a run of U=
 *   {?a,b}  ? and the same with &    {&a,b}  & and the same with &
 *
 * Any run may be empty. Where one variable is exploded, {/a*}, there may be any number
 * of further runs, and they are of U= where they were of U; the first run only if the
 * first variable is exploded. (Separators of the first two lines are commas, which
 * their runs may hold anyway; only so does {a,b*} differ from {a*}.) A maximal length,
 * {a:3}, must be well formed and is not enforced; a variable that occurs twice need not
 * be the same twice.
 *
 * A template is invalid when its literal text has a character that RFC 6570 does not
 * allow there (controls, space, " ' % without two digits, < > \ ^ ` | }; not UTF-8;
 * above U+007F what is neither ucschar nor iprivate), when an expression is empty, not
 * closed, or has an operator that is reserved (= , ! @ |), and when a variable's name
 * is not letters, digits, _ and %XX with single dots between them.
 *
 * Pure: no allocation, no recursion. Threads: any.
 */
#ifndef SLUICE_MERCURE_TEMPLATE_H
#define SLUICE_MERCURE_TEMPLATE_H

#include "selector.h"

#define TEMPLATE_PARTS (2 * MERCURE_TEMPLATE_EXPRESSIONS - 1)
#define TEMPLATE_ANY   UINT16_MAX

/* What a byte may be; the low bits are the narrowest run that holds it. */
enum template_chars {
    TEMPLATE_U = 1,
    TEMPLATE_U_EQUALS = 2,
    TEMPLATE_R = 3,
    TEMPLATE_RUN = 3, /* the mask of these */
    TEMPLATE_LITERAL = 4,
    TEMPLATE_NAME = 8,
    TEMPLATE_HEX = 16,
};

extern const uint8_t template_chars[256];

/* A literal, or an expression, between the first expression and the last. Places are
 * counted from the first expression's brace: a literal has one for each of its bytes,
 * an expression as many as it needs, which are never more than it has bytes (see
 * template_walk.c). */
struct template_part {
    uint16_t at;         /* its first place */
    uint16_t count;      /* a literal's bytes; separators there may be, or TEMPLATE_ANY */
    char prefix;         /* 0: it has none */
    char separator;
    uint8_t first, more; /* the first run and the further ones; 0: it is a literal */
};

struct template_form {
    uint16_t head;   /* bytes of literal text before the first expression */
    uint16_t places; /* bytes from there to the end of the last expression */
    uint16_t tail;   /* bytes of literal text behind it */
    uint16_t parts;
};

/* False: it is no valid template, has no expression, or is beyond the limits. */
MUST_CHECK bool template_parse(struct bytes text, struct template_form *t,
                               struct template_part parts[TEMPLATE_PARTS]);

/* Is `topic` of the form? `text` is what was parsed. Adds to *steps. */
bool template_walk(const struct template_form *t, const struct template_part *parts,
                   const uint8_t *text, struct bytes topic, size_t *steps);

#endif
