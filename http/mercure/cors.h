/*
 * cors - which pages may use the hub from a browser.
 *
 * By mercure_cors_origins, for the hub's routes only, in place of the native `*`. Without
 * origins no header says anything of it.
 *
 * Threads: the request's loop; mercure_origin_allowed: any, no state.
 */
#ifndef SLUICE_MERCURE_CORS_H
#define SLUICE_MERCURE_CORS_H

#include "base/bytes.h"

#include <stdbool.h>

struct request;

/* `list` as in struct config: any (`*`), the same in any case, or as an entry with one star. */
bool mercure_origin_allowed(const char *list, struct bytes origin);

/* Adds to the answer given what a browser must know of it. */
void mercure_cors_headers(struct request *r);

/* Answers OPTIONS: 204, with leave for what was asked, or without. */
void mercure_cors_preflight(struct request *r, const char *allow);

#endif
