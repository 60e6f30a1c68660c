/*
 * errand - a job that one request waits for, and that is nothing to others: a change of a topic,
 * a namespace, a subscription.
 *
 *   errand_new --> (filled in) --> errand_hold, submitted --letter--> answer, freed
 *                     '--> job_free: it was refused                     '-- no answer, if the
 *                                                                           client left first
 *
 * Who leaves does not take its job along. So a job is paid for by itself: out of what the
 * request's body paid for, if there is one; else from the ledger `json`.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_ERRAND_H
#define SLUICE_ERRAND_H

#include "request.h"

/* As job_new. NULL: the request has its answer. */
void *errand_new(struct request *r, size_t bytes);

/* To be submitted now. `answer` gets the request and the job, whose memory is the errand's;
 * it is not called when the client left. */
void errand_hold(struct request *r, struct job *j, void (*answer)(void *request, struct job *j));

#endif
