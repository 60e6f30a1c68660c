/*
 * location - a message's own path: /v1/topics/{topic}/messages/{offset}.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_LOCATION_H
#define SLUICE_LOCATION_H

#include "base/bytes.h"
#include "url.h"

#define LOCATION_ROOM (URL_NAME_MAX * 3 + 64)

/* Writes the path with a closing 0; returns its length. */
size_t message_location(struct bytes topic, uint64_t offset, char out[LOCATION_ROOM]);

#endif
