/*
 * siphash - SipHash-2-4 (Aumasson and Bernstein): a hash of 64 bits under a secret.
 *
 * For tables whose keys clients choose. Who does not know the secret cannot find two keys
 * that meet, so the hash may even stand for the key.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_SIPHASH_H
#define SLUICE_SIPHASH_H

#include "base/bytes.h"

uint64_t siphash(const uint8_t secret[16], struct bytes text);

#endif
