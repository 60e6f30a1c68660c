#include "push/targets.h"

#include "metrics.h"
#include "waiters.h"

#include <stdio.h>
#include <stdlib.h>

void push_targets_init(struct push_targets *ts)
{
    *ts = (struct push_targets){ 0 };
    pthread_mutex_init(&ts->lock, NULL);
}

void push_targets_fini(struct push_targets *ts)
{
    for (unsigned i = 0; i < PUSH_TARGET_BUCKETS; i++)
        while (ts->buckets[i])
            push_targets_remove(ts, ts->buckets[i]);
    pthread_mutex_destroy(&ts->lock);
}

static struct push_target **bucket_of(struct push_targets *ts, struct bytes name)
{
    return &ts->buckets[waiters_subscription_slot(name) & (PUSH_TARGET_BUCKETS - 1)];
}

struct push_target *push_targets_find(struct push_targets *ts, struct bytes name)
{
    struct push_target *t = *bucket_of(ts, name);

    while (t && !bytes_eq(push_target_name(t), name))
        t = t->next;
    return t;
}

struct push_target *push_targets_add(struct push_targets *ts, struct bytes name,
                                     struct push *push)
{
    struct push_target **bucket = bucket_of(ts, name), *t;

    t = calloc(1, sizeof *t + name.len);
    if (!t)
        return NULL;
    t->push = push;
    memcpy(t->name, name.data, name.len);
    t->name_len = (uint8_t)name.len;
    pthread_mutex_lock(&ts->lock);
    t->next = *bucket;
    *bucket = t;
    ts->count++;
    pthread_mutex_unlock(&ts->lock);
    metric_add(METRIC_PUSH_SUBSCRIPTIONS, 1);
    return t;
}

void push_targets_remove(struct push_targets *ts, struct push_target *t)
{
    struct push_target **link = bucket_of(ts, push_target_name(t));

    pthread_mutex_lock(&ts->lock);
    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
    ts->count--;
    pthread_mutex_unlock(&ts->lock);
    metric_add(METRIC_PUSH_SUBSCRIPTIONS, -1);
    free(t);
}

void push_targets_each(struct push_targets *ts,
                       void (*fn)(void *arg, struct push_target *t), void *arg)
{
    for (unsigned i = 0; i < PUSH_TARGET_BUCKETS; i++)
        for (struct push_target *t = ts->buckets[i], *next; t; t = next) {
            next = t->next;
            fn(arg, t);
        }
}

void push_targets_note(struct push_targets *ts, struct push_target *t, const char *error,
                       int64_t failing_since_ms)
{
    pthread_mutex_lock(&ts->lock);
    snprintf(t->error, sizeof t->error, "%s", error);
    t->failing_since_ms = failing_since_ms;
    pthread_mutex_unlock(&ts->lock);
}

void push_targets_view(struct push_targets *ts, struct bytes name, struct push_view *out)
{
    struct push_target *t;

    pthread_mutex_lock(&ts->lock);
    t = push_targets_find(ts, name);
    if (t) {
        memcpy(out->error, t->error, sizeof out->error);
        out->failing_since_ms = t->failing_since_ms;
    }
    pthread_mutex_unlock(&ts->lock);
}

bool push_targets_claim(struct push_targets *ts, struct bytes name, size_t most, bool *claimed)
{
    bool there;

    pthread_mutex_lock(&ts->lock);
    there = push_targets_find(ts, name);
    *claimed = !there && ts->count + ts->claimed < most;
    ts->claimed += *claimed;
    pthread_mutex_unlock(&ts->lock);
    return there || *claimed;
}

void push_targets_unclaim(struct push_targets *ts)
{
    pthread_mutex_lock(&ts->lock);
    ts->claimed--;
    pthread_mutex_unlock(&ts->lock);
}
