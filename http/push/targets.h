/*
 * targets - the subscriptions that are pushed, and how each fares.
 *
 * Only names and how it goes: settings are read from the store whenever something is to be
 * sent, so a change of them needs no word here. There are at most as many as the setting
 * max_push_subscriptions says, and all of them were paid for when the first came (pusher.h).
 *
 * Threads:  push_targets_view, push_targets_claim, push_targets_unclaim: any. The rest: the push
 *           thread, once it runs.
 */
#ifndef SLUICE_PUSH_TARGETS_H
#define SLUICE_PUSH_TARGETS_H

#include "push/pace.h"
#include "push/view.h"
#include "timers.h"

#include <pthread.h>

#define PUSH_TARGET_BUCKETS 256u

struct push;

struct push_target {
    struct push *push;
    struct push_target *next; /* of its bucket */
    struct push_target *due_next;
    bool is_due;
    bool asking;   /* in line for room, or with the writer */
    bool gone;     /* the subscription is, or is not pushed any more: to be freed */
    unsigned busy; /* deliveries of it, from asking to settled */
    size_t small_room; /* so much was too little for the message that came; 0: unknown */
    uint16_t slots[2]; /* waiters it is counted in: of its topic, and of itself */
    bool parked;       /* ... if it is */
    struct timer pause;
    struct push_pace pace;
    /* Guarded by the lock; written by the push thread only. */
    char error[PUSH_ERROR_SIZE];
    int64_t failing_since_ms; /* wall clock; 0: it is not */
    uint8_t name_len;
    char name[];
};

struct push_targets {
    pthread_mutex_t lock;
    struct push_target *buckets[PUSH_TARGET_BUCKETS];
    size_t count, claimed; /* claimed: by requests under way */
};

void push_targets_init(struct push_targets *ts);
/* Frees them all. */
void push_targets_fini(struct push_targets *ts);

static inline struct bytes push_target_name(const struct push_target *t)
{
    return bytes_of(t->name, t->name_len);
}

/* NULL: not there. */
struct push_target *push_targets_find(struct push_targets *ts, struct bytes name);
/* NULL: no memory. It must not be there. */
struct push_target *push_targets_add(struct push_targets *ts, struct bytes name,
                                     struct push *push);
void push_targets_remove(struct push_targets *ts, struct push_target *t);

void push_targets_each(struct push_targets *ts,
                       void (*fn)(void *arg, struct push_target *t), void *arg);

/* How it goes with it from now on; "" and 0: well. */
void push_targets_note(struct push_targets *ts, struct push_target *t, const char *error,
                       int64_t failing_since_ms);

/* *out is left as it is where there is none. */
void push_targets_view(struct push_targets *ts, struct bytes name, struct push_view *out);

/* A place for one that is being made. True at once where it is there already; *claimed: it
 * was counted, and is to be unclaimed when it has been added, or not. */
bool push_targets_claim(struct push_targets *ts, struct bytes name, size_t most, bool *claimed);
void push_targets_unclaim(struct push_targets *ts);

#endif
