/*
 * rate - how fast messages may come in: token buckets, in messages and in bytes, for the
 * whole broker, for each topic and for each caller.
 *
 * A request is admitted when every bucket that concerns it has tokens left, and then takes
 * its whole cost, also when that is more than is left: a bucket may go into debt, and
 * nobody is admitted until time has paid it. So a message or a batch of any size passes,
 * and the average stays true. What is known only later (the bytes of a body of unknown
 * length, the messages of a batch) is taken then, and never refused.
 *
 * Topics and callers are found by keys: opaque bytes, kept as a hash under a secret of
 * this process. Their buckets live in two tables of a fixed size; a bucket that is full
 * again is forgotten without error when its place is needed. Debts are never forgotten:
 * where all places that a newcomer may have are taken by buckets that are not full, it
 * shares the fullest of them. A crowd of names or addresses can thus make limits stricter
 * for some, for as long as it goes on paying tokens for every place, but moves no memory
 * and buys nobody anything.
 *
 * Units:    messages, bytes, each per second; times are monotonic microseconds.
 * Threads:  any; a short lock, which nobody takes while no limit is on.
 */
#ifndef SLUICE_RATE_H
#define SLUICE_RATE_H

#include "base/bytes.h"
#include "base/err.h"

enum rate_scope { RATE_BROKER, RATE_TOPIC, RATE_CALLER, RATE_SCOPES };
enum rate_unit { RATE_MESSAGES, RATE_BYTES, RATE_UNITS };

struct rate;

struct rate_limits {
    uint64_t per_s[RATE_SCOPES][RATE_UNITS]; /* 0: no limit */
    int64_t burst_us; /* a full bucket holds what comes in this time; above 0 */
};

/* A request's passage. All zero: it has not asked yet. Copied by assignment, but only one
 * copy may give back. */
struct rate_ticket {
    struct rate *from;
    uint64_t topic, caller; /* keys, hashed; 0: no limit was on */
    uint64_t taken[RATE_UNITS];
    bool spent; /* what was taken stays taken */
};

#define RATE_NONE UINT64_MAX /* a topic's own: no limit */

struct rate_refusal { /* the limit that makes the request wait longest */
    enum rate_scope scope;
    enum rate_unit unit;
    bool own; /* the topic's own limit */
    uint64_t per_s;
    uint64_t retry_s; /* then the same is admitted, if nobody else takes the tokens */
};

struct rate_bucket { /* for people to look at */
    uint64_t per_s; /* 0: no limit */
    uint64_t left;  /* whole tokens */
    uint64_t wait_s; /* until it is full again, or, without a token, until it has one */
};

/* Bytes of both tables that go with this memory_limit: a 256th, 64 KiB to 4 MiB. */
size_t rate_table_bytes(uint64_t memory_limit_bytes);

/* The tables' pages are touched only as topics and callers are limited. NULL: no memory. */
struct rate *rate_new(size_t table_bytes);
void rate_free(struct rate *r);

/* What a bucket owes stays what it is in messages and bytes: a higher limit pays it sooner. One
 * that owes nothing stays as full as it was, in parts of the whole: no change makes a debt. */
void rate_set(struct rate *r, const struct rate_limits *limits, int64_t now_us);

/* A topic's own limits, each in place of the broker's for topics; 0: the broker's. They are
 * told anew with every publish, so they may be forgotten: after a restart, or when their
 * place is needed, one publish passes before they hold. NULL for `r` is fine. */
void rate_learn(struct rate *r, struct bytes topic, const uint64_t own[RATE_UNITS],
                int64_t now_us);

/* False: no limit anywhere, there is nothing to show. */
bool rate_on(const struct rate *r);

/* Asks for `cost` of each unit (what is known of it) and takes it. ERR_BUSY: nothing was
 * taken, and *why says why not. */
MUST_CHECK enum err rate_admit(struct rate *r, struct rate_ticket *t, struct bytes topic,
                               struct bytes caller, const uint64_t cost[RATE_UNITS],
                               int64_t now_us, struct rate_refusal *why);

/* More than was known; never refused. */
void rate_take(struct rate_ticket *t, enum rate_unit unit, uint64_t n, int64_t now_us);

/* The request goes on: what was taken is not given back any more. */
void rate_spend(struct rate_ticket *t);

/* It was refused for another reason before anything of it was read: gives back what it
 * took. Harmless for a ticket that took nothing or is spent. */
void rate_give_back(struct rate_ticket *t);

/* The buckets that concern a ticket's holder. */
void rate_look(const struct rate_ticket *t, int64_t now_us,
               struct rate_bucket out[RATE_SCOPES][RATE_UNITS]);

/* Requests refused since the start. */
uint64_t rate_refused(struct rate *r, enum rate_scope scope);

#endif
