/*
 * What is read under a snapshot. Where a reader stands:
 *
 *   have                 topic_id and offset name the record last given out
 *   have and placed      the cursor still stands on it
 *   have and not placed  the walk ended there, in one direction
 */
#include "lmdb_internal.h"
#include "base/log.h"

static enum err fail(const struct store_reader *r, int rc)
{
    return rc == MDB_NOTFOUND ? ERR_NOT_FOUND : lmdb_error(r->store, "read", rc);
}

static enum err corrupt(const struct store *s, const char *what)
{
    LOG_ERROR("storage", "corrupt", LOG_S("data_dir", s->path), LOG_S("what", what));
    return ERR_CORRUPT;
}

/* ---- records ---- */

static enum err give(struct store_reader *r, int rc, uint64_t topic_id,
                     const MDB_val *k, const MDB_val *v, struct store_entry *out)
{
    r->placed = false;
    if (rc)
        return fail(r, rc);
    if (k->mv_size != LOG_KEY_LEN)
        return corrupt(r->store, "the key of a message");
    if (get_be64(k->mv_data) != topic_id)
        return ERR_NOT_FOUND;
    if (record_decode(bytes_of_val(*v), &out->record))
        return corrupt(r->store, "a message");
    out->offset = get_be64((const uint8_t *)k->mv_data + 8);
    r->have = r->placed = true;
    r->topic_id = topic_id;
    r->offset = out->offset;
    return ERR_OK;
}

static int seek(struct store_reader *r, uint64_t topic_id, uint64_t offset, MDB_val *k,
                MDB_val *v, uint8_t key[LOG_KEY_LEN])
{
    log_key(key, topic_id, offset);
    *k = val_of(key, LOG_KEY_LEN);
    return mdb_cursor_get(r->log, k, v, MDB_SET_RANGE);
}

enum err lmdb_read_seek(struct store_reader *r, uint64_t topic_id, uint64_t offset,
                        struct store_entry *out)
{
    uint8_t key[LOG_KEY_LEN];
    MDB_val k, v;
    int rc = seek(r, topic_id, offset, &k, &v, key);

    r->have = false;
    return give(r, rc, topic_id, &k, &v, out);
}

/* Back to the record last given out, when the walk has run over an end since. */
static int replace_cursor(struct store_reader *r)
{
    uint8_t key[LOG_KEY_LEN];
    MDB_val k, v;

    return r->placed ? 0 : seek(r, r->topic_id, r->offset, &k, &v, key);
}

enum err lmdb_read_next(struct store_reader *r, struct store_entry *out)
{
    MDB_val k, v;
    int rc;

    if (!r->have)
        return ERR_NOT_FOUND;
    rc = replace_cursor(r);
    if (!rc)
        rc = mdb_cursor_get(r->log, &k, &v, MDB_NEXT);
    return give(r, rc, r->topic_id, &k, &v, out);
}

/* The record in front of the first key of the next topic. */
static enum err read_newest(struct store_reader *r, uint64_t topic_id,
                            struct store_entry *out)
{
    uint8_t key[LOG_KEY_LEN];
    MDB_val k, v;
    int rc = seek(r, topic_id + 1, 0, &k, &v, key);

    if (rc == 0)
        rc = mdb_cursor_get(r->log, &k, &v, MDB_PREV);
    else if (rc == MDB_NOTFOUND)
        rc = mdb_cursor_get(r->log, &k, &v, MDB_LAST);
    return give(r, rc, topic_id, &k, &v, out);
}

enum err lmdb_read_prev(struct store_reader *r, uint64_t topic_id,
                        struct store_entry *out)
{
    MDB_val k, v;
    int rc;

    if (!r->have || r->topic_id != topic_id)
        return read_newest(r, topic_id, out);
    rc = replace_cursor(r);
    if (!rc)
        rc = mdb_cursor_get(r->log, &k, &v, MDB_PREV);
    return give(r, rc, topic_id, &k, &v, out);
}

/* Times do not fall within a topic, so they can be searched like offsets. Invariant: a
 * record at or after `low` in time exists, and none before `low` is late enough. */
enum err lmdb_read_seek_time(struct store_reader *r, uint64_t topic_id, int64_t time_ms,
                             struct store_entry *out)
{
    enum err e = read_newest(r, topic_id, out);
    uint64_t low = 0, high;

    if (e)
        return e;
    high = out->offset;
    if (out->record.time_ms < time_ms) {
        r->have = r->placed = false;
        return ERR_NOT_FOUND;
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        e = lmdb_read_seek(r, topic_id, middle, out);
        if (e)
            return e;
        if (out->record.time_ms >= time_ms)
            high = middle;
        else
            low = out->offset + 1;
    }
    return lmdb_read_seek(r, topic_id, low, out);
}

/* ---- blobs ---- */

static enum err chunk(struct store_reader *r, uint64_t blob_id, uint64_t index,
                      MDB_val *v)
{
    uint8_t key[12];
    MDB_val k = val_of(key, sizeof key);

    if (index > UINT32_MAX)
        return ERR_NOT_FOUND;
    put_be64(key, blob_id);
    put_be32(key + 8, (uint32_t)index);
    return fail(r, mdb_cursor_get(r->blobs, &k, v, MDB_SET_KEY));
}

enum err lmdb_read_blob(struct store_reader *r, uint64_t blob_id, uint64_t at, void *to,
                        size_t len, size_t *got)
{
    uint8_t *out = to;
    enum err e;
    MDB_val v;

    for (*got = 0; *got < len;) {
        uint64_t pos = at + *got, within = pos % STORE_CHUNK_BYTES;
        size_t n = len - *got;

        e = chunk(r, blob_id, pos / STORE_CHUNK_BYTES, &v);
        if (e || within >= v.mv_size)
            return e == ERR_NOT_FOUND ? ERR_OK : e;
        if (n > v.mv_size - within)
            n = v.mv_size - (size_t)within;
        memcpy(out + *got, (const uint8_t *)v.mv_data + within, n);
        *got += n;
    }
    return ERR_OK;
}

/* ---- topics and figures ---- */

static enum err state_of(struct store_reader *r, const MDB_val *id,
                         struct topic_state *out)
{
    MDB_val k = *id, row;
    int rc;

    if (id->mv_size != ID_LEN)
        return corrupt(r->store, "the id of a topic");
    rc = mdb_get(r->txn, r->store->dbi[TABLE_TOPICS], &k, &row);
    if (rc && rc != MDB_NOTFOUND)
        return fail(r, rc);
    if (rc || lmdb_topic_decode(get_be64(id->mv_data), bytes_of_val(row), out))
        return corrupt(r->store, "the record of a topic");
    return ERR_OK;
}

enum err lmdb_read_topic(struct store_reader *r, struct bytes name,
                         struct topic_state *out)
{
    MDB_val k = val_of(name.data, name.len), id;
    int rc;

    if (!name.len || name.len > STORE_TOPIC_NAME_MAX)
        return ERR_NOT_FOUND;
    rc = mdb_get(r->txn, r->store->dbi[TABLE_NAMES], &k, &id);
    return rc ? fail(r, rc) : state_of(r, &id, out);
}

/* On the first name at or after both; LMDB wants no empty key. */
static int first_name(MDB_cursor *c, struct bytes prefix, struct bytes after,
                      MDB_val *k, MDB_val *id)
{
    struct bytes from = name_compare(prefix, after) > 0 ? prefix : after;
    int rc;

    *k = val_of(from.data, from.len);
    rc = mdb_cursor_get(c, k, id, from.len ? MDB_SET_RANGE : MDB_FIRST);
    if (!rc && after.len && bytes_eq(bytes_of_val(*k), after))
        rc = mdb_cursor_get(c, k, id, MDB_NEXT);
    return rc;
}

static enum err list(struct store_reader *r, MDB_cursor *c, struct bytes prefix,
                     struct bytes after, store_topic_fn fn, void *arg)
{
    struct topic_state state;
    MDB_val k, id;
    int rc = first_name(c, prefix, after, &k, &id);

    while (!rc && name_starts_with(bytes_of_val(k), prefix)) {
        enum err e = state_of(r, &id, &state);

        if (e)
            return e;
        if (!fn(arg, &state))
            return ERR_OK;
        rc = mdb_cursor_get(c, &k, &id, MDB_NEXT);
    }
    return rc && rc != MDB_NOTFOUND ? fail(r, rc) : ERR_OK;
}

enum err lmdb_read_topics(struct store_reader *r, struct bytes prefix,
                          struct bytes after, store_topic_fn fn, void *arg)
{
    MDB_cursor *c;
    int rc = mdb_cursor_open(r->txn, r->store->dbi[TABLE_NAMES], &c);
    enum err e;

    if (rc)
        return fail(r, rc);
    e = list(r, c, prefix, after, fn, arg);
    mdb_cursor_close(c);
    return e;
}

enum err lmdb_read_totals(struct store *s, MDB_txn *txn, struct totals *out)
{
    uint8_t key[ID_LEN] = {0};
    MDB_val k = val_of(key, sizeof key), row;
    int rc = mdb_get(txn, s->dbi[TABLE_TOPICS], &k, &row);

    if (rc && rc != MDB_NOTFOUND)
        return lmdb_error(s, "read figures", rc);
    if (rc || lmdb_totals_decode(bytes_of_val(row), out))
        return corrupt(s, "the record of the store");
    return ERR_OK;
}

enum err lmdb_read_stats(struct store_reader *r, struct store_stats *out)
{
    struct totals totals;
    enum err e = lmdb_read_totals(r->store, r->txn, &totals);

    return e ? e : lmdb_stats_fill(r->store, r->txn, &totals, out);
}
