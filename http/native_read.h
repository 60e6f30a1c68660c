/*
 * native_read - GET /v1/topics/{t}/messages and messages/{offset}.
 *
 * Contract: API.md, section Read. Threads: the request's loop.
 */
#ifndef SLUICE_NATIVE_READ_H
#define SLUICE_NATIVE_READ_H

#include "request.h"

void read_log_finish(struct request *r);
bool read_log_look(struct request *r, bool last);
void read_message_finish(struct request *r);

#endif
