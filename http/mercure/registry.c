/*
 * Invariants:
 *  1. A bucket's entries stand in falling order of their numbers.
 *  2. `bytes` is what the entries' grants add up to, whether they are in the list or not.
 *  3. Who is in the list does not change but for its links.
 */
#include "mercure/registry.h"

#include "siphash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BUCKETS         1024u
#define WALK_AT_ONCE    1024u /* subscriptions that are passed in one hold of the lock */
#define ALLOCATOR_BYTES 32u   /* what the allocator takes beside a piece of memory, at most */

struct mercure_registry {
    /* Set once. */
    struct ledger *ledger;
    size_t most;
    uint8_t secret[16];

    _Atomic uint64_t untold, told_next;

    pthread_mutex_t lock;
    /* Guarded by lock. */
    size_t bytes, count;
    size_t largest; /* of documents, since the list was empty */
    uint64_t numbers;
    struct mercure_entry *buckets[BUCKETS];
};

struct mercure_registry *mercure_registry_new(struct ledger *ledger, size_t most,
                                              uint64_t next, const uint8_t secret[16])
{
    struct mercure_registry *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->ledger = ledger;
    g->most = most;
    atomic_init(&g->told_next, next);
    memcpy(g->secret, secret, sizeof g->secret);
    pthread_mutex_init(&g->lock, NULL);
    return g;
}

void mercure_registry_free(struct mercure_registry *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* ---- an entry ---- */

static enum err take_room(struct mercure_registry *g, size_t bytes, struct grant *paid)
{
    enum err e = ERR_BUSY;

    pthread_mutex_lock(&g->lock);
    if (g->bytes + bytes <= g->most) {
        g->bytes += bytes;
        e = ERR_OK;
    }
    pthread_mutex_unlock(&g->lock);
    if (e)
        return e;
    e = ledger_reserve(g->ledger, bytes, paid);
    if (!e)
        return ERR_OK;
    pthread_mutex_lock(&g->lock);
    g->bytes -= bytes;
    pthread_mutex_unlock(&g->lock);
    return e == ERR_TOO_BIG ? ERR_BUSY : e;
}

static void give_back(struct mercure_registry *g, struct grant *paid)
{
    pthread_mutex_lock(&g->lock);
    g->bytes -= paid->bytes;
    pthread_mutex_unlock(&g->lock);
    ledger_release(paid);
}

static int by_text(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;

    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return x->len ? memcmp(x->data, y->data, x->len) : 0;
}

/* One text may be wanted as a template and as it is. */
static unsigned in_order(struct bytes *topics, unsigned count)
{
    unsigned kept = 0;

    qsort(topics, count, sizeof *topics, by_text);
    for (unsigned i = 0; i < count; i++)
        if (!kept || !bytes_eq(topics[kept - 1], topics[i]))
            topics[kept++] = topics[i];
    return kept;
}

static struct bytes copy(uint8_t **to, struct bytes text)
{
    struct bytes copied = bytes_of(*to, text.len);

    if (text.len)
        memcpy(*to, text.data, text.len);
    *to += text.len;
    return copied;
}

static void fill(struct mercure_entry *e, const struct bytes *topics, struct bytes payload)
{
    uint8_t *to = (uint8_t *)&e->topics[e->count];

    e->telling = to;
    to += e->count;
    for (unsigned i = 0; i < e->count; i++)
        e->topics[i] = copy(&to, topics[i]);
    e->payload = copy(&to, payload);
}

enum err mercure_entry_new(struct mercure_registry *g, struct bytes *topics, unsigned count,
                           struct bytes payload, struct mercure_entry **out)
{
    struct mercure_entry *e;
    struct grant paid = { 0 };
    size_t bytes = sizeof *e + payload.len;
    enum err err;

    count = in_order(topics, count);
    for (unsigned i = 0; i < count; i++)
        bytes += sizeof e->topics[0] + 1 + topics[i].len;
    err = take_room(g, bytes + ALLOCATOR_BYTES, &paid);
    if (err)
        return err;
    e = calloc(1, bytes);
    err = e ? mercure_uuid_v4(e->id) : ERR_NO_MEMORY;
    if (err) {
        free(e);
        give_back(g, &paid);
        return err;
    }
    e->all = g;
    e->paid = paid;
    e->count = count;
    fill(e, topics, payload);
    *out = e;
    return ERR_OK;
}

void mercure_entry_free(struct mercure_entry *e)
{
    if (!e)
        return;
    give_back(e->all, &e->paid);
    free(e);
}

struct mercure_subscription mercure_entry_view(const struct mercure_entry *e, unsigned i,
                                               bool active)
{
    return (struct mercure_subscription){ .topic = e->topics[i],
                                          .subscriber = bytes_of(e->id, MERCURE_URN_LEN),
                                          .payload = e->payload,
                                          .active = active };
}

/* ---- the list ---- */

static unsigned bucket_of(const struct mercure_registry *g, struct bytes id)
{
    return (unsigned)(siphash(g->secret, id) % BUCKETS);
}

static size_t largest_of(const struct mercure_entry *e)
{
    size_t largest = 0;

    for (unsigned i = 0; i < e->count; i++) {
        struct mercure_subscription s = mercure_entry_view(e, i, true);
        size_t most = mercure_subscription_most(&s);

        largest = most > largest ? most : largest;
    }
    return largest;
}

void mercure_registry_enter(struct mercure_entry *e)
{
    struct mercure_registry *g = e->all;
    struct mercure_entry **first =
        &g->buckets[bucket_of(g, bytes_of(e->id, MERCURE_URN_LEN))];
    size_t largest = largest_of(e);

    pthread_mutex_lock(&g->lock);
    e->number = ++g->numbers;
    e->next = *first;
    if (e->next)
        e->next->prev = e;
    *first = e;
    g->count++;
    if (largest > g->largest)
        g->largest = largest;
    pthread_mutex_unlock(&g->lock);
}

void mercure_registry_leave(struct mercure_entry *e)
{
    struct mercure_registry *g = e->all;
    struct mercure_entry **first =
        &g->buckets[bucket_of(g, bytes_of(e->id, MERCURE_URN_LEN))];

    pthread_mutex_lock(&g->lock);
    *(e->prev ? &e->prev->next : first) = e->next;
    if (e->next)
        e->next->prev = e->prev;
    e->prev = e->next = NULL;
    if (!--g->count)
        g->largest = 0;
    pthread_mutex_unlock(&g->lock);
}

/* ---- reading ---- */

struct mercure_cursor mercure_registry_begin(struct mercure_registry *g)
{
    struct mercure_cursor at = { 0 };

    pthread_mutex_lock(&g->lock);
    at.newest = g->numbers;
    at.before = at.newest + 1;
    at.largest = g->largest;
    pthread_mutex_unlock(&g->lock);
    return at;
}

/* The first that has not been passed; NULL: none in this bucket. */
static struct mercure_entry *next_in(const struct mercure_registry *g, struct mercure_cursor *at)
{
    struct mercure_entry *e = g->buckets[at->bucket];

    while (e && e->number >= at->before)
        e = e->next;
    return e;
}

/* Of one entry. False: `each` has had enough, or *left is used up. */
static bool pass(const struct mercure_entry *e, struct mercure_cursor *at, unsigned *left,
                 bool (*each)(void *arg, const struct mercure_subscription *s), void *arg)
{
    if (at->inside != e->number)
        at->topic = 0;
    at->inside = e->number;
    for (; at->topic < e->count; at->topic++) {
        struct mercure_subscription s = mercure_entry_view(e, at->topic, true);

        if (!*left || !each(arg, &s))
            return false;
        --*left;
    }
    at->before = e->number;
    return true;
}

bool mercure_registry_walk(struct mercure_registry *g, struct mercure_cursor *at,
                           bool (*each)(void *arg, const struct mercure_subscription *s),
                           void *arg)
{
    unsigned left = WALK_AT_ONCE;
    struct mercure_entry *e;
    bool enough = false;

    pthread_mutex_lock(&g->lock);
    while (!enough && at->bucket < BUCKETS) {
        while (!enough && (e = next_in(g, at)))
            enough = !pass(e, at, &left, each, arg);
        if (!enough) {
            at->bucket++;
            at->before = at->newest + 1;
        }
    }
    pthread_mutex_unlock(&g->lock);
    return enough;
}

bool mercure_registry_find(struct mercure_registry *g, struct bytes topic,
                           struct bytes subscriber,
                           void (*each)(void *arg, const struct mercure_subscription *s),
                           void *arg)
{
    struct mercure_subscription s;
    struct mercure_entry *e;
    const struct bytes *found = NULL;

    pthread_mutex_lock(&g->lock);
    e = g->buckets[bucket_of(g, subscriber)];
    while (e && !bytes_eq(bytes_of(e->id, MERCURE_URN_LEN), subscriber))
        e = e->next;
    if (e)
        found = bsearch(&topic, e->topics, e->count, sizeof topic, by_text);
    if (found) {
        s = mercure_entry_view(e, (unsigned)(found - e->topics), true);
        each(arg, &s);
    }
    pthread_mutex_unlock(&g->lock);
    return found;
}

void mercure_registry_read(struct mercure_registry *g, struct mercure_registry_figures *out)
{
    pthread_mutex_lock(&g->lock);
    *out = (struct mercure_registry_figures){ .subscribers = g->count,
                                              .bytes = g->bytes,
                                              .most = g->most };
    pthread_mutex_unlock(&g->lock);
}

/* ---- what has been told of it ---- */

void mercure_registry_untold(struct mercure_registry *g)
{
    atomic_fetch_add(&g->untold, 1);
}

void mercure_registry_told(struct mercure_registry *g, uint64_t next)
{
    uint64_t before = atomic_load(&g->told_next);

    while (next > before && !atomic_compare_exchange_weak(&g->told_next, &before, next))
        ;
    atomic_fetch_sub(&g->untold, 1);
}

bool mercure_registry_is_told(struct mercure_registry *g, uint64_t *next)
{
    bool told = !atomic_load(&g->untold);

    *next = atomic_load(&g->told_next);
    return told;
}
