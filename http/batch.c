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
 *   "deliver_after" is longer than "ttl"
 *   "deliver_at":"T",  T of 20 at least   36                 1 + 9          gains 26
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
#include "batch_fields.h"

#define PREFIX 4 /* bytes of a message's padded length */

/* ---- one element ---- */

/* Trouble with the text itself, at the front of what is not read. */
static enum err bad_json(struct batch_packer *p, const char *why)
{
    const uint8_t *where = p->at.data;

    return batch_refuse(p, ERR_BAD_INPUT, where, "element %zu: %s, at byte %zu",
                        p->result->count, why, (size_t)(where - p->text));
}

static enum err pack_member(struct batch_packer *p, bool *more)
{
    struct bytes name, raw;
    enum span_kind kind;
    const char *why = span_member(&p->at, &name, &raw, &kind, more);

    if (why)
        return bad_json(p, why);
    if ((size_t)((const uint8_t *)p->at.data - p->element) > BATCH_ELEMENT_MAX)
        return batch_refuse(p, ERR_TOO_BIG, p->element,
                            "element %zu: longer than 256MiB", p->result->count);
    return batch_field(p, name, raw, kind);
}

/* A varint of PREFIX bytes whatever its value: its place was set aside beforehand. */
static void put_prefix(uint8_t *to, size_t len)
{
    for (size_t i = 0; i < PREFIX; i++, len >>= 7)
        to[i] = (uint8_t)((len & 0x7f) | (i + 1 < PREFIX ? 0x80 : 0));
}

static enum err finish_element(struct batch_packer *p)
{
    if (!p->body_tag)
        return batch_bad(p, p->element, "\"data\" or \"data_base64\" is missing");
    if (!p->typed)
        *p->body_tag = (uint8_t)p->body_kind;
    put_prefix(p->message, (size_t)(p->out - p->message) - PREFIX);
    p->result->count++;
    return ERR_OK;
}

static enum err pack_element(struct batch_packer *p)
{
    bool more;
    const char *why;
    enum err e = ERR_OK;

    if (p->result->count == p->limits->max_messages)
        return batch_refuse(p, ERR_TOO_BIG, p->at.data, "more than %zu messages",
                            p->limits->max_messages);
    p->element = p->at.data;
    why = span_open(&p->at, '{', &more);
    if (why)
        return bad_json(p, why);
    p->message = p->out;
    p->out += PREFIX;
    p->body_tag = NULL;
    p->seen = 0;
    p->typed = p->delayed = false;
    while (more && !e)
        e = pack_member(p, &more);
    return e ? e : finish_element(p);
}

/* ---- the two forms ---- */

static struct batch_packer packer_for(uint8_t *buf, size_t len,
                                      const struct batch_limits *limits,
                                      struct batch_result *result)
{
    memset(result, 0, sizeof *result);
    return (struct batch_packer){ .limits = limits,
                                  .result = result,
                                  .text = buf,
                                  .at = bytes_of(buf, len),
                                  .out = buf };
}

static enum err finish(struct batch_packer *p)
{
    if (!p->result->count)
        return batch_refuse(p, ERR_BAD_INPUT, p->at.data, "a batch without messages");
    p->result->packed_len = (size_t)(p->out - p->text);
    return ERR_OK;
}

static enum err pack_line(struct batch_packer *p)
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
    struct batch_packer p = packer_for(buf, len, limits, result);
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
static enum err pack_array(struct batch_packer *p, bool more)
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

static enum err bad_envelope(struct batch_packer *p, const char *why)
{
    return batch_refuse(p, ERR_BAD_INPUT, p->at.data, "%s", why);
}

/* {"messages":[...]} whose opening bracket has been taken. */
static enum err pack_envelope(struct batch_packer *p, bool more)
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
    struct batch_packer p = packer_for(buf, len, limits, result);
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
