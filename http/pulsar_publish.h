/*
 * pulsar_publish - Pulsar's REST produce routes: a dialect over the same broker calls.
 *
 * Contract: PULSAR.md. Threads: the request's loop.
 */
#ifndef SLUICE_PULSAR_PUBLISH_H
#define SLUICE_PULSAR_PUBLISH_H

#include "request.h"

extern const struct dialect dialect_pulsar; /* {"reason":"..."} */

void pulsar_publish_start(struct request *r);
void pulsar_publish_finish(struct request *r);

#endif
