/*
 * set - what a hub's subscribers want: selectors and sets of them, each kept once for all the
 * subscribers of a loop who want the same.
 *
 * An update is held against each distinct selector once, and tells which sets want it. A
 * topic that is named in full is found by its hash; templates are tried one by one, so one
 * template that ten thousand subscribers share is tried once.
 *
 * Memory:   each selector and each set is paid from the read ledger while it is there, and all
 *           of a loop's together take at most their share of it (mercure_sets_init).
 * Threads:  the loop that owns them.
 */
#ifndef SLUICE_MERCURE_SET_H
#define SLUICE_MERCURE_SET_H

#include "ledger.h"
#include "loop.h"
#include "mercure/selector.h"
#include "mercure/update.h"

#define MERCURE_SELECTOR_BUCKETS 2048u
#define MERCURE_SET_BUCKETS      1024u

struct mercure_node; /* a selector, in set.c */
struct mercure_set;

struct mercure_use { /* a set is among those that want what a selector matches */
    struct mercure_set *set;
    struct mercure_use *prev, *next;
};

struct mercure_sets {
    struct ledger *ledger;
    size_t most, bytes; /* that they may take, and do */
    uint8_t secret[16];
    uint64_t updates; /* that were matched */
    uint64_t opened;  /* sets */
    uint64_t work;    /* that matching took: 1 for a selector and a topic, and for 64 steps */
    int64_t complained_ms; /* when it was logged that they are full (subscribe.c) */
    struct mercure_node *templates;
    struct mercure_node *selectors[MERCURE_SELECTOR_BUCKETS];
    struct mercure_set *sets[MERCURE_SET_BUCKETS];
};

struct mercure_set {
    struct mercure_sets *all;
    struct mercure_set *next_in_bucket;
    unsigned users;
    uint64_t number; /* no other set of this loop has had it */
    struct grant paid;
    uint64_t judged; /* the last update that it was asked about */
    /* The hub's. */
    struct request_list streams; /* its subscribers, while they are not due */
    bool in_line;                /* one of them stands in the read ledger's line */
    uint64_t slice, hits;        /* the events of this slice that are for it */
    struct mercure_set *next_hit;
    /* Its selectors: of topics, then those of the token, which private updates need. */
    uint16_t topics, claims;
    struct mercure_use *uses;     /* one for each topic */
    struct mercure_node *nodes[]; /* sorted in both parts, none twice */
};

struct mercure_wish { /* what a subscriber asks for; lent for the call */
    const struct bytes *topics, *exact, *claims; /* exact: never a template */
    unsigned topic_count, exact_count, claim_count;
};

void mercure_sets_init(struct mercure_sets *t, struct ledger *ledger, size_t most,
                       const uint8_t secret[16]);

/* Bytes of all templates of a wish, among the topics or among the claims. What an update costs a
 * loop grows with them, and a subscriber need not even have a token. */
#define MERCURE_TEMPLATES_MAX 8192u

/* ERR_BUSY: there is no room for it. ERR_TOO_BIG: more than MERCURE_TEMPLATES_MAX. ERR_NO_MEMORY.
 * *out is to be left. */
MUST_CHECK enum err mercure_sets_join(struct mercure_sets *t, const struct mercure_wish *wish,
                                      struct mercure_set **out);
/* NULL is fine. */
void mercure_set_leave(struct mercure_set *s);

/* Calls `hit` once for each set that wants this update, and may have it. */
void mercure_sets_match(struct mercure_sets *t, const struct mercure_update *u,
                        void (*hit)(void *arg, struct mercure_set *s), void *arg);

/* Does this one, and may it? */
bool mercure_set_wants(const struct mercure_set *s, const struct mercure_update *u);

/* May it, by its token? For an update that one of its topics need not match. */
bool mercure_set_may_see(const struct mercure_set *s, const struct mercure_update *u);

/* The selector of its topic `i`, below s->topics. */
struct bytes mercure_set_topic(const struct mercure_set *s, unsigned i);

#endif
