/*
 * cacheable - what any HTTP cache may keep of a log that only grows at its end.
 *
 * Messages never change and offsets are never used twice: what lies between two offsets only
 * ever loses messages. So the life of the topic, the two offsets and the number of messages
 * between them name the messages exactly, and that is the tag. Fresh is an answer until the
 * first of its messages expires, and CACHEABLE_MOST_S at most: a purge, a delete or a quota
 * takes messages out sooner than anybody could foresee, and is heard of when a cache asks
 * again, which costs no body.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_CACHEABLE_H
#define SLUICE_CACHEABLE_H

#include "request.h"

#define CACHEABLE_MOST_S 60
#define CACHEABLE_NEVER INT64_MAX /* no message of it expires */

struct cacheable {
    char tag[120]; /* with its quotes */
    /* The same messages, but not the same bytes: the answer also says how far the log is, or
     * has a boundary of its own. */
    bool weak;
    bool by_accept;     /* another Accept, another form */
    int64_t expires_ms; /* wall clock, of the first message that does */
};

/* The messages at offsets from `first` to before `next`; `count` are there. */
void cacheable_tag(struct cacheable *c, const struct topic_state *t, char form,
                   uint64_t first, uint64_t next, uint64_t count);

/* One more of its messages. c->expires_ms is CACHEABLE_NEVER to begin with. */
void cacheable_see(struct cacheable *c, const struct record *m);

/* True: the client has this, and is told so (304). */
bool cacheable_known(struct request *r, const struct cacheable *c);

/* ETag, Cache-Control and Vary of the answer that is given. */
void cacheable_headers(struct request *r, const struct cacheable *c);

/* Of an answer that the next message changes. */
void cacheable_not(struct request *r);

#endif
