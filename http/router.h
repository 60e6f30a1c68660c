/*
 * router - method and path to handler, from one table.
 *
 * Paths are taken apart by url.h: split before they are decoded, so that a topic name may
 * contain %2F.
 *
 * Threads:  the table is constant; router_match: the request's loop.
 */
#ifndef SLUICE_ROUTER_H
#define SLUICE_ROUTER_H

#include "request.h"

#define ROUTE_NAMES 4

struct route_names { /* what the path's {...} stand for, still encoded */
    struct bytes name[ROUTE_NAMES];
    size_t count;
};

struct route {
    const char *method;
    const char *path; /* "/v1/topics/{t}/messages/{n}"; {t}: a topic or prefix, {n}: an offset */
    const char *verb; /* "batch" for messages:batch, or NULL */

    /* Headers are there, the body is not. May refuse with a reply, and says what body it
     * wants. NULL: nothing to check, no body wanted. */
    void (*start)(struct request *r);
    /* The body is complete. Gives a reply, holds, or parks. */
    void (*finish)(struct request *r);
    /* A parked reader's topic may have news; `last`: answer now whatever there is. False:
     * go on waiting. */
    bool (*look)(struct request *r, bool last);

    /* A dialect's own naming: sets r->topic, or refuses with a reply. In such paths a
     * colon is part of a name, never a verb's. NULL: {t} and {n} as above. */
    void (*take)(struct request *r, const struct route *route,
                 const struct route_names *names);
    /* NULL: the native one. All paths that begin with the same segment share theirs. */
    const struct dialect *dialect;
    /* False: by its settings the broker has no such route. NULL: it always has. */
    bool (*is_on)(const struct config *c);
    /* One that looked and found something ends in the line for its answer's room, without what
     * it found: somebody else may have it. NULL: it was not for one alone. */
    void (*missed)(struct request *r);
};

extern const struct route routes[]; /* ends with method NULL */

/* Sets r->route, r->dialect, r->topic, r->offset; or gives the reply (404, 405, OPTIONS, a bad topic
 * name). */
void router_match(struct request *r, const char *method, const char *url);

#endif
