/*
 * rates - the rate limits (rate.h) at the door: who asks, what a refusal says, and the
 * headers that tell a client where it stands.
 *
 * Every request whose body goes under the publish ledger stores messages, and passes here
 * before its body is read; whatever it publishes is counted by publish_submit, which wants
 * the ticket. So a door need not know about rates.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_RATES_H
#define SLUICE_RATES_H

#include "request.h"

/* After start: takes the tokens of one message and of the declared bytes. False: a 429 was
 * given, with a Retry-After that is true. */
bool rates_admit(struct request *r);

/* More bytes of a body of unknown length. */
void rates_received(struct request *r, size_t bytes);

/* Adds RateLimit-Policy and RateLimit to the answer of a request that stores messages:
 * where a limit is on, and on 429 and 503. */
void rates_show(struct request *r);

#endif
