#include "timers.h"

#include <stdlib.h>

void timers_fini(struct timers *h)
{
    free(h->heap);
    *h = (struct timers){ 0 };
}

static void put(struct timers *h, size_t place, struct timer *t)
{
    h->heap[place] = t;
    t->place = place;
}

static void sift_up(struct timers *h, size_t i, struct timer *t)
{
    for (; i > 1 && h->heap[i / 2]->at_ms > t->at_ms; i /= 2)
        put(h, i, h->heap[i / 2]);
    put(h, i, t);
}

static void sift_down(struct timers *h, size_t i, struct timer *t)
{
    size_t child;

    for (; (child = 2 * i) <= h->count; i = child) {
        if (child < h->count && h->heap[child + 1]->at_ms < h->heap[child]->at_ms)
            child++;
        if (h->heap[child]->at_ms >= t->at_ms)
            break;
        put(h, i, h->heap[child]);
    }
    put(h, i, t);
}

static enum err grow(struct timers *h)
{
    size_t cap = h->cap ? h->cap * 2 : 64;
    struct timer **heap = realloc(h->heap, (cap + 1) * sizeof *heap);

    if (!heap)
        return ERR_NO_MEMORY;
    h->heap = heap;
    h->cap = cap;
    return ERR_OK;
}

enum err timers_set(struct timers *h, struct timer *t, int64_t at_ms)
{
    timers_clear(h, t);
    if (h->count == h->cap && grow(h))
        return ERR_NO_MEMORY;
    t->at_ms = at_ms;
    sift_up(h, ++h->count, t);
    return ERR_OK;
}

void timers_clear(struct timers *h, struct timer *t)
{
    size_t i = t->place;
    struct timer *last;

    if (!i)
        return;
    t->place = 0;
    last = h->heap[h->count--];
    if (last == t)
        return;
    if (i > 1 && h->heap[i / 2]->at_ms > last->at_ms)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

bool timers_fire(struct timers *h, int64_t now_ms)
{
    bool any = false;

    while (h->count && h->heap[1]->at_ms <= now_ms) {
        struct timer *t = h->heap[1];

        timers_clear(h, t);
        t->fire(t); /* may free t */
        any = true;
    }
    return any;
}

int64_t timers_next(const struct timers *h, int64_t now_ms)
{
    if (!h->count)
        return -1;
    return h->heap[1]->at_ms <= now_ms ? 0 : h->heap[1]->at_ms - now_ms;
}
