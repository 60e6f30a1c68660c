/*
 * ops - health, readiness, metrics and limits; what the API is.
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
/* GET /openapi.json: http/openapi.yaml, made JSON by the build. */
void ops_openapi(struct request *r);

#endif
