/*
 * listing - a page of a list as JSON: {"topics":[...],"next":"..."}.
 *
 *   if (listing_begin(r, &l, "topics", most)) {
 *       e = ...for each: listing_item(&l), then write it to l.out; or l.more = true, and stop
 *       listing_end(r, &l, e, name of the last);
 *   }
 *
 * Memory:   reserved in the read ledger before it is written; lists do not stand in line.
 * Owner:    what listing_begin took is given back by listing_end.
 * Threads:  the request's loop.
 */
#ifndef SLUICE_LISTING_H
#define SLUICE_LISTING_H

#include "request.h"

struct listing {
    struct out out;
    struct grant grant;
    uint64_t count; /* items so far */
    bool more;      /* there are others behind the last */
};

/* For a text of `most` bytes. False: there is no room, and r has its answer. */
MUST_CHECK bool listing_begin(struct request *r, struct listing *l, const char *member,
                              size_t most);

void listing_item(struct listing *l);

/* Answers: with the page, or with what `e` means. `last` is where the next page begins. */
void listing_end(struct request *r, struct listing *l, enum err e, struct bytes last);

#endif
