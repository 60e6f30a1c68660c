/*
 * addresses - how many connections each client address has, and the cap on that.
 *
 * What counts as one address: all 32 bits of IPv4, also where it comes as an IPv4-mapped
 * IPv6 address; of IPv6 the first 64 bits, because a client picks the others as it likes.
 * On a link (fe80::/10) all share the first 64 bits, so there it is the last 64.
 *
 * Memory:   one table, allocated once: LIMITS_ADDRESS_BYTES for each of max_connections.
 *           Nothing is allocated afterwards.
 * Threads:  any thread may enter and leave; a mutex, held for a few loads and stores.
 */
#ifndef SLUICE_ADDRESSES_H
#define SLUICE_ADDRESSES_H

#include "base/err.h"

#include <stdint.h>
#include <sys/socket.h>

struct addresses; /* opaque; NULL: there is no cap, everybody may enter */

struct address_key { /* all zero: not counted, may leave any number of times */
    uint64_t bits;
    uint8_t kind;
};

/* What counts as one address, as above. */
struct address_key address_key_of(const struct sockaddr *addr);

/* At most `each` connections of one address, and `connections` of all: the caller keeps to
 * that. `each` 0: *out is NULL. */
MUST_CHECK enum err addresses_open(uint64_t connections, uint64_t each,
                                   struct addresses **out);
void addresses_free(struct addresses *a);

/* Counts one more for the address. ERR_BUSY: it has its share; *key is empty. */
MUST_CHECK enum err addresses_enter(struct addresses *a, const struct sockaddr *addr,
                                    struct address_key *key);

/* Counts one less, and empties *key. One who never entered aborts. */
void addresses_leave(struct addresses *a, struct address_key *key);

/* Addresses that have a connection now. */
uint64_t addresses_count(struct addresses *a);

#endif
