/*
 * kept - what was acknowledged and not read back yet, in the order of the answers.
 *
 * Owner: the ring's memory is the ring's; kept_fini gives it back. All zero is empty.
 */
#ifndef KEEP_KEPT_H
#define KEEP_KEPT_H

#include "payload.h"

struct kept { /* a message */
    int64_t stored_us; /* when its life began */
    uint64_t offset;
    struct payload what;
    unsigned topic;
};

struct kept_ring {
    struct kept *ring;
    size_t first, count, cap;
};

void kept_add(struct kept_ring *r, struct kept k);
struct kept *kept_oldest(struct kept_ring *r); /* lent until the next call; NULL: none */
void kept_drop(struct kept_ring *r);           /* the oldest */
void kept_fini(struct kept_ring *r);

#endif
