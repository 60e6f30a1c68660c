/*
 * Blobs and what is left to delete.
 *
 *   begin --> upload --append--> part of the log --expired or removed--> trash --> gone
 *                '--------------- dropped, or found at open --------------^
 *
 *   1. A blob's id is in the table of uploads, or in one record, or in the trash.
 *   2. Sending something to the trash is one row, however large it is; trash_step does
 *      the work in bounded steps.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#define CHUNK_KEY_LEN 12u
#define TRASH_KEY_LEN 9u
#define WRITING       1

enum err lmdb_blob_begin(struct store *s, uint64_t *id)
{
    uint8_t key[ID_LEN], state = WRITING;
    enum err e;

    *id = s->totals.next_blob_id;
    put_be64(key, *id);
    e = lmdb_txn_put(s, TABLE_UPLOADS, bytes_of(key, sizeof key), bytes_of(&state, 1));
    if (!e)
        s->totals.next_blob_id++;
    return e;
}

static enum err require_upload(struct store *s, uint64_t id)
{
    uint8_t key[ID_LEN];
    MDB_val k = val_of(key, sizeof key), state;
    int rc;

    put_be64(key, id);
    rc = mdb_get(s->txn, s->dbi[TABLE_UPLOADS], &k, &state);
    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    return rc ? lmdb_txn_fail(s, "look up an upload", rc) : ERR_OK;
}

enum err lmdb_blob_write(struct store *s, uint64_t id, uint32_t chunk,
                         struct bytes data)
{
    uint8_t key[CHUNK_KEY_LEN];
    enum err e = require_upload(s, id);

    if (e)
        return e;
    if (data.len == 0 || data.len > STORE_CHUNK_BYTES)
        return ERR_BAD_INPUT;
    put_be64(key, id);
    put_be32(key + 8, chunk);
    return lmdb_txn_put(s, TABLE_BLOBS, bytes_of(key, sizeof key), data);
}

enum err lmdb_blob_adopt(struct store *s, uint64_t id)
{
    uint8_t key[ID_LEN];
    enum err e = require_upload(s, id);

    put_be64(key, id);
    return e ? e : lmdb_txn_delete(s, TABLE_UPLOADS, bytes_of(key, sizeof key));
}

enum err lmdb_blob_drop(struct store *s, uint64_t id)
{
    enum err e = lmdb_blob_adopt(s, id);

    return e ? e : lmdb_trash_put(s, TRASH_BLOB, id);
}

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

static enum err first_upload(struct store *s, uint64_t *id)
{
    MDB_cursor *c;
    MDB_val k, v;
    enum err e = lmdb_txn_cursor(s, TABLE_UPLOADS, &c);
    int rc;

    if (e)
        return e;
    rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc || k.mv_size != ID_LEN)
        return lmdb_txn_fail(s, "read uploads", rc ? rc : MDB_CORRUPTED);
    *id = get_be64(k.mv_data);
    return ERR_OK;
}

/* As many as were running when the process died: few, and one row each. */
enum err lmdb_uploads_to_trash(struct store *s)
{
    uint64_t id, count = 0;
    enum err e = first_upload(s, &id);

    for (; !e; e = first_upload(s, &id)) {
        e = lmdb_blob_drop(s, id);
        if (e)
            return e;
        count++;
    }
    if (count)
        LOG_INFO("storage", "unfinished_uploads_dropped", LOG_I("count", count));
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err first_trash(struct store *s, enum trash_kind *kind, uint64_t *id)
{
    MDB_cursor *c;
    MDB_val k, v;
    enum err e = lmdb_txn_cursor(s, TABLE_TRASH, &c);
    const uint8_t *p;
    int rc;

    if (e)
        return e;
    rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc || k.mv_size != TRASH_KEY_LEN)
        return lmdb_txn_fail(s, "read the trash", rc ? rc : MDB_CORRUPTED);
    p = k.mv_data;
    *kind = (enum trash_kind)p[0];
    *id = get_be64(p + 1);
    return ERR_OK;
}

/* Positions a cursor on the first chunk left of a blob. */
static enum err first_chunk(struct store *s, uint64_t id, MDB_cursor **c, MDB_val *v)
{
    uint8_t key[CHUNK_KEY_LEN] = {0};
    MDB_val k = val_of(key, sizeof key);
    enum err e = lmdb_txn_cursor(s, TABLE_BLOBS, c);
    int rc;

    if (e)
        return e;
    put_be64(key, id);
    rc = mdb_cursor_get(*c, &k, v, MDB_SET_RANGE);
    if (rc && rc != MDB_NOTFOUND)
        return lmdb_txn_fail(s, "walk a blob", rc);
    if (rc || k.mv_size != CHUNK_KEY_LEN || get_be64(k.mv_data) != id)
        return ERR_NOT_FOUND;
    return ERR_OK;
}

/* ERR_NOT_FOUND: all of it is gone. */
static enum err free_chunk(struct store *s, uint64_t id, uint64_t *bytes)
{
    MDB_cursor *c;
    MDB_val v;
    enum err e = first_chunk(s, id, &c, &v);
    int rc;

    if (e)
        return e;
    *bytes += v.mv_size;
    rc = mdb_cursor_del(c, 0);
    return rc ? lmdb_txn_fail(s, "free a chunk", rc) : ERR_OK;
}

static enum err free_record(struct store *s, uint64_t topic_id, uint64_t *bytes)
{
    struct record r;
    uint64_t at;
    MDB_cursor *c;
    MDB_val v;
    enum err e = lmdb_txn_cursor(s, TABLE_LOG, &c);

    if (!e)
        e = lmdb_log_seek(s, c, topic_id, 0, &at, &v);
    if (e)
        return e;
    if (record_decode(bytes_of_val(v), &r))
        return lmdb_txn_fail(s, "free a message", MDB_CORRUPTED);
    *bytes += r.body.len;
    return lmdb_log_take_out(s, c, &r);
}

static enum err free_one(struct store *s, enum trash_kind kind, uint64_t id,
                         uint64_t *bytes)
{
    switch (kind) {
    case TRASH_BLOB:
        return free_chunk(s, id, bytes);
    case TRASH_TOPIC:
        return free_record(s, id, bytes);
    }
    return lmdb_txn_fail(s, "empty the trash", MDB_CORRUPTED);
}

/* Frees some of one thing in the trash; its row goes when nothing is left of it. */
static enum err empty_row(struct store *s, enum trash_kind kind, uint64_t id,
                          unsigned *left, struct store_step *out)
{
    uint8_t key[TRASH_KEY_LEN];
    enum err e = ERR_OK;

    while (*left && !e) {
        e = free_one(s, kind, id, &out->bytes);
        --*left;
        out->messages += !e;
    }
    if (e != ERR_NOT_FOUND)
        return e;
    trash_key(key, kind, id);
    return lmdb_txn_delete(s, TABLE_TRASH, bytes_of(key, sizeof key));
}

enum err lmdb_trash_step(struct store *s, unsigned max, struct store_step *out)
{
    enum trash_kind kind;
    uint64_t id;
    enum err e = lmdb_park_return(s);

    *out = (struct store_step){0};
    if (!e)
        e = first_trash(s, &kind, &id);
    while (!e && max) {
        e = empty_row(s, kind, id, &max, out);
        if (!e)
            e = first_trash(s, &kind, &id);
    }
    out->more = !e;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}
