#include "out.h"
#include "base/text.h"
#include "base64.h"
#include "span.h"

#include <stdlib.h>

#define FIRST_CAP 512

void out_init(struct out *o, size_t limit)
{
    *o = (struct out){ .limit = limit };
}

void out_init_in(struct out *o, char *buf, size_t size)
{
    *o = (struct out){ .data = buf, .cap = size, .limit = size, .fixed = true };
}

void out_fini(struct out *o)
{
    if (!o->fixed)
        free(o->data);
    *o = (struct out){ 0 };
}

char *out_take(struct out *o, size_t *len)
{
    char *data = o->data;

    *len = o->len;
    out_init(o, o->limit);
    return data;
}

void out_trim(struct out *o)
{
    char *data = o->fixed || !o->len ? NULL : realloc(o->data, o->len);

    if (!data)
        return; /* as good as it was */
    o->data = data;
    o->cap = o->len;
}

void out_set_limit(struct out *o, size_t limit)
{
    o->limit = limit;
}

void out_rewind(struct out *o, size_t len)
{
    o->len = len;
    o->full = o->no_memory = false;
}

/* Precondition: cap < len + n <= limit. */
static bool grow(struct out *o, size_t n)
{
    size_t cap = o->cap ? o->cap : FIRST_CAP;
    char *data;

    while (cap < o->len + n)
        cap = cap > o->limit / 2 ? o->limit : cap * 2;
    cap = cap < o->limit ? cap : o->limit;
    data = realloc(o->data, cap);
    if (!data) {
        o->full = o->no_memory = true;
        return false;
    }
    o->data = data;
    o->cap = cap;
    return true;
}

/* Room for n more bytes and the place to write them, or NULL. */
static char *claim(struct out *o, size_t n)
{
    if (o->full || n > o->limit - o->len) {
        o->full = true;
        return NULL;
    }
    if (n > o->cap - o->len && !grow(o, n))
        return NULL;
    o->len += n;
    return o->data + o->len - n;
}

void out_raw(struct out *o, struct bytes b)
{
    char *to = b.len ? claim(o, b.len) : NULL;

    if (to)
        memcpy(to, b.data, b.len);
}

void out_text(struct out *o, const char *text)
{
    out_raw(o, bytes_str(text));
}

void out_u64(struct out *o, uint64_t v)
{
    char digits[20];

    out_raw(o, bytes_of(digits, text_put_u64(digits, v)));
}

void out_member(struct out *o, const char *name, uint64_t v)
{
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":");
    out_u64(o, v);
}

void out_i64(struct out *o, int64_t v)
{
    char digits[21] = "-";

    if (v >= 0)
        out_u64(o, (uint64_t)v);
    else
        out_raw(o, bytes_of(digits, 1 + text_put_u64(digits + 1, -(uint64_t)v)));
}

void out_time(struct out *o, int64_t ms)
{
    char *to = claim(o, TEXT_TIME_LEN + 2);

    if (!to)
        return;
    to[0] = to[TEXT_TIME_LEN + 1] = '"';
    text_put_time(to + 1, ms);
}

/* ---- strings ---- */

/* The end of what can be copied as it is. */
static const uint8_t *copyable_end(const uint8_t *p, const uint8_t *end)
{
    size_t n;

    while ((p = span_skip_plain(p, end)) < end && *p >= 0x80) {
        n = text_wide_len(p, end);
        if (!n)
            break;
        p += n;
    }
    return p;
}

/* How a byte that cannot be copied is written: what, in at most 6 bytes, and how long.
 */
static size_t escape(uint8_t c, char to[6])
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };

    if (c >= 0x80) { /* not UTF-8 */
        memcpy(to, "\xef\xbf\xbd", 3);
        return 3;
    }
    to[0] = '\\';
    if (c >= 0x20 || shorts[c]) {
        to[1] = c >= 0x20 ? (char)c : shorts[c];
        return 2;
    }
    memcpy(to + 1, "u00", 3);
    to[4] = hex[c >> 4];
    to[5] = hex[c & 15];
    return 6;
}

/* An empty view may point nowhere, and NULL + 0 is not C. */
static const uint8_t *end_of(struct bytes t)
{
    return t.len ? (const uint8_t *)t.data + t.len : t.data;
}

void out_str(struct out *o, struct bytes text)
{
    const uint8_t *p = text.data, *end = end_of(text), *stop;
    char escaped[6];

    out_text(o, "\"");
    while (p < end && !o->full) {
        stop = copyable_end(p, end);
        out_raw(o, bytes_of(p, (size_t)(stop - p)));
        p = stop;
        if (p < end)
            out_raw(o, bytes_of(escaped, escape(*p++, escaped)));
    }
    out_text(o, "\"");
}

/* `any`: what is not UTF-8 as well, as out_str writes it; else 0 for it. */
static size_t str_len(struct bytes text, bool any)
{
    const uint8_t *p = text.data, *end = end_of(text), *stop;
    size_t len = 2;
    char escaped[6];

    while (p < end) {
        stop = copyable_end(p, end);
        len += (size_t)(stop - p);
        p = stop;
        if (p < end && *p >= 0x80 && !any)
            return 0;
        if (p < end)
            len += escape(*p++, escaped);
    }
    return len;
}

size_t out_str_len(struct bytes text)
{
    return str_len(text, true);
}

size_t out_utf8_len(struct bytes text)
{
    return str_len(text, false);
}

void out_base64(struct out *o, struct bytes b)
{
    size_t len = out_base64_len(b.len);
    char *to = claim(o, len);

    if (!to)
        return;
    to[0] = to[len - 1] = '"';
    base64_encode(b, to + 1);
}

size_t out_base64_len(size_t bytes)
{
    return base64_len(bytes) + 2;
}
