/*
 * fetch - the read path: where a reader starts, and the messages from there on.
 *
 * Everything happens under one short snapshot, opened by fetch_begin and closed by
 * fetch_end: never across a socket wait. Messages past their time are skipped, exactly.
 *
 * Threads:  one fetch per HTTP loop, used by that loop only.
 */
#ifndef SLUICE_FETCH_H
#define SLUICE_FETCH_H

#include "filter.h"
#include "store.h"

enum fetch_from_kind {
    FETCH_EARLIEST,
    FETCH_LATEST, /* only what comes after now */
    FETCH_OFFSET, /* value: the offset */
    FETCH_LAST,   /* value: the last so many messages */
    FETCH_TIME,   /* value: accepted at or after this wall time in ms */
};

struct fetch_from {
    enum fetch_from_kind kind;
    uint64_t value;
};

struct fetch {
    const struct store_ops *ops;
    struct store_reader *reader;
    /* Of the open snapshot. */
    struct topic_state topic;
    int64_t now_ms;
    bool open;
    bool positioned; /* read_next goes on; else read_seek is due */
};

MUST_CHECK enum err fetch_open(struct fetch *f, const struct store_ops *ops,
                               struct store *store);
void fetch_close(struct fetch *f);

/* ERR_OK: the snapshot is open. ERR_NOT_FOUND: no such topic; nothing is open. */
MUST_CHECK enum err fetch_begin(struct fetch *f, struct bytes topic);
/* The same by the name of a subscription: *sub, and its topic, whose id is 0 if it is not
 * there. ERR_NOT_FOUND: no such subscription. */
MUST_CHECK enum err fetch_begin_subscription(struct fetch *f, struct bytes name,
                                             struct sub_state *sub);
/* Without a topic, for lists. */
MUST_CHECK enum err fetch_begin_snapshot(struct fetch *f);
void fetch_end(struct fetch *f); /* harmless when nothing is open */

/* A newer snapshot instead of the open one; all views are void. ERR_NOT_FOUND: the topic is
 * gone, or is another one of the same name; nothing is open. */
MUST_CHECK enum err fetch_renew(struct fetch *f);

/* Turns `from` into an offset. */
MUST_CHECK enum err fetch_resolve(struct fetch *f, struct fetch_from from, uint64_t *offset);

/* The first message with this id that is left; its time may be over. ERR_NOT_FOUND: none. */
MUST_CHECK enum err fetch_find_id(struct fetch *f, struct bytes id, uint64_t *offset);

/* The first live message's offset, or the next offset when there is none. */
MUST_CHECK enum err fetch_earliest(struct fetch *f, uint64_t *offset);

/* The first live message at or after `offset`. ERR_NOT_FOUND: none yet. Consecutive calls
 * with rising offsets walk the log. Views last until fetch_end. */
MUST_CHECK enum err fetch_next(struct fetch *f, uint64_t offset, struct store_entry *out);

/* The first live message at or after *at that the filter lets through, among the next `max` in
 * the log: *at is its offset. ERR_BUSY: none of them; *at is where to go on. ERR_NOT_FOUND:
 * none to the end, where *at is. */
MUST_CHECK enum err fetch_matching(struct fetch *f, const struct filter *filter, unsigned max,
                                   uint64_t *at, struct store_entry *out);

/* Messages that a subscription has not finished: what is before it in the log, and what is
 * on its way. Those whose time is over count until they are taken out; what is leased, until
 * that ends. The snapshot of its topic must be open. O(log n). */
MUST_CHECK enum err fetch_lag(struct fetch *f, const struct sub_state *sub, uint64_t *lag);

/* Part of a large body, under a snapshot of its own: not between begin and end. */
MUST_CHECK enum err fetch_blob(struct fetch *f, uint64_t blob_id, uint64_t at, void *to,
                               size_t len, size_t *got);

#endif
