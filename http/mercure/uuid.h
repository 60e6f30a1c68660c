/*
 * uuid - names that nobody else gives: urn:uuid:... (RFC 9562).
 *
 * Version 7 begins with the time, so that those of later updates are behind those of
 * earlier ones; version 4 says nothing at all.
 *
 * Threads: any; no state.
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
