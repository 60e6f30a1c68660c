/*
 * receive_find - is there a message for a consumer of a subscription?
 *
 * What a filter lets through is looked for here, ahead of the writer, and nothing is written
 * for a message that is not wanted: a request remembers how far it has looked, and tells the
 * writer when that is far, or when it goes there for a message. All requests of a loop together
 * look for a few milliseconds in a turn; after that, each in small steps.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_RECEIVE_FIND_H
#define SLUICE_RECEIVE_FIND_H

#include "request.h"

struct receive_prospect { /* what may be leased now */
    size_t room;    /* what an answer needs for the first */
    uint64_t open;  /* messages, at most; */
    uint64_t share; /* so many are worth waking somebody for */
    bool pass;      /* none as far as was looked: the subscription is to move on to
                     * r->read.scan.seen, and the request to look again then */
};

/* Under the snapshot of the subscription. ERR_NOT_FOUND: nothing now, or `pass`. `last`: what
 * came after the request did is not waited for. */
MUST_CHECK enum err receive_find(struct request *r, const struct sub_state *sub, bool last,
                                 struct receive_prospect *out);

#endif
