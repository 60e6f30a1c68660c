/*
 * quotas - quotas at the door: what a publisher is told whom one refused.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_QUOTAS_H
#define SLUICE_QUOTAS_H

#include "quota.h"
#include "request.h"

void quotas_refuse(struct request *r, struct bytes topic, const struct quota_refusal *why);

#endif
