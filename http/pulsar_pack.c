/*
 * Why the packing fits in place
 * -----------------------------
 * As in batch.c it is enough that each message is packed into no more bytes than its text
 * has, the comma or bracket behind it included. A message is packed when all of its text
 * has been read: its payload is moved to its place within the buffer; its key and
 * attributes, which are bounded, wait in `extra` meanwhile, so that they can follow in
 * whatever order they were written. With S, K, N, V bytes of strings and d digits:
 *
 *                                     text           packed
 *   {"payload":"S"} and what follows  15 + S         4 + 1 + 4 + S      gains 6
 *   "key":"K",                        9 + K          1 + 2 + K          gains 6
 *   "properties":{},                  16             0                  gains 16
 *     "N":"V",  (the last: 1 less)    6 + N + V      1 + 2 + N + 2 + V  gains 1
 *   "eventTime":d,                    13 + d         20 + d             loses 7
 *   "sequenceId":d,                   14 + d         13 + d             gains 1
 *   "deliverAt":d,                    13 + d         1 + d              gains 12
 *   "deliverAfterMs":d,  as a time    18 + d         1 + 10             gains 8
 *
 * So nothing is lost in all: the tightest case, a payload of 2 MiB or more with both
 * numbers, fits exactly. This is why the attribute is called pulsar-seq, and no longer name.
 */
#include "pulsar_pack.h"

#include "attribute.h"
#include "base/text.h"
#include "config.h"
#include "packed.h"
#include "pulsar_json.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

#define KEY_ROOM   (1 + 2 + CONFIG_KEY_MAX_BYTES)
#define DELAY_ROOM (1 + 10)
#define EXTRA_ROOM (KEY_ROOM + PULSAR_ATTRIBUTES_ROOM + DELAY_ROOM)

_Static_assert(CONFIG_ATTRIBUTES_MAX_BYTES + ATTRIBUTES_MAX * 5 +
                       2 * (3 + sizeof PULSAR_EVENT_TIME + 20) <=
                   PULSAR_ATTRIBUTES_ROOM,
               "properties within their limits, and both numbers");

enum {
    PAYLOAD,
    KEY,
    PROPERTIES,
    EVENT_TIME,
    SEQUENCE_ID,
    DELIVER_AT,
    DELIVER_AFTER,
    MEMBERS
};

struct packer {
    const struct pulsar_limits *limits;
    struct pulsar_results *results;
    struct pulsar_packing *packing;
    bool is_bytes;
    struct bytes at; /* what is not read yet */
    uint8_t *out;    /* where packing goes on; never past at.data */

    /* Of the message at hand: its key, its attributes and its delay, packed. */
    uint8_t extra[EXTRA_ROOM];
    size_t extra_len;
    size_t properties, property_bytes;
    int64_t event_ms; /* eventTime; -1: none */
};

/* ---- what a message says; each answers NULL, or why the message is refused ---- */

static const char *take_key(struct packer *p, const struct pulsar_member *m)
{
    uint8_t *to = p->extra;
    struct bytes key;

    if (m->kind == SPAN_NULL)
        return NULL;
    if (!pulsar_text(m, &key) || !text_is_plain(key))
        return "key must be a string without control characters";
    if (key.len > CONFIG_KEY_MAX_BYTES)
        return "key is longer than 1024 bytes";
    if (!key.len)
        return NULL;
    *to++ = PACKED_KEY;
    to += varint_put(to, key.len);
    memcpy(to, key.data, key.len);
    p->extra_len = (size_t)(to - p->extra) + key.len;
    return NULL;
}

static void put_attribute(struct packer *p, struct bytes name, struct bytes value)
{
    uint8_t *to = p->extra + p->extra_len;

    *to++ = PACKED_ATTRIBUTE;
    to += varint_put(to, name.len);
    memcpy(to, name.data, name.len);
    to += name.len;
    to += varint_put(to, value.len);
    if (value.len)
        memcpy(to, value.data, value.len);
    p->extra_len = (size_t)(to - p->extra) + value.len;
}

static bool is_ours(struct bytes name)
{
    return name.len >= 7 && !strncasecmp(name.data, "pulsar-", 7);
}

static const char *property_wrong(const struct packer *p, struct bytes run,
                                  struct bytes name, struct bytes value)
{
    if (!attribute_name_is_fine(name) || is_ours(name))
        return "a property's name must be a header token, and not key, offset, time, "
               "expires-at or pulsar-...";
    if (name.len > ATTRIBUTE_NAME_MAX)
        return "a property's name is longer than 128 bytes";
    if (!text_is_plain(value))
        return "a property's value must have no control characters";
    if (p->properties > ATTRIBUTES_MAX ||
        p->property_bytes > CONFIG_ATTRIBUTES_MAX_BYTES)
        return "properties can be 64, and 8192 bytes together";
    if (attribute_is_packed(run, name))
        return "the same property twice; their names know no case";
    return NULL;
}

static const char *take_property(struct packer *p, size_t first, struct bytes *at,
                                 bool *more)
{
    struct pulsar_member name = { .kind = SPAN_STRING }, value = { 0 };
    const char *why = span_member(at, &name.raw, &value.raw, &value.kind, more);
    struct bytes n, v;

    if (!why && (!pulsar_text(&name, &n) || !pulsar_text(&value, &v)))
        why = "properties must be an object of strings";
    if (why)
        return why;
    p->properties++;
    p->property_bytes += n.len + v.len;
    why = property_wrong(p, bytes_of(p->extra + first, p->extra_len - first), n, v);
    if (!why)
        put_attribute(p, n, v);
    return why;
}

static const char *take_properties(struct packer *p, const struct pulsar_member *m)
{
    size_t first = p->extra_len;
    struct bytes at = m->raw;
    const char *why = NULL;
    bool more;

    if (m->kind == SPAN_NULL)
        return NULL;
    if (m->kind != SPAN_OBJECT || span_open(&at, '{', &more))
        return "properties must be an object of strings";
    while (more && !why)
        why = take_property(p, first, &at, &more);
    return why;
}

static void put_number(struct packer *p, const char *name, int64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)value);

    put_attribute(p, bytes_str(name), bytes_of(text, (size_t)len));
}

static const char *take_numbers(struct packer *p, const struct pulsar_member *m)
{
    int64_t value;

    if (m[EVENT_TIME].kind != SPAN_NULL) {
        if (!pulsar_integer(&m[EVENT_TIME], &p->event_ms) || p->event_ms < 0)
            return "eventTime must be whole milliseconds since 1970";
        put_number(p, PULSAR_EVENT_TIME, p->event_ms);
    }
    if (m[SEQUENCE_ID].kind != SPAN_NULL) {
        if (!pulsar_integer(&m[SEQUENCE_ID], &value))
            return "sequenceId must be a whole number";
        put_number(p, PULSAR_SEQUENCE, value);
    }
    return NULL;
}

static void put_delay(struct packer *p, enum packed_tag tag, uint64_t ms)
{
    uint8_t *to = p->extra + p->extra_len;

    *to++ = (uint8_t)tag;
    p->extra_len += 1 + varint_put(to, ms);
    p->packing->delayed = true;
}

/* Null is 0. */
static bool take_ms(const struct pulsar_member *m, uint64_t *ms)
{
    int64_t value = 0;

    if (m->kind != SPAN_NULL && (!pulsar_integer(m, &value) || value < 0))
        return false;
    *ms = (uint64_t)value;
    return true;
}

/* After take_numbers. Times are below 2^63, so that two of them have a sum. */
static const char *take_delay(struct packer *p, const struct pulsar_member *m)
{
    uint64_t at, after;

    if (!take_ms(&m[DELIVER_AT], &at))
        return "deliverAt must be whole milliseconds since 1970";
    if (!take_ms(&m[DELIVER_AFTER], &after))
        return "deliverAfterMs must be whole milliseconds";
    if (at)
        put_delay(p, PACKED_DELIVER_AT_MS, at);
    else if (after && p->event_ms >= 0)
        put_delay(p, PACKED_DELIVER_AT_MS, (uint64_t)p->event_ms + after);
    else if (after)
        put_delay(p, PACKED_DELIVER_AFTER_MS, after);
    return NULL;
}

static const char *take_payload(const struct packer *p, const struct pulsar_member *m,
                                struct bytes *body)
{
    if (m->kind == SPAN_NULL)
        return "payload is missing";
    if (m->kind != SPAN_STRING)
        return "payload must be a string";
    if (!pulsar_text(m, body))
        return "payload has half a surrogate pair, which is no text";
    if (body->len > p->limits->max_body_bytes)
        return "payload is longer than one message of a batch may be (inline_max)";
    return NULL;
}

/* ---- one message ---- */

/* All of its text has been read, and what follows it: there is room. */
static void put_message(struct packer *p, struct bytes body)
{
    size_t head = 1 + varint_len(body.len), len = head + body.len + p->extra_len;
    uint8_t *fields = p->out + varint_len(len);

    assert(fields + len <= (const uint8_t *)p->at.data);
    if (body.len)
        memmove(fields + head, body.data, body.len);
    varint_put(p->out, len);
    fields[0] = p->is_bytes ? PACKED_BODY : PACKED_TEXT_BODY;
    varint_put(fields + 1, body.len);
    memcpy(fields + head + body.len, p->extra, p->extra_len);
    p->out = fields + len;
    p->packing->count++;
    p->packing->body_bytes += body.len;
}

static const char *take_message(struct packer *p, const struct pulsar_member *m)
{
    struct bytes body = { 0 };
    const char *why;

    p->extra_len = p->properties = p->property_bytes = 0;
    p->event_ms = -1;
    why = take_payload(p, &m[PAYLOAD], &body);
    if (!why)
        why = take_key(p, &m[KEY]);
    if (!why)
        why = take_properties(p, &m[PROPERTIES]);
    if (!why)
        why = take_numbers(p, m);
    if (!why)
        why = take_delay(p, m);
    if (!why)
        put_message(p, body);
    return why;
}

static enum err too_many_refused(struct packer *p)
{
    const struct pulsar_refused *first = &p->results->refused[0];

    snprintf(p->packing->reason, PULSAR_REASON_ROOM,
             "more than %d messages are wrong, the first is message %zu: %s",
             PULSAR_REFUSED_MAX, first->index, first->why);
    return ERR_BAD_INPUT;
}

static enum err next_message(struct packer *p, bool *more)
{
    struct pulsar_member m[MEMBERS] = {
        [PAYLOAD] = { "payload" },         [KEY] = { "key" },
        [PROPERTIES] = { "properties" },   [EVENT_TIME] = { "eventTime" },
        [SEQUENCE_ID] = { "sequenceId" },  [DELIVER_AT] = { "deliverAt" },
        [DELIVER_AFTER] = { "deliverAfterMs" },
    };
    size_t index = p->results->count;
    const char *why = pulsar_pick(&p->at, m, MEMBERS);

    if (!why)
        why = span_more(&p->at, ']', more);
    if (why) { /* the text is JSON: it was scanned before */
        snprintf(p->packing->reason, PULSAR_REASON_ROOM, "message %zu is not an object",
                 index);
        return ERR_BAD_INPUT;
    }
    why = take_message(p, m);
    if (why && !pulsar_results_refuse(p->results, index, why))
        return too_many_refused(p);
    p->results->count++;
    return ERR_OK;
}

enum err pulsar_pack(uint8_t *buf, const struct pulsar_envelope *e,
                     const struct pulsar_limits *limits, struct pulsar_results *results,
                     struct pulsar_packing *out)
{
    struct packer p; /* `extra` is large, and empty: not cleared */
    enum err err = ERR_OK;
    bool more;

    p.limits = limits;
    p.results = results;
    p.packing = out;
    p.is_bytes = e->is_bytes;
    p.at = e->messages;
    p.out = buf;
    *out = (struct pulsar_packing){ 0 };
    if (span_open(&p.at, '[', &more))
        return ERR_BAD_INPUT; /* our own mistake: the envelope has found an array */
    while (more && !err) {
        if (results->count == limits->max_messages) {
            snprintf(out->reason, PULSAR_REASON_ROOM, "more than %zu messages",
                     limits->max_messages);
            return ERR_TOO_BIG;
        }
        err = next_message(&p, &more);
    }
    out->packed_len = (size_t)(p.out - buf);
    return err;
}
