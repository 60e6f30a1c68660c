/*
 * Invariants:
 *  1. A lease is in its bucket exactly while it is open: `of` is its tie then.
 *  2. t->open counts the open leases of t. Who brings it to 0 posts the letter.
 *  3. One letter of a tie is on its way at most, and its mailbox is owed that until it is posted.
 */
#include "ties.h"

#include "settle.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BYTES_A_BUCKET 512u /* of the limit */
#define BUCKETS_LEAST  64u

struct ties {
    size_t limit_bytes;
    _Atomic size_t booked_bytes;
    _Atomic unsigned inside; /* ties; 0: a settle has nobody to tell */

    /* Guarded by lock. */
    pthread_mutex_t lock;
    struct tie *first;
    size_t buckets; /* a power of two */
    struct tied_lease *leases[];
};

struct post { /* letters to be posted when the lock is released */
    struct letter *first;
};

struct ties *ties_new(size_t limit_bytes)
{
    size_t buckets = BUCKETS_LEAST;
    struct ties *ts;

    while (buckets * 2 * BYTES_A_BUCKET <= limit_bytes)
        buckets *= 2;
    ts = calloc(1, sizeof *ts + buckets * sizeof ts->leases[0]);
    if (!ts)
        return NULL;
    ts->limit_bytes = limit_bytes;
    ts->buckets = buckets;
    pthread_mutex_init(&ts->lock, NULL);
    return ts;
}

void ties_free(struct ties *ts)
{
    if (!ts)
        return;
    assert(!ts->first && !atomic_load(&ts->booked_bytes));
    pthread_mutex_destroy(&ts->lock);
    free(ts);
}

/* ---- how much ---- */

size_t ties_book(struct ties *ts, size_t least, size_t most)
{
    size_t was = atomic_load(&ts->booked_bytes), got;

    do {
        got = ts->limit_bytes - was;
        if (got < least)
            return 0;
        if (got > most)
            got = most;
    } while (!atomic_compare_exchange_weak(&ts->booked_bytes, &was, was + got));
    return got;
}

void ties_give_back(struct ties *ts, size_t bytes)
{
    size_t was;

    if (!bytes)
        return;
    was = atomic_fetch_sub(&ts->booked_bytes, bytes);
    assert(was >= bytes);
    (void)was;
}

/* ---- leases by what they are ---- */

static struct tied_lease **bucket(struct ties *ts, const struct lease *l)
{
    uint64_t h = l->sub_id * 0x9e3779b97f4a7c15ull;

    return &ts->leases[((h ^ h >> 32) + l->offset) & (ts->buckets - 1)];
}

static bool same(const struct lease *a, const struct lease *b)
{
    return a->sub_id == b->sub_id && a->offset == b->offset &&
           a->deliveries == b->deliveries;
}

static struct tied_lease *find(struct ties *ts, const struct lease *l)
{
    struct tied_lease *at = *bucket(ts, l);

    while (at && !same(&at->lease, l))
        at = at->next;
    return at;
}

static void close_one(struct ties *ts, struct tied_lease *l)
{
    struct tied_lease **link = bucket(ts, &l->lease);

    while (*link != l)
        link = &(*link)->next;
    *link = l->next;
    l->next = NULL;
    l->of->open--;
    l->of = NULL;
}

/* ---- letters ---- */

static void open_letter(struct letter *letter)
{
    struct tie *t = (struct tie *)letter;
    bool over;

    pthread_mutex_lock(&t->in->lock);
    t->posted = false;
    over = !t->open;
    pthread_mutex_unlock(&t->in->lock);
    t->told(t, over);
}

static void add_letter(struct post *p, struct tie *t)
{
    if (t->posted)
        return;
    t->posted = true;
    atomic_fetch_add(&t->home->owed, 1);
    t->letter.next = p->first;
    p->first = &t->letter;
}

/* Without the lock. A tie stays while its letter is on its way, and its loop while it is owed. */
static void post(struct post *p)
{
    struct letter *l;

    while ((l = p->first)) {
        struct mailbox *home = ((struct tie *)l)->home;

        p->first = l->next;
        mailbox_post(home, l);
        atomic_fetch_sub(&home->owed, 1);
    }
}

/* ---- in and out ---- */

void ties_enter(struct ties *ts, struct tie *t)
{
    t->letter.open = open_letter;
    t->in = ts;
    t->open = t->count;
    atomic_fetch_add(&ts->inside, 1);
    pthread_mutex_lock(&ts->lock);
    for (unsigned i = 0; i < t->count; i++) {
        struct tied_lease *l = &t->leases[i], **first = bucket(ts, &l->lease);

        l->of = t;
        l->next = *first;
        *first = l;
    }
    t->next = ts->first;
    t->link = &ts->first;
    if (t->next)
        t->next->link = &t->next;
    ts->first = t;
    pthread_mutex_unlock(&ts->lock);
}

bool ties_leave(struct ties *ts, struct tie *t)
{
    bool posted;

    pthread_mutex_lock(&ts->lock);
    for (unsigned i = 0; i < t->count; i++)
        if (t->leases[i].of) {
            close_one(ts, &t->leases[i]);
            t->leases[i].of = t; /* still the holder's to give back */
            t->open++;
        }
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    posted = t->posted;
    pthread_mutex_unlock(&ts->lock);
    atomic_fetch_sub(&ts->inside, 1);
    return !posted;
}

/* ---- what becomes of them ---- */

bool ties_expire(struct ties *ts, struct tie *t, int64_t now_ms, int64_t *due_ms)
{
    bool open;

    *due_ms = 0;
    pthread_mutex_lock(&ts->lock);
    for (unsigned i = 0; i < t->count; i++) {
        struct tied_lease *l = &t->leases[i];

        if (l->of && l->due_ms <= now_ms)
            close_one(ts, l);
        else if (l->of && l->due_ms > *due_ms)
            *due_ms = l->due_ms;
    }
    open = t->open;
    pthread_mutex_unlock(&ts->lock);
    return open;
}

static void settled(struct ties *ts, struct tied_lease *l, const struct settle *c,
                    struct post *letters)
{
    struct tie *t = l->of;
    bool sooner = c->kind == SETTLE_EXTEND && c->until_ms < l->due_ms;

    if (c->kind == SETTLE_EXTEND)
        l->due_ms = c->until_ms;
    else
        close_one(ts, l);
    if (sooner || !t->open)
        add_letter(letters, t);
}

void ties_settled(struct ties *ts, const struct settle *c)
{
    struct post letters = { NULL };

    if (!atomic_load(&ts->inside) || c->outcome)
        return;
    pthread_mutex_lock(&ts->lock);
    for (unsigned i = 0; i < c->count; i++) {
        struct tied_lease *l =
            c->items[i].result == SETTLE_DONE ? find(ts, &c->items[i].lease) : NULL;

        if (l)
            settled(ts, l, c, &letters);
    }
    pthread_mutex_unlock(&ts->lock);
    post(&letters);
}

void ties_void(struct ties *ts, struct bytes subscription)
{
    struct post letters = { NULL };

    pthread_mutex_lock(&ts->lock);
    for (struct tie *t = ts->first; t; t = t->next) {
        if (!bytes_eq(t->subscription, subscription))
            continue;
        for (unsigned i = 0; i < t->count; i++)
            if (t->leases[i].of)
                close_one(ts, &t->leases[i]);
        add_letter(&letters, t);
    }
    pthread_mutex_unlock(&ts->lock);
    post(&letters);
}
