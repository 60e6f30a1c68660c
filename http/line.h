/*
 * line - a request in a ledger's line: a publisher who waits for room for its body, a
 * reader who waits for room for its answer.
 *
 *   publisher   headers --> WAITING --room--> BODY
 *                              '--time, drain--> DISCARD, 503
 *   reader      finish, or PARKED --> QUEUED --room--> looks again --> REPLY
 *                  ^                     |                |'--needs more--> QUEUED
 *                  |                     |                '--nothing there--> PARKED
 *                  |                     |'--another one's answer--> REPLY
 *                  '--- (PARKED) news    '--time, drain--> REPLY, 503
 *
 * Who stands in line is suspended and holds nothing: no snapshot, no grant.
 *
 * Threads:  the request's loop; the room is granted by any thread, and comes as a letter.
 */
#ifndef SLUICE_LINE_H
#define SLUICE_LINE_H

#include "request.h"

/* Sets what runs when room is granted. */
void line_init(struct request *r);

/* The ledger had no room for its body: stands in line as long as the client agreed to, or
 * is refused at once. */
void line_for_body(struct request *r);

/* Takes from the read ledger room for an answer: `bytes`, or what it was granted in line if
 * that is `least` at least. False: there is none; the request stands in line now (or has
 * been given its 503), so the caller gives no answer and closes its snapshot. When the room
 * has come r->answer.again runs, which looks again and asks again. *out must be empty. */
MUST_CHECK bool line_for_answer(struct request *r, size_t bytes, size_t least,
                                struct grant *out);

/* Gives the answer of `r` to all in line that `same` says asked the same. */
void line_share(struct request *r,
                bool (*same)(const struct request *a, const struct request *b));

/* For wait.c: its time is over; its client left, or the loop ends; a shutdown. */
void line_time_over(struct request *r);
void line_cut(struct request *r);
void line_drain(struct loop *l);

#endif
