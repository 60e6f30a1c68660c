/*
 * quota - what a topic may hold: bytes, messages, and how old the oldest of them may be.
 *
 * A publish that does not fit is refused whole, or makes place by dropping the oldest
 * messages of its topic, as the topic's `overflow` says.
 *
 * Units:    bytes of message bodies; messages; milliseconds of wall clock.
 * Threads:  the writer, inside a job's run.
 */
#ifndef SLUICE_QUOTA_H
#define SLUICE_QUOTA_H

#include "writer.h"

enum quota_limit { QUOTA_NONE, QUOTA_BYTES, QUOTA_MESSAGES, QUOTA_AGE };

struct quota_need { /* what a publish brings */
    uint64_t bytes, messages;
};

struct quota_refusal { /* the first limit that it would pass */
    enum quota_limit limit;
    uint64_t value; /* the limit */
    bool never;     /* it would pass it in an empty topic, too */
    enum store_overflow overflow;
};

/* ERR_OK: it fits, now at least. ERR_FULL: *why, and nothing was changed. ERR_BUSY: some
 * was dropped, and the next turn has to go on. Else the turn is spoilt. */
MUST_CHECK enum err quota_admit(struct turn *t, struct store_topic *topic,
                                const struct quota_need *need,
                                struct quota_refusal *why);

#endif
