/*
 * update - a Mercure update: the record that it is in the hub's log, and its event.
 *
 * The hub keeps its history in one topic, an update being a record with
 *
 *   id              the event's id
 *   key             the canonical topic
 *   content_type    MERCURE_CONTENT_TYPE
 *   body            the data
 *   attributes      mercure-alternates: the other topics, joined by LF, which no topic holds;
 *                   mercure-type; mercure-retry: milliseconds; mercure-private: 1.
 *                   Each only where the update has it.
 *
 * Pure but for the growth of an out. Threads: any.
 */
#ifndef SLUICE_MERCURE_UPDATE_H
#define SLUICE_MERCURE_UPDATE_H

#include "out.h"
#include "record.h"

#define MERCURE_CONTENT_TYPE "text/plain; charset=utf-8"

#define MERCURE_MOST_TOPICS 1000 /* of one update */

struct mercure_update { /* views, into a record or into what a publisher sent */
    struct bytes id;
    struct bytes topic;      /* the canonical one */
    struct bytes alternates; /* joined by LF; empty: none */
    struct bytes type;       /* empty: none */
    struct bytes data;       /* UTF-8 */
    uint64_t retry;          /* milliseconds; 0: not said */
    bool is_private;
};

/* ERR_NOT_FOUND: a record, but no update (it has no id, or no key, or its body is not here). The
 * views live as long as the record's. */
MUST_CHECK enum err mercure_update_of(const struct record *r, struct mercure_update *u);

/*
 * Its topics, the canonical one first:
 *
 *   struct mercure_topics at = mercure_topics(u);
 *   while (mercure_topics_next(&at, &topic))
 *       ...
 */
struct mercure_topics {
    struct bytes next, rest;
};

struct mercure_topics mercure_topics(const struct mercure_update *u);
bool mercure_topics_next(struct mercure_topics *at, struct bytes *topic);

/* Its attributes as a packed run (packed.h), as a struct publish takes them: how many bytes
 * that is, at most MERCURE_ATTRIBUTES_FRAME beside the texts; and writes them. */
#define MERCURE_ATTRIBUTES_FRAME 128u
size_t mercure_update_attributes_len(const struct mercure_update *u);
size_t mercure_update_attributes_put(const struct mercure_update *u, uint8_t *out);

/* The event, in a chunk of its own (sse_event.h); and how many bytes it will write at most. */
void mercure_put_event(struct out *o, const struct mercure_update *u);
size_t mercure_event_most(const struct mercure_update *u);

#endif
