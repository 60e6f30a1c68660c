/*
 * percent - %XX, the escapes of RFC 3986 (2.1): which bytes stay as they are is the caller's to say.
 *
 * Threads:  any.
 */
#ifndef SLUICE_PERCENT_H
#define SLUICE_PERCENT_H

#include "base/bytes.h"
#include "base/err.h"

typedef bool (*percent_stays_fn)(uint8_t c);

/* Of a hexadecimal digit in either case; -1: it is none. */
int percent_digit(uint8_t c);

/* Undoes %XX into `out`, which may be in.data itself; *len is at most in.len. `plus` is what a +
 * stands for. False: a % that two hexadecimal digits do not follow. */
MUST_CHECK bool percent_decode(struct bytes in, uint8_t plus, void *out, size_t *len);

/* Writes percent_encoded_len bytes, no NUL. */
size_t percent_encoded_len(struct bytes in, percent_stays_fn stays);
void percent_encode(struct bytes in, percent_stays_fn stays, char *out);

#endif
