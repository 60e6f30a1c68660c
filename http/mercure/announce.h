/*
 * announce - tells of subscribers who come and go: private updates in the hub's log.
 *
 *   arrives:  in the registry, then an update for each of its topics   (active: true)
 *   departs:  out of the registry, then the same again                 (active: false)
 *
 * These are publishes like others, but that no request drives them: each is paid from the publish
 * ledger before it is made, stands in its line, and is stored by the writer's next commit; some of
 * a loop are under way at the same time. What is refused (a full log) is tried again every second.
 * Nothing is told of a departure before all of the arrival is. Until then the entry is
 * there, paid for: so what is still to be told is bounded by the registry's share, and nothing of
 * it is lost while the broker runs. In a shutdown what is refused is given up.
 *
 * Threads:  each loop has one, for its own subscribers.
 */
#ifndef SLUICE_MERCURE_ANNOUNCE_H
#define SLUICE_MERCURE_ANNOUNCE_H

#include "loop.h"
#include "mercure/registry.h"

struct mercure_announcer {
    struct loop *loop;
    struct mercure_entry *first, *last; /* who have something that is due */
    unsigned under_way;                 /* updates with the writer */
    bool in_line;                       /* of the publish ledger */
    bool refused;                       /* the last one; one at a time is tried then, */
    int64_t again_ms;                   /* ... from this moment on */
    bool over;                          /* the loop ends */
    struct ledger_waiter room;
    struct letter letter;
};

void mercure_announce_init(struct mercure_announcer *a, struct loop *l);
/* The loop has ended: what was not told is forgotten. */
void mercure_announce_fini(struct mercure_announcer *a);

void mercure_announce_arrival(struct mercure_announcer *a, struct mercure_entry *e);
/* Takes the entry over. */
void mercure_announce_departure(struct mercure_announcer *a, struct mercure_entry *e);

void mercure_announce_tick(struct mercure_announcer *a);
/* Nothing more is sent to the writer, the loop ends. */
void mercure_announce_stop(struct mercure_announcer *a);

#endif
