/*
 * last_event - the last update that a token may see: lastEventID and ETag of a document of active
 * subscriptions.
 *
 * A document does not change but together with an update of the hub's log: what comes and goes is
 * told there. A token need not cover those updates, though, and they come a moment after the
 * change; so the tag alone does not say that a document is still the same. It is, if all changes
 * have been told, the last of them not behind the event that the tag names.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_MERCURE_LAST_EVENT_H
#define SLUICE_MERCURE_LAST_EVENT_H

#include "mercure/set.h"
#include "request.h"

struct mercure_last_event {
    char id[RECORD_ID_MAX + 1];           /* "earliest": none */
    char etag[3 * RECORD_ID_MAX + 3];     /* quoted; what a tag cannot hold is percent-encoded */
    bool settled;                         /* no document of this tag is another than now */
};

/* The last MERCURE_LOOK_BACK offsets of the log are looked at, and fewer where matching them against
 * the token takes long; where it may see none of them it is "earliest", which is never wrong. To
 * be called before the registry is read. */
#define MERCURE_LOOK_BACK 1024
MUST_CHECK enum err mercure_last_event_find(struct request *r, const struct mercure_set *rights,
                                            struct mercure_last_event *out);

/* Does the client have what it would be sent, by If-None-Match? */
bool mercure_last_event_is_known(const struct request *r, const struct mercure_last_event *e);

#endif
