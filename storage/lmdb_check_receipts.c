/*
 * The part of the proof (lmdb_check.c) that is about receipts:
 *
 *   1. Every receipt has its row in the index of their times, and there is no other row there.
 *   2. A receipt of a topic that lives is about offsets that were given.
 */
#include "lmdb_internal.h"
#include "base/log.h"

static enum err broken(const struct store_reader *r, const char *what, uint64_t topic_id,
                       uint64_t number)
{
    LOG_ERROR("storage", "check_failed", LOG_S("data_dir", r->store->path),
              LOG_S("what", what), LOG_I("topic_id", topic_id), LOG_I("number", number));
    return ERR_CORRUPT;
}

static bool is_in_time(const struct store_reader *r, struct bytes key, int64_t until_ms)
{
    uint8_t due[8 + ID_LEN + STORE_RECEIPT_KEY_MAX];
    MDB_val k = val_of(due, 8 + key.len), v;

    put_be64(due, (uint64_t)until_ms);
    memcpy(due + 8, key.data, key.len);
    return mdb_get(r->txn, r->store->dbi[TABLE_RECEIPTS_DUE], &k, &v) == 0;
}

static enum err check_offsets(const struct store_reader *r, uint64_t topic_id,
                              const struct receipt *receipt)
{
    uint64_t end = receipt->first_offset + receipt->count;
    struct topic_state t;
    uint8_t id[ID_LEN];
    MDB_val k = val_of(id, sizeof id), v;

    put_be64(id, topic_id);
    if (mdb_get(r->txn, r->store->dbi[TABLE_TOPICS], &k, &v))
        return ERR_OK; /* gone, and the receipt goes at its time */
    if (lmdb_topic_decode(topic_id, bytes_of_val(v), &t) || end > t.next_offset)
        return broken(r, "a receipt for what was never stored", topic_id, end);
    return ERR_OK;
}

static enum err check_one(const struct store_reader *r, struct bytes key, struct bytes row)
{
    uint64_t topic_id;
    struct receipt receipt;

    if (key.len <= ID_LEN || key.len > ID_LEN + STORE_RECEIPT_KEY_MAX)
        return broken(r, "the key of a receipt", 0, key.len);
    topic_id = get_be64(key.data);
    if (lmdb_receipt_decode(row, &receipt))
        return broken(r, "the row of a receipt", topic_id, row.len);
    if (!is_in_time(r, key, receipt.until_ms))
        return broken(r, "a receipt that will never go", topic_id, receipt.first_offset);
    return check_offsets(r, topic_id, &receipt);
}

static enum err check_counts(const struct store_reader *r)
{
    MDB_stat rows, times;
    int rc = mdb_stat(r->txn, r->store->dbi[TABLE_RECEIPTS], &rows);

    if (!rc)
        rc = mdb_stat(r->txn, r->store->dbi[TABLE_RECEIPTS_DUE], &times);
    if (rc)
        return lmdb_error(r->store, "check", rc);
    if (rows.ms_entries != times.ms_entries)
        return broken(r, "times without a receipt", 0, times.ms_entries);
    return ERR_OK;
}

enum err lmdb_check_receipts(struct store_reader *r)
{
    enum err e = ERR_OK;
    MDB_cursor *c;
    MDB_val k, v;
    int rc = mdb_cursor_open(r->txn, r->store->dbi[TABLE_RECEIPTS], &c);

    if (rc)
        return lmdb_error(r->store, "check", rc);
    while (!e && !(rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)))
        e = check_one(r, bytes_of_val(k), bytes_of_val(v));
    mdb_cursor_close(c);
    if (!e && rc != MDB_NOTFOUND)
        e = lmdb_error(r->store, "check", rc);
    return e ? e : check_counts(r);
}
