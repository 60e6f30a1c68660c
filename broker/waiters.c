#include "waiters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NEWS_MAX 512u

struct inbox {
    _Atomic uint32_t parked[WAITERS_SLOTS];
    struct letter letter; /* first use of container_of below: keep its offset known */

    /* Set once by waiters_join. */
    void (*woken)(void *arg, unsigned slot);
    void *arg;

    /* Guarded by lock. */
    pthread_mutex_t lock;
    struct mailbox *home; /* NULL: not there yet, or parted */
    uint16_t news[NEWS_MAX];
    unsigned count;
    bool all, posted;
};

struct waiters {
    unsigned loops;
    bool dirty;          /* writer only: something since the last flush */
    struct inbox inboxes[];
};

struct waiters *waiters_new(unsigned loops)
{
    struct waiters *w = calloc(1, sizeof *w + loops * sizeof w->inboxes[0]);

    if (!w)
        return NULL;
    w->loops = loops;
    for (unsigned i = 0; i < loops; i++)
        pthread_mutex_init(&w->inboxes[i].lock, NULL);
    return w;
}

void waiters_free(struct waiters *w)
{
    if (!w)
        return;
    for (unsigned i = 0; i < w->loops; i++)
        pthread_mutex_destroy(&w->inboxes[i].lock);
    free(w);
}

static void open_letter(struct letter *l)
{
    struct inbox *in = (struct inbox *)((char *)l - offsetof(struct inbox, letter));
    uint16_t news[NEWS_MAX];
    unsigned count;
    bool all;

    pthread_mutex_lock(&in->lock);
    count = in->count;
    all = in->all;
    memcpy(news, in->news, count * sizeof *news);
    in->count = 0;
    in->all = in->posted = false;
    pthread_mutex_unlock(&in->lock);
    if (all)
        in->woken(in->arg, WAITERS_ALL);
    for (unsigned i = 0; i < count && !all; i++)
        in->woken(in->arg, news[i]);
}

void waiters_join(struct waiters *w, unsigned loop, struct mailbox *home,
                  void (*woken)(void *arg, unsigned slot), void *arg)
{
    struct inbox *in = &w->inboxes[loop];

    pthread_mutex_lock(&in->lock);
    in->home = home;
    in->woken = woken;
    in->arg = arg;
    in->letter.open = open_letter;
    pthread_mutex_unlock(&in->lock);
}

void waiters_part(struct waiters *w, unsigned loop)
{
    struct inbox *in = &w->inboxes[loop];

    pthread_mutex_lock(&in->lock);
    in->home = NULL;
    pthread_mutex_unlock(&in->lock);
}

static unsigned slot_of(uint32_t h, struct bytes name) /* FNV-1a */
{
    for (size_t i = 0; i < name.len; i++)
        h = (h ^ ((const uint8_t *)name.data)[i]) * 16777619u;
    return (h ^ h >> 15) & (WAITERS_SLOTS - 1);
}

unsigned waiters_slot(struct bytes topic)
{
    return slot_of(2166136261u, topic);
}

unsigned waiters_subscription_slot(struct bytes name)
{
    return slot_of(2166136261u * 16777619u, name); /* as if a zero byte were in front */
}

void waiters_park(struct waiters *w, unsigned loop, unsigned slot)
{
    atomic_fetch_add(&w->inboxes[loop].parked[slot], 1);
}

void waiters_leave(struct waiters *w, unsigned loop, unsigned slot)
{
    atomic_fetch_sub(&w->inboxes[loop].parked[slot], 1);
}

static void add_news(struct inbox *in, unsigned slot)
{
    pthread_mutex_lock(&in->lock);
    if (in->count && in->news[in->count - 1] == slot) {
        /* the usual case: many messages of one topic in a commit */
    } else if (in->count < NEWS_MAX) {
        in->news[in->count++] = (uint16_t)slot;
    } else {
        in->all = true;
    }
    pthread_mutex_unlock(&in->lock);
}

void waiters_wake(struct waiters *w, unsigned slot)
{
    for (unsigned i = 0; i < w->loops; i++)
        if (atomic_load(&w->inboxes[i].parked[slot])) {
            add_news(&w->inboxes[i], slot);
            w->dirty = true;
        }
}

static void post(struct inbox *in)
{
    pthread_mutex_lock(&in->lock); /* until it is posted: the loop may part */
    if (in->home && (in->count || in->all) && !in->posted) {
        in->posted = true;
        mailbox_post(in->home, &in->letter);
    }
    pthread_mutex_unlock(&in->lock);
}

void waiters_flush(struct waiters *w)
{
    if (!w->dirty)
        return;
    w->dirty = false;
    for (unsigned i = 0; i < w->loops; i++)
        post(&w->inboxes[i]);
}

void waiters_pass_on(struct waiters *w, unsigned loop, unsigned slot)
{
    add_news(&w->inboxes[loop], slot);
    post(&w->inboxes[loop]);
}
