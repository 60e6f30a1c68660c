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

#include "mercure/update.h"
#include "publish_door.h"
#include "router.h"

/* route.take: the hub's URL names no topic, its log is that of the setting mercure_topic. */
void mercure_take_topic(struct request *r, const struct route *route,
                        const struct route_names *names);

/* Names the update in p, in memory of its own, as a message of the hub's log: all but its data.
 * ERR_NO_MEMORY. */
MUST_CHECK enum err mercure_publish_name(struct publish *p, const struct config *c,
                                         const struct mercure_update *u);

void mercure_publish_start(struct request *r);
void mercure_publish_finish(struct request *r);

#endif
