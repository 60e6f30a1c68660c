/*
 * The writer's cache: topic states by name and by id, the least recently used go first.
 * Both hash tables have a fixed size that follows from the bound, so the bound is on
 * all of the cache's memory. Within a transaction it may grow past it, by the topics
 * which that transaction touches.
 */
#include "lmdb_internal.h"

#include <stdlib.h>
#include <sys/random.h>

#define MALLOC_OVERHEAD 16u
#define ENTRY_BYTES     (sizeof(struct store_topic) + MALLOC_OVERHEAD)
#define LEAST_ENTRIES   16u

/* Names are chosen by clients: folded 64 x 64 -> 128 bit products with a secret seed
 * keep them from choosing one chain. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static size_t name_slot(const struct topic_cache *c, struct bytes name)
{
    const uint8_t *p = name.data;
    uint64_t h = c->seed ^ name.len, word;

    for (size_t at = 0; at < name.len; at += sizeof word) {
        size_t n = name.len - at < sizeof word ? name.len - at : sizeof word;

        word = 0;
        memcpy(&word, p + at, n);
        h = mix(h ^ word, c->seed ^ 0x9e3779b97f4a7c15u);
    }
    return (size_t)mix(h, 0xd6e8feb86659fd93u) & c->mask;
}

static size_t id_slot(const struct topic_cache *c, uint64_t id)
{
    return (size_t)mix(id, 0x9e3779b97f4a7c15u) & c->mask;
}

static void account(struct store *s)
{
    atomic_store(&s->cache_bytes, s->cache.entries * ENTRY_BYTES +
                                      2 * (s->cache.mask + 1) * sizeof(void *));
}

size_t lmdb_cache_bytes(struct store *s)
{
    return atomic_load(&s->cache_bytes);
}

enum err lmdb_cache_init(struct store *s, size_t bytes)
{
    struct topic_cache *c = &s->cache;
    size_t per_entry = ENTRY_BYTES + 4 * sizeof(void *), slots = LEAST_ENTRIES;

    c->max_entries =
        bytes / per_entry < LEAST_ENTRIES ? LEAST_ENTRIES : bytes / per_entry;
    while (slots < c->max_entries)
        slots *= 2; /* less than two slots per entry and table */
    c->mask = slots - 1;
    if (getrandom(&c->seed, sizeof c->seed, GRND_NONBLOCK) != sizeof c->seed)
        c->seed = (uint64_t)(uintptr_t)s;
    c->seed |= 1;
    c->by_name = calloc(slots, sizeof(struct store_topic *));
    c->by_id = calloc(slots, sizeof(struct store_topic *));
    account(s);
    return c->by_name && c->by_id ? ERR_OK : ERR_NO_MEMORY;
}

static void unlink_use(struct topic_cache *c, struct store_topic *t)
{
    *(t->newer ? &t->newer->older : &c->newest) = t->older;
    *(t->older ? &t->older->newer : &c->oldest) = t->newer;
}

static void link_newest(struct topic_cache *c, struct store_topic *t)
{
    t->newer = NULL;
    t->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = t;
    c->newest = t;
}

static struct store_topic *used(struct topic_cache *c, struct store_topic *t)
{
    if (t && t != c->newest) {
        unlink_use(c, t);
        link_newest(c, t);
    }
    return t;
}

static struct bytes name_of(const struct store_topic *t)
{
    return bytes_of(t->state.name, t->state.name_len);
}

struct store_topic *lmdb_cache_by_name(struct topic_cache *c, struct bytes name)
{
    struct store_topic *t = c->by_name[name_slot(c, name)];

    while (t && !bytes_eq(name_of(t), name))
        t = t->by_name;
    return used(c, t);
}

struct store_topic *lmdb_cache_by_id(struct topic_cache *c, uint64_t id)
{
    struct store_topic *t = c->by_id[id_slot(c, id)];

    while (t && t->state.id != id)
        t = t->by_id;
    return used(c, t);
}

struct store_topic *lmdb_cache_add(struct store *s, const struct topic_state *state)
{
    struct topic_cache *c = &s->cache;
    struct store_topic *t = calloc(1, sizeof *t), **name_head, **id_head;

    if (!t)
        return NULL;
    t->state = *state;
    name_head = &c->by_name[name_slot(c, name_of(t))];
    id_head = &c->by_id[id_slot(c, state->id)];
    t->by_name = *name_head;
    *name_head = t;
    t->by_id = *id_head;
    *id_head = t;
    link_newest(c, t);
    c->entries++;
    account(s);
    return t;
}

void lmdb_cache_touch(struct topic_cache *c, struct store_topic *t)
{
    if (t->touched)
        return;
    t->touched = true;
    t->next_touched = c->touched;
    c->touched = t;
}

void lmdb_cache_detach(struct store *s, struct store_topic *t)
{
    struct topic_cache *c = &s->cache;
    struct store_topic **at = &c->by_name[name_slot(c, name_of(t))];

    while (*at != t)
        at = &(*at)->by_name;
    *at = t->by_name;
    at = &c->by_id[id_slot(c, t->state.id)];
    while (*at != t)
        at = &(*at)->by_id;
    *at = t->by_id;
    unlink_use(c, t);
    c->entries--;
    t->gone = true;
    account(s);
}

static void drop(struct store *s, struct store_topic *t)
{
    if (!t->gone)
        lmdb_cache_detach(s, t);
    free(t);
}

void lmdb_cache_settle(struct store *s, bool keep)
{
    struct store_topic *t = s->cache.touched, *next;

    for (s->cache.touched = NULL; t; t = next) {
        next = t->next_touched;
        t->touched = false;
        if (t->gone || !keep)
            drop(s, t);
    }
}

void lmdb_cache_trim(struct store *s)
{
    while (s->cache.entries > s->cache.max_entries)
        drop(s, s->cache.oldest);
}

void lmdb_cache_fini(struct store *s)
{
    while (s->cache.oldest)
        drop(s, s->cache.oldest);
    free(s->cache.by_name);
    free(s->cache.by_id);
}
