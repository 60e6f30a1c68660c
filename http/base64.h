/*
 * base64 - RFC 4648, the standard alphabet, strictly.
 *
 * Written with padding. Read with all of its padding or with none of it; no line
 * breaks, no other alphabet, and unused bits must be 0, so that bytes have one form and
 * no other.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_BASE64_H
#define SLUICE_BASE64_H

#include "base/bytes.h"
#include "base/err.h"

/* Characters that base64_encode writes for `n` bytes. */
static inline size_t base64_len(size_t n)
{
    return (n + 2) / 3 * 4;
}

/* Writes base64_len(in.len) characters, no NUL. */
void base64_encode(struct bytes in, char *out);

/* False: not base64 (what was written to `out` is then garbage). *len is at most
 * in.len / 4 * 3 + 2. `out` may be anywhere at or before in.data in the same buffer. */
MUST_CHECK bool base64_decode(struct bytes in, uint8_t *out, size_t *len);

#endif
