/*
 * hub - the fan-out of one loop: what is new in the hub's log, to the subscribers it is for.
 *
 *   commit --letter--> news --> a slice: the next events of the log that anybody here wants,
 *                                encoded once; and for each set (set.h) which of them it wants
 *                            --> its subscribers are due, some in each of the loop's turns
 *
 * A subscriber is live (it has been sent all before the slice) or behind (it has an offset of
 * its own, and reads the log up to where the hub is, through blocks that its set shares).
 * Who cannot take an event is behind, holds the block that it is in, and nothing else: what comes
 * meanwhile waits in the log. So nobody is waited for, and nothing is queued for anybody.
 *
 * Threads:  the loop's.
 */
#ifndef SLUICE_MERCURE_HUB_H
#define SLUICE_MERCURE_HUB_H

#include "mercure/registry.h"
#include "mercure/set.h"
#include "sse_internal.h"

struct mercure_subscriber {
    struct sse_stream stream; /* first */
    struct mercure_set *set;
    struct mercure_entry *entry; /* NULL: mercure_subscriptions is off */
    bool live; /* its offset is that of the hub, or higher */
};

/* The loop's; made with the first subscriber. NULL: no memory. */
struct mercure_hub *mercure_hub_of(struct loop *l);
void mercure_hub_free(struct loop *l);

struct mercure_sets *mercure_hub_sets(struct mercure_hub *h);

extern const struct sse_feed mercure_feed;

/* For loop.c. */
void mercure_hub_tick(struct loop *l);

/* For sse_stream.c. */
void mercure_hub_woken(struct loop *l, unsigned first, unsigned end);
bool mercure_hub_has_news(const struct loop *l);
/* When all of the last round have been served. */
void mercure_hub_begin_round(struct loop *l);
/* When there is no other. */
void mercure_hub_end_round(struct loop *l);
void mercure_hub_drain(struct loop *l);
void mercure_hub_cut_all(struct loop *l);

#endif
