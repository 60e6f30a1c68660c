/*
 * Blobs: large bodies in chunks.
 *
 *   begin --> upload --append--> part of the log --expired or removed--> trash --> gone
 *                '--------------- dropped, or found at open --------------^
 *
 * A blob's id is in the table of uploads, or in one record, or in the trash.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#define CHUNK_KEY_LEN 12u
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

enum err lmdb_blob_free_chunk(struct store *s, uint64_t id, uint64_t *bytes)
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
