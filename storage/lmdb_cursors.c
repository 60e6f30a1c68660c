/*
 * Cursors: how far a subscription of a topic has come. A row each, keyed by topic and name,
 * so that those of one topic lie together and go with it, and none of them can be taken for
 * a later topic's.
 *
 * Nothing is cached: a row is read and written within the transaction that moves it.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#define CURSOR_VERSION 1
#define CURSOR_LEN     17u
#define CURSOR_KEY_MAX (ID_LEN + STORE_CURSOR_NAME_MAX)

static bool is_name(struct bytes name)
{
    return name.len && name.len <= STORE_CURSOR_NAME_MAX;
}

static struct bytes cursor_key(uint8_t key[CURSOR_KEY_MAX], uint64_t topic_id,
                               struct bytes name)
{
    put_be64(key, topic_id);
    memcpy(key + ID_LEN, name.data, name.len);
    return bytes_of(key, ID_LEN + name.len);
}

static enum err corrupt(const struct store *s)
{
    LOG_ERROR("storage", "corrupt", LOG_S("data_dir", s->path), LOG_S("what", "a cursor"));
    return ERR_CORRUPT;
}

/* Of both sides: a row under any transaction. ERR_IO and such are not yet the txn's. */
static enum err get(const struct store *s, MDB_txn *txn, uint64_t topic_id,
                    struct bytes name, struct cursor_state *out)
{
    uint8_t key[CURSOR_KEY_MAX];
    struct bytes whole;
    MDB_val k, v;
    int rc;

    if (!is_name(name))
        return ERR_NOT_FOUND;
    whole = cursor_key(key, topic_id, name);
    k = val_of(whole.data, whole.len);
    rc = mdb_get(txn, s->dbi[TABLE_CURSORS], &k, &v);
    if (rc)
        return rc == MDB_NOTFOUND ? ERR_NOT_FOUND : lmdb_error(s, "read a cursor", rc);
    return lmdb_cursor_decode(bytes_of_val(v), out) ? corrupt(s) : ERR_OK;
}

enum err lmdb_cursor_decode(struct bytes stored, struct cursor_state *out)
{
    const uint8_t *p = stored.data;

    if (stored.len != CURSOR_LEN || p[0] != CURSOR_VERSION)
        return ERR_CORRUPT;
    *out = (struct cursor_state){ .next = get_be64(p + 1),
                                  .created_ms = (int64_t)get_be64(p + 9) };
    return ERR_OK;
}

static enum err put(struct store *s, const struct store_topic *t, struct bytes name,
                    const struct cursor_state *c)
{
    uint8_t key[CURSOR_KEY_MAX], row[CURSOR_LEN] = { CURSOR_VERSION };

    put_be64(row + 1, c->next);
    put_be64(row + 9, (uint64_t)c->created_ms);
    return lmdb_txn_put(s, TABLE_CURSORS, cursor_key(key, t->state.id, name),
                        bytes_of(row, sizeof row));
}

enum err lmdb_cursor_find(struct store *s, struct store_topic *t, struct bytes name,
                          struct cursor_state *out)
{
    enum err e = get(s, s->txn, t->state.id, name, out);

    return e && e != ERR_NOT_FOUND ? lmdb_txn_spoil(s, e) : e;
}

/* ---- life ---- */

/* On the topic's first row, or ERR_NOT_FOUND. */
static enum err first_of(struct store *s, uint64_t topic_id, MDB_cursor **c, MDB_val *k)
{
    uint8_t key[ID_LEN];
    MDB_val v;
    int rc;
    enum err e = lmdb_txn_cursor(s, TABLE_CURSORS, c);

    if (e)
        return e;
    put_be64(key, topic_id);
    *k = val_of(key, sizeof key);
    rc = mdb_cursor_get(*c, k, &v, MDB_SET_RANGE);
    if (rc && rc != MDB_NOTFOUND)
        return lmdb_txn_fail(s, "walk cursors", rc);
    return rc || get_be64(k->mv_data) != topic_id ? ERR_NOT_FOUND : ERR_OK;
}

/* The topic has as many as it may. */
static enum err topic_is_full(struct store *s, uint64_t topic_id)
{
    unsigned count = 0;
    MDB_cursor *c;
    MDB_val k, v;
    enum err e = first_of(s, topic_id, &c, &k);
    int rc = 0;

    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    while (!rc && get_be64(k.mv_data) == topic_id) {
        if (++count == STORE_TOPIC_CURSORS_MAX)
            return ERR_FULL;
        rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
    }
    return rc && rc != MDB_NOTFOUND ? lmdb_txn_fail(s, "walk cursors", rc) : ERR_OK;
}

enum err lmdb_cursor_create(struct store *s, struct store_topic *t, struct bytes name,
                            uint64_t next, int64_t now_ms)
{
    struct cursor_state c = { .next = next, .created_ms = now_ms }, before;
    enum err e;

    if (!is_name(name))
        return ERR_BAD_INPUT;
    e = lmdb_cursor_find(s, t, name, &before);
    if (e != ERR_NOT_FOUND)
        return e ? e : ERR_EXISTS;
    e = topic_is_full(s, t->state.id);
    return e ? e : put(s, t, name, &c);
}

enum err lmdb_cursor_move(struct store *s, struct store_topic *t, struct bytes name,
                          uint64_t next)
{
    struct cursor_state c;
    enum err e = lmdb_cursor_find(s, t, name, &c);

    if (e)
        return e;
    c.next = next;
    return put(s, t, name, &c);
}

enum err lmdb_cursor_delete(struct store *s, struct store_topic *t, struct bytes name)
{
    uint8_t key[CURSOR_KEY_MAX];
    struct cursor_state c;
    enum err e = lmdb_cursor_find(s, t, name, &c);

    return e ? e : lmdb_txn_delete(s, TABLE_CURSORS, cursor_key(key, t->state.id, name));
}

enum err lmdb_cursors_delete_all(struct store *s, uint64_t topic_id)
{
    MDB_cursor *c;
    MDB_val k;
    enum err e;
    int rc;

    while (!(e = first_of(s, topic_id, &c, &k))) {
        rc = mdb_cursor_del(c, 0);
        if (rc)
            return lmdb_txn_fail(s, "delete a cursor", rc);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err lmdb_cursors_count(struct store *s, uint64_t *count)
{
    MDB_stat st;
    int rc = mdb_stat(s->txn, s->dbi[TABLE_CURSORS], &st);

    *count = rc ? 0 : st.ms_entries;
    return rc ? lmdb_txn_fail(s, "count cursors", rc) : ERR_OK;
}

/* ---- the messages in front of one ---- */

/* Past those that are due, of which there may be many while a sweep is behind. */
static enum err skip_due(struct store *s, MDB_cursor *c, uint64_t topic_id, MDB_val v,
                         int64_t now_ms, unsigned max, struct store_entry *out)
{
    enum err e = ERR_OK;

    for (; !e; e = lmdb_log_next(s, c, topic_id, &out->offset, &v)) {
        if (!max--)
            return ERR_BUSY;
        if (record_decode(bytes_of_val(v), &out->record))
            return lmdb_txn_spoil(s, corrupt(s));
        if (!out->record.expires_ms || out->record.expires_ms > now_ms)
            return ERR_OK;
    }
    return e;
}

enum err lmdb_log_first(struct store *s, struct store_topic *t, uint64_t offset,
                        int64_t now_ms, unsigned max, struct store_entry *out)
{
    MDB_cursor *c;
    MDB_val v;
    enum err e = lmdb_park_return(s);

    if (!e)
        e = lmdb_txn_cursor(s, TABLE_LOG, &c);
    if (!e)
        e = lmdb_log_seek(s, c, t->state.id, offset, &out->offset, &v);
    return e ? e : skip_due(s, c, t->state.id, v, now_ms, max, out);
}

/* ---- read side ---- */

enum err lmdb_read_cursor(struct store_reader *r, uint64_t topic_id, struct bytes name,
                          struct cursor_state *out)
{
    return get(r->store, r->txn, topic_id, name, out);
}
