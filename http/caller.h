/*
 * caller - who asks: today the client's address (addresses.h says what of it counts), once
 * there are tokens what a token stands for.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_CALLER_H
#define SLUICE_CALLER_H

#include "base/bytes.h"
#include "fair.h"

struct request;

#define CALLER_BYTES 9

/* Opaque bytes that tell callers apart, written into `out`. */
struct bytes caller_of(const struct request *r, uint8_t out[CALLER_BYTES]);

/* Caller and topic, for lines that are fair to both. */
struct fair_flow caller_flow(const struct request *r);

#endif
