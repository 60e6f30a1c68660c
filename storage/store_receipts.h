/*
 * store_receipts - what was answered to who published under a key of its own.
 *
 * A receipt is kept with the messages it is about, in their transaction, until its time is
 * over, whatever becomes of them: so a publish that is sent again under the same key can be
 * given the same answer, and stores nothing. Keys are a topic's own; those of a topic that is
 * deleted and made again are forgotten, and their receipts go when their time is over.
 *
 * Units: milliseconds of wall clock.
 */
#ifndef SLUICE_STORE_RECEIPTS_H
#define SLUICE_STORE_RECEIPTS_H

#include "base/bytes.h"
#include "base/err.h"

#define STORE_RECEIPT_KEY_MAX 255 /* bytes */
#define STORE_PRINT_LEN       16u

struct store;
struct store_reader;
struct store_topic;

struct receipt {
    uint64_t first_offset;
    uint64_t count;              /* messages */
    int64_t time_ms, expires_ms; /* of the last one; 0: never */
    uint64_t ttl_ms;             /* that was in force for it; the user's to interpret */
    int64_t until_ms;            /* kept until then */
    uint8_t print[STORE_PRINT_LEN]; /* of what was published */
};

struct store_receipts_ops {
    /* ---- write side; `key` has 1 to STORE_RECEIPT_KEY_MAX bytes, or ERR_BAD_INPUT ---- */

    /* ERR_NOT_FOUND. Those whose time is over are given too. */
    enum err (*find)(struct store *s, const struct store_topic *t, struct bytes key,
                     struct receipt *out);
    /* In place of an older one under this key. */
    enum err (*put)(struct store *s, const struct store_topic *t, struct bytes key,
                    const struct receipt *r);
    /* Of all topics. */
    enum err (*count)(struct store *s, uint64_t *count);
    /* Takes out up to `max` whose time is over at `now_ms`, of any topic: *gone. Each may
     * change a page that no other one is on. */
    enum err (*expire_step)(struct store *s, int64_t now_ms, unsigned max, unsigned *gone);

    /* ---- read side, under a snapshot ---- */
    enum err (*read)(struct store_reader *r, uint64_t topic_id, struct bytes key,
                     struct receipt *out);
};

#endif
