/*
 * location - the paths of a topic, /v1/topics/{topic}, and of a message in it,
 * /v1/topics/{topic}/messages/{offset}.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_LOCATION_H
#define SLUICE_LOCATION_H

#include "base/bytes.h"
#include "url.h"

#define LOCATION_ROOM (URL_NAME_MAX * 3 + 64)

/* Both write the path with a closing 0; they return its length. */
size_t topic_location(struct bytes topic, char out[LOCATION_ROOM]);
size_t message_location(struct bytes topic, uint64_t offset, char out[LOCATION_ROOM]);

#endif
