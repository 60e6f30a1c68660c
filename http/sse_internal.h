/*
 * sse_internal - what the files of sse_stream.h share: sse_stream.c, a stream's life;
 * sse_push.c, its way to the socket; and the feeds, which know where its events come from:
 * sse_topic.c (a topic's log) and mercure/hub.c (what a hub's subscriber wants of its log).
 */
#ifndef SLUICE_SSE_INTERNAL_H
#define SLUICE_SSE_INTERNAL_H

#include "sse_block.h"
#include "sse_stream.h"

enum armed { ARMED_NOT, ARMED_LEAVING, ARMED_WRITABLE }; /* its watch, which fires once */

struct sse_feed {
    /* The first bytes, behind the head: whole chunks. */
    void (*preface)(const struct request *r, struct out *o);
    /* It is about to go live: sets s->home, and is told of news from here on. */
    void (*joins)(struct request *r);
    /* Exactly once after `joins`. It is in no list any more. */
    void (*leaves)(struct request *r);
    /* What comes next: s->block and s->out (sse_stream_send), or a higher s->offset and no block.
     * ERR_NOT_FOUND: nothing yet. ERR_BUSY: others stand in line for what it wants, or
     * (*room is not 0) it takes so much room. r->answer.room.grant is room that it stood in
     * line for. */
    enum err (*take)(struct request *r, size_t *room);
    /* Told, or about to be told, of something that it has not seen. */
    bool (*has_news)(const struct request *r);
    /* One of those who want the same stands in the read ledger's line. */
    bool *(*line)(const struct request *r);
    /* It stands there no more: the others look for themselves. */
    void (*line_moved)(struct request *r);
    void (*free)(struct sse_stream *s);
    size_t heartbeat_setting; /* offset in struct config; ms */
};

struct sse_stream {
    const struct sse_feed *feed;
    int fd;                        /* its socket, once it was taken over */
    struct request_list *home;     /* where it is while it is not due */
    uint64_t offset;               /* the next that it has not been sent */
    struct sse_block *block;       /* what it sends from, or NULL */
    uint64_t marked;               /* of a block with marks: the events still to be sent, */
    uint64_t chosen;               /* ... and all that are for it */
    const char *out;               /* whole chunks, or the rest of them */
    size_t out_len;
    size_t chunk_left; /* HTTP/1.0: bytes left in the chunk that `out` is in */
    int64_t sent_ms;   /* when it was sent something */
    int64_t ends_ms;
    uint8_t armed;     /* enum armed */
    bool started, watched, listed, in_line, ending, ended;
};

/* In finish: answers with this stream, whose feed, offset and ends_ms are set; it is the
 * request's from here on. The handler adds the headers. */
void sse_stream_open(struct request *r, struct sse_stream *s);

/* For `take`. All of the block; or the events of a block with marks that `chosen` has. The stream
 * holds the block. */
void sse_stream_send(struct sse_stream *s, struct sse_block *b, uint64_t chosen);

/* Neither sending nor waiting for room. */
bool sse_stream_is_idle(const struct sse_stream *s);

/* Its turn comes, in this round. */
void sse_stream_due(struct request *r);

/* Ends those of the list that have been told everything; with `cut`, all. */
void sse_stream_end_list(struct request_list *list, bool cut);

/* A number below `range` that is not the same for all. */
uint64_t sse_stream_spread(const struct request *r, uint64_t range);

/* ---- to the socket (sse_push.c) ---- */

enum sse_pushed { SSE_ALL, SSE_FULL, SSE_BROKEN };

/* Sends s->out, until the socket takes no more; then it is armed. */
enum sse_pushed sse_push(struct request *r);

/* s->out is sent. False: there is more in its block, which is s->out now. True: the block is counted
 * and dropped, and s->offset is behind it. */
bool sse_block_sent(struct sse_stream *s);

void sse_arm(struct request *r, enum armed what);

/* Streams have had their few milliseconds, and others are to be served: one that is far behind takes
 * as much as a millisecond for each block that nobody shares with it. */
bool sse_turn_is_over(const struct loop *l);

/* ---- a topic's log (sse_topic.c) ---- */

extern const struct sse_feed sse_topic_feed;

struct sse_topic_stream {
    struct sse_stream stream; /* first */
    uint64_t unknown;         /* the Last-Event-ID that was never given */
    bool is_unknown;
};

void sse_topic_woken(struct loop *l, unsigned first, unsigned end);
/* Those of one round are all served before those of the next. */
void sse_topic_begin_round(struct loop *l);

#endif
