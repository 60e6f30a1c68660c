/*
 * subscriptions - GET of the active subscriptions, as JSON-LD.
 *
 *   /.well-known/mercure/subscriptions                         all
 *   /.well-known/mercure/subscriptions/{topic}                 those with this selector
 *   /.well-known/mercure/subscriptions/{topic}/{subscriber}    one, or 404
 *
 * A list is written in pieces, as the socket takes them, from the registry as it is then: who was
 * there all the time is in it, and nobody who came later. Its lastEventID is looked up before: who
 * goes on from there misses no change.
 *
 * Threads:  the request's loop; mercure_subscriptions_open: main.
 */
#ifndef SLUICE_MERCURE_SUBSCRIPTIONS_H
#define SLUICE_MERCURE_SUBSCRIPTIONS_H

#include "mercure/registry.h"
#include "router.h"

/* Before the loops. *out is NULL where mercure_subscriptions is off. */
MUST_CHECK enum err mercure_subscriptions_open(struct broker *b, struct mercure_registry **out);

/* Any thread: nothing is left to be told. True for NULL. */
bool mercure_subscriptions_told(struct mercure_registry *g);

bool mercure_subscriptions_is_on(const struct config *c);
/* r->topic: the names, still encoded, with a slash between them. */
void mercure_subscriptions_take(struct request *r, const struct route *route,
                                const struct route_names *names);
void mercure_subscriptions_finish(struct request *r);

#endif
