/*
 * mercure/uuid - names that nobody else gives: urn:uuid:... (RFC 9562).
 *
 * Version 7 begins with the time. Those of a later millisecond sort behind those of an
 * earlier one, and within a millisecond those that a thread makes later sort behind those
 * that it made earlier. Version 4 says nothing at all.
 *
 * Neither is a secret: who sees some of version 7 can narrow down the next ones.
 *
 * Threads: any; each has random bytes of its own, asked from the kernel 256 at a time
 *          (a child of fork would repeat those of its parent; we never fork).
 */
#ifndef SLUICE_MERCURE_UUID_H
#define SLUICE_MERCURE_UUID_H

#include "base/err.h"

#include <stdint.h>

#define MERCURE_URN_LEN 45 /* urn:uuid: and 36 characters */

/* Writes MERCURE_URN_LEN characters and a NUL. ERR_IO: the kernel gives no random
 * bytes; logged. */
MUST_CHECK enum err mercure_uuid_v7(char out[MERCURE_URN_LEN + 1], int64_t wall_ms);
MUST_CHECK enum err mercure_uuid_v4(char out[MERCURE_URN_LEN + 1]);

#endif
