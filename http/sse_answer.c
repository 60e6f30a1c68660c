#include "sse_internal.h"

#include <stdlib.h>

/* It comes with an id that was never given: of another store, perhaps. */
static void begin_anew(struct sse_topic_stream *s, uint64_t earliest)
{
    s->is_unknown = true;
    s->unknown = s->stream.offset - 1;
    s->stream.offset = earliest;
}

/* Where it starts. With a snapshot open. False: answered. */
static bool settle(struct request *r, struct sse_topic_stream *s)
{
    struct fetch *f = &r->loop->fetch;
    uint64_t earliest = 0;
    enum err e = fetch_earliest(f, &earliest);

    if (!e)
        e = fetch_resolve(f, r->read.from, &s->stream.offset);
    if (e) {
        reply_store_error(r, e);
        return false;
    }
    if (r->read.from.kind == FETCH_EARLIEST)
        s->stream.offset = earliest;
    if (r->read.resumes && s->stream.offset > f->topic.next_offset)
        begin_anew(s, earliest);
    if (r->read.strict && s->stream.offset < earliest) {
        reply_problem_with(r, PROBLEM_MESSAGE_GONE, "earliest", earliest,
                           "Offset %llu is gone; the earliest message is %llu.",
                           (unsigned long long)s->stream.offset, (unsigned long long)earliest);
        return false;
    }
    return true;
}

/* The topic need not be there yet, where it may come. */
static bool settle_start(struct request *r, struct sse_topic_stream *s)
{
    enum err e = fetch_begin(&r->loop->fetch, request_topic(r));
    bool go;

    if (e == ERR_NOT_FOUND && r->loop->broker->config->auto_create) {
        s->stream.offset = r->read.from.kind == FETCH_OFFSET ? r->read.from.value : 0;
        if (r->read.resumes)
            begin_anew(s, 0);
        return true;
    }
    if (e) {
        reply_store_error(r, e);
        return false;
    }
    go = settle(r, s);
    fetch_end(&r->loop->fetch);
    return go;
}

void sse_stream_reply(struct request *r)
{
    uint64_t life = r->loop->broker->config->sse_max_life_ms;
    struct sse_topic_stream *s = calloc(1, sizeof *s);

    if (!s) {
        reply_store_error(r, ERR_NO_MEMORY);
        return;
    }
    if (!settle_start(r, s)) {
        free(s);
        return;
    }
    s->stream.feed = &sse_topic_feed;
    s->stream.ends_ms = r->loop->now_ms + (int64_t)(life - sse_stream_spread(r, life / 5));
    sse_stream_open(r, &s->stream);
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}
