#include "pulsar_json.h"

#include "base/text.h"

static void keep(struct pulsar_member *wanted, size_t count, struct bytes name,
                 struct bytes raw, enum span_kind kind)
{
    for (size_t i = 0; i < count; i++)
        if (span_string_is(name, wanted[i].name)) {
            wanted[i].raw = raw;
            wanted[i].kind = kind;
            return;
        }
}

const char *pulsar_pick(struct bytes *at, struct pulsar_member *wanted, size_t count)
{
    struct bytes name, raw;
    enum span_kind kind;
    bool more = false;
    const char *why = span_open(at, '{', &more);

    while (!why && more) {
        why = span_member(at, &name, &raw, &kind, &more);
        if (!why)
            keep(wanted, count, name, raw, kind);
    }
    return why;
}

bool pulsar_text(const struct pulsar_member *m, struct bytes *text)
{
    uint8_t *to;

    if (m->kind != SPAN_STRING)
        return false;
    to = (uint8_t *)(uintptr_t)m->raw.data + 1;
    *text = bytes_of(to, 0);
    return !span_unescape(m->raw, to, &text->len);
}

bool pulsar_integer(const struct pulsar_member *m, int64_t *value)
{
    struct bytes digits = m->raw;
    bool negative;
    uint64_t n;

    if (m->kind != SPAN_NUMBER && !pulsar_text(m, &digits))
        return false;
    negative = digits.len && *(const char *)digits.data == '-';
    if (negative)
        digits = bytes_of((const char *)digits.data + 1, digits.len - 1);
    if (!text_parse_u64(digits, 0, INT64_MAX, &n))
        return false;
    *value = negative ? -(int64_t)n : (int64_t)n;
    return true;
}
