/*
 * Where the message with an id is: an index from topic and id to offset, with a row for
 * each record that has one and none for the others.
 *
 *   1. A row is written with its record and goes with it, in the same transaction.
 *   2. Ids may be used twice: the offset is part of the key, so that a look-up finds the
 *      first one that is left, and nothing is ever written over.
 *   3. The id's length stands before it. So ids of one topic and length lie together, no
 *      other id lies between two equal ones, and those that rise, as UUIDs of version 7
 *      do, arrive at the end of theirs.
 */
#include "lmdb_internal.h"

struct bytes lmdb_id_key(uint8_t key[ID_KEY_MAX], uint64_t topic_id, struct bytes id,
                         uint64_t offset)
{
    put_be64(key, topic_id);
    key[ID_LEN] = (uint8_t)id.len;
    memcpy(key + ID_LEN + 1, id.data, id.len);
    put_be64(key + ID_LEN + 1 + id.len, offset);
    return bytes_of(key, ID_LEN + 1 + id.len + 8);
}

bool lmdb_id_key_parse(struct bytes key, uint64_t *topic_id, struct bytes *id,
                       uint64_t *offset)
{
    const uint8_t *p = key.data;

    if (key.len < ID_KEY_LEAST || key.len != ID_LEN + 1u + p[ID_LEN] + 8u)
        return false;
    *topic_id = get_be64(p);
    *id = bytes_of(p + ID_LEN + 1, p[ID_LEN]);
    *offset = get_be64(p + ID_LEN + 1 + p[ID_LEN]);
    return true;
}

enum err lmdb_id_put(struct store *s, uint64_t topic_id, struct bytes id, uint64_t offset)
{
    uint8_t key[ID_KEY_MAX];

    return lmdb_txn_put(s, TABLE_IDS, lmdb_id_key(key, topic_id, id, offset),
                        bytes_of("", 0));
}

/* A page has two addresses, one before it is changed and one after: it may be taken for
 * two. */
static bool moves_to(struct store *s, const MDB_val *k)
{
    uintptr_t at = (uintptr_t)k->mv_data, before = s->id_row;

    s->id_row = at;
    return (at > before ? at - before : before - at) >= s->page_size;
}

enum err lmdb_id_take_out(struct store *s, struct bytes key, bool *moved)
{
    MDB_val k = val_of(key.data, key.len), v;
    MDB_cursor *c;
    enum err e = lmdb_txn_cursor(s, TABLE_IDS, &c);
    int rc;

    if (e)
        return e;
    rc = mdb_cursor_get(c, &k, &v, MDB_SET_KEY);
    if (rc == MDB_NOTFOUND)
        return ERR_OK; /* the message has to go all the same */
    if (!rc) {
        *moved = moves_to(s, &k);
        rc = mdb_cursor_del(c, 0);
    }
    return rc ? lmdb_txn_fail(s, "take out an id", rc) : ERR_OK;
}

static enum err first_row(struct store_reader *r, MDB_cursor *c, uint64_t topic_id,
                          struct bytes id, uint64_t *offset)
{
    uint8_t key[ID_KEY_MAX];
    struct bytes from = lmdb_id_key(key, topic_id, id, 0);
    size_t fixed = from.len - 8;
    MDB_val k = val_of(from.data, from.len), v;
    int rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);

    if (rc && rc != MDB_NOTFOUND)
        return lmdb_error(r->store, "find an id", rc);
    if (rc || k.mv_size != from.len || memcmp(k.mv_data, key, fixed) != 0)
        return ERR_NOT_FOUND;
    *offset = get_be64((const uint8_t *)k.mv_data + fixed);
    return ERR_OK;
}

enum err lmdb_read_find_id(struct store_reader *r, uint64_t topic_id, struct bytes id,
                           uint64_t *offset)
{
    MDB_cursor *c;
    enum err e;
    int rc;

    if (!id.len || id.len > RECORD_ID_MAX)
        return ERR_NOT_FOUND;
    rc = mdb_cursor_open(r->txn, r->store->dbi[TABLE_IDS], &c);
    if (rc)
        return lmdb_error(r->store, "find an id", rc);
    e = first_row(r, c, topic_id, id, offset);
    mdb_cursor_close(c);
    return e;
}
