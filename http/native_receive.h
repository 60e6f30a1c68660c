/*
 * native_receive - POST /v1/subscriptions/{s}:receive: messages with leases, by long-poll.
 *
 *   look --message there, and room for it--> job --leased some--> answer
 *    ^ |                                      '--others were first--> look
 *    | '--nothing--> parked --news--> look, --time--> an empty answer
 *    '--room-- in the read buffer's line
 *
 * The room is there before anything is leased, so nothing is leased that cannot be answered.
 * What was leased to a client who left meanwhile is taken back at once. Only as many are woken as there are
 * messages: one of them who ends without a lease wakes another one.
 *
 * Contract: API.md, section Subscriptions. Threads: the request's loop.
 */
#ifndef SLUICE_NATIVE_RECEIVE_H
#define SLUICE_NATIVE_RECEIVE_H

#include "request.h"

void receive_start(struct request *r);
void receive_finish(struct request *r);
bool receive_look(struct request *r, bool last);
void receive_missed(struct request *r);

#endif
