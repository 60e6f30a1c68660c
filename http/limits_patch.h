/*
 * limits_patch - PATCH /v1/limits: settings that change while the broker runs (tune.h).
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_LIMITS_PATCH_H
#define SLUICE_LIMITS_PATCH_H

#include "request.h"

/* A merge patch of live settings, all or none of it; answers like GET. */
void limits_patch_finish(struct request *r);

#endif
