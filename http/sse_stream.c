/*
 * Invariants:
 *  1. From its start to its end a stream is in its loop's list for its slot, or of those that are
 *     due, and counted in waiters: a commit that its last look did not see comes as a letter.
 *  2. It is suspended for as long; nothing of the library's is on its way to the socket.
 *  3. Who stands in the read ledger's line holds no block, and at most one stream of a slot
 *     stands there: the others find its block, or take its place.
 *  4. A stream ends between chunks, unless its client has gone or stopped.
 */
#include "sse_internal.h"

#include "caller.h"
#include "line.h"
#include "metrics.h"
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

#define BLOCKS_IN_A_TURN  8   /* of one stream */
#define STREAMS_IN_A_TURN 512 /* a few milliseconds; then others are served */

#define HEARTBEAT "00000003\r\n:\n\n\r\n"

struct pass { /* over many streams, in one turn */
    const struct request *none; /* there is nothing for its topic ... */
    uint64_t offset;            /* ... at this offset */
};

static void keep_block(struct loop *l, struct sse_block *b);

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
    if (e)
        return e;
    if (pass)
        keep_block(r->loop, s->block);
    s->out = s->block->data;
    s->out_len = s->block->len;
    return ERR_OK;
}

/* Sends what there is, until the socket is full, the log is at its end, or others are due.
 * One that is to end gets one more block, for news that it has not been told. Runs for a stream
 * that is not in line. */
static void advance(struct request *r, struct pass *pass)
{
    struct sse_stream *s = r->stream;
    bool over = r->loop->broker->draining || r->loop->now_ms >= s->ends_ms;
    bool had_some = s->block;
    enum err e;

    for (int blocks = 0; !s->ending; blocks++) {
        if (!push(r))
            return;
        block_sent(s);
        if (over && (had_some || blocks)) {
            end(r, false);
            return;
        }
        if (blocks == BLOCKS_IN_A_TURN) {
            arm(r, ARMED_WRITABLE); /* which it is: goes on in the loop's next round */
            return;
        }
        e = take_block(r, pass);
        if (e && over)
            end(r, false);
        else if (e && e != ERR_NOT_FOUND && e != ERR_BUSY)
            end(r, true); /* logged by the store; the client comes back */
        else if (e)
            break;
    }
    arm(r, ARMED_LEAVING);
}

/* ---- whose turn it is ---- */

static bool is_idle(const struct sse_stream *s)
{
    return !s->block && !s->out_len && !s->in_line && s->armed != ARMED_WRITABLE;
}

void sse_stream_woken(struct loop *l, unsigned first, unsigned last)
{
    for (unsigned slot = first; slot < last; slot++)
        if (l->streams[slot].first)
            l->has_news[slot] = l->any_news = true;
}

/* Those of one round are all served before those of the next. */
static void begin_round(struct loop *l)
{
    struct request *r, *next;

    l->any_news = false;
    for (unsigned slot = 0; slot < LOOP_PARK_BUCKETS; slot++) {
        if (!l->has_news[slot])
            continue;
        l->has_news[slot] = false;
        for (r = l->streams[slot].first; r; r = next) {
            next = r->next;
            if (is_idle(r->stream))
                request_list_add(&l->streams_due, r);
        }
    }
}

/* The block stays between two slices of a round, though nobody may be in it just then. */
static void keep_block(struct loop *l, struct sse_block *b)
{
    if (l->kept_block == b)
        return;
    sse_block_drop(l->kept_block);
    l->kept_block = b;
    if (b)
        b->holders++;
}

void sse_stream_turn(struct loop *l)
{
    struct pass pass = { 0 };
    struct request *r;

    if (!l->streams_due.first && l->any_news)
        begin_round(l);
    for (int n = 0; n < STREAMS_IN_A_TURN && (r = l->streams_due.first); n++) {
        request_list_add(&l->streams[r->slot], r);
        advance(r, &pass);
    }
    if (l->streams_due.first || l->any_news)
        l->progress = true; /* the daemon's turn, and then again */
    else
        keep_block(l, NULL);
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
static void beat(struct request *r)
{
    struct sse_stream *s = r->stream;
    bool at_rest = !s->block && !s->out_len;
    int64_t now = r->loop->now_ms;

    if (at_rest && now >= s->ends_ms)
        end(r, false);
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

static void on_time(struct timer *t)
{
    struct request *r = FROM(t, timer);
    bool was_in_line = r->stream->in_line;

    beat(r);
    if (was_in_line && !r->stream->in_line)
        wake_others(r);
}

/* ---- the start ---- */

void sse_stream_begin(struct request *r, struct bytes preface)
{
    struct loop *l = r->loop;
    struct sse_stream *s = r->stream;
    int yes = 1;

    (void)setsockopt(request_socket(r), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    r->phase = REQUEST_STREAM;
    r->watch.ready = on_socket;
    r->timer.fire = on_time;
    r->room_letter.open = on_room;
    r->slot = (uint16_t)waiters_slot(request_topic(r));
    s->sent_ms = l->now_ms;
    request_list_add(&l->streams[r->slot], r);
    waiters_park(l->broker->waiters, l->index, r->slot);
    metric_add(METRIC_SSE_SUBSCRIBERS, 1);
    s->listed = true;
    wait_suspend(r, 0);
    s->armed = ARMED_LEAVING;
    set_timer(r);
    s->out = preface.data;
    s->out_len = s->ending ? 0 : preface.len;
    if (!push(r) && !s->ending)
        end(r, true); /* a fresh socket takes so little */
    advance(r, NULL);
}

/* ---- all at once ---- */

static void end_list(struct request_list *list, bool cut)
{
    struct request *r, *next;

    for (r = list->first; r; r = next) {
        next = r->next;
        if (cut || r->stream->in_line ||
            (!r->stream->block && !r->stream->out_len && !r->loop->has_news[r->slot]))
            end(r, cut);
    }
}

/* Those that are due send what there is, and end. */
void sse_stream_drain(struct loop *l)
{
    for (unsigned slot = 0; slot < LOOP_PARK_BUCKETS; slot++)
        end_list(&l->streams[slot], false);
}

void sse_stream_cut_all(struct loop *l)
{
    end_list(&l->streams_due, true);
    for (unsigned slot = 0; slot < LOOP_PARK_BUCKETS; slot++)
        end_list(&l->streams[slot], true);
    keep_block(l, NULL);
}
