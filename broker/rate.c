/*
 * A bucket is one number: the moment at which it is full again. It has tokens left while
 * that moment is less than one burst away; taking moves it on by what the tokens take to
 * come back. So nothing needs refilling, and a bucket whose moment has passed is like one
 * that never was.
 *
 * Invariants, under the lock:
 *  1. A row is given to another key only when both its buckets are full.
 *  2. A key has one row at most, and it is in the key's own set.
 */
#include "rate.h"

#include "siphash.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#define WAYS      8 /* rows that a key may be in */
#define SECOND_NS ((int64_t)1000000000)
#define LATEST_NS ((int64_t)1000000000 * SECOND_NS) /* 31 years from now: no debt is more */

struct row {
    uint64_t key; /* 0: nobody's */
    int64_t full_ns[RATE_UNITS];
    uint64_t own[RATE_UNITS]; /* of a topic: see rate_learn */
};

struct rate {
    uint8_t secret[16]; /* set once */
    size_t sets;        /* of each table; a power of two */
    atomic_bool on;
    atomic_bool learned; /* some topic had limits of its own */

    pthread_mutex_t lock;
    struct rate_limits limits;
    int64_t burst_ns;
    struct row whole;              /* the broker's */
    struct row *rows[RATE_SCOPES]; /* tables; none for RATE_BROKER */
    uint64_t refused[RATE_SCOPES];
};

/* ---- made and freed ---- */

size_t rate_table_bytes(uint64_t memory_limit_bytes)
{
    size_t bytes = 64 << 10;

    while (bytes < (4 << 20) && bytes * 2 <= memory_limit_bytes / 256)
        bytes *= 2;
    return bytes;
}

static size_t sets_within(size_t bytes)
{
    size_t sets = 1;

    while (2 * sets * 2 * WAYS * sizeof(struct row) <= bytes) /* twice it, two tables */
        sets *= 2;
    return sets;
}

struct rate *rate_new(size_t table_bytes)
{
    struct rate *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    pthread_mutex_init(&r->lock, NULL);
    r->sets = sets_within(table_bytes);
    r->limits.burst_us = 1;
    r->rows[RATE_TOPIC] = calloc(r->sets * WAYS, sizeof(struct row));
    r->rows[RATE_CALLER] = calloc(r->sets * WAYS, sizeof(struct row));
    if (!r->rows[RATE_TOPIC] || !r->rows[RATE_CALLER] ||
        getrandom(r->secret, sizeof r->secret, 0) != sizeof r->secret) {
        rate_free(r);
        return NULL;
    }
    return r;
}

void rate_free(struct rate *r)
{
    if (!r)
        return;
    free(r->rows[RATE_TOPIC]);
    free(r->rows[RATE_CALLER]);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- rows ---- */

static int64_t idle_ns(const struct row *row)
{
    return row->full_ns[RATE_MESSAGES] > row->full_ns[RATE_BYTES]
               ? row->full_ns[RATE_MESSAGES]
               : row->full_ns[RATE_BYTES];
}

/* What is lost with a row: nothing, a topic's own limits, a debt. */
static int64_t worth(const struct row *row, int64_t now_ns)
{
    if (idle_ns(row) > now_ns)
        return 1 + idle_ns(row) - now_ns;
    return row->own[RATE_MESSAGES] || row->own[RATE_BYTES] ? 1 : 0;
}

/* The key's row, or the one it would get: see invariant 1 for whether it may have it. */
static struct row *pick(struct rate *r, enum rate_scope scope, uint64_t key, int64_t now_ns)
{
    struct row *set, *best;

    if (scope == RATE_BROKER)
        return &r->whole;
    set = best = &r->rows[scope][(key & (r->sets - 1)) * WAYS];
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (worth(&set[i], now_ns) < worth(best, now_ns))
            best = &set[i];
    }
    return best;
}

/* The row to charge: the key's own, or one that it shares. */
static struct row *find(struct rate *r, enum rate_scope scope, uint64_t key, int64_t now_ns)
{
    struct row *row = pick(r, scope, key, now_ns);

    if (row->key != key && idle_ns(row) <= now_ns)
        *row = (struct row){ .key = key };
    return row;
}

static uint64_t hash_of(const struct rate *r, struct bytes key)
{
    uint64_t hash = siphash(r->secret, key);

    return hash ? hash : 1;
}

static uint64_t key_of(const struct rate_ticket *t, enum rate_scope scope)
{
    return scope == RATE_TOPIC ? t->topic : scope == RATE_CALLER ? t->caller : 0;
}

/* A limit that was turned on after the ticket was given does not concern it, and another's
 * row does not bring its own limits along. */
static uint64_t limit_of(const struct rate *r, const struct rate_ticket *t,
                         const struct row *row, enum rate_scope scope, enum rate_unit unit)
{
    uint64_t key = key_of(t, scope), own = row->key == key ? row->own[unit] : 0;

    if (scope != RATE_BROKER && !key)
        return 0;
    return own == RATE_NONE ? 0 : own ? own : r->limits.per_s[scope][unit];
}

/* May anything limit the ticket's holder in this scope? */
static bool concerns(const struct rate *r, const struct rate_ticket *t,
                     enum rate_scope scope)
{
    const uint64_t *per_s = r->limits.per_s[scope];

    if (scope != RATE_BROKER && !key_of(t, scope))
        return false;
    return per_s[RATE_MESSAGES] || per_s[RATE_BYTES] ||
           (scope == RATE_TOPIC && r->learned);
}

/* ---- time and tokens ---- */

static int64_t time_of(uint64_t tokens, uint64_t per_s)
{
    unsigned __int128 ns = (unsigned __int128)tokens * SECOND_NS / per_s;

    return ns > LATEST_NS ? LATEST_NS : (int64_t)ns;
}

static uint64_t tokens_of(int64_t ns, uint64_t per_s)
{
    return ns > 0 ? (uint64_t)((unsigned __int128)ns * per_s / SECOND_NS) : 0;
}

static uint64_t whole_seconds(int64_t ns)
{
    return ns > 0 ? (uint64_t)((ns + SECOND_NS - 1) / SECOND_NS) : 0;
}

static void charge(struct row *row, enum rate_unit unit, int64_t cost_ns, int64_t now_ns)
{
    int64_t *full = &row->full_ns[unit];

    if (*full < now_ns)
        *full = now_ns;
    *full += cost_ns;
    if (*full > now_ns + LATEST_NS)
        *full = now_ns + LATEST_NS;
}

/* How long until it has a token; at most 0: it has. */
static int64_t empty_ns(const struct rate *r, const struct row *row, enum rate_unit unit,
                        int64_t now_ns)
{
    return row->full_ns[unit] - now_ns - r->burst_ns + 1;
}

/* ---- limits ---- */

struct change { /* of one limit, of rate_burst, or of both; 0 per second: no limit */
    uint64_t was, is;
    int64_t burst_was_ns, burst_is_ns;
    int64_t now_ns;
};

/* What is owed beyond an empty bucket stays the same number of tokens. A bucket without debt
 * stays as full as it was, and is empty at worst: a change puts nobody into debt. */
static void rescale(int64_t *full_ns, const struct change *c)
{
    int64_t away = *full_ns - c->now_ns, debt = away - c->burst_was_ns;

    if (away <= 0 || !c->was)
        return;
    if (!c->is)
        *full_ns = 0;
    else if (debt <= 0)
        *full_ns = c->now_ns + (away < c->burst_is_ns ? away : c->burst_is_ns);
    else if (c->was == c->is)
        *full_ns = c->now_ns + c->burst_is_ns + debt;
    else
        *full_ns = c->now_ns + c->burst_is_ns + time_of(tokens_of(debt, c->was), c->is);
}

/* A row with limits of its own is concerned by a change of rate_burst only. */
static void rescale_row(struct row *row, enum rate_unit unit, const struct change *c)
{
    uint64_t own = row->own[unit];
    struct change mine = *c;

    if (own == RATE_NONE)
        return;
    if (own)
        mine.was = mine.is = own;
    rescale(&row->full_ns[unit], &mine);
}

static void change(struct rate *r, enum rate_scope scope, enum rate_unit unit,
                   struct change c)
{
    c.was = r->limits.per_s[scope][unit];
    r->limits.per_s[scope][unit] = c.is;
    if (c.was == c.is && c.burst_was_ns == c.burst_is_ns)
        return;
    if (scope == RATE_BROKER)
        rescale(&r->whole.full_ns[unit], &c);
    for (size_t i = 0; scope != RATE_BROKER && i < r->sets * WAYS; i++)
        if (r->rows[scope][i].key)
            rescale_row(&r->rows[scope][i], unit, &c);
}

void rate_set(struct rate *r, const struct rate_limits *limits, int64_t now_us)
{
    bool on = r->learned;
    struct change c = { .burst_is_ns = limits->burst_us * 1000, .now_ns = now_us * 1000 };

    assert(limits->burst_us > 0);
    pthread_mutex_lock(&r->lock);
    c.burst_was_ns = r->burst_ns;
    for (int s = 0; s < RATE_SCOPES; s++)
        for (int u = 0; u < RATE_UNITS; u++) {
            c.is = limits->per_s[s][u];
            change(r, s, u, c);
            on = on || limits->per_s[s][u];
        }
    r->limits.burst_us = limits->burst_us;
    r->burst_ns = c.burst_is_ns;
    atomic_store(&r->on, on);
    pthread_mutex_unlock(&r->lock);
}

static void set_own(struct rate *r, struct row *row, enum rate_unit unit, uint64_t own,
                    int64_t now_ns)
{
    const struct rate_ticket t = { .topic = row->key };
    struct change c = { limit_of(r, &t, row, RATE_TOPIC, unit), 0, r->burst_ns, r->burst_ns,
                        now_ns };

    row->own[unit] = own;
    c.is = limit_of(r, &t, row, RATE_TOPIC, unit);
    if (c.was != c.is)
        rescale(&row->full_ns[unit], &c);
}

void rate_learn(struct rate *r, struct bytes topic, const uint64_t own[RATE_UNITS],
                int64_t now_us)
{
    bool has = own[RATE_MESSAGES] || own[RATE_BYTES];
    uint64_t key;
    struct row *row;

    if (!r || (!has && !atomic_load_explicit(&r->learned, memory_order_relaxed)))
        return;
    key = hash_of(r, topic);
    pthread_mutex_lock(&r->lock);
    if (has)
        r->learned = r->on = true;
    row = has ? find(r, RATE_TOPIC, key, now_us * 1000)
              : pick(r, RATE_TOPIC, key, now_us * 1000);
    for (int u = 0; row->key == key && u < RATE_UNITS; u++)
        set_own(r, row, u, own[u], now_us * 1000);
    pthread_mutex_unlock(&r->lock);
}

bool rate_on(const struct rate *r)
{
    return atomic_load_explicit(&r->on, memory_order_relaxed);
}

/* ---- admission ---- */

struct ask { /* one call of rate_admit, under the lock */
    struct rate *r;
    const struct rate_ticket *t;
    struct row *rows[RATE_SCOPES];
    int64_t now_ns;
};

static uint64_t asked_limit(const struct ask *a, enum rate_scope scope, enum rate_unit unit)
{
    return a->rows[scope] ? limit_of(a->r, a->t, a->rows[scope], scope, unit) : 0;
}

static void find_rows(struct ask *a)
{
    for (int s = 0; s < RATE_SCOPES; s++)
        if (concerns(a->r, a->t, s))
            a->rows[s] = find(a->r, s, key_of(a->t, s), a->now_ns);
}

/* The longest that any bucket makes it wait; 0: not at all. */
static int64_t longest_wait(const struct ask *a, struct rate_refusal *why)
{
    int64_t longest = 0;

    for (int s = 0; s < RATE_SCOPES; s++)
        for (int u = 0; u < RATE_UNITS; u++) {
            uint64_t per_s = asked_limit(a, s, u);
            int64_t ns = per_s ? empty_ns(a->r, a->rows[s], u, a->now_ns) : 0;

            if (ns <= longest)
                continue;
            longest = ns;
            *why = (struct rate_refusal){ s, u, a->rows[s]->own[u] == per_s, per_s,
                                          whole_seconds(ns) };
        }
    return longest;
}

static void charge_all(const struct ask *a, const uint64_t cost[RATE_UNITS])
{
    for (int s = 0; s < RATE_SCOPES; s++)
        for (int u = 0; u < RATE_UNITS; u++) {
            uint64_t per_s = asked_limit(a, s, u);

            if (per_s)
                charge(a->rows[s], u, time_of(cost[u], per_s), a->now_ns);
        }
}

enum err rate_admit(struct rate *r, struct rate_ticket *t, struct bytes topic,
                    struct bytes caller, const uint64_t cost[RATE_UNITS], int64_t now_us,
                    struct rate_refusal *why)
{
    struct ask a = { .r = r, .t = t, .now_ns = now_us * 1000 };

    *t = (struct rate_ticket){ .from = r };
    if (!rate_on(r))
        return ERR_OK;
    t->topic = hash_of(r, topic);
    t->caller = hash_of(r, caller);
    pthread_mutex_lock(&r->lock);
    find_rows(&a);
    if (longest_wait(&a, why)) {
        r->refused[why->scope]++;
        pthread_mutex_unlock(&r->lock);
        return ERR_BUSY;
    }
    charge_all(&a, cost);
    pthread_mutex_unlock(&r->lock);
    for (int u = 0; u < RATE_UNITS; u++)
        t->taken[u] = cost[u];
    return ERR_OK;
}

/* ---- after admission ---- */

void rate_take(struct rate_ticket *t, enum rate_unit unit, uint64_t n, int64_t now_us)
{
    struct rate *r = t->from;

    t->taken[unit] += n;
    if (!n || !r || !rate_on(r))
        return;
    pthread_mutex_lock(&r->lock);
    for (int s = 0; s < RATE_SCOPES; s++) {
        struct row *row;
        uint64_t per_s;

        if (!concerns(r, t, s))
            continue;
        row = find(r, s, key_of(t, s), now_us * 1000);
        per_s = limit_of(r, t, row, s, unit);
        if (per_s)
            charge(row, unit, time_of(n, per_s), now_us * 1000);
    }
    pthread_mutex_unlock(&r->lock);
}

void rate_spend(struct rate_ticket *t)
{
    t->spent = true;
}

/* Only to the key's own row: who shared one must not pay another's debt. */
static void give_back_one(struct rate *r, const struct rate_ticket *t,
                          enum rate_scope scope, enum rate_unit unit)
{
    struct row *row = pick(r, scope, key_of(t, scope), 0);
    uint64_t per_s = limit_of(r, t, row, scope, unit);

    if (per_s && row->key == key_of(t, scope))
        row->full_ns[unit] -= time_of(t->taken[unit], per_s);
}

void rate_give_back(struct rate_ticket *t)
{
    struct rate *r = t->from;

    if (t->spent || !r || !t->topic)
        return;
    pthread_mutex_lock(&r->lock);
    for (int s = 0; s < RATE_SCOPES; s++)
        for (int u = 0; u < RATE_UNITS; u++)
            give_back_one(r, t, s, u);
    pthread_mutex_unlock(&r->lock);
    rate_spend(t);
}

/* ---- figures ---- */

static void look_at(struct rate *r, const struct rate_ticket *t, enum rate_scope scope,
                    int64_t now_ns, struct rate_bucket out[RATE_UNITS])
{
    const struct row *row = pick(r, scope, key_of(t, scope), now_ns), fresh = { 0 };

    if (row->key != key_of(t, scope) && idle_ns(row) <= now_ns)
        row = &fresh;
    for (int u = 0; u < RATE_UNITS; u++) {
        uint64_t per_s = limit_of(r, t, row, scope, u);
        int64_t debt = row->full_ns[u] > now_ns ? row->full_ns[u] - now_ns : 0;
        int64_t empty = empty_ns(r, row, u, now_ns);

        out[u] = (struct rate_bucket){ .per_s = per_s };
        if (!per_s)
            continue;
        out[u].left = tokens_of(r->burst_ns - debt, per_s);
        out[u].wait_s = whole_seconds(empty > 0 ? empty : debt);
    }
}

void rate_look(const struct rate_ticket *t, int64_t now_us,
               struct rate_bucket out[RATE_SCOPES][RATE_UNITS])
{
    struct rate *r = t->from;

    pthread_mutex_lock(&r->lock);
    for (int s = 0; s < RATE_SCOPES; s++)
        look_at(r, t, s, now_us * 1000, out[s]);
    pthread_mutex_unlock(&r->lock);
}

uint64_t rate_refused(struct rate *r, enum rate_scope scope)
{
    uint64_t n;

    pthread_mutex_lock(&r->lock);
    n = r->refused[scope];
    pthread_mutex_unlock(&r->lock);
    return n;
}
