/*
 * hub_internal - what the files of hub.h share: hub.c, rounds of a loop's hub; subscriber.c, what one
 * subscriber is sent.
 *
 * Invariants:
 *  1. All below h->head has been offered to everybody who was live then. A live subscriber's
 *     offset may be old: it counts where it is higher than the slice's beginning.
 *  2. The slice is there from the beginning of its round to the beginning of the next, or to the
 *     end of the last, or until everybody has left and somebody comes. While it is, it ends at
 *     h->head, and a set's hits are of it if the set's `slice` is the hub's round.
 *  3. A subscriber of a set that is hit is behind from that moment on, at the slice's beginning
 *     or before it. If it can be told at once it is due, and gets its part of the slice; whoever
 *     misses that reads the log, like others who are behind.
 *  4. Who is behind reads up to h->head only, and is live there.
 *  5. The hub holds a grant while it stands in line, or just before its room is used.
 */
#ifndef SLUICE_MERCURE_HUB_INTERNAL_H
#define SLUICE_MERCURE_HUB_INTERNAL_H

#include "mercure/announce.h"
#include "mercure/hub.h"
#include "mercure/known.h"

/* For a slice: 512 messages that nobody wants, or a few milliseconds of matching. */
#define MERCURE_WORK 16384u

struct mercure_hub {
    struct loop *loop;
    struct mercure_sets sets;
    uint64_t head; /* the next to be offered */
    uint64_t rounds;
    struct sse_block *slice; /* what is offered in this round */
    struct mercure_set *hit; /* those who want some of it */
    size_t subscribers;
    unsigned slot;
    bool news, in_line;
    struct ledger_waiter room; /* for the next slice */
    struct letter letter;
    struct mercure_announcer announcer;
    struct mercure_known known; /* to those who are behind */
};

static inline struct bytes mercure_hub_topic(const struct mercure_hub *h)
{
    return bytes_str(h->loop->broker->config->mercure_topic);
}

static inline struct mercure_subscriber *mercure_subscriber_of(const struct request *r)
{
    return (struct mercure_subscriber *)r->stream;
}

/* For struct sse_view: an update as an event; and what matching has taken of its work. */
size_t mercure_view_most(const struct record *r);
void mercure_view_put(struct out *o, const struct record *r);
void mercure_view_worked(struct sse_view *v, uint64_t work);

#endif
