/*
 * mercure/selector - a topic selector of the Mercure hub: which topics somebody wants,
 * or may publish to or read.
 *
 * A selector matches a topic when, in this order,
 *   - it is `*`;
 *   - it is the same text, byte for byte (a template, too, matches its own text);
 *   - it is a URI template (RFC 6570), and the topic is of the form that it describes.
 * A text with a `{` that is no valid template is a text like any other.
 *
 * The rules are those of Mercure 0.x, which takes "the topic matches the template" to
 * mean a regular expression made of the template: it asks only whether the topic could
 * be an expansion of it, with any values. How each operator reads is said in
 * mercure/template.h.
 *
 *   https://example.com/books/{id}   matches   https://example.com/books/1
 *                                              https://example.com/books/
 *                                    but not   https://example.com/books/1/reviews
 *
 * Cost:     matching allocates nothing, does not recurse, and takes at most
 *           MERCURE_STEPS_PER_BYTES steps for each byte of the topic and each byte of
 * the template, whatever the two are. Most topics that do not match are refused by one
 *           comparison of what the template begins or ends with.
 * Limits:   a template of more than MERCURE_TEMPLATE_MAX bytes, or of more than
 *           MERCURE_TEMPLATE_EXPRESSIONS `{...}`, is not taken for one: it is a text
 * like any other, as an invalid one is. Memory:   one block for each selector;
 * mercure_selector_most is its bound. Threads:  a selector does not change once it is
 * made, so any thread may use it.
 */
#ifndef SLUICE_MERCURE_SELECTOR_H
#define SLUICE_MERCURE_SELECTOR_H

#include "base/bytes.h"
#include "base/err.h"

#define MERCURE_TEMPLATE_MAX         1024
#define MERCURE_TEMPLATE_EXPRESSIONS 64
#define MERCURE_STEPS_PER_BYTES      4

enum mercure_selector_kind {
    MERCURE_SELECTOR_STAR,
    MERCURE_SELECTOR_EXACT,
    MERCURE_SELECTOR_TEMPLATE,
};

struct mercure_selector; /* opaque: its fields are in selector.c */

/* The text is copied. exact_only: never a template, as Mercure 1.0's `match=` says; `*`
 * is all topics then, too. *bytes: what it takes of the heap, at most
 * mercure_selector_most(text.len). NULL: no memory. */
MUST_CHECK struct mercure_selector *
mercure_selector_new(struct bytes text, bool exact_only, size_t *bytes);
void mercure_selector_free(struct mercure_selector *s); /* NULL is fine */

/* More than no selector made of so many bytes takes, so that it can be reserved first.
 */
size_t mercure_selector_most(size_t text_len);

bool mercure_selector_matches(const struct mercure_selector *s, struct bytes topic);

/* The same, and how many steps it took: places of the template looked at or entered. */
bool mercure_selector_walk(const struct mercure_selector *s, struct bytes topic,
                           size_t *steps);

/* The text is lent for as long as the selector lives. */
struct bytes mercure_selector_text(const struct mercure_selector *s);
enum mercure_selector_kind mercure_selector_kind(const struct mercure_selector *s);

#endif
