/*
 * sse_block - messages of a topic as events, encoded once for all streams of a loop that
 * want the same, and paid for once.
 *
 * A block begins at an offset and holds what was there in the log when it was made, up to
 * about SSE_BLOCK_BYTES, or one message that is larger. It lives while somebody sends from it;
 * who asks for the same topic, offset and form meanwhile gets the same block. Nothing is kept
 * for later: who comes when it has gone has one made from the log.
 *
 * Threads:  the loop that owns them.
 */
#ifndef SLUICE_SSE_BLOCK_H
#define SLUICE_SSE_BLOCK_H

#include "ledger.h"
#include "loop.h"
#include "out.h"
#include "record.h"

#define SSE_BLOCK_BYTES (32u << 10)
#define SSE_MARKS       64u
#define SSE_LOOK_WORK   32u

struct store_entry;

/* How a log is shown to those who do not want all of it as it is. */
struct sse_view {
    uint64_t key;   /* those with the same key see the same; not 0 */
    uint64_t until; /* offsets from here on are not looked at */
    bool marks;     /* of each event, so that one may send some of them; it is not shared by key */
    unsigned work;  /* that may be done for one block. Each message looked at takes SSE_LOOK_WORK */
    /* NULL, or: the first offset from here on that may be wanted, as far as is known. */
    uint64_t (*next)(struct sse_view *v, uint64_t offset);
    /* Called once for each message, in order; `index`: of its event in the block; `from`: the log
     * has no other message between there and this one. May take more of `work`, also more than
     * there is: then it was the last. */
    bool (*wants)(struct sse_view *v, unsigned index, uint64_t from, const struct store_entry *m);
    size_t (*most)(const struct record *r);
    void (*put)(struct out *o, const struct record *r);
};

struct sse_mark { /* of an event */
    uint64_t offset;
    uint64_t bytes; /* of its body */
    size_t end;     /* where it ends in the block's data */
};

struct sse_block { /* read only for those who hold it */
    struct sse_block *prev, *next_in_bucket;
    struct loop *loop;
    unsigned holders;
    uint16_t slot;
    bool envelope;
    uint16_t topic_len;
    uint64_t view;          /* its key; 0: none */
    struct sse_mark *marks; /* `count` of them, or NULL */
    uint64_t first, next; /* offsets: of what was asked for, and of what comes after it */
    uint64_t bytes;       /* of bodies */
    unsigned count;       /* of messages */
    struct grant paid;
    char *data; /* whole chunks (sse_event.h) */
    size_t len;
    char topic[];
};

struct sse_want {
    struct loop *loop;
    struct bytes topic;
    uint64_t offset;
    uint16_t slot; /* of the topic (waiters_slot) */
    bool envelope;
    struct sse_view *view; /* NULL: the topic itself */
    size_t ask; /* set by ERR_BUSY: the room that it takes */
    /* Set by ERR_NOT_FOUND with a view: what lies before it is not wanted. It is higher than
     * `offset` when there may be more behind it: a look at very many is made in several. */
    uint64_t reached;
};

/* ERR_OK: *out is the caller's to drop. ERR_NOT_FOUND: nothing is there yet. ERR_BUSY: no
 * room in the read ledger. *granted is room that the caller stood in line for, or empty; it
 * is used when it is enough, and else given back. Opens a snapshot of its own. */
MUST_CHECK enum err sse_block_take(struct sse_want *w, struct grant *granted,
                                   struct sse_block **out);

/* NULL is fine. The last who drops it frees it. */
void sse_block_drop(struct sse_block *b);

#endif
