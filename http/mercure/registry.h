/*
 * registry - who is subscribed now: one list for all loops, for the documents of active
 * subscriptions. Kept only where mercure_subscriptions is on.
 *
 *   entry_new (503: no room) --> enter (its stream goes live) --> leave (once) --> entry_free
 *
 * An entry says what it is in copies of its own, for the sets of a loop are that loop's. It is in
 * the list from enter to leave, and is there a little longer, until announce.h has told of that.
 *
 * Memory:   each entry is paid from the read ledger while it is there; all together take at most
 *           their share of it.
 * Threads:  any thread may call anything here; the lock is held for a bounded time. An entry is
 *           made, entered, left and freed by one loop.
 */
#ifndef SLUICE_MERCURE_REGISTRY_H
#define SLUICE_MERCURE_REGISTRY_H

#include "ledger.h"
#include "mercure/subscription.h"
#include "mercure/uuid.h"

struct mercure_registry; /* opaque: its fields are in registry.c */

enum mercure_telling { MERCURE_TOLD, MERCURE_DUE, MERCURE_UNDER_WAY };

struct mercure_entry {
    /* Set once. */
    struct mercure_registry *all;
    struct grant paid;
    char id[MERCURE_URN_LEN + 1];
    struct bytes payload;
    /* Guarded by the lock. */
    struct mercure_entry *prev, *next;
    uint64_t number; /* rises with each that enters */
    /* The loop's, for announce.c. */
    struct mercure_entry *next_to_tell;
    bool to_tell, left;
    bool tells_end;              /* it tells of its end, not of its beginning */
    unsigned due, untold; /* topics that are due; and all that are not told */
    unsigned first;       /* no topic before it is due */
    uint64_t told_next;   /* behind the last update that told of it */
    uint8_t *telling;            /* enum mercure_telling of each topic */
    /* Set once. */
    unsigned count;
    struct bytes topics[]; /* sorted, none twice */
};

/* `most`: bytes that all entries may take. `next`: behind the first update that may tell of this
 * list; those before it told of another. `secret` is copied. NULL: no memory. */
struct mercure_registry *mercure_registry_new(struct ledger *ledger, size_t most,
                                              uint64_t next, const uint8_t secret[16]);
/* NULL is fine. */
void mercure_registry_free(struct mercure_registry *g);

/* With a new id. The texts are copied; the array is written over. ERR_BUSY: there is no room for
 * it. */
MUST_CHECK enum err mercure_entry_new(struct mercure_registry *g, struct bytes *topics,
                                      unsigned count, struct bytes payload,
                                      struct mercure_entry **out);
/* One that is not in the list. NULL is fine. */
void mercure_entry_free(struct mercure_entry *e);

struct mercure_subscription mercure_entry_view(const struct mercure_entry *e, unsigned i,
                                               bool active);

void mercure_registry_enter(struct mercure_entry *e);
void mercure_registry_leave(struct mercure_entry *e);

/* ---- reading ---- */

/*
 * A place in the list. Who is there all the time from `begin` until its end is passed once; who
 * enters after `begin` is not.
 */
struct mercure_cursor {
    unsigned bucket, topic; /* the next topic, of the one that it is inside */
    uint64_t newest, before; /* next: one of the bucket with a number below `before` */
    uint64_t inside;
    size_t largest;  /* no document on its way has more bytes (mercure_subscription_most) */
};

struct mercure_cursor mercure_registry_begin(struct mercure_registry *g);

/* Passes some, under the lock: calls `each` until it is false; that one is passed next time.
 * False: there are no more. */
MUST_CHECK bool mercure_registry_walk(struct mercure_registry *g, struct mercure_cursor *at,
                                      bool (*each)(void *arg,
                                                   const struct mercure_subscription *s),
                                      void *arg);

/* Calls `each` under the lock for this one. False: it is not there. */
MUST_CHECK bool mercure_registry_find(struct mercure_registry *g, struct bytes topic,
                                      struct bytes subscriber,
                                      void (*each)(void *arg,
                                                   const struct mercure_subscription *s),
                                      void *arg);

struct mercure_registry_figures {
    size_t subscribers; /* in the list */
    size_t bytes, most; /* that all entries take, and may */
};

void mercure_registry_read(struct mercure_registry *g, struct mercure_registry_figures *out);

/* ---- what has been told of it ---- */

/* A change is about to be made that will be told; and it is, or never will be. `next` is behind
 * the last update that told of it; 0: none did. */
void mercure_registry_untold(struct mercure_registry *g);
void mercure_registry_told(struct mercure_registry *g, uint64_t next);

/* False: there are changes that have not been told. True: all have been, below *next. */
bool mercure_registry_is_told(struct mercure_registry *g, uint64_t *next);

#endif
