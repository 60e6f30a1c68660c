/*
 * sweep - what the writer takes out between jobs: messages whose time is over, and the
 * space of what was deleted.
 *
 * Each call is a bounded step inside the writer's transaction. The space of a large message
 * that somebody downloads is left until the download ends, or has had its time.
 *
 * Units:    wall clock for what is due, monotonic for downloads; milliseconds.
 * Threads:  the writer.
 */
#ifndef SLUICE_SWEEP_H
#define SLUICE_SWEEP_H

#include "store.h"

struct sweep {
    const struct store_ops *ops;
    struct store *store;
    unsigned most;         /* records in one step when nobody publishes; half of it beside
                            * publishers, at least */
    bool unties;           /* at the start: leases are tied to connections of before */
    bool trash;            /* something waits in the trash that may be freed now */
    int64_t next_due_ms;   /* wall clock; 0: nothing becomes due */
    int64_t held_until_ms; /* when the first download loses its hold; 0: none has one */
    uint64_t taken;        /* what the last step spent, in records */
    uint64_t held;         /* blobs that wait for downloads */
};

/* Steps are bounded so that the pages they change are about `page_bytes` at most. */
void sweep_init(struct sweep *s, const struct store_ops *ops, struct store *store,
                size_t page_bytes);
/* What the last sweep_expire changed at most. */
size_t sweep_pages_bytes(const struct sweep *s);

/* Asks the store what there is to do. A transaction must be open. At the start, the same for what
 * was tied. */
void sweep_look_first(struct sweep *s);
void sweep_look_ahead(struct sweep *s);

/* What the store said in a transaction that failed is void: look at everything again. */
void sweep_look_again(struct sweep *s);

/* Frees some of the trash. First thing in a transaction, see store_ops.trash_step. */
MUST_CHECK enum err sweep_trash(struct sweep *s);

/* Takes out what is due; `appended` messages came in this transaction, `busy`: beside
 * jobs. */
MUST_CHECK enum err sweep_expire(struct sweep *s, int64_t now_ms, uint64_t appended,
                                 bool busy);

/* What subscriptions have handed out and time is over for: the turn's transaction. */
struct turn;
MUST_CHECK enum err sweep_deliveries(const struct sweep *s, struct turn *t, bool busy);

/* Gives back some of what was tied to connections of before; all of it, when `unties` is false. */
MUST_CHECK enum err sweep_untie(struct sweep *s, struct turn *t);

/* Is there work for one of them? */
bool sweep_due(const struct sweep *s);
/* Until when there is none; -1: for good. Wall clocks jump: never above `most_ms` if
 * anything waits for its time. */
int64_t sweep_sleep_ms(const struct sweep *s, int64_t most_ms);

#endif
