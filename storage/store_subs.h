/*
 * store_subs - subscriptions: what is known of each, and of the messages it has handed out.
 *
 * A subscription stands at `next` in the log of its topic: no message from there on was
 * handed out yet. A message below it is either finished for this subscription, and then
 * nothing is kept of it, or it has a delivery: one row that says whose turn it is. So what a
 * subscription takes in the store grows with what is on its way, never with what is behind.
 *
 *   (log, from next on) --> LEASED --settled--> (no row)
 *            |               |  ^
 *            |               v  |
 *            |            WAITING --its time--> READY --> LEASED
 *            |--its key is on its way--> HELD --the one before is settled--> READY
 *            '--its time has not come--> WAITING
 *
 * A subscription names its topic, whatever life the topic is in: as offsets are never used
 * twice, it stands at the right place in a topic that was deleted and made again.
 *
 * All calls are made inside a write transaction of the store, and change what is kept in it
 * together with the messages. Changes of a sub_state are written by `save` only.
 *
 * Units: milliseconds of wall clock.
 */
#ifndef SLUICE_STORE_SUBS_H
#define SLUICE_STORE_SUBS_H

#include "base/bytes.h"
#include "base/err.h"

#define STORE_SUB_NAME_MAX 255 /* bytes */
#define STORE_SUB_BACKOFFS 8
#define STORE_SECRET_LEN   16u
#define STORE_SUB_EXTRA_MAX 1024 /* bytes of one of the extra settings */
#define STORE_SUB_EXTRA_ROOM (2 * (3 + STORE_SUB_EXTRA_MAX)) /* of all of them */

struct store;
struct store_reader;

enum sub_ordering { SUB_ORDER_NONE, SUB_ORDER_KEY };

enum delivery_state {
    DELIVERY_LEASED,  /* somebody has it, until due_ms */
    DELIVERY_WAITING, /* to be handed out, or tried again, at due_ms */
    DELIVERY_READY,   /* to be handed out again, before anything new */
    DELIVERY_HELD,    /* behind another one of its key */
    DELIVERY_STATES,
};

/* Settings that most subscriptions do not have. */
enum sub_extra { SUB_FILTER = 1, SUB_PUSH_URL, SUB_EXTRAS_END };

struct sub_settings {
    uint64_t lease_ms;
    uint32_t max_deliveries; /* 0: no limit */
    uint32_t max_in_flight;  /* leased at once */
    uint32_t backoff_ms[STORE_SUB_BACKOFFS];
    uint8_t backoffs; /* of them are set */
    uint8_t ordering; /* enum sub_ordering */
    uint8_t topic_len, dead_letter_len; /* dead_letter_len 0: none */
    uint16_t extra_len;
    char topic[256], dead_letter[256];
    uint8_t extra[STORE_SUB_EXTRA_ROOM]; /* by sub_extra and sub_extra_set only */
};

/* Empty: it is not set. Valid until the settings are changed. */
struct bytes sub_extra(const struct sub_settings *s, enum sub_extra which);
/* Empty: as if it had never been set. `value` must not be in *s. False: too long, and nothing
 * is changed. */
MUST_CHECK bool sub_extra_set(struct sub_settings *s, enum sub_extra which,
                              struct bytes value);
/* Of both the same are set, to the same. */
bool sub_extras_equal(const struct sub_settings *a, const struct sub_settings *b);

struct sub_counters { /* messages, since the subscription was made */
    uint64_t delivered;   /* handed out, each time counted */
    uint64_t redelivered; /* of these, not for the first time */
    uint64_t acked;
    uint64_t dead;    /* given up: rejected, or tried too often */
    uint64_t expired; /* gone from the log after they had been handed out */
};

struct sub_state {
    uint64_t id; /* of its deliveries; another one after each renew */
    int64_t created_ms;
    uint64_t next; /* offset */
    struct sub_counters counters;
    uint64_t in[DELIVERY_STATES]; /* deliveries by state; the store's to count */
    struct sub_settings settings;
    char name[STORE_SUB_NAME_MAX + 1];
    uint8_t name_len;
};

struct delivery {
    uint64_t offset;
    enum delivery_state state;
    uint32_t deliveries; /* times it was handed out */
    int64_t due_ms;      /* when its state is over, or another time to look at it; 0: not by time */
    int64_t expires_ms;  /* the message's; 0: never */
    uint64_t key;        /* a hash of the message's; 0: no order to keep */
    uint8_t dying;       /* not 0: WAITING to be given up, for this reason (at most 15) */
    bool tied;           /* LEASED, for as long as a connection of this process stays */
};

struct store_due { /* a delivery whose state is over */
    uint64_t sub_id, offset;
    int64_t due_ms;
};

/* Returns false to stop the listing. */
typedef bool (*store_sub_fn)(void *arg, const struct sub_state *s);

struct store_subs_ops {
    /* ERR_NOT_FOUND. `name` must not be in *out. */
    enum err (*find)(struct store *s, struct bytes name, struct sub_state *out);
    enum err (*find_id)(struct store *s, uint64_t id, struct sub_state *out);
    /* Sets sub->id. ERR_EXISTS; ERR_BAD_INPUT: not a name. */
    enum err (*create)(struct store *s, struct sub_state *sub);
    enum err (*save)(struct store *s, const struct sub_state *sub);
    /* Forgets all deliveries, whose space comes back through trash_step: sub->id is another
     * one then. To be saved. */
    enum err (*renew)(struct store *s, struct sub_state *sub);
    enum err (*remove)(struct store *s, const struct sub_state *sub);
    enum err (*count)(struct store *s, uint64_t *count);

    /* ERR_NOT_FOUND: nothing is kept of this message. */
    enum err (*delivery_find)(struct store *s, const struct sub_state *sub,
                              uint64_t offset, struct delivery *out);
    /* `before` is what it was, as found; NULL: there was none. Counts in sub->in. */
    enum err (*delivery_put)(struct store *s, struct sub_state *sub,
                             const struct delivery *before, const struct delivery *d);
    enum err (*delivery_drop)(struct store *s, struct sub_state *sub,
                              const struct delivery *d);
    /* The lowest offset that is READY; the lowest of a key, whatever its state.
     * ERR_NOT_FOUND. */
    enum err (*first_ready)(struct store *s, const struct sub_state *sub,
                            uint64_t *offset);
    enum err (*first_of_key)(struct store *s, const struct sub_state *sub, uint64_t key,
                             uint64_t *offset);
    /* Of all subscriptions: the delivery that is due first, if that is by `now_ms`; else
     * ERR_NOT_FOUND, and out->due_ms says when, 0: never. */
    enum err (*first_due)(struct store *s, int64_t now_ms, struct store_due *out);
    /* Of all subscriptions: one that is tied, in *out, for find_id. ERR_NOT_FOUND. */
    enum err (*first_tied)(struct store *s, struct store_due *out);
    /* Takes out a due row, or what leads to one that is tied, whose subscription is not there
     * any more. */
    enum err (*drop_due)(struct store *s, const struct store_due *due);

    /* Random, and the same as long as the store lives. Any thread. */
    void (*secret)(struct store *s, uint8_t out[STORE_SECRET_LEN]);

    /* ---- read side, under a snapshot ---- */
    enum err (*read)(struct store_reader *r, struct bytes name, struct sub_state *out);
    /* In the order of their names: those that start with `prefix` and come after `after`. */
    enum err (*list)(struct store_reader *r, struct bytes prefix, struct bytes after,
                     store_sub_fn fn, void *arg);
    /* The lowest offset that is not settled. ERR_NOT_FOUND: nothing is on its way. */
    enum err (*read_oldest)(struct store_reader *r, const struct sub_state *sub,
                            uint64_t *offset);
    /* The lowest that is READY. ERR_NOT_FOUND. */
    enum err (*read_ready)(struct store_reader *r, const struct sub_state *sub,
                           uint64_t *offset);
};

#endif
