/*
 * publish - POST /.well-known/mercure: an update comes in, and goes into the hub's log.
 *
 *   headers --token--> the publish ledger's line --> body --form, checks--> writer --> 200, its id
 *
 * It is a door like others (publish_door.h): rates, quotas, hold and the ledger are those of the
 * hub's log.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_MERCURE_PUBLISH_H
#define SLUICE_MERCURE_PUBLISH_H

#include "router.h"

/* route.take: the hub's URL names no topic, its log is that of the setting mercure_topic. */
void mercure_take_topic(struct request *r, const struct route *route,
                        const struct route_names *names);

void mercure_publish_start(struct request *r);
void mercure_publish_finish(struct request *r);

#endif
