/*
 * pusher - what the files of push share: its thread's state.
 *
 *   push      started when it is needed; word from other threads
 *   pusher    the thread: its mailbox, libcurl's sockets, its deadlines
 *   deliver   one message from the look to its end
 *   settling  what came of it
 *
 * Invariants:
 *  1. A delivery has a place (`busy`, at most push_connections) before it asks for anything.
 *  2. Nothing is leased before the read ledger has granted what sending it will take. Who
 *     waits for that holds nothing; who was granted waits for the writer, and then for the
 *     endpoint, which push_timeout bounds.
 *  3. A lease is longer than its transfer may take.
 *  4. A target is freed when it is gone, not due, and nothing of it is busy.
 */
#ifndef SLUICE_PUSH_PUSHER_H
#define SLUICE_PUSH_PUSHER_H

#include "lease.h"
#include "push/push.h"
#include "push/transfer.h"

enum push_stage { PUSH_IN_LINE, PUSH_LEASING, PUSH_SENDING };

struct push_delivery { /* one message on its way, or about to be */
    struct push *push;
    struct push_target *target;
    struct push_delivery *next, **link; /* all there are */
    enum push_stage stage;
    bool doubtful; /* counted so */
    struct ledger_waiter room;
    struct letter room_letter;
    uint64_t lease_ms;
    struct grant grant;
    struct lease lease;
    struct push_transfer transfer;
};

struct push {
    /* Set once. */
    struct broker *broker;

    /* Guarded by start_lock. */
    pthread_mutex_t start_lock;
    enum err failed; /* why it cannot be started, for good */
    _Atomic bool running; /* then all below is there */

    struct push_targets targets;
    pthread_t thread;
    struct mailbox mailbox;
    struct letter drain_letter, stop_letter;
    _Atomic unsigned busy; /* deliveries; the push thread counts */

    /* The push thread only. */
    struct push_client client;
    struct timers timers;
    unsigned doubtful; /* of busy: of targets that are failing, or not proven */
    struct push_target *due_first, **due_last;
    struct push_delivery *deliveries;
    bool draining, stopping;
    int64_t now_ms;
};

/* ---- pusher.c ---- */
void *pusher_main(void *arg);

/* A slot of waiters has news. */
void pusher_woken(void *arg, unsigned slot);

/* To be looked at, in its turn. */
void pusher_due(struct push *p, struct push_target *t);

/* ... not before this. */
void pusher_due_at(struct push *p, struct push_target *t, int64_t at_ms);

/* Counts it in for news of this topic and of itself. True: it was not before, so what was
 * seen until now may be old. */
bool pusher_park(struct push *p, struct push_target *t, struct bytes topic);

/* A subscription with a URL: to be looked at from now on. False: there are too many. */
bool pusher_meet(struct push *p, struct bytes name);

/* It is no subscription to be pushed any more. *t is freed as soon as nothing is busy. */
void pusher_forget(struct push *p, struct push_target *t);
void pusher_reap(struct push *p, struct push_target *t);

/* ---- deliver.c ---- */
/* Begins a delivery if there is something to deliver, and a place: false, if not that. */
bool deliver_look(struct push *p, struct push_target *t);

/* The transfer is over. */
void deliver_done(struct push_delivery *d, CURLcode code);

/* Those in line leave it. */
void deliver_leave(struct push_delivery *d);
/* It is cut; the lease is given back. */
void deliver_cut(struct push_delivery *d);

/* ---- settling.c: each ends the transfer, whose room pays for the job ---- */
/* Acked. */
void settle_taken(struct push_delivery *d);
/* To be handed out again, after a while. */
void settle_refused(struct push_delivery *d, const struct push_outcome *o);
/* As if it had not been handed out. */
void settle_back(struct push_delivery *d);

#endif
