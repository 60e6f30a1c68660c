/*
 * refusal - tells a client that is not let in why, before anything is spent on it.
 *
 * A connection over a cap has no place in the library and no buffer of its own. It is held
 * as a descriptor until it has asked something, because clients do not expect an answer
 * before their question; then it gets a problem document, and lingers (linger.h). When the
 * list is full, or nothing is asked for REFUSAL_MS, it is answered at once.
 *
 * Memory:   REFUSALS_MAX entries a loop.
 * Owner:    the descriptor belongs to refusal.
 * Threads:  the loop that accepted it.
 */
#ifndef SLUICE_REFUSAL_H
#define SLUICE_REFUSAL_H

#include "response.h"

#include <stdint.h>

#define REFUSALS_MAX 64
#define REFUSAL_MS   1000

struct loop;

struct refusals {
    unsigned count;
    struct refusal {
        int fd;
        enum problem why;
        int64_t until_ms;
    } entries[REFUSALS_MAX];
};

/* `why` is PROBLEM_CONNECTIONS_FULL or PROBLEM_TOO_MANY_CONNECTIONS. */
void refusal_add(struct loop *l, int fd, enum problem why);

/* Answers those who asked, closes those who left; call it every LINGER_TICK_MS while
 * count > 0. */
void refusal_tick(struct loop *l);

/* Closes all. */
void refusal_fini(struct loop *l);

#endif
