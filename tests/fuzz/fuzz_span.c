/*
 * A text is JSON or it is not, and both answers have consequences: walking a value by
 * hand ends where the scanner ends, every string unescapes to UTF-8 and encodes back,
 * and a text cut short is never JSON (but for a number, or space at its end).
 */
#include "base/text.h"
#include "out.h"
#include "span.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_string(struct bytes raw)
{
    uint8_t *text = malloc(raw.len), *again = malloc(6 * raw.len + 2);
    struct bytes at, span;
    enum span_kind kind;
    struct out o;
    size_t n, m;

    check(text && again);
    out_init(&o, 6 * raw.len + 2);
    if (!span_unescape(raw, text, &n)) {
        check(n <= raw.len - 2);
        check(text_is_utf8(bytes_of(text, n)));
        out_str(&o, bytes_of(text, n));
        check(!o.full && o.len == out_str_len(bytes_of(text, n)));
        at = bytes_of(o.data, o.len);
        check(!span_value(&at, &span, &kind) && kind == SPAN_STRING && !at.len);
        check(!span_unescape(span, again, &m));
        check(bytes_eq(bytes_of(text, n), bytes_of(again, m)));
    }
    out_fini(&o);
    free(text);
    free(again);
}

static void walk(struct bytes raw, enum span_kind kind);

/* The value's parts, one by one, must end exactly where the value does. */
static void walk_nested(struct bytes raw, char open, char close)
{
    struct bytes at = raw, name, part;
    enum span_kind kind;
    bool more;

    check(!span_open(&at, open, &more));
    while (more) {
        if (open == '{') {
            check(!span_name(&at, &name));
            check_string(name);
        }
        check(!span_value(&at, &part, &kind));
        check(!span_more(&at, close, &more));
        walk(part, kind);
    }
    check(at.len == 0);
}

static void walk(struct bytes raw, enum span_kind kind)
{
    check(span_is_json(raw));
    if (kind == SPAN_OBJECT)
        walk_nested(raw, '{', '}');
    else if (kind == SPAN_ARRAY)
        walk_nested(raw, '[', ']');
    else if (kind == SPAN_STRING)
        check_string(raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes at = bytes_of(data, len), raw;
    enum span_kind kind;
    const char *why = span_value(&at, &raw, &kind);

    check(at.len <= len && (const uint8_t *)at.data + at.len == data + len);
    if (why) {
        check(!span_is_json(bytes_of(data, len)));
        return 0;
    }
    check(text_is_utf8(raw));
    walk(raw, kind);
    if (kind != SPAN_NUMBER)
        check(!span_is_json(bytes_of(raw.data, raw.len - 1)));
    return 0;
}
