/*
 * Receipts: a table by topic and key, and an index of the same rows by the end of their time.
 *
 *   1. A receipt has one row in each, or in neither; they change in one transaction.
 *   2. Nothing else looks after receipts: neither the end of their messages nor that of their
 *      topic. A topic's id is never used again, so what is left of one is found by nobody, and
 *      goes at its time.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#define ROW_VERSION 1
#define ROW_LEN     65u

#define KEY_MAX (ID_LEN + STORE_RECEIPT_KEY_MAX)
#define DUE_MAX (8u + KEY_MAX)

struct row_key { /* of both tables: the due time stands before the rest */
    uint8_t bytes[DUE_MAX];
    size_t len;
};

static bool key_of(struct row_key *k, uint64_t topic_id, struct bytes key)
{
    if (!key.len || key.len > STORE_RECEIPT_KEY_MAX)
        return false;
    put_be64(k->bytes + 8, topic_id);
    memcpy(k->bytes + 8 + ID_LEN, key.data, key.len);
    k->len = 8 + ID_LEN + key.len;
    return true;
}

static struct bytes by_key(const struct row_key *k)
{
    return bytes_of(k->bytes + 8, k->len - 8);
}

static struct bytes by_time(struct row_key *k, int64_t until_ms)
{
    put_be64(k->bytes, (uint64_t)until_ms);
    return bytes_of(k->bytes, k->len);
}

static void encode(const struct receipt *r, uint8_t out[ROW_LEN])
{
    const uint64_t fields[] = { r->first_offset,         r->count,  (uint64_t)r->time_ms,
                                (uint64_t)r->expires_ms, r->ttl_ms, (uint64_t)r->until_ms };

    out[0] = ROW_VERSION;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        put_be64(out + 1 + 8 * i, fields[i]);
    memcpy(out + ROW_LEN - STORE_PRINT_LEN, r->print, STORE_PRINT_LEN);
}

enum err lmdb_receipt_decode(struct bytes stored, struct receipt *out)
{
    const uint8_t *p = stored.data;

    if (stored.len != ROW_LEN || p[0] != ROW_VERSION)
        return ERR_CORRUPT;
    *out = (struct receipt){ .first_offset = get_be64(p + 1),
                             .count = get_be64(p + 9),
                             .time_ms = (int64_t)get_be64(p + 17),
                             .expires_ms = (int64_t)get_be64(p + 25),
                             .ttl_ms = get_be64(p + 33),
                             .until_ms = (int64_t)get_be64(p + 41) };
    memcpy(out->print, p + ROW_LEN - STORE_PRINT_LEN, STORE_PRINT_LEN);
    return ERR_OK;
}

static enum err corrupt(const struct store *s)
{
    LOG_ERROR("storage", "corrupt", LOG_S("data_dir", s->path), LOG_S("what", "a receipt"));
    return ERR_CORRUPT;
}

static enum err get(const struct store *s, MDB_txn *txn, const struct row_key *key,
                    struct receipt *out)
{
    struct bytes name = by_key(key);
    MDB_val k = val_of(name.data, name.len), v;
    int rc = mdb_get(txn, s->dbi[TABLE_RECEIPTS], &k, &v);

    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc)
        return lmdb_error(s, "look up a receipt", rc);
    return lmdb_receipt_decode(bytes_of_val(v), out) ? corrupt(s) : ERR_OK;
}

static enum err find(struct store *s, const struct store_topic *t, struct bytes key,
                     struct receipt *out)
{
    struct row_key k;
    enum err e = key_of(&k, t->state.id, key) ? get(s, s->txn, &k, out) : ERR_BAD_INPUT;

    return e && e != ERR_NOT_FOUND && e != ERR_BAD_INPUT ? lmdb_txn_spoil(s, e) : e;
}

static enum err put(struct store *s, const struct store_topic *t, struct bytes key,
                    const struct receipt *r)
{
    uint8_t row[ROW_LEN];
    struct row_key k;
    struct receipt old;
    enum err e = find(s, t, key, &old);

    if (e && e != ERR_NOT_FOUND)
        return e;
    (void)key_of(&k, t->state.id, key); /* find would have refused it */
    if (!e)
        e = lmdb_txn_delete(s, TABLE_RECEIPTS_DUE, by_time(&k, old.until_ms));
    else
        e = ERR_OK;
    encode(r, row);
    if (!e)
        e = lmdb_txn_put(s, TABLE_RECEIPTS, by_key(&k), bytes_of(row, sizeof row));
    return e ? e : lmdb_txn_put(s, TABLE_RECEIPTS_DUE, by_time(&k, r->until_ms),
                                bytes_of("", 0));
}

static enum err count(struct store *s, uint64_t *count)
{
    MDB_stat st;
    int rc = mdb_stat(s->txn, s->dbi[TABLE_RECEIPTS], &st);

    *count = rc ? 0 : st.ms_entries;
    return rc ? lmdb_txn_fail(s, "count receipts", rc) : ERR_OK;
}

/* The first in order of time, if its time is over: taken out. ERR_NOT_FOUND: none is. */
static enum err take_out_first(struct store *s, int64_t now_ms)
{
    uint8_t key[DUE_MAX];
    MDB_cursor *c;
    MDB_val k, v;
    size_t len;
    enum err e = lmdb_txn_cursor(s, TABLE_RECEIPTS_DUE, &c);
    int rc;

    if (e)
        return e;
    rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc || k.mv_size <= 8 + ID_LEN || k.mv_size > DUE_MAX)
        return lmdb_txn_fail(s, "read what receipts are due", rc ? rc : MDB_CORRUPTED);
    if ((int64_t)get_be64(k.mv_data) > now_ms)
        return ERR_NOT_FOUND;
    len = k.mv_size;
    memcpy(key, k.mv_data, len); /* the page it is on is about to change */
    rc = mdb_cursor_del(c, 0);
    if (rc)
        return lmdb_txn_fail(s, "take out a receipt", rc);
    return lmdb_txn_delete(s, TABLE_RECEIPTS, bytes_of(key + 8, len - 8));
}

static enum err expire_step(struct store *s, int64_t now_ms, unsigned max, unsigned *gone)
{
    enum err e = ERR_OK;

    for (*gone = 0; *gone < max && !e; *gone += !e)
        e = take_out_first(s, now_ms);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err read_one(struct store_reader *r, uint64_t topic_id, struct bytes key,
                         struct receipt *out)
{
    struct row_key k;

    return key_of(&k, topic_id, key) ? get(r->store, r->txn, &k, out) : ERR_BAD_INPUT;
}

const struct store_receipts_ops lmdb_receipts = {
    .find = find,
    .put = put,
    .count = count,
    .expire_step = expire_step,
    .read = read_one,
};
