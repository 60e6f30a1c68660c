/*
 * weights - what the topics' weights are, for lines that are fair to topics (fair.h).
 *
 * Only the writer has a topic's settings at hand; it tells the table with every publish and
 * every change of settings, and loops look before a request stands in line. So after a
 * restart the first publish of a topic counts as 1. Topics are told apart by their slot
 * (waiters.h): of two that share one, the last that was told about counts for both.
 *
 * Memory:   4 KiB.
 * Threads:  any; a byte is read or written at a time.
 */
#ifndef SLUICE_WEIGHTS_H
#define SLUICE_WEIGHTS_H

#include "waiters.h"

#include <stdatomic.h>
#include <stdint.h>

#define WEIGHT_MAX 100u

struct weights { /* all zero: every topic counts as 1 */
    _Atomic uint8_t of[WAITERS_SLOTS];
};

/* 0, and what is not known, counts as 1. */
static inline void weights_learn(struct weights *w, unsigned slot, uint32_t weight)
{
    uint8_t to = (uint8_t)(weight > WEIGHT_MAX ? WEIGHT_MAX : weight);

    if (atomic_load_explicit(&w->of[slot], memory_order_relaxed) != to)
        atomic_store_explicit(&w->of[slot], to, memory_order_relaxed);
}

static inline unsigned weights_of(const struct weights *w, unsigned slot)
{
    unsigned weight = atomic_load_explicit(&w->of[slot], memory_order_relaxed);

    return weight ? weight : 1;
}

#endif
