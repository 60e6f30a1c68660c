#include "receivers.h"

#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 1024u

struct receivers {
    pthread_mutex_t lock;
    struct receiver *first[BUCKETS];
};

struct receivers *receivers_new(void)
{
    struct receivers *rs = calloc(1, sizeof *rs);

    if (rs)
        pthread_mutex_init(&rs->lock, NULL);
    return rs;
}

void receivers_free(struct receivers *rs)
{
    if (!rs)
        return;
    pthread_mutex_destroy(&rs->lock);
    free(rs);
}

uint64_t receivers_hash(struct bytes subscription)
{
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */

    for (size_t i = 0; i < subscription.len; i++)
        hash = (hash ^ ((const uint8_t *)subscription.data)[i]) * 1099511628211ull;
    return hash;
}

void receivers_join(struct receivers *rs, struct receiver *r, uint64_t hash)
{
    struct receiver **first = &rs->first[hash % BUCKETS];

    pthread_mutex_lock(&rs->lock);
    *r = (struct receiver){ *first, first, hash };
    if (*first)
        (*first)->link = &r->next;
    *first = r;
    pthread_mutex_unlock(&rs->lock);
}

void receivers_leave(struct receivers *rs, struct receiver *r)
{
    pthread_mutex_lock(&rs->lock);
    if (r->link) {
        *r->link = r->next;
        if (r->next)
            r->next->link = r->link;
        *r = (struct receiver){ 0 };
    }
    pthread_mutex_unlock(&rs->lock);
}

uint64_t receivers_count(struct receivers *rs, uint64_t hash)
{
    uint64_t count = 0;

    pthread_mutex_lock(&rs->lock);
    for (struct receiver *r = rs->first[hash % BUCKETS]; r; r = r->next)
        count += r->hash == hash;
    pthread_mutex_unlock(&rs->lock);
    return count;
}
