/*
 * Invariants:
 *  1. From its start to its end a stream is in its loop's list for its slot, and counted in
 *     waiters: a commit that its last look did not see comes as a letter.
 *  2. It is suspended for as long; nothing of the library's is on its way to the socket.
 *  3. Who stands in the read ledger's line holds no block, and at most one stream of a slot
 *     stands there: the others find its block, or take its place.
 *  4. A stream ends between chunks, unless its client has gone or stopped.
 */
#include "sse_stream.h"

#include "caller.h"
#include "line.h"
#include "metrics.h"
#include "server.h"
#include "siphash.h"
#include "sse_block.h"
#include "sse_event.h"
#include "wait.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define FROM(ptr, field) ((struct request *)((char *)(ptr)-offsetof(struct request, field)))

#define BLOCKS_IN_A_TURN 8
#define LIBRARY_BUFFER   16 /* of the response; what goes out does not pass through it */
#define PREFACE_ROOM     256
#define RETRY_MS         1000 /* up to three times that: not all come back at once */

#define HEARTBEAT "00000003\r\n:\n\n\r\n"

enum armed { ARMED_NOT, ARMED_LEAVING, ARMED_WRITABLE }; /* its watch, which fires once */

struct sse_stream {
    struct MHD_Response *response; /* lives as long as the request */
    uint64_t offset;               /* the next that it has not been sent */
    struct sse_block *block;       /* what it sends from, or NULL */
    const char *out;               /* whole chunks, or the rest of them */
    size_t out_len;
    size_t chunk_left; /* HTTP/1.0: bytes left in the chunk that `out` is in */
    int64_t sent_ms;   /* when it was sent something */
    int64_t ends_ms;
    uint64_t unknown; /* the Last-Event-ID that was never given */
    uint8_t armed;    /* enum armed */
    bool is_unknown, started, listed, in_line, ending, ended;
};

struct pass { /* over many streams, after one letter */
    const struct request *none; /* there is nothing for its topic ... */
    uint64_t offset;            /* ... at this offset */
};

static void advance(struct request *r, struct pass *pass);

/* ---- the end ---- */

static void leave_list(struct request *r)
{
    struct sse_stream *s = r->stream;

    if (!s->listed)
        return;
    s->listed = false;
    request_list_remove(r);
    waiters_leave(r->loop->broker->waiters, r->loop->index, r->slot);
    metric_add(METRIC_SSE_SUBSCRIBERS, -1);
}

/* False: its room was granted in this moment, and the letter is on its way. */
static bool leave_line(struct request *r)
{
    struct loop *l = r->loop;

    if (!r->stream->in_line)
        return true;
    if (!ledger_leave(l->broker->read, &r->answer.room))
        return false;
    atomic_fetch_sub(&l->mailbox.owed, 1);
    r->stream->in_line = false;
    l->stream_in_line[r->slot] = false;
    return true;
}

/* The library writes the end of the body; with `cut` it closes the connection. */
static void end(struct request *r, bool cut)
{
    struct sse_stream *s = r->stream;

    if (cut)
        r->kill = true;
    s->ending = true;
    leave_list(r);
    sse_block_drop(s->block);
    s->block = NULL;
    s->out_len = 0;
    if (s->ended || !leave_line(r))
        return;
    s->ended = true;
    wait_resume(r);
}

void sse_stream_free(struct request *r)
{
    if (!r->stream)
        return;
    leave_list(r);
    sse_block_drop(r->stream->block);
    free(r->stream);
    r->stream = NULL;
}

/* ---- to the socket ---- */

static void arm(struct request *r, enum armed what)
{
    if (r->stream->armed == what || !r->suspended)
        return;
    r->stream->armed = (uint8_t)what;
    if (what == ARMED_WRITABLE)
        loop_watch_writable(r->loop, request_socket(r), &r->watch);
    else
        loop_watch(r->loop, request_socket(r), &r->watch);
}

/* What may be sent in one go: all, or for HTTP/1.0 what is inside of a chunk. */
static size_t piece(struct request *r)
{
    struct sse_stream *s = r->stream;

    if (!r->http_1_0)
        return s->out_len;
    if (s->out_len && !s->chunk_left) {
        s->chunk_left = sse_chunk_size(s->out);
        s->out += SSE_CHUNK_HEAD;
        s->out_len -= SSE_CHUNK_HEAD;
    }
    return s->chunk_left;
}

static void was_sent(struct request *r, size_t n)
{
    struct sse_stream *s = r->stream;

    s->sent_ms = r->loop->now_ms;
    if (r->http_1_0 && !(s->chunk_left -= n))
        n += SSE_CHUNK_TAIL;
    s->out += n;
    s->out_len -= n;
}

/* True: all is sent. False: the socket is full, or the stream has ended. */
static bool push(struct request *r)
{
    struct sse_stream *s = r->stream;
    ssize_t n;

    while (s->out_len) {
        n = send(request_socket(r), s->out, piece(r), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            was_sent(r, (size_t)n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            arm(r, ARMED_WRITABLE);
            return false;
        } else if (errno != EINTR) {
            end(r, true);
            return false;
        }
    }
    return true;
}

static void block_sent(struct sse_stream *s)
{
    struct sse_block *b = s->block;

    if (!b)
        return;
    metric_add(METRIC_SSE_EVENTS, b->count);
    metric_add(METRIC_DELIVERED_MESSAGES, b->count);
    metric_add(METRIC_DELIVERED_BYTES, (int64_t)b->bytes);
    s->offset = b->next;
    s->block = NULL;
    sse_block_drop(b);
}

/* ---- what comes next ---- */

/* ERR_OK: the room was there after all. ERR_BUSY: it stands in line. */
static enum err stand(struct request *r, size_t bytes)
{
    struct loop *l = r->loop;
    struct ledger_waiter *w = &r->answer.room;
    enum err e;

    w->bytes = bytes;
    w->flow = caller_flow(r);
    atomic_fetch_add(&l->mailbox.owed, 1); /* before it may be granted */
    e = ledger_wait(l->broker->read, w);
    if (e != ERR_BUSY)
        atomic_fetch_sub(&l->mailbox.owed, 1);
    r->stream->in_line = l->stream_in_line[r->slot] = e == ERR_BUSY;
    return e;
}

static bool known_to_have_none(const struct request *r, const struct pass *pass)
{
    return pass && pass->none && r->stream->offset >= pass->offset &&
           bytes_eq(request_topic(pass->none), request_topic(r));
}

static enum err take_block(struct request *r, struct pass *pass)
{
    struct sse_stream *s = r->stream;
    struct sse_want want = { .loop = r->loop,
                             .topic = request_topic(r),
                             .offset = s->offset,
                             .slot = r->slot,
                             .envelope = r->read.envelope };
    enum err e;

    if (known_to_have_none(r, pass))
        return ERR_NOT_FOUND;
    if (r->loop->stream_in_line[r->slot])
        return ERR_BUSY;
    do
        e = sse_block_take(&want, &r->answer.room.grant, &s->block);
    while (e == ERR_BUSY && !(e = stand(r, want.ask)));
    if (e == ERR_NOT_FOUND && pass)
        *pass = (struct pass){ r, s->offset };
    if (!e) {
        s->out = s->block->data;
        s->out_len = s->block->len;
    }
    return e;
}

/* Sends what there is, until the socket is full, the log is at its end, or others are due.
 * Runs for a stream that is not in line. */
static void advance(struct request *r, struct pass *pass)
{
    struct sse_stream *s = r->stream;
    enum err e;

    for (int blocks = 0; !s->ending; blocks++) {
        if (!push(r))
            return;
        block_sent(s);
        if (r->loop->broker->draining || r->loop->now_ms >= s->ends_ms) {
            end(r, false);
            return;
        }
        if (blocks == BLOCKS_IN_A_TURN) {
            arm(r, ARMED_WRITABLE); /* which it is: goes on in the loop's next round */
            return;
        }
        e = take_block(r, pass);
        if (e && e != ERR_NOT_FOUND && e != ERR_BUSY)
            end(r, true); /* logged by the store; the client comes back */
        else if (e)
            break;
    }
    arm(r, ARMED_LEAVING);
}

static bool is_idle(const struct sse_stream *s)
{
    return !s->block && !s->out_len && !s->in_line && s->armed != ARMED_WRITABLE;
}

void sse_stream_woken(struct loop *l, unsigned first, unsigned last)
{
    struct pass pass = { 0 };
    struct request *r, *next;

    for (unsigned slot = first; slot < last; slot++)
        for (r = l->streams[slot].first; r; r = next) {
            next = r->next;
            if (is_idle(r->stream))
                advance(r, &pass);
        }
}

static void wake_others(struct request *r)
{
    sse_stream_woken(r->loop, r->slot, r->slot + 1u);
}

/* ---- what happens to it ---- */

static void on_socket(struct source *source, uint32_t events)
{
    struct request *r = FROM(source, watch);
    struct sse_stream *s = r->stream;
    bool was_in_line = s->in_line;

    s->armed = ARMED_NOT;
    if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        advance(r, NULL);
        return;
    }
    metric_add(METRIC_READERS_LEFT, 1);
    end(r, true);
    if (was_in_line && !s->in_line)
        wake_others(r);
}

static void on_room(struct letter *letter)
{
    struct request *r = FROM(letter, room_letter);
    struct sse_stream *s = r->stream;

    s->in_line = r->loop->stream_in_line[r->slot] = false;
    if (s->ending)
        end(r, r->kill);
    else
        advance(r, NULL);
    if (!s->in_line)
        ledger_release(&r->answer.room.grant); /* else it is the ledger's to write to */
    wake_others(r);
}

static void set_timer(struct request *r)
{
    struct sse_stream *s = r->stream;
    int64_t beat_ms = s->sent_ms + (int64_t)r->loop->broker->config->sse_heartbeat_ms;

    if (beat_ms <= r->loop->now_ms) /* its socket is full: there is no need */
        beat_ms = r->loop->now_ms + (int64_t)r->loop->broker->config->sse_heartbeat_ms;
    if (timers_set(&r->loop->timers, &r->timer,
                   beat_ms < s->ends_ms ? beat_ms : s->ends_ms))
        end(r, true); /* better gone than silent for ever */
}

/* One whose life is over while its socket is full ends behind its block; write_timeout sees
 * to it that it comes to that. */
static void on_time(struct timer *t)
{
    struct request *r = FROM(t, timer);
    struct sse_stream *s = r->stream;
    bool was_in_line = s->in_line, at_rest = !s->block && !s->out_len;
    int64_t now = r->loop->now_ms;

    if (at_rest && now >= s->ends_ms) {
        end(r, false);
        if (was_in_line && !s->in_line)
            wake_others(r);
        return;
    }
    if (now >= s->ends_ms)
        return;
    if (at_rest && now - s->sent_ms >= (int64_t)r->loop->broker->config->sse_heartbeat_ms) {
        s->out = HEARTBEAT;
        s->out_len = sizeof HEARTBEAT - 1;
        if (push(r) && s->armed != ARMED_WRITABLE)
            arm(r, ARMED_LEAVING);
    }
    if (!s->ending)
        set_timer(r);
}

/* ---- the start ---- */

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

/* How soon to come back, and what must be said first. A fresh socket takes so little. */
static void send_preface(struct request *r)
{
    struct sse_stream *s = r->stream;
    char text[PREFACE_ROOM];
    struct out o;
    size_t begin;

    out_init_in(&o, text, sizeof text);
    begin = sse_chunk_begin(&o);
    out_text(&o, "retry: ");
    out_u64(&o, RETRY_MS + spread(r, 2 * RETRY_MS));
    out_text(&o, "\n\n");
    sse_chunk_end(&o, begin);
    if (s->is_unknown)
        sse_put_unknown(&o, s->unknown, s->offset);
    s->out = o.data;
    s->out_len = o.len;
    if (!push(r) && !s->ending)
        end(r, true);
}

static void start(struct request *r)
{
    struct loop *l = r->loop;
    struct sse_stream *s = r->stream;
    uint64_t life = l->broker->config->sse_max_life_ms;
    int yes = 1;

    s->started = true;
    drop_headers(s->response);
    (void)setsockopt(request_socket(r), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    r->phase = REQUEST_STREAM;
    r->watch.ready = on_socket;
    r->timer.fire = on_time;
    r->room_letter.open = on_room;
    r->slot = (uint16_t)waiters_slot(request_topic(r));
    s->sent_ms = l->now_ms;
    s->ends_ms = l->now_ms + (int64_t)(life - spread(r, life / 5));
    request_list_add(&l->streams[r->slot], r);
    waiters_park(l->broker->waiters, l->index, r->slot);
    metric_add(METRIC_SSE_SUBSCRIBERS, 1);
    s->listed = true;
    wait_suspend(r, 0);
    s->armed = ARMED_LEAVING;
    set_timer(r);
    if (!s->ending)
        send_preface(r);
    advance(r, NULL);
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
        start(r);
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

/* ---- all at once ---- */

static void end_all(struct loop *l, bool cut)
{
    struct request *r, *next;

    for (unsigned slot = 0; slot < LOOP_PARK_BUCKETS; slot++)
        for (r = l->streams[slot].first; r; r = next) {
            next = r->next;
            if (cut || (!r->stream->block && !r->stream->out_len))
                end(r, cut);
        }
}

void sse_stream_drain(struct loop *l)
{
    end_all(l, false);
}

void sse_stream_cut_all(struct loop *l)
{
    end_all(l, true);
}
