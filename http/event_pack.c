/*
 * Why the packing fits
 * --------------------
 * Nothing is written before the whole element has been read: its attributes are gathered in
 * `attributes`, and its data stays where it is. Then the data is moved to its place, and the
 * rest is put before it. An attribute "n":"v", takes as many bytes packed as in the text, one
 * more from 128 bytes on; data gains; and an element, which has 53 bytes at least, takes
 * PREFIX where the text has its bracket. So no more is packed than 1/53 * 5 + 1/128 beyond the
 * text that was read, and the slack in front of it is 1/8.
 */
#include "event_pack.h"

#include "attribute.h"
#include "base/text.h"
#include "base64.h"
#include "batch_fields.h"
#include "encode.h"
#include "event.h"

#include <assert.h>
#include <string.h>

#define PREFIX 4 /* bytes of a message's padded length */
#define ATTRIBUTES_ROOM 8192u
#define TYPE_ROOM       256u

struct event { /* of the element at hand */
    struct batch_packer *p;
    uint8_t attributes[ATTRIBUTES_ROOM]; /* a packed run */
    size_t attributes_len;
    unsigned required; /* those that were there */
    bool typed, has_data, is_base64;
    char type[TYPE_ROOM];
    size_t type_len;
    struct bytes data; /* raw, where it stands in the text */
    enum span_kind data_kind;
};

static enum err bad_text(struct batch_packer *p, const char *why)
{
    return batch_bad(p, p->at.data, why);
}

/* ---- members ---- */

/* A string's text, unescaped where it stands; of others what is written. */
static const char *value_of(struct bytes raw, enum span_kind kind, struct bytes *value)
{
    uint8_t *to = (uint8_t *)raw.data + 1; /* the buffer is ours to change */
    uint64_t n;

    *value = raw;
    switch (kind) {
    case SPAN_TRUE:
    case SPAN_FALSE:
        return NULL;
    case SPAN_NUMBER:
        if (raw.len && *(const char *)raw.data == '-')
            raw = bytes_of(to, raw.len - 1);
        return text_parse_u64(raw, 0, 2147483648u, &n) ? NULL
                                                       : "it is no whole number of 32 bits";
    case SPAN_STRING:
        *value = bytes_of(to, 0);
        return span_unescape(raw, to, &value->len);
    default:
        return "it is an array or an object";
    }
}

static enum err bad_member(const struct event *v, struct bytes name, const char *why)
{
    return batch_refuse(v->p, ERR_BAD_INPUT, name.data, "element %zu: \"%.*s\": %s",
                        v->p->result->count, (int)(name.len > 40 ? 40 : name.len),
                        (const char *)name.data, why);
}

static enum err take_attribute(struct event *v, struct bytes name, struct bytes value)
{
    char full[EVENT_PREFIX_LEN + EVENT_NAME_MAX] = EVENT_PREFIX;
    const char *why = event_wrong(name, value);
    struct bytes as = bytes_of(full, EVENT_PREFIX_LEN + name.len);

    for (size_t i = 0; !why && i < name.len; i++)
        if (((const char *)name.data)[i] >= 'A' && ((const char *)name.data)[i] <= 'Z')
            why = "names of attributes are lower case";
    if (why)
        return bad_member(v, name, why);
    memcpy(full + EVENT_PREFIX_LEN, name.data, name.len);
    if (attribute_is_packed(bytes_of(v->attributes, v->attributes_len), as))
        return bad_member(v, name, "it is there twice");
    if (v->attributes_len + packed_attribute_len(as, value) > ATTRIBUTES_ROOM)
        return bad_member(v, name, "the attributes are more than 8192 bytes together");
    v->attributes_len += packed_attribute_put(v->attributes + v->attributes_len, as, value);
    v->required |= event_required(name);
    return ERR_OK;
}

static enum err take_type(struct event *v, struct bytes name, struct bytes type)
{
    if (v->typed)
        return bad_member(v, name, "it is there twice");
    if (!type.len || type.len >= TYPE_ROOM ||
        type.len > v->p->limits->max_content_type_bytes || !text_is_plain(type))
        return bad_member(v, name, "it is no content type, or too long");
    memcpy(v->type, type.data, type.len);
    v->type_len = type.len;
    v->typed = true;
    return ERR_OK;
}

static enum err take_data(struct event *v, struct bytes name, struct bytes raw,
                          enum span_kind kind, bool is_base64)
{
    if (v->has_data)
        return bad_member(v, name, "either data or data_base64, once");
    v->has_data = true;
    v->is_base64 = is_base64;
    v->data = raw;
    v->data_kind = kind;
    return ERR_OK;
}

static enum err take_member(struct event *v, struct bytes raw_name, struct bytes raw,
                            enum span_kind kind)
{
    struct bytes name, value;
    const char *why = value_of(raw_name, SPAN_STRING, &name);

    if (why)
        return bad_member(v, raw_name, why);
    if (bytes_eq(name, bytes_str("data")))
        return take_data(v, name, raw, kind, false);
    if (kind == SPAN_NULL)
        return ERR_OK;
    if (bytes_eq(name, bytes_str("data_base64")))
        return take_data(v, name, raw, kind, true);
    why = value_of(raw, kind, &value);
    if (why)
        return bad_member(v, name, why);
    if (bytes_eq(name, bytes_str("datacontenttype")))
        return take_type(v, name, value);
    return take_attribute(v, name, value);
}

/* ---- data ---- */

static bool is_json(const struct event *v)
{
    return !v->typed || encode_type_is_json(bytes_of(v->type, v->type_len));
}

/* What of v->data becomes the body. */
static enum err find_body(struct event *v, struct bytes *body)
{
    const char *why = NULL;

    *body = v->data;
    if (!v->has_data || (v->data_kind == SPAN_NULL && !is_json(v)))
        *body = bytes_of(v->p->element, 0);
    else if (v->is_base64 && v->data_kind != SPAN_STRING)
        why = "\"data_base64\" must be a string of base64";
    else if (v->is_base64 || !is_json(v)) {
        if (v->data_kind != SPAN_STRING || value_of(v->data, SPAN_STRING, body))
            why = "\"data\" must be a string where datacontenttype is not JSON";
        else if (v->is_base64 && !base64_decode(*body, (uint8_t *)(uintptr_t)body->data, &body->len))
            why = "\"data_base64\" must be a string of base64";
    }
    if (why)
        return batch_bad(v->p, v->data.data, why);
    if (body->len > v->p->limits->max_body_bytes)
        return batch_refuse(v->p, ERR_TOO_BIG, v->p->element,
                            "element %zu: a message may have at most %zu bytes",
                            v->p->result->count, v->p->limits->max_body_bytes);
    return ERR_OK;
}

/* ---- the message ---- */

static size_t field_head(size_t len)
{
    return 1 + varint_len(len);
}

static uint8_t *put_head(uint8_t *to, enum packed_tag tag, size_t len)
{
    *to = (uint8_t)tag;
    return to + 1 + varint_put(to + 1, len);
}

/* A varint of PREFIX bytes whatever its value. */
static void put_prefix(uint8_t *to, size_t len)
{
    for (size_t i = 0; i < PREFIX; i++, len >>= 7)
        to[i] = (uint8_t)((len & 0x7f) | (i + 1 < PREFIX ? 0x80 : 0));
}

static enum err put_event(struct event *v, struct bytes body)
{
    struct batch_packer *p = v->p;
    bool json = v->has_data && !v->is_base64 && !v->typed;
    size_t type_len = v->typed ? field_head(v->type_len) + v->type_len : 0;
    size_t head = PREFIX + v->attributes_len + type_len + field_head(body.len);
    uint8_t *to = p->out;

    assert(head + body.len <= (size_t)((const uint8_t *)p->at.data - p->out));
    memmove(to + head, body.data, body.len);
    put_prefix(to, head - PREFIX + body.len);
    memcpy(to + PREFIX, v->attributes, v->attributes_len);
    to += PREFIX + v->attributes_len;
    if (v->typed) {
        to = put_head(to, PACKED_CONTENT_TYPE, v->type_len);
        memcpy(to, v->type, v->type_len);
        to += v->type_len;
    }
    to = put_head(to, json ? PACKED_JSON_BODY : PACKED_BODY, body.len);
    p->out = to + body.len;
    p->result->body_bytes += body.len;
    p->result->count++;
    return ERR_OK;
}

static enum err finish(struct event *v)
{
    struct bytes body;
    enum err e;

    if (v->required != EVENT_REQUIRED)
        return batch_refuse(v->p, ERR_BAD_INPUT, v->p->element,
                            "element %zu: \"%s\" is missing", v->p->result->count,
                            event_missing(v->required));
    e = find_body(v, &body);
    return e ? e : put_event(v, body);
}

static enum err pack_event(struct batch_packer *p)
{
    struct event v;
    struct bytes name, raw;
    enum span_kind kind;
    bool more;
    const char *why;
    enum err e = ERR_OK;

    v.p = p;
    v.attributes_len = v.type_len = 0;
    v.required = 0;
    v.typed = v.has_data = v.is_base64 = false;
    if (p->result->count == p->limits->max_messages)
        return batch_refuse(p, ERR_TOO_BIG, p->at.data, "more than %zu messages",
                            p->limits->max_messages);
    p->element = p->at.data;
    why = span_open(&p->at, '{', &more);
    while (!why && more && !e) {
        why = span_member(&p->at, &name, &raw, &kind, &more);
        e = why ? e : take_member(&v, name, raw, kind);
    }
    if (why)
        return bad_text(p, why);
    if (!e && (size_t)((const uint8_t *)p->at.data - p->element) > BATCH_ELEMENT_MAX)
        e = batch_refuse(p, ERR_TOO_BIG, p->element, "element %zu: longer than 256MiB",
                         p->result->count);
    return e ? e : finish(&v);
}

/* ---- one, or an array ---- */

static struct batch_packer packer_for(uint8_t *buf, size_t len,
                                      const struct batch_limits *limits,
                                      struct batch_result *result)
{
    uint8_t *text = buf + event_pack_slack(len);

    memset(result, 0, sizeof *result);
    memmove(text, buf, len);
    return (struct batch_packer){ .limits = limits,
                                  .result = result,
                                  .text = text,
                                  .at = bytes_of(text, len),
                                  .out = buf };
}

static enum err end(struct batch_packer *p, const uint8_t *buf)
{
    const char *why = span_end(&p->at);

    p->result->packed_len = (size_t)(p->out - buf);
    return why ? bad_text(p, why) : ERR_OK;
}

enum err event_pack_one(uint8_t *buf, size_t len, const struct batch_limits *limits,
                        struct batch_result *result)
{
    struct batch_packer p = packer_for(buf, len, limits, result);
    enum err e = pack_event(&p);

    return e ? e : end(&p, buf);
}

enum err event_pack_array(uint8_t *buf, size_t len, const struct batch_limits *limits,
                          struct batch_result *result)
{
    struct batch_packer p = packer_for(buf, len, limits, result);
    bool more;
    const char *why = span_open(&p.at, '[', &more);
    enum err e = ERR_OK;

    if (!why && !more)
        return batch_refuse(&p, ERR_BAD_INPUT, p.at.data, "a batch without events");
    while (!why && more && !e) {
        e = pack_event(&p);
        why = e ? NULL : span_more(&p.at, ']', &more);
    }
    if (why)
        return bad_text(&p, why);
    return e ? e : end(&p, buf);
}
