/*
 * verified - which tokens a public key has verified lately.
 *
 * Verifying with a public key takes most of a millisecond, nearly all of it for reading the key
 * anew each time, which the library insists on; meanwhile a loop serves nobody else. Publishers
 * come with the same token again and again. So the digests of those that were good are kept, of
 * key and token together; what a token says is looked at each time.
 *
 * Memory:   VERIFIED_KEPT digests a thread; a newer one takes an older one's place.
 * Threads:  each has its own.
 */
#ifndef SLUICE_MERCURE_VERIFIED_H
#define SLUICE_MERCURE_VERIFIED_H

#include "base/bytes.h"

#define VERIFIED_KEPT   256
#define VERIFIED_DIGEST 32

struct verified {
    uint8_t digest[VERIFIED_DIGEST]; /* all zero: it could not be made, and is never known */
};

struct verified verified_of(struct bytes key, struct bytes token);
bool verified_before(const struct verified *v);
void verified_keep(const struct verified *v);

#endif
