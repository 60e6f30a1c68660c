/*
 * Reads a whole store under one snapshot and proves what the other files promise:
 *
 *   1. accepted == live + expired + removed, for each topic and for the store.
 *   2. live and live_bytes are what the log holds; the store's are the sum of its
 * topics'.
 *   3. Offsets lie below next_offset, times do not fall. From any place on as many records
 *      are live as the table of holes leads to.
 *   4. Every record with an expiry is found through the index of due messages.
 *   5. Every blob that a record names is there, as long as the record says, and neither
 *      an upload nor trash.
 *   6. Every record belongs to a topic, or to a topic in the trash.
 *   7. A namespace's figures are the sums of the topics whose names begin with its prefix.
 *   8. Every cursor is of a topic, and not beyond its next offset. (Of subscriptions:
 *      lmdb_check_subs.c.)
 *   9. Every record with an id has a row in the index of ids, and every row there has a
 *      record with that id.
 *  10. No record is delayed until it has expired.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#include <stdlib.h>

struct namespace_sum {
    struct namespace_state says;
    uint64_t topics, live, live_bytes; /* what it should say */
};

struct check {
    struct store_reader *r;
    MDB_cursor *due;
    struct totals sum;
    uint64_t records; /* of topics that live */
    struct namespace_sum *namespaces;
    unsigned namespace_count;
};

static enum err broken(const struct check *c, const char *what, uint64_t topic_id,
                       uint64_t number)
{
    LOG_ERROR("storage", "check_failed", LOG_S("data_dir", c->r->store->path),
              LOG_S("what", what), LOG_I("topic_id", topic_id),
              LOG_I("number", number));
    return ERR_CORRUPT;
}

static bool add_up(const struct store_counters *n, uint64_t live)
{
    return n->accepted == live + n->expired + n->removed;
}

static bool has_row(const struct check *c, enum table t, const uint8_t *key, size_t len)
{
    MDB_val k = val_of(key, len), v;

    return mdb_get(c->r->txn, c->r->store->dbi[t], &k, &v) == 0;
}

static bool in_trash(const struct check *c, enum trash_kind kind, uint64_t id)
{
    uint8_t key[9] = {(uint8_t)kind};

    put_be64(key + 1, id);
    return has_row(c, TABLE_TRASH, key, sizeof key);
}

/* The row at or before this offset in its bucket must reach as far as the offset. */
static bool is_indexed(const struct check *c, uint64_t topic_id,
                       const struct store_entry *at)
{
    uint8_t key[DUE_KEY_LEN];
    MDB_val k = val_of(key, sizeof key), v;
    int rc;

    put_be64(key, (uint64_t)lmdb_expiry_bucket(at->record.expires_ms));
    put_be64(key + 8, topic_id);
    put_be64(key + 16, at->offset);
    rc = mdb_cursor_get(c->due, &k, &v, MDB_SET_RANGE);
    if (rc || memcmp(k.mv_data, key, DUE_KEY_LEN) != 0)
        rc = mdb_cursor_get(c->due, &k, &v, rc ? MDB_LAST : MDB_PREV);
    return !rc && memcmp(k.mv_data, key, 16) == 0 &&
           at->offset - get_be64((const uint8_t *)k.mv_data + 16) < get_be32(v.mv_data);
}

static bool has_id_row(const struct check *c, uint64_t topic_id,
                       const struct store_entry *at)
{
    uint8_t key[ID_KEY_MAX];
    struct bytes whole = lmdb_id_key(key, topic_id, at->record.id, at->offset);

    return has_row(c, TABLE_IDS, whole.data, whole.len);
}

static enum err check_blob(const struct check *c, uint64_t topic_id,
                           const struct record *record)
{
    uint8_t key[12];
    MDB_val k = val_of(key, sizeof key), v;
    uint64_t bytes = 0, whole = record->blob_size / STORE_CHUNK_BYTES;
    int rc;

    put_be64(key, record->blob_id);
    if (has_row(c, TABLE_UPLOADS, key, ID_LEN) ||
        in_trash(c, TRASH_BLOB, record->blob_id))
        return broken(c, "a blob in use is an upload or trash", topic_id,
                      record->blob_id);
    put_be32(key + 8, 0);
    rc = mdb_cursor_get(c->r->blobs, &k, &v, MDB_SET_RANGE);
    for (uint64_t i = 0; !rc && get_be64(k.mv_data) == record->blob_id; i++) {
        if (get_be32((const uint8_t *)k.mv_data + 8) != i ||
            (i < whole && v.mv_size != STORE_CHUNK_BYTES))
            return broken(c, "a blob has a hole", topic_id, record->blob_id);
        bytes += v.mv_size;
        rc = mdb_cursor_get(c->r->blobs, &k, &v, MDB_NEXT);
    }
    if (bytes != record->blob_size)
        return broken(c, "a blob has another size", topic_id, record->blob_id);
    return ERR_OK;
}

static enum err check_record(const struct check *c, const struct topic_state *t,
                             const struct store_entry *at, int64_t *last_ms)
{
    if (at->offset >= t->next_offset)
        return broken(c, "an offset at or above next_offset", t->id, at->offset);
    if (at->record.time_ms < *last_ms || at->record.time_ms > t->last_time_ms)
        return broken(c, "a time out of order", t->id, at->offset);
    *last_ms = at->record.time_ms;
    if (at->record.expires_ms && !is_indexed(c, t->id, at))
        return broken(c, "a message that will never expire", t->id, at->offset);
    if (at->record.id.len && !has_id_row(c, t->id, at))
        return broken(c, "an id that will never be found", t->id, at->offset);
    if (at->record.expires_ms && at->record.deliver_ms >= at->record.expires_ms)
        return broken(c, "a message that expires before its time", t->id, at->offset);
    return at->record.blob_id ? check_blob(c, t->id, &at->record) : ERR_OK;
}

/* How many are live from some places on, as counted and as asked for. */
#define PLACES 9u

static uint64_t place_of(const struct topic_state *t, unsigned i)
{
    return t->next_offset / (PLACES - 1) * i + i;
}

static enum err check_live_from(const struct check *c, const struct topic_state *t,
                                const uint64_t counted[PLACES])
{
    uint64_t said;
    enum err e = ERR_OK;

    for (unsigned i = 0; i < PLACES && !e; i++) {
        e = lmdb_read_live_from(c->r, t, place_of(t, i), &said);
        if (!e && said != counted[i])
            return broken(c, "holes are counted wrongly", t->id, place_of(t, i));
    }
    return e;
}

static enum err check_log(struct check *c, const struct topic_state *t)
{
    uint64_t live = 0, bytes = 0, from[PLACES] = {0};
    int64_t last_ms = INT64_MIN;
    struct store_entry at;
    enum err e = lmdb_read_seek(c->r, t->id, 0, &at);

    for (; !e; e = lmdb_read_next(c->r, &at)) {
        live++;
        bytes += record_size(&at.record);
        for (unsigned i = 0; i < PLACES; i++)
            from[i] += at.offset >= place_of(t, i);
        e = check_record(c, t, &at, &last_ms);
        if (e)
            return e;
    }
    if (e != ERR_NOT_FOUND)
        return e;
    if (live != t->live || bytes != t->live_bytes)
        return broken(c, "live does not match the log", t->id, live);
    if (!add_up(&t->counters, t->live))
        return broken(c, "the counters of a topic do not add up", t->id, t->live);
    c->records += live;
    return check_live_from(c, t, from);
}

/* ---- namespaces ---- */

static bool collect_namespace(void *arg, const struct namespace_state *n)
{
    struct check *c = arg;

    c->namespaces[c->namespace_count++].says = *n;
    return c->namespace_count < STORE_NAMESPACES_MAX;
}

static void sum_namespaces(struct check *c, const struct topic_state *t)
{
    for (unsigned i = 0; i < c->namespace_count; i++) {
        struct namespace_sum *n = &c->namespaces[i];

        if (!name_starts_with(bytes_of(t->name, t->name_len),
                              bytes_of(n->says.prefix, n->says.prefix_len)))
            continue;
        n->topics++;
        n->live += t->live;
        n->live_bytes += t->live_bytes;
    }
}

static enum err check_namespaces(const struct check *c)
{
    for (unsigned i = 0; i < c->namespace_count; i++) {
        const struct namespace_sum *n = &c->namespaces[i];

        if (n->says.topics != n->topics)
            return broken(c, "the topics of a namespace are not what it says", 0,
                          n->topics);
        if (n->says.live != n->live || n->says.live_bytes != n->live_bytes)
            return broken(c, "the live messages of a namespace are not what it says", 0,
                          n->live);
    }
    return ERR_OK;
}

/* ---- cursors and ids ---- */

static enum err check_cursor(const struct check *c, MDB_val k, MDB_val v)
{
    struct store *s = c->r->store;
    struct cursor_state cursor;
    struct topic_state t;
    MDB_val id = val_of(k.mv_data, ID_LEN), row;
    uint64_t topic_id;

    if (k.mv_size <= ID_LEN || k.mv_size > ID_LEN + STORE_CURSOR_NAME_MAX)
        return broken(c, "a cursor without a name", 0, k.mv_size);
    topic_id = get_be64(k.mv_data);
    if (lmdb_cursor_decode(bytes_of_val(v), &cursor))
        return broken(c, "the row of a cursor", topic_id, v.mv_size);
    if (mdb_get(c->r->txn, s->dbi[TABLE_TOPICS], &id, &row) ||
        lmdb_topic_decode(topic_id, bytes_of_val(row), &t))
        return broken(c, "a cursor without a topic", topic_id, cursor.next);
    if (cursor.next > t.next_offset)
        return broken(c, "a cursor beyond its topic", topic_id, cursor.next);
    return ERR_OK;
}

/* Of a live topic, or of one that waits in the trash. */
static enum err check_id(const struct check *c, MDB_val k, MDB_val v)
{
    uint8_t key[LOG_KEY_LEN];
    MDB_val at = val_of(key, sizeof key);
    uint64_t topic_id, offset;
    struct record r;
    struct bytes id;

    (void)v;
    if (!lmdb_id_key_parse(bytes_of_val(k), &topic_id, &id, &offset))
        return broken(c, "the row of an id", 0, k.mv_size);
    log_key(key, topic_id, offset);
    if (mdb_get(c->r->txn, c->r->store->dbi[TABLE_LOG], &at, &v) ||
        record_decode(bytes_of_val(v), &r) || !bytes_eq(r.id, id))
        return broken(c, "an id without its message", topic_id, offset);
    return ERR_OK;
}

static enum err check_rows(const struct check *c, enum table t,
                           enum err (*check_row)(const struct check *, MDB_val, MDB_val))
{
    struct store *s = c->r->store;
    enum err e = ERR_OK;
    MDB_cursor *at;
    MDB_val k, v;
    int rc = mdb_cursor_open(c->r->txn, s->dbi[t], &at);

    if (rc)
        return lmdb_error(s, "check", rc);
    while (!e && !(rc = mdb_cursor_get(at, &k, &v, MDB_NEXT)))
        e = check_row(c, k, v);
    mdb_cursor_close(at);
    return e || rc == MDB_NOTFOUND ? e : lmdb_error(s, "check", rc);
}

struct walk {
    struct check *check;
    enum err e;
};

static bool check_topic(void *arg, const struct topic_state *t)
{
    struct walk *w = arg;
    struct totals *sum = &w->check->sum;

    sum->topics++;
    sum->live += t->live;
    sum->live_bytes += t->live_bytes;
    sum_namespaces(w->check, t);
    if (t->id >= sum->next_topic_id)
        sum->next_topic_id = t->id + 1;
    w->e = check_log(w->check, t);
    return !w->e;
}

static enum err check_totals(const struct check *c)
{
    struct totals t;
    enum err e = lmdb_read_totals(c->r->store, c->r->txn, &t);

    if (e)
        return e;
    if (!add_up(&t.counters, t.live))
        return broken(c, "the counters of the store do not add up", 0, t.live);
    if (t.live != c->sum.live || t.live_bytes != c->sum.live_bytes)
        return broken(c, "the store's live is not the sum of its topics", 0,
                      c->sum.live);
    if (t.topics != c->sum.topics || t.next_topic_id < c->sum.next_topic_id)
        return broken(c, "the number of topics is wrong", 0, c->sum.topics);
    return ERR_OK;
}

/* All that is in the log beyond what the topics hold must be on its way out. */
static enum err check_strangers(const struct check *c)
{
    struct store *s = c->r->store;
    uint64_t in_topics = c->records;
    uint8_t key[LOG_KEY_LEN] = {0};
    MDB_val k, v;
    MDB_stat st;
    int rc = mdb_stat(c->r->txn, s->dbi[TABLE_LOG], &st);

    if (rc)
        return lmdb_error(s, "check", rc);
    if (st.ms_entries == in_topics)
        return ERR_OK;
    rc = mdb_cursor_get(c->r->log, &k, &v, MDB_FIRST);
    while (!rc) {
        uint64_t topic_id = get_be64(k.mv_data);

        put_be64(key, topic_id);
        if (!has_row(c, TABLE_TOPICS, key, ID_LEN) &&
            !in_trash(c, TRASH_TOPIC, topic_id))
            return broken(c, "a message without a topic", topic_id, 0);
        log_key(key, topic_id + 1, 0);
        k = val_of(key, sizeof key);
        rc = mdb_cursor_get(c->r->log, &k, &v, MDB_SET_RANGE);
    }
    return rc == MDB_NOTFOUND ? ERR_OK : lmdb_error(s, "check", rc);
}

static enum err check_all(struct check *c)
{
    struct walk w = {c, ERR_OK};
    enum err e = lmdb_read_namespaces(c->r, collect_namespace, c);

    if (!e)
        e = lmdb_read_topics(c->r, bytes_of("", 0), bytes_of("", 0), check_topic, &w);
    if (!e)
        e = w.e;
    if (!e)
        e = check_totals(c);
    if (!e)
        e = check_namespaces(c);
    if (!e)
        e = check_rows(c, TABLE_CURSORS, check_cursor);
    if (!e)
        e = lmdb_check_subs(c->r);
    if (!e)
        e = lmdb_check_receipts(c->r);
    if (!e)
        e = check_rows(c, TABLE_IDS, check_id);
    return e ? e : check_strangers(c);
}

enum err lmdb_check_store(struct store_reader *r)
{
    struct check c = {.r = r};
    int rc;
    enum err e;

    c.namespaces = calloc(STORE_NAMESPACES_MAX, sizeof *c.namespaces);
    if (!c.namespaces)
        return ERR_NO_MEMORY;
    rc = mdb_cursor_open(r->txn, r->store->dbi[TABLE_DUE], &c.due);
    if (rc) {
        free(c.namespaces);
        return lmdb_error(r->store, "check", rc);
    }
    e = check_all(&c);
    mdb_cursor_close(c.due);
    free(c.namespaces);
    r->have = r->placed = false;
    return e;
}
