/*
 * native_settle - POST /v1/subscriptions/{s}:ack, :nack, :extend, :reject.
 *
 * Contract: API.md, section Subscriptions. Threads: the request's loop.
 */
#ifndef SLUICE_NATIVE_SETTLE_H
#define SLUICE_NATIVE_SETTLE_H

#include "request.h"

void settle_start(struct request *r);
void settle_ack_finish(struct request *r);
void settle_nack_finish(struct request *r);
void settle_extend_finish(struct request *r);
void settle_reject_finish(struct request *r);

#endif
