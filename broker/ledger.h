/*
 * ledger - the cap on bytes the broker holds for its clients.
 *
 * Reserve before taking the bytes; release when the bytes are gone. The live grants of a
 * ledger never add up to more than its limit, so how much memory clients can use is
 * decided here and nowhere else.
 *
 * Who finds it full may wait in line, which is fair to callers and to topics (fair.h); within
 * a topic of a caller it is first come, first served. Nobody is granted past the head of
 * the line, so a large request is not starved by small ones. Once somebody had to wait, the
 * line moves again when half of the limit is free (or at the next ledger_tick for a head
 * that fits by then), and only as many as fit are let in: no stampede, no flutter.
 *
 * Units:    bytes.
 * Threads:  any thread may call anything here; nothing blocks. Callbacks run with no lock
 *           held, on the thread that released.
 * Owner:    a grant belongs to whoever holds the bytes it pays for.
 */
#ifndef SLUICE_LEDGER_H
#define SLUICE_LEDGER_H

#include "base/err.h"
#include "fair.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger; /* opaque: its fields are in ledger.c */

struct grant { /* all zero: empty, safe to release */
    struct ledger *from;
    size_t bytes;
};

struct ledger_waiter { /* all zero: not waiting */
    size_t bytes;
    struct fair_flow flow; /* who asks, and for what; all zero is a flow like others */
    unsigned weight;       /* of the topic; 0 counts as 1 */
    /* The grant is in `grant` when this runs; the waiter is out of the line. */
    void (*granted)(struct ledger_waiter *w);
    struct grant grant;
    struct fair_item place;     /* the ledger's */
    struct ledger_waiter *next; /* the ledger's */
};

struct ledger_figures {
    size_t limit, used, high_water;
    size_t waiting;       /* waiters in line */
    size_t waiting_bytes; /* that they ask for */
    uint64_t waited_total, granted_total;
};

struct ledger *ledger_new(size_t limit);

/* Aborts when a grant is still out: that is a leak of the promise. NULL is fine. */
void ledger_free(struct ledger *l);

/* ERR_BUSY: not now (no room, or others wait in line). ERR_TOO_BIG: more than the limit,
 * it can never be granted. *g must be empty. */
MUST_CHECK enum err ledger_reserve(struct ledger *l, size_t bytes, struct grant *g);

/* Like ledger_reserve, with w->grant for the grant; on ERR_BUSY the waiter now stands in
 * line and w->granted will run, unless ledger_leave takes it out first. */
MUST_CHECK enum err ledger_wait(struct ledger *l, struct ledger_waiter *w);

/* True: taken out of the line, granted will not run. False: it was granted already, and
 * `granted` has run or is about to. */
bool ledger_leave(struct ledger *l, struct ledger_waiter *w);

/* Gives back all but `bytes`. */
void ledger_shrink(struct grant *g, size_t bytes);

/* Empties *g, so releasing twice is harmless. */
void ledger_release(struct grant *g);

/* Moves `bytes` of g, which has so many, to the empty *out, which has an owner of its own. */
void ledger_split(struct grant *g, size_t bytes, struct grant *out);

/* Adds `more` of the same ledger into `g` and empties it. */
void ledger_merge(struct grant *g, struct grant *more);

/* Lets the head of the line in although less than half is free. Call it every 50 ms or
 * so while somebody waits. */
void ledger_tick(struct ledger *l);

void ledger_read(struct ledger *l, struct ledger_figures *out);

#endif
