/*
 * receive_answer - the answer of a receive: messages as in a read of the log, each with its lease.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_RECEIVE_ANSWER_H
#define SLUICE_RECEIVE_ANSWER_H

#include "receive.h"
#include "request.h"

/* Of a message beside its body, names, attributes: times, lease. */
#define RECEIVE_ANSWER_USUAL_BYTES 448u
/* Around them. */
#define RECEIVE_ANSWER_ENVELOPE_BYTES 64u

/* What a message takes in it at most. */
size_t receive_answer_room(const struct record *m);

/* Writes those that are still there: *count. The leases of others, whose messages went between
 * the job and this look, are in front of c->got then: *gone. */
enum err receive_answer_write(struct request *r, struct out *o, struct receive *c,
                              unsigned *count, unsigned *gone);

#endif
