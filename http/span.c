#include "span.h"

#include "base/text.h"
#include "percent.h"

#include <endian.h>

/*
 * The scanner is a family of functions over one cursor. Each takes what it is named
 * after from the front and answers true, or sets `why`, leaves `p` at the byte that is
 * wrong and answers false.
 */
struct scan {
    const uint8_t *p, *end;
    const char *why;
};

static bool scan_value(struct scan *s, enum span_kind *kind, unsigned depth);

static bool wrong(struct scan *s, const char *why)
{
    s->why = why;
    return false;
}

/* `why`, unless the trouble is that the text is over. */
static bool unexpected(struct scan *s, const char *why)
{
    return wrong(s, s->p == s->end ? "the text ends too early" : why);
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end &&
           (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static bool take(struct scan *s, char c)
{
    if (s->p == s->end || *s->p != (uint8_t)c)
        return false;
    s->p++;
    return true;
}

/* ---- strings ---- */

#define ONES  0x0101010101010101u
#define HIGHS 0x8080808080808080u

/*
 * Of eight bytes: the high bit of the first that is not plain, which is a quote, a backslash,
 * a control character, or not ASCII; 0 when all are. v - n borrows into a byte's high bit where
 * the byte is below n; a borrow may also spill into bytes behind such a one, so that what is
 * above the first bit says nothing.
 */
static inline uint64_t not_plain(const uint8_t *p)
{
    uint64_t v, quote, slash;

    memcpy(&v, p, sizeof v);
    v = le64toh(v);
    quote = v ^ (ONES * '"');
    slash = v ^ (ONES * '\\');
    return ((v - ONES * 0x20) | (quote - ONES) | (slash - ONES) | v) & HIGHS;
}

/* Texts have short runs, others long ones: these are worth four at a time. */
const uint8_t *span_skip_plain(const uint8_t *p, const uint8_t *end)
{
    uint64_t bits;

    for (unsigned n = 1; end - p >= 8; n++, p += 8) {
        bits = not_plain(p);
        if (bits)
            return p + ((unsigned)__builtin_ctzll(bits) >> 3);
        while (n >= 4 && end - p >= 40 &&
               !(not_plain(p + 8) | not_plain(p + 16) | not_plain(p + 24) | not_plain(p + 32)))
            p += 32;
    }
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

static bool scan_escape(struct scan *s)
{
    s->p++; /* the backslash */
    if (s->p < s->end && *s->p != '\0' && strchr("\"\\/bfnrt", *s->p)) {
        s->p++;
        return true;
    }
    if (!take(s, 'u'))
        return unexpected(s, "unknown escape in a string");
    for (int i = 0; i < 4; i++, s->p++)
        if (s->p == s->end || percent_digit(*s->p) < 0)
            return unexpected(s, "\\u needs four hexadecimal digits");
    return true;
}

static bool scan_string(struct scan *s)
{
    size_t n;

    s->p++; /* the quote */
    for (;;) {
        s->p = span_skip_plain(s->p, s->end);
        while (s->p < s->end && *s->p >= 0x80) {
            n = text_wide_len(s->p, s->end);
            if (!n)
                return wrong(s, "not UTF-8");
            s->p += n;
        }
        if (take(s, '"'))
            return true;
        if (s->p == s->end)
            return wrong(s, "a string has no end");
        if (*s->p < 0x20)
            return wrong(s, "raw control character in a string");
        if (*s->p == '\\' && !scan_escape(s))
            return false;
    }
}

/* ---- numbers and literals ---- */

static bool scan_digits(struct scan *s)
{
    const uint8_t *start = s->p;

    while (s->p < s->end && (unsigned)(*s->p - '0') < 10)
        s->p++;
    return s->p > start || unexpected(s, "a number lacks a digit");
}

static bool scan_number(struct scan *s)
{
    take(s, '-');
    if (take(s, '0')) {
        if (s->p < s->end && (unsigned)(*s->p - '0') < 10)
            return wrong(s, "a number may not start with 0");
    } else if (!scan_digits(s)) {
        return false;
    }
    if (take(s, '.') && !scan_digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            take(s, '-');
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    for (; *word; word++)
        if (!take(s, *word))
            return unexpected(s, "not a JSON value");
    return true;
}

/* ---- arrays and objects ---- */

static bool scan_name(struct scan *s, struct bytes *name)
{
    const uint8_t *start;

    skip_space(s);
    start = s->p;
    if (s->p == s->end || *s->p != '"')
        return unexpected(s, "a member's name must be a string");
    if (!scan_string(s))
        return false;
    *name = bytes_of(start, (size_t)(s->p - start));
    skip_space(s);
    return take(s, ':') || unexpected(s, "a colon is missing");
}

/* A comma, and *more, or the closing bracket. */
static bool scan_more(struct scan *s, char close, bool *more)
{
    skip_space(s);
    *more = take(s, ',');
    if (*more || take(s, close))
        return true;
    return unexpected(s, close == '}' ? "a comma or } is missing"
                                      : "a comma or ] is missing");
}

static bool scan_nested(struct scan *s, char close, unsigned depth)
{
    enum span_kind kind;
    struct bytes name;
    bool more = true;

    if (depth == SPAN_DEPTH)
        return wrong(s, "nested too deep");
    s->p++; /* the bracket */
    skip_space(s);
    if (take(s, close))
        return true;
    while (more) {
        if (close == '}' && !scan_name(s, &name))
            return false;
        if (!scan_value(s, &kind, depth + 1) || !scan_more(s, close, &more))
            return false;
    }
    return true;
}

static bool scan_value(struct scan *s, enum span_kind *kind, unsigned depth)
{
    skip_space(s);
    if (s->p == s->end)
        return unexpected(s, "");
    switch (*s->p) {
    case '"':
        *kind = SPAN_STRING;
        return scan_string(s);
    case '{':
        *kind = SPAN_OBJECT;
        return scan_nested(s, '}', depth);
    case '[':
        *kind = SPAN_ARRAY;
        return scan_nested(s, ']', depth);
    case 't':
        *kind = SPAN_TRUE;
        return scan_word(s, "true");
    case 'f':
        *kind = SPAN_FALSE;
        return scan_word(s, "false");
    case 'n':
        *kind = SPAN_NULL;
        return scan_word(s, "null");
    default:
        *kind = SPAN_NUMBER;
        if (*s->p != '-' && (unsigned)(*s->p - '0') >= 10)
            return wrong(s, "not a JSON value");
        return scan_number(s);
    }
}

/* ---- the public face ---- */

static struct scan scan_of(struct bytes at)
{
    const uint8_t *p = at.data;

    return (struct scan){ p, at.len ? p + at.len : p, NULL };
}

static const char *done(struct scan *s, struct bytes *at)
{
    *at = bytes_of(s->p, (size_t)(s->end - s->p));
    return s->why;
}

const char *span_value(struct bytes *at, struct bytes *raw, enum span_kind *kind)
{
    struct scan s = scan_of(*at);
    const uint8_t *start;

    skip_space(&s);
    start = s.p;
    scan_value(&s, kind, 0);
    *raw = bytes_of(start, (size_t)(s.p - start));
    return done(&s, at);
}

const char *span_end(struct bytes *at)
{
    struct scan s = scan_of(*at);

    skip_space(&s);
    if (s.p < s.end)
        wrong(&s, "there is more after the end of the value");
    return done(&s, at);
}

bool span_is_json(struct bytes text)
{
    enum span_kind kind;
    struct bytes raw;

    return !span_value(&text, &raw, &kind) && !span_end(&text);
}

const char *span_open(struct bytes *at, char bracket, bool *more)
{
    struct scan s = scan_of(*at);

    skip_space(&s);
    if (!take(&s, bracket)) {
        unexpected(&s,
                   bracket == '{' ? "an object is expected" : "an array is expected");
        return done(&s, at);
    }
    skip_space(&s);
    *more = !take(&s, bracket == '{' ? '}' : ']');
    return done(&s, at);
}

const char *span_name(struct bytes *at, struct bytes *name)
{
    struct scan s = scan_of(*at);

    scan_name(&s, name);
    return done(&s, at);
}

const char *span_more(struct bytes *at, char close, bool *more)
{
    struct scan s = scan_of(*at);

    scan_more(&s, close, more);
    return done(&s, at);
}

const char *span_member(struct bytes *at, struct bytes *name, struct bytes *raw,
                        enum span_kind *kind, bool *more)
{
    const char *why = span_name(at, name);

    if (!why)
        why = span_value(at, raw, kind);
    if (!why)
        why = span_more(at, '}', more);
    return why;
}

/* ---- unescaping ---- */

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

static uint32_t four_hex(const uint8_t *p)
{
    return (uint32_t)(percent_digit(p[0]) << 12 | percent_digit(p[1]) << 8 |
                      percent_digit(p[2]) << 4 | percent_digit(p[3]));
}

static bool is_half(uint32_t c, uint32_t from)
{
    return c >= from && c < from + 0x400;
}

/* The character of "\uXXXX" at *p, or of a pair of them; false for half a pair. */
static bool take_unicode(const uint8_t **p, const uint8_t *end, uint32_t *c)
{
    uint32_t low;

    *c = four_hex(*p + 2);
    *p += 6;
    if (is_half(*c, 0xdc00))
        return false;
    if (!is_half(*c, 0xd800))
        return true;
    if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return false;
    low = four_hex(*p + 2);
    *p += 6;
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    return is_half(low, 0xdc00);
}

static uint8_t short_escape(uint8_t c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* a quote, a backslash or a slash stands for itself */
    }
}

const char *span_unescape(struct bytes raw, uint8_t *out, size_t *len)
{
    const uint8_t *p = (const uint8_t *)raw.data + 1, *end = p + raw.len - 2, *slash;
    uint8_t *o = out;
    uint32_t c;

    while (p < end) {
        slash = memchr(p, '\\', (size_t)(end - p));
        slash = slash ? slash : end;
        if (o != p)
            memmove(o, p, (size_t)(slash - p));
        o += slash - p;
        p = slash;
        while (p < end && *p == '\\') {
            if (p[1] != 'u') {
                *o++ = short_escape(p[1]);
                p += 2;
            } else if (take_unicode(&p, end, &c)) {
                o += put_utf8(o, c);
            } else {
                return "half a surrogate pair has no UTF-8 form";
            }
        }
    }
    *len = (size_t)(o - out);
    return NULL;
}

bool span_string_is(struct bytes raw, const char *plain)
{
    struct bytes inner = bytes_of((const char *)raw.data + 1, raw.len - 2);
    size_t want = strlen(plain), len;
    uint8_t text[64 * 6];

    if (bytes_eq(inner, bytes_of(plain, want)))
        return true;
    if (!memchr(inner.data, '\\', inner.len) || inner.len > sizeof text)
        return false;
    return !span_unescape(raw, text, &len) &&
           bytes_eq(bytes_of(text, len), bytes_of(plain, want));
}
