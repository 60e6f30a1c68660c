/*
 * quota - what topics and namespaces may hold: bytes, messages, how old the oldest of them
 * may be, and how many topics there may be.
 *
 * A publish that does not fit is refused whole, or makes place by dropping the oldest
 * messages of its own topic, as the topic's `overflow` says. Where a namespace is full, a
 * topic that drops its oldest does so for the namespace's sake, too, if that is enough; it
 * never touches another topic.
 *
 * Units:    bytes of message bodies; messages; milliseconds of wall clock.
 * Threads:  the writer, inside a job's run.
 */
#ifndef SLUICE_QUOTA_H
#define SLUICE_QUOTA_H

#include "writer.h"

enum quota_limit { QUOTA_NONE, QUOTA_BYTES, QUOTA_MESSAGES, QUOTA_AGE, QUOTA_TOPICS };

struct quota_need { /* what a publish brings */
    uint64_t bytes, messages;
};

struct quota_refusal { /* the first limit that it would pass */
    enum quota_limit limit;
    uint64_t value;      /* the limit */
    uint16_t prefix_len; /* not 0: of the namespace with so much of the topic's name */
    bool never;          /* more than the limit by itself */
    enum store_overflow overflow;
};

/* ERR_OK: it fits, now at least. ERR_FULL: *why, and nothing was changed. ERR_BUSY: some
 * was dropped, and the next turn has to go on. Else the turn is spoilt. */
MUST_CHECK enum err quota_admit(struct turn *t, struct store_topic *topic,
                                const struct quota_need *need,
                                struct quota_refusal *why);

/* May a topic of this name be made, for a publish of this size? ERR_OK, or ERR_FULL. */
MUST_CHECK enum err quota_new_topic(struct turn *t, struct bytes name,
                                    const struct quota_need *need,
                                    struct quota_refusal *why);

/* The topic's own ttl, or else that of the narrowest namespace that has one; 0: none. */
uint64_t quota_ttl(struct turn *t, struct store_topic *topic);
/* The same for a topic of this name that is not there yet. */
uint64_t quota_new_topic_ttl(struct turn *t, struct bytes name);

#endif
