/*
 * Invariants:
 *  1. From its start to its end a stream is in its feed's list (home), or of those that are
 *     due, and its feed is told of news: a commit that its last look did not see comes as a letter.
 *  2. Its socket is its own for as long (takeover.h); the library knows nothing of it.
 *  3. Who stands in the read ledger's line holds no block, and of those who want the same at most
 *     one stands there: the others find its block, or take its place.
 *  4. A stream ends between chunks, unless its client has gone or stopped.
 */
#include "sse_internal.h"

#include "caller.h"
#include "line.h"
#include "mercure/hub.h"
#include "metrics.h"
#include "server.h"
#include "siphash.h"
#include "sse_event.h"
#include "takeover.h"
#include "wait.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define FROM(ptr, field) ((struct request *)((char *)(ptr)-offsetof(struct request, field)))

#define BLOCKS_IN_A_TURN  8   /* of one stream */
#define STREAMS_IN_A_TURN 512 /* and no more than a few milliseconds; then others are served */

#define LIBRARY_BUFFER 16 /* of the response; what goes out does not pass through it */
#define PREFACE_ROOM   256

#define HEARTBEAT "00000003\r\n:\n\n\r\n"

static void keep_block(struct loop *l, struct sse_block *b);

/* ---- the end ---- */

static void leave_list(struct request *r)
{
    struct sse_stream *s = r->stream;

    if (!s->listed)
        return;
    s->listed = false;
    request_list_remove(r);
    s->feed->leaves(r);
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
    r->stream->in_line = *r->stream->feed->line(r) = false;
    return true;
}

/* The end of a body, so that the client sees that it was meant. */
static void say_end(struct request *r)
{
    if (!r->http_1_0)
        (void)!send(r->stream->fd, "0\r\n\r\n", 5, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* With `cut` its client finds it broken off. It is freed behind this turn. */
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
    if (!r->kill)
        say_end(r);
    timers_clear(&r->loop->timers, &r->timer);
    loop_unwatch(r->loop, s->fd);
    request_list_add(&r->loop->streams_ended, r);
    r->loop->progress = true;
}

void sse_stream_bury(struct loop *l)
{
    struct request *r, *next;

    for (r = l->streams_ended.first; r; r = next) {
        next = r->next;
        (void)takeover_end(r, !r->kill); /* not yet: it is tried again in the next turn */
    }
}

void sse_stream_free(struct request *r)
{
    if (!r->stream)
        return;
    leave_list(r);
    sse_block_drop(r->stream->block);
    r->stream->feed->free(r->stream);
    r->stream = NULL;
}

/* ---- to the socket ---- */

/* True: all is sent. False: the socket is full, or the stream has ended. */
static bool push(struct request *r)
{
    enum sse_pushed pushed = sse_push(r);

    if (pushed == SSE_BROKEN)
        end(r, true);
    return pushed == SSE_ALL;
}

/* ---- what comes next ---- */

/* ERR_OK: the room was there after all. ERR_BUSY: it stands in line. */
static enum err stand(struct request *r, size_t bytes)
{
    struct loop *l = r->loop;
    struct ledger_waiter *w = &r->answer.room;
    enum err e;

    w->bytes = bytes;
    atomic_fetch_add(&l->mailbox.owed, 1); /* before it may be granted */
    e = ledger_wait(l->broker->read, w);
    if (e != ERR_BUSY)
        atomic_fetch_sub(&l->mailbox.owed, 1);
    r->stream->in_line = *r->stream->feed->line(r) = e == ERR_BUSY;
    return e;
}

/* May leave it without a block, further on. */
static enum err take_block(struct request *r)
{
    struct sse_stream *s = r->stream;
    size_t room;
    enum err e;

    do {
        room = 0;
        e = s->feed->take(r, &room);
    } while (e == ERR_BUSY && room && !(e = stand(r, room)));
    if (!e && s->block && r->loop->streams_turn)
        keep_block(r->loop, s->block);
    return e;
}

/* Sends what there is, until the socket is full, the log is at its end, or others are due.
 * One that is to end gets one more block, for news that it has not been told. Runs for a stream
 * that is not in line. */
static void advance(struct request *r)
{
    struct sse_stream *s = r->stream;
    bool over = r->loop->broker->draining || r->loop->now_ms >= s->ends_ms;
    bool had_some = s->block;
    enum err e;

    for (int blocks = 0; !s->ending; blocks++) {
        do
            if (!push(r))
                return;
        while (!sse_block_sent(s));
        if (over && (had_some || blocks)) {
            end(r, false);
            return;
        }
        if (blocks == BLOCKS_IN_A_TURN || (blocks && sse_turn_is_over(r->loop))) {
            sse_arm(r, ARMED_WRITABLE); /* which it is: goes on in the loop's next round */
            return;
        }
        e = take_block(r);
        if (e && over)
            end(r, false);
        else if (e && e != ERR_NOT_FOUND && e != ERR_BUSY)
            end(r, true); /* logged by the store; the client comes back */
        else if (e)
            break;
    }
    sse_arm(r, ARMED_LEAVING);
}

/* ---- whose turn it is ---- */

bool sse_stream_is_idle(const struct sse_stream *s)
{
    return !s->block && !s->out_len && !s->in_line && s->armed != ARMED_WRITABLE;
}

void sse_stream_due(struct request *r)
{
    request_list_add(&r->loop->streams_due, r);
}

void sse_stream_woken(struct loop *l, unsigned first, unsigned end)
{
    sse_topic_woken(l, first, end);
    mercure_hub_woken(l, first, end);
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

/* ---- what happens to it ---- */

static void on_socket(struct source *source, uint32_t events)
{
    struct request *r = FROM(source, watch);
    struct sse_stream *s = r->stream;
    bool was_in_line = s->in_line;

    s->armed = ARMED_NOT;
    if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        if (sse_turn_is_over(r->loop))
            sse_arm(r, ARMED_WRITABLE); /* it is told again, behind the others */
        else
            advance(r);
        return;
    }
    metric_add(METRIC_READERS_LEFT, 1);
    end(r, true);
    if (was_in_line && !s->in_line)
        s->feed->line_moved(r);
}

static void on_room(struct letter *letter)
{
    struct request *r = FROM(letter, room_letter);
    struct sse_stream *s = r->stream;

    s->in_line = *s->feed->line(r) = false;
    if (s->ending)
        end(r, r->kill);
    else
        advance(r);
    if (!s->in_line)
        ledger_release(&r->answer.room.grant); /* else it is the ledger's to write to */
    s->feed->line_moved(r);
}

static int64_t heartbeat_ms(const struct request *r)
{
    const char *config = (const char *)r->loop->broker->config;
    uint64_t ms;

    memcpy(&ms, config + r->stream->feed->heartbeat_setting, sizeof ms);
    return ms ? (int64_t)ms : INT64_MAX / 4; /* 0: none */
}

static void set_timer(struct request *r)
{
    struct sse_stream *s = r->stream;
    int64_t beat_ms = s->sent_ms + heartbeat_ms(r);

    if (beat_ms <= r->loop->now_ms) /* its socket is full: there is no need */
        beat_ms = r->loop->now_ms + heartbeat_ms(r);
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
    if (at_rest && now - s->sent_ms >= heartbeat_ms(r)) {
        s->out = HEARTBEAT;
        s->out_len = sizeof HEARTBEAT - 1;
        if (push(r) && s->armed != ARMED_WRITABLE)
            sse_arm(r, ARMED_LEAVING);
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
        r->stream->feed->line_moved(r);
}

/* ---- the start ---- */

uint64_t sse_stream_spread(const struct request *r, uint64_t range)
{
    uint64_t secret[2] = { r->loop->server->start_id, 0 };
    uint64_t what[2] = { r->loop->index, r->id };

    return range ? siphash((uint8_t *)secret, bytes_of(what, sizeof what)) % range : 0;
}

static void join(struct request *r)
{
    struct loop *l = r->loop;
    struct sse_stream *s = r->stream;
    int yes = 1;

    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    r->phase = REQUEST_STREAM;
    r->watch.ready = on_socket;
    r->timer.fire = on_time;
    r->room_letter.open = on_room;
    s->sent_ms = l->now_ms;
    s->feed->joins(r);
    request_list_add(s->home, r);
    metric_add(METRIC_SSE_SUBSCRIBERS, 1);
    s->listed = true;
    sse_arm(r, ARMED_LEAVING);
    set_timer(r);
}

/* The head is written: it may go on without the library. */
static void begin(struct request *r)
{
    struct sse_stream *s = r->stream;
    char text[PREFACE_ROOM];
    struct out o;

    request_list_remove(r);
    s->fd = takeover(r);
    if (s->fd < 0) {
        r->kill = true; /* out of descriptors: the client comes back */
        wait_resume(r);
        return;
    }
    join(r);
    out_init_in(&o, text, sizeof text);
    s->feed->preface(r, &o);
    s->out = text;
    s->out_len = s->ending ? 0 : o.len;
    if (!push(r) && !s->ending)
        end(r, true); /* a fresh socket takes so little */
    advance(r);
}

static void begin_some(struct loop *l)
{
    sse_stream_turn_begins(l);
    for (int n = 0; n < STREAMS_IN_A_TURN && l->streams_new.first && !sse_turn_is_over(l); n++)
        begin(l->streams_new.first);
    if (l->streams_new.first)
        l->progress = true;
}

/* The library asks for more of the body: when the head is written, and when the socket has
 * been taken from it, or it is to close it. */
static ssize_t next_piece(void *arg, uint64_t pos, char *buf, size_t max)
{
    struct request *r = arg;

    (void)pos;
    (void)buf;
    (void)max;
    r->loop->progress = true;
    if (r->loop->stopping || r->kill || r->stream->started)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    r->stream->started = true;
    connection_to_close(r->conn); /* now: of a suspended one libmicrohttpd 1.0 ignores it */
    wait_aside(r);
    request_list_add(&r->loop->streams_new, r);
    return 0;
}

static void nothing_to_free(void *arg)
{
    (void)arg; /* the request has it all */
}

void sse_stream_open(struct request *r, struct sse_stream *s)
{
    r->stream = s;
    r->answer.room.flow = caller_flow(r); /* while the library knows who it is */
    if (r->head) /* the library would write the end of a body that it has left out */
        reply_empty(r, MHD_HTTP_OK);
    else
        reply_callback(r, MHD_HTTP_OK, MHD_SIZE_UNKNOWN, LIBRARY_BUFFER, next_piece,
                       nothing_to_free, r);
    reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    reply_header(r, "X-Accel-Buffering", "no"); /* nginx would keep events back */
}

/* ---- a turn ---- */

static void serve_some(struct loop *l)
{
    struct request *r;

    l->streams_turn = true;
    sse_stream_turn_begins(l);
    for (int n = 0; n < STREAMS_IN_A_TURN && (r = l->streams_due.first) && !sse_turn_is_over(l); n++) {
        request_list_add(r->stream->home, r);
        advance(r);
    }
    l->streams_turn = false;
    l->none = NULL;
}

void sse_stream_turn(struct loop *l)
{
    begin_some(l);
    if (!l->streams_due.first) { /* a round of both: neither keeps the other waiting */
        if (l->any_news)
            sse_topic_begin_round(l);
        mercure_hub_begin_round(l);
    }
    serve_some(l);
    if (l->streams_due.first || l->any_news || mercure_hub_has_news(l)) {
        l->progress = true; /* the daemon's turn, and then again */
    } else {
        keep_block(l, NULL);
        mercure_hub_end_round(l);
    }
    sse_stream_bury(l);
}

/* ---- all at once ---- */

void sse_stream_end_list(struct request_list *list, bool cut)
{
    struct request *r, *next;

    for (r = list->first; r; r = next) {
        next = r->next;
        if (cut || r->stream->in_line ||
            (!r->stream->block && !r->stream->out_len && !r->stream->feed->has_news(r)))
            end(r, cut);
    }
}

/* Those that are due send what there is, and end. */
void sse_stream_drain(struct loop *l)
{
    for (unsigned slot = 0; slot < LOOP_PARK_BUCKETS; slot++)
        sse_stream_end_list(&l->streams[slot], false);
    mercure_hub_drain(l);
}

void sse_stream_cut_all(struct loop *l)
{
    struct request *r;

    while ((r = l->streams_new.first)) { /* the library closes them */
        request_list_remove(r);
        r->kill = true;
        wait_resume(r);
    }
    sse_stream_end_list(&l->streams_due, true);
    for (unsigned slot = 0; slot < LOOP_PARK_BUCKETS; slot++)
        sse_stream_end_list(&l->streams[slot], true);
    mercure_hub_cut_all(l);
    keep_block(l, NULL);
}
