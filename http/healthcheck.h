/*
 * healthcheck - asks a broker whether it is ready, for containers without curl.
 *
 * Plain sockets: connects to the address it listens on, sends GET /readyz, reads the
 * status line.
 *
 * Threads:  any; blocks for at most `timeout_ms`.
 */
#ifndef SLUICE_HEALTHCHECK_H
#define SLUICE_HEALTHCHECK_H

#include "base/err.h"

#include <stddef.h>

/* `listen` as in the setting; "any address" is asked on the loopback. ERR_OK: it answered
 * 200. ERR_BUSY: it is there and not ready. ERR_CLOSED: nobody answers, or not in time, or
 * not in HTTP. ERR_BAD_INPUT: not an address that can be asked. `why` says so in words. */
MUST_CHECK enum err healthcheck(const char *listen, int timeout_ms, char *why,
                                size_t size);

#endif
