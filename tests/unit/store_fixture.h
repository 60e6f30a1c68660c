/*
 * store_fixture - an open store in a directory of its own, and short words for what the
 * stories of the store's tests do. Every engine runs the same stories: `ops` is the
 * only door to it.
 */
#ifndef SLUICE_STORE_FIXTURE_H
#define SLUICE_STORE_FIXTURE_H

#include "store.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define UNUSED   __attribute__((unused))
#define OK(call) cr_assert(eq(int, (call), ERR_OK))

static const struct store_ops *const ops = &lmdb_store;
static struct store *store;
static struct store_reader *reader;
static char data_dir[64];
static struct store_options options;

static int remove_entry(const char *path, const struct stat *st, int type,
                        struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void open_store(void)
{
    OK(ops->open(&options, &store));
    OK(ops->reader_open(store, &reader));
}

static void close_store(void)
{
    ops->reader_close(reader);
    ops->close(store);
    reader = NULL;
    store = NULL;
}

UNUSED static void reopen(void)
{
    close_store();
    open_store();
}

static void given_an_empty_store(void)
{
    snprintf(data_dir, sizeof data_dir, "/tmp/sluice-store-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(data_dir), NULL));
    options = (struct store_options){
        .path = data_dir,
        .map_size = (uint64_t)256 << 20,
        .durability = STORE_RELAXED, /* the tests do not cut the power */
        .max_readers = 8,
        .topic_cache_bytes = 1 << 20,
    };
    open_store();
}

static void then_it_is_gone(void)
{
    if (store)
        close_store();
    nftw(data_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- inside a transaction ---- */

static struct store_topic *topic(const char *name)
{
    struct topic_settings none = {0};
    struct store_topic *t;
    enum err e = ops->topic_find(store, bytes_str(name), &t);

    if (e == ERR_NOT_FOUND)
        e = ops->topic_create(store, bytes_str(name), &none, 1, &t);
    OK(e);
    return t;
}

static uint64_t put(const char *name, const char *body, int64_t time_ms,
                    int64_t expires_ms)
{
    struct record r = {
        .time_ms = time_ms, .expires_ms = expires_ms, .body = bytes_str(body)};
    uint64_t offset;

    OK(ops->append(store, topic(name), &r, &offset));
    return offset;
}

UNUSED static void put_many(const char *name, unsigned count, int64_t time_ms,
                            int64_t expires_ms)
{
    char body[48];

    for (unsigned i = 0; i < count; i++) {
        snprintf(body, sizeof body, "%s-%u", name, i);
        put(name, body, time_ms, expires_ms);
    }
}

/* ---- transactions of their own ---- */

UNUSED static uint64_t publish(const char *name, const char *body, int64_t time_ms,
                               int64_t expires_ms)
{
    uint64_t offset;

    OK(ops->begin(store));
    offset = put(name, body, time_ms, expires_ms);
    OK(ops->commit(store));
    return offset;
}

UNUSED static void publish_many(const char *name, unsigned count, int64_t time_ms,
                                int64_t expires_ms)
{
    OK(ops->begin(store));
    put_many(name, count, time_ms, expires_ms);
    OK(ops->commit(store));
}

UNUSED static struct store_step expire(int64_t now_ms, unsigned max)
{
    struct store_step step;

    OK(ops->begin(store));
    OK(ops->expire_step(store, now_ms, max, &step));
    OK(ops->commit(store));
    return step;
}

UNUSED static struct store_step purge(const char *name, uint64_t before, unsigned max)
{
    struct store_step step;

    OK(ops->begin(store));
    OK(ops->remove_step(store, topic(name), before, max, &step));
    OK(ops->commit(store));
    return step;
}

UNUSED static void delete_topic(const char *name)
{
    OK(ops->begin(store));
    OK(ops->topic_delete(store, topic(name)));
    OK(ops->commit(store));
}

/* Returns how many records and chunks it freed. */
UNUSED static uint64_t empty_trash(void)
{
    struct store_step step;
    uint64_t freed = 0;

    do {
        OK(ops->begin(store));
        OK(ops->trash_step(store, 1, 100, &step));
        OK(ops->commit(store));
        freed += step.messages;
    } while (step.more);
    return freed;
}

/* ---- what a reader sees ---- */

static struct store_stats stats(void)
{
    struct store_stats st;

    OK(ops->read_begin(reader, 1));
    OK(ops->read_stats(reader, &st));
    ops->read_end(reader);
    return st;
}

UNUSED static struct topic_state state(const char *name)
{
    struct topic_state t = {0};

    OK(ops->read_begin(reader, 1));
    OK(ops->read_topic(reader, bytes_str(name), &t));
    ops->read_end(reader);
    return t;
}

/* The engine's own proof, and the law once more from outside. */
UNUSED static void nothing_is_lost(void)
{
    struct store_stats st = stats();

    cr_assert(eq(u64, st.counters.accepted,
                 st.live + st.counters.expired + st.counters.removed));
    OK(ops->read_begin(reader, 1));
    OK(ops->check(reader));
    ops->read_end(reader);
}

#define NOWHERE UINT64_MAX

UNUSED static uint64_t offset_or_nowhere(enum err e, const struct store_entry *at)
{
    cr_assert(e == ERR_OK || e == ERR_NOT_FOUND);
    return e ? NOWHERE : at->offset;
}

/* The offset of the first record at or after this one. */
UNUSED static uint64_t first_from(const char *name, uint64_t offset)
{
    struct store_entry at;
    uint64_t id = state(name).id, found;

    OK(ops->read_begin(reader, 1));
    found = offset_or_nowhere(ops->read_seek(reader, id, offset, &at), &at);
    ops->read_end(reader);
    return found;
}

UNUSED static uint64_t first_at_time(const char *name, int64_t time_ms)
{
    struct store_entry at;
    uint64_t id = state(name).id, found;

    OK(ops->read_begin(reader, 1));
    found = offset_or_nowhere(ops->read_seek_time(reader, id, time_ms, &at), &at);
    ops->read_end(reader);
    return found;
}

/* All offsets of a topic as "0 1 2", forwards or backwards. */
UNUSED static const char *offsets(const char *name, bool backwards)
{
    static char text[4096];
    struct store_entry at;
    uint64_t id = state(name).id;
    size_t len = 0;
    enum err e;

    text[0] = 0;
    OK(ops->read_begin(reader, 1));
    e = backwards ? ops->read_prev(reader, id, &at)
                  : ops->read_seek(reader, id, 0, &at);
    for (; !e;
         e = backwards ? ops->read_prev(reader, id, &at) : ops->read_next(reader, &at))
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%llu", len ? " " : "",
                                (unsigned long long)at.offset);
    cr_assert(eq(int, e, ERR_NOT_FOUND));
    ops->read_end(reader);
    return text;
}

#endif
