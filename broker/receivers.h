/*
 * receivers - how many consumers wait for each subscription, of all loops together.
 *
 * Who waits brings the memory for it. Names are told apart by a hash of 64 bits.
 *
 * Threads:  any.
 */
#ifndef SLUICE_RECEIVERS_H
#define SLUICE_RECEIVERS_H

#include "base/bytes.h"

struct receivers;

struct receiver { /* all zero: does not wait */
    struct receiver *next, **link;
    uint64_t hash;
};

struct receivers *receivers_new(void); /* NULL: no memory */
void receivers_free(struct receivers *rs);

uint64_t receivers_hash(struct bytes subscription);

void receivers_join(struct receivers *rs, struct receiver *r, uint64_t hash);
/* Harmless when it does not wait. */
void receivers_leave(struct receivers *rs, struct receiver *r);

/* O(those that wait, of one subscription in a thousand). */
uint64_t receivers_count(struct receivers *rs, uint64_t hash);

#endif
