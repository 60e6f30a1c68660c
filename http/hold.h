/*
 * hold - publishers who wait for a full topic (`overflow` is hold), before anything of
 * theirs is taken in.
 *
 *   headers --place booked--> rates, the ledger, BODY, ... --outcome--> given back
 *      '--full--> OUTSIDE --place booked--> rates, the ledger, ...
 *                    '--time over--> DISCARD, 507
 *
 * Who stands outside is suspended and holds nothing: no grant, no tokens, no booking. Place
 * comes as messages expire, are purged, or a limit is raised; each loop looks at its tick,
 * at those who have waited longest first. Nobody passes another one of the same topic on
 * the same loop.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_HOLD_H
#define SLUICE_HOLD_H

#include "request.h"

/* After start: true when the request has to wait (it is suspended), or cannot (it has its
 * answer). False: it goes on to request_admit. */
bool hold_keeps_out(struct request *r);

/* Its outcome is known, or it is gone. Harmless for one that booked nothing. */
void hold_give_back(struct request *r);

void hold_tick(struct loop *l);

/* For wait.c: its time is over; its client left, or the loop ends; a shutdown. */
void hold_time_over(struct request *r);
void hold_cut(struct request *r);
void hold_drain(struct loop *l);

#endif
