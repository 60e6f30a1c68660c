/*
 * ops - health, readiness, metrics and limits.
 *
 * Contract: API.md, section Operations. Threads: the request's loop.
 */
#ifndef SLUICE_OPS_H
#define SLUICE_OPS_H

#include "request.h"

void ops_healthz(struct request *r);
void ops_readyz(struct request *r);
void ops_metrics(struct request *r);
void ops_limits(struct request *r);

#endif
