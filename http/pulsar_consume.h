/*
 * pulsar_consume - long-poll consume: one message of a subscription a request.
 *
 *   look --message there, and room for it--> job --taken--> answer
 *    ^ |                                      '--another consumer was first--> look
 *    | '--nothing--> parked --news--> look, --time--> 204
 *    '--room-- in the read buffer's line
 *
 * The room is there before the cursor moves, so no message is lost for want of memory. One
 * that is taken out between the job and the answer (its time was over) is passed over.
 *
 * Contract: PULSAR.md. Threads: the request's loop.
 */
#ifndef SLUICE_PULSAR_CONSUME_H
#define SLUICE_PULSAR_CONSUME_H

#include "request.h"

void pulsar_consume_start(struct request *r);
void pulsar_consume_finish(struct request *r);
bool pulsar_consume_look(struct request *r, bool last);

void pulsar_unsubscribe_finish(struct request *r);

#endif
