/*
 * siphash - SipHash-2-4 (Aumasson and Bernstein): a hash of 64 or 128 bits under a secret.
 *
 * For tables whose keys clients choose, and to tell texts apart. Who does not know the secret
 * cannot find two texts that meet, so the hash may even stand for the text; by chance any two
 * meet once in 2^64, or in 2^128.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_SIPHASH_H
#define SLUICE_SIPHASH_H

#include "base/bytes.h"

uint64_t siphash(const uint8_t secret[16], struct bytes text);

#define SIPHASH128_LEN 16u

struct siphash128 { /* of a text that comes in pieces */
    uint64_t a, b, c, d, len;
    uint8_t rest[8]; /* the last len % 8 bytes */
};

void siphash128_start(struct siphash128 *h, const uint8_t secret[16]);
void siphash128_add(struct siphash128 *h, struct bytes piece);
void siphash128_end(struct siphash128 *h, uint8_t out[SIPHASH128_LEN]);

#endif
