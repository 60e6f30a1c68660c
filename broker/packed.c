#include "packed.h"

static bool take_varint(struct bytes *at, uint64_t *v)
{
    const uint8_t *p = at->data;
    size_t n = varint_get(p, p + at->len, v);

    if (!n)
        return false;
    at->data = p + n;
    at->len -= n;
    return true;
}

static bool take(struct bytes *at, struct bytes *out)
{
    uint64_t len;

    if (!take_varint(at, &len) || len > at->len)
        return false;
    *out = bytes_of(at->data, (size_t)len);
    at->data = (const uint8_t *)at->data + len;
    at->len -= (size_t)len;
    return true;
}

bool packed_attribute(struct bytes *at, struct bytes *name, struct bytes *value)
{
    if (at->len == 0 || *(const uint8_t *)at->data != PACKED_ATTRIBUTE)
        return false;
    at->data = (const uint8_t *)at->data + 1;
    at->len--;
    return take(at, name) && take(at, value);
}

size_t packed_attribute_len(struct bytes name, struct bytes value)
{
    return 1 + varint_len(name.len) + name.len + varint_len(value.len) + value.len;
}

size_t packed_attribute_put(uint8_t *out, struct bytes name, struct bytes value)
{
    uint8_t *p = out;

    *p++ = PACKED_ATTRIBUTE;
    p += varint_put(p, name.len);
    if (name.len)
        memcpy(p, name.data, name.len);
    p += name.len;
    p += varint_put(p, value.len);
    if (value.len)
        memcpy(p, value.data, value.len);
    return (size_t)(p - out) + value.len;
}

/* All attributes stand together, so the run is found once and kept as one view. */
static bool take_attributes(struct bytes *fields, struct packed_message *m)
{
    struct bytes run = *fields, name, value;

    while (fields->len && *(const uint8_t *)fields->data == PACKED_ATTRIBUTE)
        if (!packed_attribute(fields, &name, &value))
            return false;
    m->attributes = bytes_of(run.data, run.len - fields->len);
    return true;
}

static const char json_type[] = "application/json";
static const char text_type[] = "text/plain; charset=utf-8";

static bool take_delay(struct bytes *fields, enum packed_delay_kind kind,
                       struct packed_message *m)
{
    m->delay.kind = kind;
    return take_varint(fields, &m->delay.ms);
}

static bool take_field(struct bytes *fields, struct packed_message *m)
{
    uint8_t tag = *(const uint8_t *)fields->data;

    if (tag == PACKED_ATTRIBUTE)
        return take_attributes(fields, m);
    fields->data = (const uint8_t *)fields->data + 1;
    fields->len--;
    switch (tag) {
    case PACKED_BODY:
        return take(fields, &m->body);
    case PACKED_KEY:
        return take(fields, &m->key);
    case PACKED_CONTENT_TYPE:
        return take(fields, &m->content_type);
    case PACKED_TTL_MS:
        m->has_ttl = true;
        return take_varint(fields, &m->ttl_ms);
    case PACKED_DELIVER_AFTER_MS:
        return take_delay(fields, PACKED_DELAY_AFTER, m);
    case PACKED_DELIVER_AT_MS:
        return take_delay(fields, PACKED_DELAY_UNTIL, m);
    case PACKED_JSON:
        m->content_type = bytes_str(json_type);
        return true;
    case PACKED_TEXT:
        m->content_type = bytes_str(text_type);
        return true;
    case PACKED_JSON_BODY:
        m->content_type = bytes_str(json_type);
        return take(fields, &m->body);
    case PACKED_TEXT_BODY:
        m->content_type = bytes_str(text_type);
        return take(fields, &m->body);
    default:
        return false;
    }
}

enum err packed_next(struct bytes *at, struct packed_message *m)
{
    struct bytes fields;

    if (at->len == 0)
        return ERR_NOT_FOUND;
    memset(m, 0, sizeof *m);
    if (!take(at, &fields))
        return ERR_CORRUPT;
    while (fields.len)
        if (!take_field(&fields, m))
            return ERR_CORRUPT;
    return ERR_OK;
}
