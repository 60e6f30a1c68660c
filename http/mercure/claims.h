/*
 * claims - what a token says: which topics, until when.
 *
 *   {"mercure":{"publish":["*"],"subscribe":["https://example.com/{id}"],"payload":{"a":1}},
 *    "exp":1767225600,"nbf":1767220000.5}
 *
 * The object `https://mercure.rocks/`, where it is there, is read in place of `mercure`. What is
 * null is not there; other members do not matter.
 *
 * Owner:    one block of `bytes` bytes, freed with free(); the views point into it.
 * Units:    wall clock, milliseconds.
 * Threads:  any; pure but for its allocation.
 */
#ifndef SLUICE_MERCURE_CLAIMS_H
#define SLUICE_MERCURE_CLAIMS_H

#include "base/bytes.h"
#include "base/err.h"

#define MERCURE_SELECTORS_MAX 1000 /* in each of the lists */

struct mercure_claims {
    struct bytes *publish, *subscribe; /* selectors, decoded, any text */
    size_t publish_count;              /* 0: may not publish */
    size_t subscribe_count;            /* 0: sees nothing private */
    struct bytes payload;              /* JSON without blanks; empty: none */
    int64_t valid_ms, expires_ms;      /* from and until; INT64_MIN, INT64_MAX: always */
    size_t bytes;                      /* of the block */
};

/* Reads a token's JSON. ERR_BAD_INPUT: `*why` says what is wrong with it, in a constant text;
 * ERR_NO_MEMORY. */
MUST_CHECK enum err mercure_claims_read(struct bytes json, struct mercure_claims **out,
                                        const char **why);

#endif
