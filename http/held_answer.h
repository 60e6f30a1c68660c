/*
 * held_answer - an answer that stays open for as long as its leases are out: Prefer:
 * lease=connection.
 *
 *   SENDING --all messages sent--> HELD --each lease is settled, or over--> its end
 *      |                            |  '--nothing for a while--> a newline --> HELD
 *      '--client vanished-----------'--> what is still leased is given back at once
 *
 * While it is held the connection is suspended (wait.h), and its socket watched by the loop: so
 * the end of a client is an event, and its leases are with the writer in the same turn of the
 * loop. Who settles leases tells who holds them (ties.h).
 *
 * Memory:   the connection is in its line. The text, the leases and what gives them back are paid
 *           for by a grant of the read ledger; all that is held together by its share, ties_book.
 * Threads:  the request's loop.
 */
#ifndef SLUICE_HELD_ANSWER_H
#define SLUICE_HELD_ANSWER_H

#include "receive.h"
#include "request.h"

struct held_answer;

/* What so many leases take beside their answer's text. */
size_t held_answer_bytes(unsigned leases);

/* For so many leases, or fewer: how many there is room for, with what they take in *booked; 0:
 * not even for one. */
unsigned held_answer_book(struct request *r, unsigned leases, size_t *booked);

/* Answers with the text and with the leases of c->got from `first` on; takes over what was booked,
 * the text, and the grant. ERR_NO_MEMORY: there is no answer, and they are the caller's. */
MUST_CHECK enum err held_answer_reply(struct request *r, struct receive *c, unsigned first,
                                      struct out *text);

/* In request_completed. NULL is fine for r->held. */
void held_answer_free(struct request *r);

/* For wait.c: the end of the loop. */
void held_answer_cut_all(struct loop *l);

#endif
