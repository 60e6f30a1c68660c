/*
 * consume - hands a topic's messages out one by one to the consumers of a subscription: a
 * job for the writer, which moves the subscription's cursor behind the message it gives.
 *
 * So a message goes to exactly one consumer of a subscription, and at most once: whoever got
 * it and could not pass it on has lost it. Hence a message is given only when the room for its
 * answer is there already, beside that for the job.
 *
 * Threads:  made, submitted and freed on an HTTP loop; run on the writer in between.
 */
#ifndef SLUICE_CONSUME_H
#define SLUICE_CONSUME_H

#include "ledger.h"
#include "writer.h"

enum consume_kind { CONSUME_TAKE, CONSUME_DELETE };

struct consume {
    struct job job; /* first */
    enum consume_kind kind;
    char topic[STORE_TOPIC_NAME_MAX];
    uint16_t topic_len;
    char name[STORE_CURSOR_NAME_MAX]; /* of the subscription */
    uint16_t name_len;
    bool earliest; /* where a new subscription starts; else behind the newest message */
    uint64_t max_cursors; /* in the whole store */
    size_t (*room)(const struct record *r); /* what an answer with it needs */

    /* The outcome: ERR_OK, ERR_NOT_FOUND (no topic, or no subscription to delete), or the
     * store's. `full`, ERR_FULL: as many subscriptions as there may be. */
    enum err outcome;
    bool full;
    bool taken;      /* the message at `offset` is the submitter's */
    uint64_t offset;
    bool small;      /* a message is there, but the grant is too small for it: not taken */
};

/* What a job takes by itself, until it is freed; the rest of its grant is for the answer. */
#define CONSUME_COST (sizeof(struct consume) + 64)

void consume_submit(struct writer *w, struct consume *c);

#endif
