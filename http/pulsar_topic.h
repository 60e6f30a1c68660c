/*
 * pulsar_topic - Pulsar's paths and the names of their topics.
 *
 *   /topics/persistent/public/default/orders   ->  persistent://public/default/orders
 *   /topics/non-persistent/public/default/x    ->  non-persistent://public/default/x
 *
 * These are two topics of the broker like any other, kept alike. Tenant and namespace are
 * made of letters, digits and _-=:. ; the topic's own name is any UTF-8 without control
 * characters, a slash sent as %2F.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_PULSAR_TOPIC_H
#define SLUICE_PULSAR_TOPIC_H

#include "router.h"

/* For the routes' `take`: {tenant}, {namespace}, {topic} and maybe {partition}. Sets
 * r->topic, or refuses: 412 a name, 400 a partition of a partition, 404 a partition other
 * than 0. */
void pulsar_take_topic(struct request *r, const struct route *route,
                       const struct route_names *names);

/* The same with {subscription}, whose name is put behind the topic's closing 0, and ends
 * with one too; 412 when it is none. */
void pulsar_take_subscription(struct request *r, const struct route *route,
                              const struct route_names *names);

#endif
