#include "batch_fields.h"
#include "attribute.h"
#include "base/text.h"
#include "base64.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- errors ---- */

enum err batch_refuse(struct batch_packer *p, enum err e, const void *where,
                      const char *format, ...)
{
    struct batch_result *r = p->result;
    va_list args;

    r->index = r->count;
    r->at = (size_t)((const uint8_t *)where - p->text);
    va_start(args, format);
    vsnprintf(r->reason, sizeof r->reason, format, args);
    va_end(args);
    return e;
}

enum err batch_bad(struct batch_packer *p, const void *where, const char *why)
{
    return batch_refuse(p, ERR_BAD_INPUT, where, "element %zu: %s", p->result->count,
                        why);
}

/* A member's name as it was written, cut where it is long. */
static enum err bad_name(struct batch_packer *p, struct bytes name, const char *why)
{
    int len = name.len > 60 ? 60 : (int)name.len;

    return batch_refuse(p, ERR_BAD_INPUT, name.data, "element %zu: %s %.*s%s",
                        p->result->count, why, len, (const char *)name.data,
                        name.len > 60 ? "...\"" : "");
}

/* ---- fields ---- */

static void put(struct batch_packer *p, enum packed_tag tag, struct bytes value)
{
    size_t head = 1 + varint_len(value.len);

    assert(p->out + head + value.len <= (const uint8_t *)p->at.data);
    memmove(p->out + head, value.data, value.len);
    p->out[0] = (uint8_t)tag;
    varint_put(p->out + 1, value.len);
    p->out += head + value.len;
}

/* A string's text, unescaped where it stands. */
static bool text_of(struct bytes raw, enum span_kind kind, struct bytes *text)
{
    uint8_t *to = (uint8_t *)raw.data + 1; /* the buffer is ours to change */

    *text = bytes_of(to, 0);
    return kind == SPAN_STRING && !span_unescape(raw, to, &text->len);
}

static enum err pack_body(struct batch_packer *p, struct bytes body,
                          enum packed_tag kind)
{
    if (p->body_tag)
        return batch_bad(p, body.data, "either \"data\" or \"data_base64\", not both");
    if (body.len > p->limits->max_body_bytes)
        return batch_refuse(p, ERR_TOO_BIG, body.data,
                            "element %zu: a message may have at most %zu bytes",
                            p->result->count, p->limits->max_body_bytes);
    p->body_tag = p->out;
    p->body_kind = kind;
    p->result->body_bytes += body.len;
    put(p, PACKED_BODY, body);
    return ERR_OK;
}

static enum err pack_data(struct batch_packer *p, struct bytes raw, enum span_kind kind)
{
    struct bytes text;

    if (kind != SPAN_STRING)
        return pack_body(p, raw, PACKED_JSON_BODY);
    if (!text_of(raw, kind, &text))
        return batch_bad(p, raw.data,
                         "\"data\" has half a surrogate pair, which is no text");
    return pack_body(p, text, PACKED_TEXT_BODY);
}

static enum err pack_base64(struct batch_packer *p, struct bytes raw,
                            enum span_kind kind)
{
    struct bytes text;

    if (!text_of(raw, kind, &text) ||
        !base64_decode(text, (uint8_t *)text.data, &text.len))
        return batch_bad(p, raw.data, "\"data_base64\" must be a string of base64");
    return pack_body(p, text, PACKED_BODY);
}

static enum err pack_key(struct batch_packer *p, struct bytes raw, enum span_kind kind)
{
    struct bytes key;

    if (!text_of(raw, kind, &key) || !text_is_plain(key))
        return batch_bad(p, raw.data,
                         "\"key\" must be a string without control characters");
    if (!key.len || key.len > p->limits->max_key_bytes)
        return batch_refuse(p, ERR_BAD_INPUT, raw.data,
                            "element %zu: \"key\" must have 1 to %zu bytes",
                            p->result->count, p->limits->max_key_bytes);
    put(p, PACKED_KEY, key);
    return ERR_OK;
}

static void put_ms(struct batch_packer *p, enum packed_tag tag, uint64_t ms)
{
    assert(p->out + 1 + varint_len(ms) <= (const uint8_t *)p->at.data);
    *p->out++ = (uint8_t)tag;
    p->out += varint_put(p->out, ms);
}

static enum err pack_ttl(struct batch_packer *p, struct bytes raw, enum span_kind kind)
{
    struct bytes text = raw;
    uint64_t ms;

    if ((kind != SPAN_NUMBER && !text_of(raw, kind, &text)) ||
        !text_parse_duration(text, &ms))
        return batch_bad(
            p, raw.data,
            "\"ttl\" must be a duration such as \"5m\" or a number of seconds");
    put_ms(p, PACKED_TTL_MS, ms);
    return ERR_OK;
}

static enum err put_delay(struct batch_packer *p, struct bytes raw, enum packed_tag tag,
                          uint64_t ms)
{
    if (p->delayed)
        return batch_bad(p, raw.data,
                         "either \"deliver_after\" or \"deliver_at\", not both");
    p->delayed = p->result->delayed = true;
    put_ms(p, tag, ms);
    return ERR_OK;
}

static enum err pack_deliver_after(struct batch_packer *p, struct bytes raw,
                                   enum span_kind kind)
{
    struct bytes text = raw;
    uint64_t ms;

    if ((kind != SPAN_NUMBER && !text_of(raw, kind, &text)) ||
        !text_parse_duration(text, &ms))
        return batch_bad(p, raw.data,
                         "\"deliver_after\" must be a duration such as \"30s\" or a number "
                         "of seconds");
    return put_delay(p, raw, PACKED_DELIVER_AFTER_MS, ms);
}

static enum err pack_deliver_at(struct batch_packer *p, struct bytes raw,
                                enum span_kind kind)
{
    struct bytes text;
    int64_t ms;

    if (!text_of(raw, kind, &text) || !text_parse_time(text, &ms))
        return batch_bad(p, raw.data,
                         "\"deliver_at\" must be a time such as \"2026-11-21T10:30:00Z\"");
    return put_delay(p, raw, PACKED_DELIVER_AT_MS, ms > 0 ? (uint64_t)ms : 0);
}

static bool is_printable(struct bytes t)
{
    const uint8_t *p = t.data;

    for (size_t i = 0; i < t.len; i++)
        if (p[i] < 0x20 || p[i] > 0x7e)
            return false;
    return true;
}

static enum err pack_content_type(struct batch_packer *p, struct bytes raw,
                                  enum span_kind kind)
{
    struct bytes type;

    if (!text_of(raw, kind, &type) || !is_printable(type))
        return batch_bad(p, raw.data,
                         "\"content_type\" must be a string of printable ASCII");
    if (!type.len || type.len > p->limits->max_content_type_bytes)
        return batch_refuse(p, ERR_BAD_INPUT, raw.data,
                            "element %zu: \"content_type\" must have 1 to %zu bytes",
                            p->result->count, p->limits->max_content_type_bytes);
    p->typed = true;
    put(p, PACKED_CONTENT_TYPE, type);
    return ERR_OK;
}

/* ---- attributes ---- */

static bool is_within(size_t len, size_t limit, size_t most)
{
    return len <= limit && len <= most;
}

static const char *attribute_wrong(const struct batch_limits *l, struct bytes name,
                                   struct bytes value)
{
    if (!attribute_name_is_fine(name))
        return "an attribute's name must be a header token, and not key, offset, time or "
               "expires-at";
    if (!is_within(name.len, l->max_attribute_name_bytes, BATCH_NAME_MAX))
        return "an attribute's name is too long";
    if (!text_is_plain(value))
        return "an attribute's value must have no control characters";
    if (!is_within(value.len, l->max_attribute_value_bytes, BATCH_VALUE_MAX))
        return "an attribute's value is too long";
    return NULL;
}

/* `read` is what of the text has been read: the walk over the attributes is behind
 * p->at. */
static void put_attribute(struct batch_packer *p, const uint8_t *read,
                          struct bytes name, struct bytes value)
{
    uint8_t *n = p->out + 1 + varint_len(name.len),
            *v = n + name.len + varint_len(value.len);

    assert(v + value.len <= read);
    (void)read;
    memmove(n, name.data, name.len);
    p->out[0] = PACKED_ATTRIBUTE;
    varint_put(p->out + 1, name.len);
    memmove(v, value.data, value.len);
    varint_put(n + name.len, value.len);
    p->out = v + value.len;
}

static enum err pack_attribute(struct batch_packer *p, const uint8_t *first,
                               struct bytes *at, bool *more)
{
    struct bytes raw_name, raw, name, value;
    enum span_kind kind;
    const char *why;

    /* It was scanned as a whole before, so only its meaning can be wrong. */
    if (span_member(at, &raw_name, &raw, &kind, more))
        return batch_bad(p, at->data, "\"attributes\" is not JSON");
    if (kind != SPAN_STRING)
        return batch_bad(p, raw.data, "\"attributes\" must be an object of strings");
    if (!text_of(raw_name, SPAN_STRING, &name) || !text_of(raw, kind, &value))
        return batch_bad(p, raw_name.data, "an attribute has half a surrogate pair");
    why = attribute_wrong(p->limits, name, value);
    if (!why && attribute_is_packed(bytes_of(first, (size_t)(p->out - first)), name))
        why = "the same attribute twice";
    if (why)
        return batch_bad(p, raw_name.data, why);
    put_attribute(p, at->data, name, value);
    return ERR_OK;
}

static enum err pack_attributes(struct batch_packer *p, struct bytes raw,
                                enum span_kind kind)
{
    const uint8_t *first = p->out;
    struct bytes at = raw;
    size_t count = 0;
    bool more;
    enum err e = ERR_OK;

    if (kind != SPAN_OBJECT || span_open(&at, '{', &more))
        return batch_bad(p, raw.data, "\"attributes\" must be an object of strings");
    while (more && !e) {
        if (count++ == p->limits->max_attributes)
            return batch_refuse(
                p, ERR_BAD_INPUT, at.data,
                "element %zu: a message may have at most %zu attributes",
                p->result->count, p->limits->max_attributes);
        e = pack_attribute(p, first, &at, &more);
    }
    return e;
}

/* ---- which is which ---- */

static const struct member {
    const char *name;
    enum err (*pack)(struct batch_packer *p, struct bytes raw, enum span_kind kind);
} members[] = {
    { "data", pack_data },
    { "key", pack_key },
    { "data_base64", pack_base64 },
    { "ttl", pack_ttl },
    { "attributes", pack_attributes },
    { "content_type", pack_content_type },
    { "deliver_after", pack_deliver_after },
    { "deliver_at", pack_deliver_at },
};
#define MEMBERS (sizeof members / sizeof members[0])

enum err batch_field(struct batch_packer *p, struct bytes name, struct bytes raw,
                     enum span_kind kind)
{
    size_t i = 0;

    while (i < MEMBERS && !span_string_is(name, members[i].name))
        i++;
    if (i == MEMBERS)
        return bad_name(p, name, "unknown member");
    if (p->seen & 1u << i)
        return bad_name(p, name, "twice the member");
    p->seen |= 1u << i;
    return members[i].pack(p, raw, kind);
}
