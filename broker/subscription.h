/*
 * subscription - make, change, seek or delete a subscription: one job for the writer.
 *
 * Threads:  made, submitted and freed on an HTTP loop; run on the writer in between.
 */
#ifndef SLUICE_SUBSCRIPTION_H
#define SLUICE_SUBSCRIPTION_H

#include "quota.h"
#include "ties.h"
#include "writer.h"

/* Deliveries that are set aside: held behind others of their key, or waiting for their time,
 * be it a message's own or because it is to be tried again. They lie on disk, and there they
 * take about 150 bytes each. With so many of them nothing new is handed out until some go. */
#define SUBSCRIPTION_HELD_MAX 100000u

enum subscription_kind {
    SUBSCRIPTION_PUT,
    SUBSCRIPTION_PATCH,
    SUBSCRIPTION_SEEK,
    SUBSCRIPTION_DELETE,
};

enum subscription_set { /* settings that were given */
    SUBSCRIPTION_SET_TOPIC = 1 << 0,
    SUBSCRIPTION_SET_START = 1 << 1,
    SUBSCRIPTION_SET_LEASE = 1 << 2,
    SUBSCRIPTION_SET_MAX_DELIVERIES = 1 << 3,
    SUBSCRIPTION_SET_BACKOFF = 1 << 4,
    SUBSCRIPTION_SET_DEAD_LETTER = 1 << 5,
    SUBSCRIPTION_SET_ORDERING = 1 << 6,
    SUBSCRIPTION_SET_MAX_IN_FLIGHT = 1 << 7,
    SUBSCRIPTION_SET_FILTER = 1 << 8,
    SUBSCRIPTION_SET_PUSH = 1 << 9,
};

enum subscription_start { START_EARLIEST, START_LATEST, START_OFFSET };

struct subscription_change {
    struct job job; /* first */
    enum subscription_kind kind;
    enum subscription_start start; /* PUT of a new one, and SEEK */
    uint64_t offset;               /* START_OFFSET; the log's end if it is beyond */
    bool auto_create;              /* PUT: its topic may be made */
    uint64_t max_subscriptions;    /* PUT: so many there may be; 0: any number */
    struct ties *ties;             /* told of leases that are void; NULL: nobody asks */
    unsigned set;                  /* PATCH: enum subscription_set; the others stay */

    /* Runs on the writer when the outcome is known, whether the submitter is there or not;
     * NULL: nobody else wants to know. */
    void (*after)(void *word);
    void *word;

    /* In: name, and for PUT and PATCH its settings. Out: as it is after the change. */
    struct sub_state sub;

    /* ERR_OK; ERR_NOT_FOUND: no such subscription, or a topic is not there; ERR_EXISTS: with
     * other settings, or of a topic or ordering that PATCH cannot change; ERR_BAD_INPUT: PATCH
     * would make its topic its dead letter topic; ERR_FULL: `quota` if its limit is set, `full`: as
     * many subscriptions as there may be; or the store's. */
    enum err outcome;
    bool created, full;
    bool no_topic, no_dead_letter; /* ERR_NOT_FOUND: that topic is meant */
    struct quota_refusal quota;
};

void subscription_submit(struct writer *w, struct subscription_change *c);

static inline uint64_t subscription_set_aside(const struct sub_state *sub)
{
    return sub->in[DELIVERY_HELD] + sub->in[DELIVERY_WAITING];
}

/* May it hand out another message now, if there is one? `fresh`: one that was not handed
 * out before. Any thread. */
bool subscription_may_give(const struct sub_state *sub, bool fresh);

/* Stands for the subscription as it has been since its last seek, with this filter: nothing
 * else has this number. Never 0. Any thread. */
uint64_t subscription_mark(const struct store_ops *ops, struct store *store,
                           const struct sub_state *sub);

static inline struct bytes subscription_topic(const struct sub_state *sub)
{
    return bytes_of(sub->settings.topic, sub->settings.topic_len);
}

static inline struct bytes subscription_dead_letter(const struct sub_state *sub)
{
    return bytes_of(sub->settings.dead_letter, sub->settings.dead_letter_len);
}

#endif
