/*
 * collection - a list of active subscriptions on its way out, a piece at a time.
 *
 * Memory:   one piece, paid from the read ledger, however long the list is.
 * Threads:  the request's loop.
 */
#ifndef SLUICE_MERCURE_COLLECTION_H
#define SLUICE_MERCURE_COLLECTION_H

#include "mercure/last_event.h"

#define MERCURE_SUBSCRIPTIONS_TYPE "application/ld+json"

/* `topic` NULL: all. `url` is the document's id. */
void mercure_collection_reply(struct request *r, struct bytes url, const struct bytes *topic,
                              const struct mercure_last_event *last);

#endif
