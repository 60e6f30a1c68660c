/*
 * subscribe - GET of the hub: who asks, for what, and from where on (Mercure 0.x, sections 5 and
 * 6 of http/MERCURE.md). What follows is hub.h.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_MERCURE_SUBSCRIBE_H
#define SLUICE_MERCURE_SUBSCRIBE_H

#include "request.h"

void mercure_subscribe_finish(struct request *r);

#endif
