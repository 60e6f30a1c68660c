/*
 * event_read - one message as a CloudEvent in structured mode: GET with
 * Accept: application/cloudevents+json.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_EVENT_READ_H
#define SLUICE_EVENT_READ_H

#include "request.h"

bool event_read_wanted(const struct request *r);

/* With r->loop->fetch open, whose entry `m` is. It may stand in line for the room (line.h). */
void event_read_reply(struct request *r, const struct store_entry *m);

#endif
