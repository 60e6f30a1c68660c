#include "sse_internal.h"

#include "server.h"
#include "siphash.h"
#include "sse_event.h"

#include <stdlib.h>

#define LIBRARY_BUFFER 16 /* of the response; what goes out does not pass through it */
#define PREFACE_ROOM   256
#define RETRY_MS       1000 /* up to three times that: not all come back at once */

/* ---- the first bytes ---- */

/* The head has been written; the memory of its lines is not needed any more. */
static void drop_headers(struct MHD_Response *response)
{
    static const char *const names[] = { MHD_HTTP_HEADER_CONTENT_TYPE,
                                         MHD_HTTP_HEADER_CACHE_CONTROL, "X-Accel-Buffering",
                                         "Access-Control-Allow-Origin" };
    const char *value;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        value = MHD_get_response_header(response, names[i]);
        if (value)
            (void)MHD_del_response_header(response, names[i], value);
    }
}

/* A number below `range` that is not the same for all. */
static uint64_t spread(const struct request *r, uint64_t range)
{
    uint64_t secret[2] = { r->loop->server->start_id, 0 };
    uint64_t what[2] = { r->loop->index, r->id };

    return range ? siphash((uint8_t *)secret, bytes_of(what, sizeof what)) % range : 0;
}

/* How soon to come back, and what must be said first. */
static void put_preface(struct out *o, const struct request *r)
{
    const struct sse_stream *s = r->stream;
    size_t begin = sse_chunk_begin(o);

    out_text(o, "retry: ");
    out_u64(o, RETRY_MS + spread(r, 2 * RETRY_MS));
    out_text(o, "\n\n");
    sse_chunk_end(o, begin);
    if (s->is_unknown)
        sse_put_unknown(o, s->unknown, s->offset);
}

static void begin(struct request *r)
{
    uint64_t life = r->loop->broker->config->sse_max_life_ms;
    char text[PREFACE_ROOM];
    struct out o;

    r->stream->started = true;
    r->stream->ends_ms = r->loop->now_ms + (int64_t)(life - spread(r, life / 5));
    drop_headers(r->stream->response);
    out_init_in(&o, text, sizeof text);
    put_preface(&o, r);
    sse_stream_begin(r, bytes_of(o.data, o.len));
}

/* The library asks for more of the body: when the head is written, and when the stream is
 * resumed, because it has ended. */
static ssize_t next_piece(void *arg, uint64_t pos, char *buf, size_t max)
{
    struct request *r = arg;

    (void)pos;
    (void)buf;
    (void)max;
    r->loop->progress = true;
    if (r->loop->stopping)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!r->kill && !r->stream->started) {
        begin(r);
        return 0;
    }
    return r->kill ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
}

static void nothing_to_free(void *arg)
{
    (void)arg; /* the request has it all */
}

/* ---- the answer ---- */

/* It comes with an id that was never given: of another store, perhaps. */
static void begin_anew(struct sse_stream *s, uint64_t earliest)
{
    s->is_unknown = true;
    s->unknown = s->offset - 1;
    s->offset = earliest;
}

/* Where it starts. With a snapshot open. False: answered. */
static bool settle(struct request *r, struct sse_stream *s)
{
    struct fetch *f = &r->loop->fetch;
    uint64_t earliest = 0;
    enum err e = fetch_earliest(f, &earliest);

    if (!e)
        e = fetch_resolve(f, r->read.from, &s->offset);
    if (e) {
        reply_store_error(r, e);
        return false;
    }
    if (r->read.from.kind == FETCH_EARLIEST)
        s->offset = earliest;
    if (r->read.resumes && s->offset > f->topic.next_offset)
        begin_anew(s, earliest);
    if (r->read.strict && s->offset < earliest) {
        reply_problem_with(r, PROBLEM_MESSAGE_GONE, "earliest", earliest,
                           "Offset %llu is gone; the earliest message is %llu.",
                           (unsigned long long)s->offset, (unsigned long long)earliest);
        return false;
    }
    return true;
}

/* The topic need not be there yet, where it may come. */
static bool settle_start(struct request *r, struct sse_stream *s)
{
    enum err e = fetch_begin(&r->loop->fetch, request_topic(r));
    bool go;

    if (e == ERR_NOT_FOUND && r->loop->broker->config->auto_create) {
        s->offset = r->read.from.kind == FETCH_OFFSET ? r->read.from.value : 0;
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
    struct sse_stream *s = calloc(1, sizeof *s);

    if (!s) {
        reply_store_error(r, ERR_NO_MEMORY);
        return;
    }
    r->stream = s;
    if (!settle_start(r, s))
        return;
    if (r->head) /* the library would write the end of a body that it has left out */
        reply_empty(r, MHD_HTTP_OK);
    else
        reply_callback(r, MHD_HTTP_OK, MHD_SIZE_UNKNOWN, LIBRARY_BUFFER, next_piece,
                       nothing_to_free, r);
    s->response = r->reply.response;
    reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    reply_header(r, "X-Accel-Buffering", "no"); /* nginx would keep events back */
}
