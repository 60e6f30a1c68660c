/*
 * Why the packing fits in place
 * -----------------------------
 * Let c be the bytes of an element's text read so far and w the bytes packed for it.
 * The element starts with nothing packed beyond what was read, so it is enough that w
 * <= c whenever something is written, and at its end.
 *
 * After the opening bracket c = 1, and 4 bytes are set aside for the length: w - c = 3.
 * A member is packed only when it has been read together with the comma or bracket
 * after it. Each one gains at least 3 bytes, so w <= c from the first one on. Lengths
 * are below 2^28 (BATCH_ELEMENT_MAX), so their varints have at most 4 bytes:
 *
 *                                         text               packed
 *   "data":V,                             8 + V              1 + 4 + V      gains 3
 *   "data":"S",                           10 + S             1 + 4 + S      gains 5
 *   "data_base64":"S",                    17 + S             1 + 4 + 3S/4
 *   "key":"S",                            9 + S              1 + 4 + S      gains 4
 *   "content_type":"S",                   18 + S             1 + 4 + S
 *   "ttl":N,       N of d digits          7 + d              1 + n          gains 4
 *       N seconds are below 10^(d+3) ms, whose varint has n <= 1 + d bytes
 *   "ttl":"Nu",    u at most a day        9 + d + 1          1 + n          gains 3
 *       below 10^(d+8) ms, n <= 4 + d bytes
 *   "attributes":{                        14                 0              gains 14
 *     "N":"V",                            6 + N + V          1+2+3 + N + V  gains 0
 *       (BATCH_NAME_MAX, BATCH_VALUE_MAX); the last comma is the closing bracket
 *
 * Spaces, escapes and members with escaped names only make the text longer. What kind
 * of content a body is must therefore cost no byte of its own: PACKED_JSON_BODY. The
 * tightest case is {"data":V} with V of 2 MiB or more, which fits exactly.
 *
 * Within one field the bytes are moved to their place first and the tag and length put
 * before them afterwards, because that place may begin past the one they came from.
 */
#include "batch.h"
#include "base/text.h"
#include "base64.h"
#include "packed.h"
#include "span.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define PREFIX 4 /* bytes of a message's padded length */

struct packer {
    const struct batch_limits *limits;
    struct batch_result *result;
    const uint8_t *text; /* where the whole body begins */
    struct bytes at;     /* what is not read yet */
    uint8_t *out;        /* where packing goes on; never past at.data */

    /* Of the element at hand. */
    const uint8_t *element; /* where its text begins */
    uint8_t *message;       /* its packing */
    uint8_t *body_tag;      /* NULL: no body yet */
    enum packed_tag
        body_kind; /* what *body_tag becomes unless there is a content type */
    unsigned seen; /* bit i: members[i] */
};

/* ---- errors ---- */

__attribute__((format(printf, 4, 5))) static enum err
refuse(struct packer *p, enum err e, const void *where, const char *format, ...)
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

/* Trouble with what one element says. */
static enum err bad(struct packer *p, const void *where, const char *why)
{
    return refuse(p, ERR_BAD_INPUT, where, "element %zu: %s", p->result->count, why);
}

/* Trouble with the text itself, at the front of what is not read. */
static enum err bad_json(struct packer *p, const char *why)
{
    const uint8_t *where = p->at.data;

    return refuse(p, ERR_BAD_INPUT, where, "element %zu: %s, at byte %zu",
                  p->result->count, why, (size_t)(where - p->text));
}

/* A member's name as it was written, cut where it is long. */
static enum err bad_name(struct packer *p, struct bytes name, const char *why)
{
    int len = name.len > 60 ? 60 : (int)name.len;

    return refuse(p, ERR_BAD_INPUT, name.data, "element %zu: %s %.*s%s",
                  p->result->count, why, len, (const char *)name.data,
                  name.len > 60 ? "...\"" : "");
}

/* ---- fields ---- */

static void put(struct packer *p, enum packed_tag tag, struct bytes value)
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

static enum err pack_body(struct packer *p, struct bytes body, enum packed_tag kind)
{
    if (p->body_tag)
        return bad(p, body.data, "either \"data\" or \"data_base64\", not both");
    if (body.len > p->limits->max_body_bytes)
        return refuse(p, ERR_TOO_BIG, body.data,
                      "element %zu: a message may have at most %zu bytes",
                      p->result->count, p->limits->max_body_bytes);
    p->body_tag = p->out;
    p->body_kind = kind;
    p->result->body_bytes += body.len;
    put(p, PACKED_BODY, body);
    return ERR_OK;
}

static enum err pack_data(struct packer *p, struct bytes raw, enum span_kind kind)
{
    struct bytes text;

    if (kind != SPAN_STRING)
        return pack_body(p, raw, PACKED_JSON_BODY);
    if (!text_of(raw, kind, &text))
        return bad(p, raw.data, "\"data\" has half a surrogate pair, which is no text");
    return pack_body(p, text, PACKED_TEXT_BODY);
}

static enum err pack_base64(struct packer *p, struct bytes raw, enum span_kind kind)
{
    struct bytes text;

    if (!text_of(raw, kind, &text) ||
        !base64_decode(text, (uint8_t *)text.data, &text.len))
        return bad(p, raw.data, "\"data_base64\" must be a string of base64");
    return pack_body(p, text, PACKED_BODY);
}

static enum err pack_key(struct packer *p, struct bytes raw, enum span_kind kind)
{
    struct bytes key;

    if (!text_of(raw, kind, &key) || !text_is_plain(key))
        return bad(p, raw.data, "\"key\" must be a string without control characters");
    if (!key.len || key.len > p->limits->max_key_bytes)
        return refuse(p, ERR_BAD_INPUT, raw.data,
                      "element %zu: \"key\" must have 1 to %zu bytes", p->result->count,
                      p->limits->max_key_bytes);
    put(p, PACKED_KEY, key);
    return ERR_OK;
}

static enum err pack_ttl(struct packer *p, struct bytes raw, enum span_kind kind)
{
    struct bytes text = raw;
    uint64_t ms;

    if ((kind != SPAN_NUMBER && !text_of(raw, kind, &text)) ||
        !text_parse_duration(text, &ms))
        return bad(p, raw.data,
                   "\"ttl\" must be a duration such as \"5m\" or a number of seconds");
    assert(p->out + 1 + varint_len(ms) <= (const uint8_t *)p->at.data);
    *p->out++ = PACKED_TTL_MS;
    p->out += varint_put(p->out, ms);
    return ERR_OK;
}

static bool is_printable(struct bytes t)
{
    const uint8_t *p = t.data;

    for (size_t i = 0; i < t.len; i++)
        if (p[i] < 0x20 || p[i] > 0x7e)
            return false;
    return true;
}

static enum err pack_content_type(struct packer *p, struct bytes raw,
                                  enum span_kind kind)
{
    struct bytes type;

    if (!text_of(raw, kind, &type) || !is_printable(type))
        return bad(p, raw.data, "\"content_type\" must be a string of printable ASCII");
    if (!type.len || type.len > p->limits->max_content_type_bytes)
        return refuse(p, ERR_BAD_INPUT, raw.data,
                      "element %zu: \"content_type\" must have 1 to %zu bytes",
                      p->result->count, p->limits->max_content_type_bytes);
    put(p, PACKED_CONTENT_TYPE, type);
    return ERR_OK;
}

static enum err refuse_delay(struct packer *p, struct bytes raw, enum span_kind kind)
{
    (void)kind;
    return bad(p, raw.data, "\"deliver_after\" is not supported yet");
}

/* ---- attributes ---- */

/* They come back as headers, Message-<name>: <value>, so a name is a token of HTTP, and
 * two of the broker's own headers are out of reach. */
static bool is_attribute_name(struct bytes name)
{
    const char *t = name.data;

    for (size_t i = 0; i < name.len; i++)
        if (t[i] == '\0' || !strchr("!#$%&'*+-.^_`|~0123456789"
                                    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "abcdefghijklmnopqrstuvwxyz",
                                    t[i]))
            return false;
    return !(name.len == 3 && strncasecmp(t, "key", 3) == 0) &&
           !(name.len == 6 && strncasecmp(t, "offset", 6) == 0);
}

static bool is_within(size_t len, size_t limit, size_t most)
{
    return len <= limit && len <= most;
}

static const char *attribute_wrong(const struct batch_limits *l, struct bytes name,
                                   struct bytes value)
{
    if (!name.len || !is_attribute_name(name))
        return "an attribute's name must be a header token, and not key or offset";
    if (!is_within(name.len, l->max_attribute_name_bytes, BATCH_NAME_MAX))
        return "an attribute's name is too long";
    if (!text_is_plain(value))
        return "an attribute's value must have no control characters";
    if (!is_within(value.len, l->max_attribute_value_bytes, BATCH_VALUE_MAX))
        return "an attribute's value is too long";
    return NULL;
}

/* Is the name among the attributes packed in [first, out)? Header names have no case.
 */
static bool is_packed(const struct packer *p, const uint8_t *first, struct bytes name)
{
    struct bytes run = bytes_of(first, (size_t)(p->out - first)), other, value;

    while (packed_attribute(&run, &other, &value))
        if (other.len == name.len && strncasecmp(other.data, name.data, name.len) == 0)
            return true;
    return false;
}

/* `read` is what of the text has been read: the walk over the attributes is behind
 * p->at. */
static void put_attribute(struct packer *p, const uint8_t *read, struct bytes name,
                          struct bytes value)
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

static enum err pack_attribute(struct packer *p, const uint8_t *first, struct bytes *at,
                               bool *more)
{
    struct bytes raw_name, raw, name, value;
    enum span_kind kind;
    const char *why;

    /* It was scanned as a whole before, so only its meaning can be wrong. */
    if (span_member(at, &raw_name, &raw, &kind, more))
        return bad(p, at->data, "\"attributes\" is not JSON");
    if (kind != SPAN_STRING)
        return bad(p, raw.data, "\"attributes\" must be an object of strings");
    if (!text_of(raw_name, SPAN_STRING, &name) || !text_of(raw, kind, &value))
        return bad(p, raw_name.data, "an attribute has half a surrogate pair");
    why = attribute_wrong(p->limits, name, value);
    if (!why && is_packed(p, first, name))
        why = "the same attribute twice";
    if (why)
        return bad(p, raw_name.data, why);
    put_attribute(p, at->data, name, value);
    return ERR_OK;
}

static enum err pack_attributes(struct packer *p, struct bytes raw, enum span_kind kind)
{
    const uint8_t *first = p->out;
    struct bytes at = raw;
    size_t count = 0;
    bool more;
    enum err e = ERR_OK;

    if (kind != SPAN_OBJECT || span_open(&at, '{', &more))
        return bad(p, raw.data, "\"attributes\" must be an object of strings");
    while (more && !e) {
        if (count++ == p->limits->max_attributes)
            return refuse(p, ERR_BAD_INPUT, at.data,
                          "element %zu: a message may have at most %zu attributes",
                          p->result->count, p->limits->max_attributes);
        e = pack_attribute(p, first, &at, &more);
    }
    return e;
}

/* ---- one element ---- */

static const struct member {
    const char *name;
    enum err (*pack)(struct packer *p, struct bytes raw, enum span_kind kind);
} members[] = {
    {"data", pack_data},
    {"key", pack_key},
    {"data_base64", pack_base64},
    {"ttl", pack_ttl},
    {"attributes", pack_attributes},
    {"content_type", pack_content_type},
    {"deliver_after", refuse_delay},
};
#define MEMBERS      (sizeof members / sizeof members[0])
#define CONTENT_TYPE 5 /* its place above */

static enum err pack_member(struct packer *p, bool *more)
{
    struct bytes name, raw;
    enum span_kind kind;
    size_t i = 0;
    const char *why = span_member(&p->at, &name, &raw, &kind, more);

    if (why)
        return bad_json(p, why);
    while (i < MEMBERS && !span_string_is(name, members[i].name))
        i++;
    if (i == MEMBERS)
        return bad_name(p, name, "unknown member");
    if (p->seen & 1u << i)
        return bad_name(p, name, "twice the member");
    p->seen |= 1u << i;
    if ((size_t)((const uint8_t *)p->at.data - p->element) > BATCH_ELEMENT_MAX)
        return refuse(p, ERR_TOO_BIG, p->element, "element %zu: longer than 256MiB",
                      p->result->count);
    return members[i].pack(p, raw, kind);
}

/* A varint of PREFIX bytes whatever its value: its place was set aside beforehand. */
static void put_prefix(uint8_t *to, size_t len)
{
    for (size_t i = 0; i < PREFIX; i++, len >>= 7)
        to[i] = (uint8_t)((len & 0x7f) | (i + 1 < PREFIX ? 0x80 : 0));
}

static enum err finish_element(struct packer *p)
{
    if (!p->body_tag)
        return bad(p, p->element, "\"data\" or \"data_base64\" is missing");
    if (!(p->seen & 1u << CONTENT_TYPE))
        *p->body_tag = (uint8_t)p->body_kind;
    put_prefix(p->message, (size_t)(p->out - p->message) - PREFIX);
    p->result->count++;
    return ERR_OK;
}

static enum err pack_element(struct packer *p)
{
    bool more;
    const char *why;
    enum err e = ERR_OK;

    if (p->result->count == p->limits->max_messages)
        return refuse(p, ERR_TOO_BIG, p->at.data, "more than %zu messages",
                      p->limits->max_messages);
    p->element = p->at.data;
    why = span_open(&p->at, '{', &more);
    if (why)
        return bad_json(p, why);
    p->message = p->out;
    p->out += PREFIX;
    p->body_tag = NULL;
    p->seen = 0;
    while (more && !e)
        e = pack_member(p, &more);
    return e ? e : finish_element(p);
}

/* ---- the two forms ---- */

static struct packer packer_for(uint8_t *buf, size_t len,
                                const struct batch_limits *limits,
                                struct batch_result *result)
{
    memset(result, 0, sizeof *result);
    return (struct packer){.limits = limits,
                           .result = result,
                           .text = buf,
                           .at = bytes_of(buf, len),
                           .out = buf};
}

static enum err finish(struct packer *p)
{
    if (!p->result->count)
        return refuse(p, ERR_BAD_INPUT, p->at.data, "a batch without messages");
    p->result->packed_len = (size_t)(p->out - p->text);
    return ERR_OK;
}

static enum err pack_line(struct packer *p)
{
    struct bytes blank = p->at;
    const char *why;
    enum err e;

    if (!span_end(&blank))
        return ERR_OK;
    e = pack_element(p);
    if (e)
        return e;
    why = span_end(&p->at);
    if (!why)
        return ERR_OK;
    p->result->count--; /* this element is the bad one */
    return bad_json(p, why);
}

enum err batch_pack_ndjson(uint8_t *buf, size_t len, const struct batch_limits *limits,
                           struct batch_result *result)
{
    struct packer p = packer_for(buf, len, limits, result);
    uint8_t *line = buf, *end, *stop;
    enum err e;

    if (!len)
        return finish(&p);
    end = buf + len;
    while (line < end) {
        stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        p.at = bytes_of(line, (size_t)(stop - line));
        e = pack_line(&p);
        if (e)
            return e;
        line = stop + 1;
    }
    p.at = bytes_of(end, 0);
    return finish(&p);
}

/* The elements of an array whose opening bracket has been taken. */
static enum err pack_array(struct packer *p, bool more)
{
    const char *why;
    enum err e;

    while (more) {
        e = pack_element(p);
        if (e)
            return e;
        why = span_more(&p->at, ']', &more);
        if (why)
            return bad_json(p, why);
    }
    return ERR_OK;
}

static enum err bad_envelope(struct packer *p, const char *why)
{
    return refuse(p, ERR_BAD_INPUT, p->at.data, "%s", why);
}

/* {"messages":[...]} whose opening bracket has been taken. */
static enum err pack_envelope(struct packer *p, bool more)
{
    struct bytes name;
    const char *why;
    enum err e;

    if (!more)
        return bad_envelope(p, "\"messages\" is missing");
    why = span_name(&p->at, &name);
    if (why)
        return bad_envelope(p, why);
    if (!span_string_is(name, "messages"))
        return bad_envelope(p, "the only member beside the elements is \"messages\"");
    why = span_open(&p->at, '[', &more);
    if (why)
        return bad_envelope(p, "\"messages\" must be an array");
    e = pack_array(p, more);
    if (e)
        return e;
    why = span_more(&p->at, '}', &more);
    if (!why && more)
        why = "\"messages\" must be the only member";
    return why ? bad_envelope(p, why) : ERR_OK;
}

enum err batch_pack_json(uint8_t *buf, size_t len, const struct batch_limits *limits,
                         struct batch_result *result)
{
    struct packer p = packer_for(buf, len, limits, result);
    const char *why;
    bool more;
    enum err e;

    if (!span_open(&p.at, '[', &more))
        e = pack_array(&p, more);
    else if (!span_open(&p.at, '{', &more))
        e = pack_envelope(&p, more);
    else
        e = bad_envelope(&p,
                         "an array of messages is expected, or {\"messages\":[...]}");
    if (e)
        return e;
    why = span_end(&p.at);
    return why ? bad_envelope(&p, why) : finish(&p);
}
