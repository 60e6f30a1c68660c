/*
 * timers - deadlines of one HTTP loop: an intrusive binary heap.
 *
 * A timer is embedded in what it is about. Setting and clearing are O(log n); the heap
 * holds one pointer per timer that is set.
 *
 * Units:    milliseconds of the monotonic clock.
 * Threads:  the loop that owns it.
 */
#ifndef SLUICE_TIMERS_H
#define SLUICE_TIMERS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer { /* all zero: not set */
    int64_t at_ms;
    size_t place; /* in the heap, from 1; 0: not set */
    void (*fire)(struct timer *t);
};

struct timers {
    struct timer **heap; /* heap[1] is the earliest */
    size_t count, cap;
};

void timers_fini(struct timers *h);

/* Sets it, or moves it when it is set already. ERR_NO_MEMORY: not set. */
MUST_CHECK enum err timers_set(struct timers *h, struct timer *t, int64_t at_ms);
void timers_clear(struct timers *h, struct timer *t);

/* Fires what is due; a fired timer is not set any more. */
bool timers_fire(struct timers *h, int64_t now_ms);

/* Milliseconds to the earliest, 0 when it is due, -1 when none is set. */
int64_t timers_next(const struct timers *h, int64_t now_ms);

#endif
