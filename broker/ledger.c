/*
 * Invariants, under the lock:
 *  1. used is the sum of all live grants, and never above limit.
 *  2. While somebody stands in line only its head is granted.
 *  3. A waiter is in line, or granted, or neither; never two of them.
 *
 *      OPEN --somebody must wait--> SHUT --half is free--> MOVING --line empty--> OPEN
 *                                    ^                       |
 *                                    '--head does not fit----'
 */
#include "ledger.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef NDEBUG
#error "the budget is kept by asserts as well: they stay in what ships"
#endif

struct ledger {
    size_t limit; /* set once */

    pthread_mutex_t lock;
    size_t used, high_water;
    struct fair *line;
    size_t waiting, waiting_bytes;
    uint64_t waited_total, granted_total;
    bool moving;
};

struct ledger *ledger_new(size_t limit)
{
    struct ledger *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->line = fair_new();
    if (!l->line) {
        free(l);
        return NULL;
    }
    l->limit = limit;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    if (l->used || l->waiting) {
        fprintf(stderr, "ledger_free: %zu bytes still granted, %zu waiting\n", l->used,
                l->waiting);
        abort();
    }
    pthread_mutex_destroy(&l->lock);
    fair_free(l->line);
    free(l);
}

static bool fits(const struct ledger *l, size_t bytes)
{
    return bytes <= l->limit - l->used;
}

static void take(struct ledger *l, size_t bytes, struct grant *g)
{
    assert(fits(l, bytes) && !g->from);
    l->used += bytes;
    if (l->used > l->high_water)
        l->high_water = l->used;
    l->granted_total++;
    *g = (struct grant){ l, bytes };
}

static struct ledger_waiter *head(const struct ledger *l)
{
    struct fair_item *place = fair_first(l->line);

    return place ? (struct ledger_waiter *)((char *)place -
                                            offsetof(struct ledger_waiter, place))
                 : NULL;
}

static void line_add(struct ledger *l, struct ledger_waiter *w)
{
    fair_add(l->line, &w->place, w->flow, w->bytes, w->weight);
    l->waiting++;
    l->waited_total++;
    l->waiting_bytes += w->bytes;
}

static void line_removed(struct ledger *l, const struct ledger_waiter *w)
{
    l->waiting--;
    l->waiting_bytes -= w->bytes;
}

enum err ledger_reserve(struct ledger *l, size_t bytes, struct grant *g)
{
    enum err e = ERR_OK;

    if (bytes > l->limit)
        return ERR_TOO_BIG;
    pthread_mutex_lock(&l->lock);
    if (l->waiting || !fits(l, bytes))
        e = ERR_BUSY;
    else
        take(l, bytes, g);
    pthread_mutex_unlock(&l->lock);
    return e;
}

enum err ledger_wait(struct ledger *l, struct ledger_waiter *w)
{
    enum err e = ERR_OK;

    if (w->bytes > l->limit)
        return ERR_TOO_BIG;
    pthread_mutex_lock(&l->lock);
    assert(!w->place.in_line);
    if (l->waiting || !fits(l, w->bytes)) {
        line_add(l, w);
        e = ERR_BUSY;
    } else {
        take(l, w->bytes, &w->grant);
    }
    pthread_mutex_unlock(&l->lock);
    return e;
}

/* Lets in from the head all that fit; returns them as a chain by `next`. */
static struct ledger_waiter *admit(struct ledger *l, bool force)
{
    struct ledger_waiter *first = NULL, **last = &first, *w;

    if (l->used <= l->limit / 2)
        l->moving = true;
    while ((l->moving || force) && (w = head(l)) && fits(l, w->bytes)) {
        fair_serve(l->line, &w->place);
        line_removed(l, w);
        take(l, w->bytes, &w->grant);
        w->next = NULL;
        *last = w;
        last = &w->next;
    }
    if (!l->waiting || l->used > l->limit / 2)
        l->moving = false;
    return first;
}

static void tell(struct ledger_waiter *w)
{
    while (w) {
        struct ledger_waiter *next = w->next;

        w->next = NULL;
        w->granted(w); /* may free w */
        w = next;
    }
}

bool ledger_leave(struct ledger *l, struct ledger_waiter *w)
{
    struct ledger_waiter *in = NULL;
    bool left;

    pthread_mutex_lock(&l->lock);
    left = w->place.in_line;
    if (left) {
        fair_leave(l->line, &w->place);
        line_removed(l, w);
        in = admit(l, false); /* the one behind may be smaller, and fit */
    }
    pthread_mutex_unlock(&l->lock);
    tell(in);
    return left;
}

void ledger_shrink(struct grant *g, size_t bytes)
{
    struct ledger *l = g->from;
    struct ledger_waiter *in;

    if (!l || bytes >= g->bytes)
        return;
    pthread_mutex_lock(&l->lock);
    assert(l->used >= g->bytes - bytes);
    l->used -= g->bytes - bytes;
    in = admit(l, false);
    pthread_mutex_unlock(&l->lock);
    g->bytes = bytes;
    if (bytes == 0)
        g->from = NULL;
    tell(in);
}

void ledger_release(struct grant *g)
{
    struct grant mine = *g;

    *g = (struct grant){ 0 }; /* first: a callback may fill it again */
    ledger_shrink(&mine, 0);
}

void ledger_split(struct grant *g, size_t bytes, struct grant *out)
{
    assert(bytes <= g->bytes && !out->from);
    if (!bytes)
        return;
    *out = (struct grant){ g->from, bytes };
    g->bytes -= bytes;
    if (!g->bytes)
        g->from = NULL;
}

void ledger_merge(struct grant *g, struct grant *more)
{
    assert(!g->from || !more->from || g->from == more->from);
    if (!g->from)
        g->from = more->from;
    g->bytes += more->bytes;
    *more = (struct grant){ 0 };
}

void ledger_tick(struct ledger *l)
{
    struct ledger_waiter *in;

    pthread_mutex_lock(&l->lock);
    in = admit(l, true);
    pthread_mutex_unlock(&l->lock);
    tell(in);
}

void ledger_read(struct ledger *l, struct ledger_figures *out)
{
    pthread_mutex_lock(&l->lock);
    *out = (struct ledger_figures){ .limit = l->limit,
                                    .used = l->used,
                                    .high_water = l->high_water,
                                    .waiting = l->waiting,
                                    .waiting_bytes = l->waiting_bytes,
                                    .waited_total = l->waited_total,
                                    .granted_total = l->granted_total };
    pthread_mutex_unlock(&l->lock);
}
