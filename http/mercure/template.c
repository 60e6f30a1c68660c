#include "template.h"

#include "base/text.h"

#define LETTER (TEMPLATE_U | TEMPLATE_LITERAL | TEMPLATE_NAME)
#define OTHER  (TEMPLATE_R | TEMPLATE_LITERAL)

/* RFC 6570, 1.5 and 2.1; the apostrophe is reserved, and not allowed in a literal. */
const uint8_t template_chars[256] = {
    ['!'] = OTHER,
    ['#'] = OTHER,
    ['$'] = OTHER,
    ['&'] = OTHER,
    ['\''] = TEMPLATE_R,
    ['(' ... '+'] = OTHER,
    [',' ... '.'] = TEMPLATE_U | TEMPLATE_LITERAL,
    ['/'] = OTHER,
    ['0' ... '9'] = LETTER | TEMPLATE_HEX,
    [':' ... ';'] = OTHER,
    ['='] = TEMPLATE_U_EQUALS | TEMPLATE_LITERAL,
    ['?' ... '@'] = OTHER,
    ['A' ... 'F'] = LETTER | TEMPLATE_HEX,
    ['G' ... 'Z'] = LETTER,
    ['['] = OTHER,
    [']'] = OTHER,
    ['_'] = LETTER,
    ['a' ... 'f'] = LETTER | TEMPLATE_HEX,
    ['g' ... 'z'] = LETTER,
    ['~'] = TEMPLATE_U | TEMPLATE_LITERAL,
};

/* By the character behind the brace; the last has none. */
static const struct reading {
    char name, prefix, separator;
    uint8_t run;
} operators[] = {
    { '+', 0, ',', TEMPLATE_R },
    { '#', '#', ',', TEMPLATE_R },
    { '.', '.', '.', TEMPLATE_U },
    { '/', '/', '/', TEMPLATE_U },
    { ';', ';', ';', TEMPLATE_U_EQUALS },
    { '?', '?', '&', TEMPLATE_U_EQUALS },
    { '&', '&', '&', TEMPLATE_U_EQUALS },
    { 0, 0, ',', TEMPLATE_U },
};

struct cursor {
    const uint8_t *p, *end;
};

static bool is(const struct cursor *c, uint8_t what)
{
    return c->p < c->end && (template_chars[*c->p] & what);
}

static bool take(struct cursor *c, char byte)
{
    if (c->p == c->end || *c->p != (uint8_t)byte)
        return false;
    c->p++;
    return true;
}

static bool take_encoded(struct cursor *c)
{
    if (c->end - c->p < 3 || c->p[0] != '%' ||
        !(template_chars[c->p[1]] & TEMPLATE_HEX) ||
        !(template_chars[c->p[2]] & TEMPLATE_HEX))
        return false;
    c->p += 3;
    return true;
}

/* ---- literal text ---- */

static uint32_t wide_value(const uint8_t *p, size_t len)
{
    uint32_t v = p[0] & (0x7f >> len);

    for (size_t i = 1; i < len; i++)
        v = v << 6 | (p[i] & 0x3f);
    return v;
}

/* ucschar and iprivate. The last two of each plane are no characters. */
static bool is_literal_wide(uint32_t v)
{
    if (v < 0x10000)
        return v >= 0xa0 && v <= 0xffef && !(v >= 0xfdd0 && v <= 0xfdef);
    return (v & 0xffff) <= 0xfffd && !(v >= 0xe0000 && v < 0xe1000);
}

static bool take_wide(struct cursor *c)
{
    size_t len = *c->p < 0x80 ? 0 : text_wide_len(c->p, c->end);

    if (!len || !is_literal_wide(wide_value(c->p, len)))
        return false;
    c->p += len;
    return true;
}

/* Up to the next brace or the end. */
static bool take_literal(struct cursor *c)
{
    while (c->p < c->end && *c->p != '{') {
        if (is(c, TEMPLATE_LITERAL))
            c->p++;
        else if (!take_encoded(c) && !take_wide(c))
            return false;
    }
    return true;
}

/* ---- expressions ---- */

static bool take_name_char(struct cursor *c)
{
    if (!is(c, TEMPLATE_NAME))
        return take_encoded(c);
    c->p++;
    return true;
}

static bool take_name(struct cursor *c)
{
    do {
        if (!take_name_char(c))
            return false;
        while (take_name_char(c))
            ;
    } while (take(c, '.'));
    return true;
}

/* 1 to 9999; what follows is looked at by the caller. */
static bool take_length(struct cursor *c)
{
    if (c->p == c->end || *c->p < '1' || *c->p > '9')
        return false;
    for (int digits = 0; digits < 4 && c->p < c->end && *c->p >= '0' && *c->p <= '9';
         digits++)
        c->p++;
    return true;
}

static bool take_variable(struct cursor *c, bool *exploded)
{
    if (!take_name(c))
        return false;
    *exploded = take(c, '*');
    return *exploded || !take(c, ':') || take_length(c);
}

static const struct reading *take_operator(struct cursor *c)
{
    const struct reading *o = operators;

    while (o->name && !take(c, o->name))
        o++;
    return o;
}

static uint8_t wider(uint8_t run, bool exploded)
{
    return exploded && run < TEMPLATE_U_EQUALS ? TEMPLATE_U_EQUALS : run;
}

/* From brace to brace. */
static bool take_expression(struct cursor *c, struct template_part *part)
{
    const struct reading *o;
    bool first = false, any = false, exploded;
    size_t variables = 0;

    if (!take(c, '{'))
        return false;
    o = take_operator(c);
    do {
        if (!take_variable(c, &exploded))
            return false;
        first |= exploded && !variables;
        any |= exploded;
        variables++;
    } while (take(c, ','));
    part->prefix = o->prefix;
    part->separator = o->separator;
    part->first = wider(o->run, first);
    part->more = wider(o->run, any);
    part->count = any ? TEMPLATE_ANY : (uint16_t)(variables - 1);
    return take(c, '}');
}

/* ---- the whole ---- */

/* Literal text at both ends is compared, not walked, so it is no part. */
static bool take_part(struct cursor *c, const uint8_t *start, struct template_form *t,
                      struct template_part *parts)
{
    const uint8_t *at = c->p;
    struct template_part part = { 0 };

    if (*at == '{') {
        if (!take_expression(c, &part))
            return false;
    } else {
        if (!take_literal(c))
            return false;
        part.count = (uint16_t)(c->p - at);
        if (at == start)
            t->head = part.count;
        else if (c->p == c->end)
            t->tail = part.count;
        if (at == start || c->p == c->end)
            return true;
    }
    if (t->parts == TEMPLATE_PARTS)
        return false;
    part.at = (uint16_t)(at - start - t->head);
    parts[t->parts++] = part;
    return true;
}

bool template_parse(struct bytes text, struct template_form *t,
                    struct template_part parts[TEMPLATE_PARTS])
{
    struct cursor c;
    size_t expressions = 0;

    memset(t, 0, sizeof *t);
    if (text.len > MERCURE_TEMPLATE_MAX || !text.len)
        return false;
    c.p = text.data;
    c.end = c.p + text.len;
    while (c.p < c.end) {
        expressions += *c.p == '{';
        if (expressions > MERCURE_TEMPLATE_EXPRESSIONS ||
            !take_part(&c, text.data, t, parts))
            return false;
    }
    t->places = (uint16_t)(text.len - t->head - t->tail);
    return expressions > 0;
}
