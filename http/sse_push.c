/* What a stream has to send, to its socket. */
#include "sse_internal.h"

#include "base/clock.h"
#include "metrics.h"
#include "sse_event.h"

#include <errno.h>
#include <sys/socket.h>

void sse_stream_turn_begins(struct loop *l)
{
    l->streams_until_us = l->streams_turn_us ? clock_mono_us() + l->streams_turn_us : 0;
}

bool sse_turn_is_over(const struct loop *l)
{
    return l->streams_until_us && clock_mono_us() > l->streams_until_us;
}

void sse_arm(struct request *r, enum armed what)
{
    struct sse_stream *s = r->stream;

    if (s->armed == what || s->ended)
        return;
    s->armed = (uint8_t)what;
    if (!s->watched)
        loop_watch(r->loop, s->fd, &r->watch);
    else if (what == ARMED_LEAVING)
        loop_watch_again(r->loop, s->fd, &r->watch);
    s->watched = true;
    if (what == ARMED_WRITABLE)
        loop_watch_writable(r->loop, s->fd, &r->watch);
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

enum sse_pushed sse_push(struct request *r)
{
    struct sse_stream *s = r->stream;
    ssize_t n;

    while (s->out_len) {
        n = send(s->fd, s->out, piece(r), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            was_sent(r, (size_t)n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            sse_arm(r, ARMED_WRITABLE);
            return SSE_FULL;
        } else if (errno != EINTR) {
            return SSE_BROKEN;
        }
    }
    return SSE_ALL;
}

/* The next events of a block with marks that are for it: those that lie together. */
static void next_marked(struct sse_stream *s)
{
    const struct sse_mark *marks = s->block->marks;
    unsigned first = (unsigned)__builtin_ctzll(s->marked), end = first;

    while (end < s->block->count && s->marked >> end & 1)
        s->marked &= ~((uint64_t)1 << end++);
    s->out = s->block->data + (first ? marks[first - 1].end : 0);
    s->out_len = marks[end - 1].end - (first ? marks[first - 1].end : 0);
}

void sse_stream_send(struct sse_stream *s, struct sse_block *b, uint64_t chosen)
{
    s->block = b;
    s->out = b->data;
    s->out_len = b->len;
    s->marked = s->chosen = chosen;
    if (b->marks)
        next_marked(s);
}

static void count_sent(const struct sse_stream *s)
{
    const struct sse_block *b = s->block;
    uint64_t bytes = b->bytes;

    if (b->marks) {
        bytes = 0;
        for (unsigned i = 0; i < b->count; i++)
            bytes += s->chosen >> i & 1 ? b->marks[i].bytes : 0;
    }
    metric_add(METRIC_SSE_EVENTS, b->marks ? __builtin_popcountll(s->chosen) : b->count);
    metric_add(METRIC_DELIVERED_MESSAGES,
               b->marks ? __builtin_popcountll(s->chosen) : b->count);
    metric_add(METRIC_DELIVERED_BYTES, (int64_t)bytes);
}

bool sse_block_sent(struct sse_stream *s)
{
    struct sse_block *b = s->block;

    if (!b)
        return true;
    if (s->marked) {
        next_marked(s);
        return false;
    }
    count_sent(s);
    s->offset = b->next;
    s->block = NULL;
    sse_block_drop(b);
    return true;
}
