/* The feed of a stream that reads one topic, from an offset on. */
#include "sse_internal.h"

#include "metrics.h"
#include "sse_event.h"

#include <stdlib.h>

#define RETRY_MS 1000 /* up to three times that: not all come back at once */

/* How soon to come back, and what must be said first. */
static void preface(const struct request *r, struct out *o)
{
    const struct sse_topic_stream *s = (struct sse_topic_stream *)r->stream;
    size_t begin = sse_chunk_begin(o);

    out_text(o, "retry: ");
    out_u64(o, RETRY_MS + sse_stream_spread(r, 2 * RETRY_MS));
    out_text(o, "\n\n");
    sse_chunk_end(o, begin);
    if (s->is_unknown)
        sse_put_unknown(o, s->unknown, s->stream.offset);
}

static void joins(struct request *r)
{
    r->slot = (uint16_t)waiters_slot(request_topic(r));
    r->stream->home = &r->loop->streams[r->slot];
    waiters_park(r->loop->broker->waiters, r->loop->index, r->slot);
}

static void leaves(struct request *r)
{
    waiters_leave(r->loop->broker->waiters, r->loop->index, r->slot);
}

/* ---- what comes next ---- */

static bool known_to_have_none(const struct request *r)
{
    const struct request *none = r->loop->none;

    return none && r->stream->offset >= r->loop->none_offset &&
           bytes_eq(request_topic(none), request_topic(r));
}

static enum err take(struct request *r, size_t *room)
{
    struct sse_stream *s = r->stream;
    struct sse_block *b = NULL;
    struct sse_want want = { .loop = r->loop,
                             .topic = request_topic(r),
                             .offset = s->offset,
                             .slot = r->slot,
                             .envelope = r->read.envelope };
    enum err e;

    if (known_to_have_none(r))
        return ERR_NOT_FOUND;
    if (r->loop->stream_in_line[r->slot])
        return ERR_BUSY;
    e = sse_block_take(&want, &r->answer.room.grant, &b);
    *room = want.ask;
    if (e == ERR_NOT_FOUND && r->loop->streams_turn) {
        r->loop->none = r;
        r->loop->none_offset = s->offset;
    }
    if (!e)
        sse_stream_send(s, b, 0);
    return e;
}

/* ---- news ---- */

static bool has_news(const struct request *r)
{
    return r->loop->has_news[r->slot];
}

static bool *line(const struct request *r)
{
    return &r->loop->stream_in_line[r->slot];
}

void sse_topic_woken(struct loop *l, unsigned first, unsigned end)
{
    for (unsigned slot = first; slot < end; slot++)
        if (l->streams[slot].first)
            l->has_news[slot] = l->any_news = true;
}

static void line_moved(struct request *r)
{
    sse_topic_woken(r->loop, r->slot, r->slot + 1u);
}

void sse_topic_begin_round(struct loop *l)
{
    struct request *r, *next;

    l->any_news = false;
    for (unsigned slot = 0; slot < LOOP_PARK_BUCKETS; slot++) {
        if (!l->has_news[slot])
            continue;
        l->has_news[slot] = false;
        for (r = l->streams[slot].first; r; r = next) {
            next = r->next;
            if (sse_stream_is_idle(r->stream))
                sse_stream_due(r);
        }
    }
}

static void free_stream(struct sse_stream *s)
{
    free(s);
}

const struct sse_feed sse_topic_feed = {
    .preface = preface,
    .joins = joins,
    .leaves = leaves,
    .take = take,
    .has_news = has_news,
    .line = line,
    .line_moved = line_moved,
    .free = free_stream,
    .heartbeat_setting = offsetof(struct config, sse_heartbeat_ms),
};
