#include "mercure/update.h"

#include "base/text.h"
#include "packed.h"
#include "sse_event.h"
#include "sse_lines.h"

#define ALTERNATES "mercure-alternates"
#define TYPE       "mercure-type"
#define RETRY      "mercure-retry"
#define PRIVATE    "mercure-private"

#define EVENT_FRAME (SSE_CHUNK_HEAD + SSE_CHUNK_TAIL + 64u) /* field names, retry, the end */

/* ---- from a record ---- */

static void take_attribute(struct mercure_update *u, struct bytes name, struct bytes value)
{
    if (bytes_eq(name, bytes_str(ALTERNATES)))
        u->alternates = value;
    else if (bytes_eq(name, bytes_str(TYPE)))
        u->type = value;
    else if (bytes_eq(name, bytes_str(RETRY)))
        (void)!text_parse_u64(value, 0, UINT64_MAX, &u->retry);
    else if (bytes_eq(name, bytes_str(PRIVATE)))
        u->is_private = true;
}

enum err mercure_update_of(const struct record *r, struct mercure_update *u)
{
    struct bytes at = r->attributes, name, value;

    if (!r->id.len || !r->key.len || r->blob_id)
        return ERR_NOT_FOUND;
    *u = (struct mercure_update){ .id = r->id, .topic = r->key, .data = r->body };
    while (attribute_next(&at, &name, &value))
        take_attribute(u, name, value);
    return ERR_OK;
}

/* ---- its topics ---- */

struct mercure_topics mercure_topics(const struct mercure_update *u)
{
    return (struct mercure_topics){ .next = u->topic, .rest = u->alternates };
}

bool mercure_topics_next(struct mercure_topics *at, struct bytes *topic)
{
    const char *rest = at->rest.data, *lf;
    size_t len = at->rest.len;

    *topic = at->next;
    if (!topic->len)
        return false;
    lf = len ? memchr(rest, '\n', len) : NULL;
    at->next = bytes_of(rest, lf ? (size_t)(lf - rest) : len);
    at->rest = lf ? bytes_of(lf + 1, len - at->next.len - 1) : bytes_of(rest, 0);
    return true;
}

/* ---- to a record ---- */

static struct bytes retry_text(const struct mercure_update *u, char room[20])
{
    return bytes_of(room, u->retry ? text_put_u64(room, u->retry) : 0);
}

static size_t len_of(const char *name, struct bytes value)
{
    return value.len ? packed_attribute_len(bytes_str(name), value) : 0;
}

size_t mercure_update_attributes_len(const struct mercure_update *u)
{
    char room[20];

    return len_of(ALTERNATES, u->alternates) + len_of(TYPE, u->type) +
           len_of(RETRY, retry_text(u, room)) +
           len_of(PRIVATE, bytes_str(u->is_private ? "1" : ""));
}

static uint8_t *put(uint8_t *to, const char *name, struct bytes value)
{
    return value.len ? to + packed_attribute_put(to, bytes_str(name), value) : to;
}

size_t mercure_update_attributes_put(const struct mercure_update *u, uint8_t *out)
{
    uint8_t *to = out;
    char room[20];

    to = put(to, ALTERNATES, u->alternates);
    to = put(to, TYPE, u->type);
    to = put(to, RETRY, retry_text(u, room));
    to = put(to, PRIVATE, bytes_str(u->is_private ? "1" : ""));
    return (size_t)(to - out);
}

/* ---- to an event ---- */

static void put_line(struct out *o, const char *field, struct bytes value)
{
    out_text(o, field);
    out_raw(o, value);
    out_text(o, "\n");
}

void mercure_put_event(struct out *o, const struct mercure_update *u)
{
    size_t begin = sse_chunk_begin(o);
    struct bytes text = u->data, line;
    char room[20];

    if (u->type.len)
        put_line(o, "event: ", u->type);
    if (u->retry)
        put_line(o, "retry: ", retry_text(u, room));
    put_line(o, "id: ", u->id);
    while (sse_next_line(&text, &line))
        put_line(o, "data: ", line);
    put_line(o, "data: ", line);
    out_text(o, "\n");
    sse_chunk_end(o, begin);
}

size_t mercure_event_most(const struct mercure_update *u)
{
    struct bytes text = u->data, line;
    size_t frame = EVENT_FRAME + u->type.len + u->id.len, lines = 1;

    while (sse_next_line(&text, &line))
        lines++;
    return frame + u->data.len + lines * strlen("data: \n");
}
