/*
 * What is left to delete: deleted topics, blobs that no record names any
 * more, and what subscriptions have forgotten.
 *
 *   1. Sending something to the trash is one row, however large it is; trash_step does
 *      the work in bounded steps.
 *   2. Blobs come before topics in the table. The records of a topic send more blobs to
 *      the trash, behind the back of a step that has come so far: the next step finds them.
 *   3. A step walks past pinned blobs, of which there are no more than readers have pins.
 */
#include "lmdb_deliveries.h"

#define TRASH_KEY_LEN 9u

struct trash_row {
    enum trash_kind kind;
    uint64_t id;
};

static void trash_key(uint8_t key[TRASH_KEY_LEN], enum trash_kind kind, uint64_t id)
{
    key[0] = (uint8_t)kind;
    put_be64(key + 1, id);
}

enum err lmdb_trash_put(struct store *s, enum trash_kind kind, uint64_t id)
{
    uint8_t key[TRASH_KEY_LEN];

    trash_key(key, kind, id);
    return lmdb_txn_put(s, TABLE_TRASH, bytes_of(key, sizeof key), bytes_of("", 0));
}

/* The row at or after *row. */
static enum err find_row(struct store *s, struct trash_row *row)
{
    uint8_t key[TRASH_KEY_LEN];
    MDB_val k = val_of(key, sizeof key), v;
    MDB_cursor *c;
    enum err e = lmdb_txn_cursor(s, TABLE_TRASH, &c);
    const uint8_t *p;
    int rc;

    if (e)
        return e;
    trash_key(key, row->kind, row->id);
    rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc || k.mv_size != TRASH_KEY_LEN)
        return lmdb_txn_fail(s, "read the trash", rc ? rc : MDB_CORRUPTED);
    p = k.mv_data;
    *row = (struct trash_row){(enum trash_kind)p[0], get_be64(p + 1)};
    return ERR_OK;
}

/* The row at or after *row that nobody reads; the others on the way are noted in *out. */
static enum err next_row(struct store *s, int64_t now_ms, struct trash_row *row,
                         struct store_step *out)
{
    enum err e;

    while (!(e = find_row(s, row)) && row->kind == TRASH_BLOB &&
           lmdb_pins_hold(s, row->id, now_ms, &out->held_until_ms)) {
        out->held++;
        row->id++;
    }
    return e;
}

static enum err free_record(struct store *s, uint64_t topic_id, struct store_step *out)
{
    struct record r;
    uint64_t at;
    MDB_cursor *c;
    MDB_val v;
    enum err e = lmdb_txn_cursor(s, TABLE_LOG, &c);

    if (!e)
        e = lmdb_log_seek(s, c, topic_id, 0, &at, &v);
    if (e == ERR_NOT_FOUND) {
        out->spent++;
        return lmdb_holes_free_one(s, topic_id);
    }
    if (e)
        return e;
    if (record_decode(bytes_of_val(v), &r))
        return lmdb_txn_fail(s, "free a message", MDB_CORRUPTED);
    out->bytes += r.body.len;
    return lmdb_log_take_out(s, c, topic_id, at, &r, &out->spent);
}

static enum err free_chunk(struct store *s, uint64_t blob_id, struct store_step *out)
{
    enum err e = lmdb_blob_free_chunk(s, blob_id, &out->bytes);

    out->spent += !e;
    return e;
}

static enum err free_delivery(struct store *s, uint64_t id, struct store_step *out)
{
    enum err e = lmdb_delivery_free_one(s, id);

    out->spent += !e;
    return e;
}

static enum err free_one(struct store *s, enum trash_kind kind, uint64_t id,
                         struct store_step *out)
{
    switch (kind) {
    case TRASH_BLOB:
        return free_chunk(s, id, out);
    case TRASH_TOPIC:
        return free_record(s, id, out);
    case TRASH_DELIVERIES:
        return free_delivery(s, id, out);
    }
    return lmdb_txn_fail(s, "empty the trash", MDB_CORRUPTED);
}

/* Frees some of one thing in the trash; its row goes when nothing is left of it. */
static enum err empty_row(struct store *s, const struct trash_row *row, unsigned max,
                          struct store_step *out)
{
    uint8_t key[TRASH_KEY_LEN];
    enum err e = ERR_OK;

    while (out->spent < max && !e) {
        e = free_one(s, row->kind, row->id, out);
        out->messages += !e;
    }
    if (e != ERR_NOT_FOUND)
        return e;
    out->spent++;
    trash_key(key, row->kind, row->id);
    return lmdb_txn_delete(s, TABLE_TRASH, bytes_of(key, sizeof key));
}

static enum err walk(struct store *s, int64_t now_ms, unsigned max, struct store_step *out)
{
    struct trash_row row = {0};
    bool topics = false;
    enum err e = next_row(s, now_ms, &row, out);

    while (!e && out->spent < max) {
        topics |= row.kind == TRASH_TOPIC;
        e = empty_row(s, &row, max, out);
        if (!e)
            e = next_row(s, now_ms, &row, out);
    }
    out->more = !e || topics; /* whose blobs lie at the front now, if there were any */
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err lmdb_trash_step(struct store *s, int64_t now_ms, unsigned max,
                         struct store_step *out)
{
    enum err e = lmdb_park_return(s);

    *out = (struct store_step){0};
    if (e)
        return e;
    if (s->taken_out_in == s->txn_number) {
        out->more = true;
        return ERR_OK;
    }
    return walk(s, now_ms, max, out);
}
