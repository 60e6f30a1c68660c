#include "kept.h"

#include <stdlib.h>

static void grow(struct kept_ring *r)
{
    size_t cap = r->cap ? 2 * r->cap : 64;
    struct kept *ring = malloc(cap * sizeof *ring);

    if (!ring)
        abort();
    for (size_t i = 0; i < r->count; i++)
        ring[i] = r->ring[(r->first + i) % r->cap];
    free(r->ring);
    *r = (struct kept_ring){ ring, 0, r->count, cap };
}

void kept_add(struct kept_ring *r, struct kept k)
{
    if (r->count == r->cap)
        grow(r);
    r->ring[(r->first + r->count++) % r->cap] = k;
}

struct kept *kept_oldest(struct kept_ring *r)
{
    return r->count ? &r->ring[r->first] : NULL;
}

void kept_drop(struct kept_ring *r)
{
    r->first = (r->first + 1) % r->cap;
    r->count--;
}

void kept_fini(struct kept_ring *r)
{
    free(r->ring);
    *r = (struct kept_ring){ 0 };
}
