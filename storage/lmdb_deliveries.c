/*
 * What subscriptions have handed out, in one table by the id of the subscription, so that
 * all of it lies together:
 *
 *   id, NAME               the subscription's name; not there once it has another id
 *   id, ROW, offset        the delivery
 *   id, READY, offset      of those that are READY
 *   id, KEY, key, offset   of those that have a key
 *
 * and one for all subscriptions in order of time: what is due is found at its front.
 *
 *   1. A row's READY, KEY and due entries are there exactly while the row says so. One that is
 *      tied to a connection has another due entry behind all others (DELIVERY_TIED_MS), so that
 *      those of a process that ended are found without looking at the rest.
 *   2. A due entry of an id without a name leads nowhere; it goes with the trash, or when
 *      it is due.
 */
#include "lmdb_deliveries.h"
#include "base/log.h"

#define ROW_LEN     30u
#define ROW_VERSION 1u
#define STATE_MASK  0x07u /* of the byte with the state; why it is dying is above */
#define STATE_TIED  0x08u

struct bytes lmdb_delivery_key(uint8_t key[DELIVERY_KEY_MAX], uint64_t id,
                               enum delivery_kind kind, uint64_t hash, uint64_t offset)
{
    uint8_t *p = key;

    put_be64(p, id);
    p[8] = (uint8_t)kind;
    p += 9;
    if (kind == DELIVERY_BY_KEY) {
        put_be64(p, hash);
        p += 8;
    }
    if (kind != DELIVERY_NAME) {
        put_be64(p, offset);
        p += 8;
    }
    return bytes_of(key, (size_t)(p - key));
}

static enum err corrupt(const struct store *s)
{
    LOG_ERROR("storage", "corrupt", LOG_S("data_dir", s->path),
              LOG_S("what", "a delivery"));
    return ERR_CORRUPT;
}

/* ---- rows ---- */

static void encode(const struct delivery *d, uint8_t out[ROW_LEN])
{
    out[0] = ROW_VERSION;
    out[1] = (uint8_t)(d->state | (d->tied ? STATE_TIED : 0) | d->dying << 4);
    put_be32(out + 2, d->deliveries);
    put_be64(out + 6, (uint64_t)d->due_ms);
    put_be64(out + 14, (uint64_t)d->expires_ms);
    put_be64(out + 22, d->key);
}

enum err lmdb_delivery_decode(uint64_t offset, struct bytes stored, struct delivery *out)
{
    const uint8_t *p = stored.data;

    if (stored.len != ROW_LEN || p[0] != ROW_VERSION || (p[1] & STATE_MASK) >= DELIVERY_STATES)
        return ERR_CORRUPT;
    *out = (struct delivery){ .offset = offset,
                              .state = (enum delivery_state)(p[1] & STATE_MASK),
                              .tied = p[1] & STATE_TIED,
                              .dying = p[1] >> 4,
                              .deliveries = get_be32(p + 2),
                              .due_ms = (int64_t)get_be64(p + 6),
                              .expires_ms = (int64_t)get_be64(p + 14),
                              .key = get_be64(p + 22) };
    return ERR_OK;
}

enum err lmdb_delivery_find(struct store *s, const struct sub_state *sub, uint64_t offset,
                            struct delivery *out)
{
    uint8_t key[DELIVERY_KEY_MAX];
    struct bytes whole = lmdb_delivery_key(key, sub->id, DELIVERY_ROW, 0, offset);
    MDB_val k = val_of(whole.data, whole.len), v;
    int rc = mdb_get(s->txn, s->dbi[TABLE_DELIVERIES], &k, &v);

    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc)
        return lmdb_txn_fail(s, "read a delivery", rc);
    return lmdb_delivery_decode(offset, bytes_of_val(v), out)
               ? lmdb_txn_spoil(s, corrupt(s))
               : ERR_OK;
}

static struct bytes due_key(uint8_t key[DUE_KEY_LEN], const struct store_due *due)
{
    put_be64(key, (uint64_t)due->due_ms);
    put_be64(key + 8, due->sub_id);
    put_be64(key + 16, due->offset);
    return bytes_of(key, DUE_KEY_LEN);
}

/* An entry that leads to the row comes, or goes. */
static enum err mark(struct store *s, enum table t, struct bytes key, bool there)
{
    return there ? lmdb_txn_put(s, t, key, bytes_of("", 0)) : lmdb_txn_delete(s, t, key);
}

static enum err mark_due(struct store *s, uint64_t id, const struct delivery *d, bool there)
{
    struct store_due due = { id, d->offset, d->due_ms };
    uint8_t key[DUE_KEY_LEN];

    return d->due_ms ? mark(s, TABLE_SUB_DUE, due_key(key, &due), there) : ERR_OK;
}

static enum err mark_tied(struct store *s, uint64_t id, const struct delivery *d, bool there)
{
    struct store_due due = { id, d->offset, DELIVERY_TIED_MS };
    uint8_t key[DUE_KEY_LEN];

    return d->tied ? mark(s, TABLE_SUB_DUE, due_key(key, &due), there) : ERR_OK;
}

static enum err mark_ready(struct store *s, uint64_t id, const struct delivery *d, bool there)
{
    uint8_t key[DELIVERY_KEY_MAX];

    return d->state != DELIVERY_READY
               ? ERR_OK
               : mark(s, TABLE_DELIVERIES,
                      lmdb_delivery_key(key, id, DELIVERY_BY_READY, 0, d->offset), there);
}

static enum err mark_key(struct store *s, uint64_t id, const struct delivery *d, bool there)
{
    uint8_t key[DELIVERY_KEY_MAX];

    return !d->key ? ERR_OK
                   : mark(s, TABLE_DELIVERIES,
                          lmdb_delivery_key(key, id, DELIVERY_BY_KEY, d->key, d->offset),
                          there);
}

static enum err unmark(struct store *s, uint64_t id, const struct delivery *before,
                       const struct delivery *d)
{
    enum err e = ERR_OK;

    if (!d || before->due_ms != d->due_ms)
        e = mark_due(s, id, before, false);
    if (!e && (!d || before->tied != d->tied))
        e = mark_tied(s, id, before, false);
    if (!e && (!d || before->state != d->state))
        e = mark_ready(s, id, before, false);
    if (!e && (!d || before->key != d->key))
        e = mark_key(s, id, before, false);
    return e;
}

enum err lmdb_delivery_put(struct store *s, struct sub_state *sub,
                           const struct delivery *before, const struct delivery *d)
{
    uint8_t key[DELIVERY_KEY_MAX], row[ROW_LEN];
    uint64_t id = sub->id;
    enum err e = before ? unmark(s, id, before, d) : ERR_OK;

    encode(d, row);
    if (!e)
        e = lmdb_txn_put(s, TABLE_DELIVERIES,
                         lmdb_delivery_key(key, id, DELIVERY_ROW, 0, d->offset),
                         bytes_of(row, sizeof row));
    if (!e && (!before || before->due_ms != d->due_ms))
        e = mark_due(s, id, d, true);
    if (!e && (!before || before->tied != d->tied))
        e = mark_tied(s, id, d, true);
    if (!e && (!before || before->state != d->state))
        e = mark_ready(s, id, d, true);
    if (!e && (!before || before->key != d->key))
        e = mark_key(s, id, d, true);
    if (before)
        sub->in[before->state]--;
    sub->in[d->state]++;
    return e;
}

enum err lmdb_delivery_drop(struct store *s, struct sub_state *sub,
                            const struct delivery *d)
{
    uint8_t key[DELIVERY_KEY_MAX];
    enum err e = unmark(s, sub->id, d, NULL);

    sub->in[d->state]--;
    return e ? e
             : lmdb_txn_delete(s, TABLE_DELIVERIES,
                               lmdb_delivery_key(key, sub->id, DELIVERY_ROW, 0, d->offset));
}

/* ---- the first of something ---- */

/* The first entry at or after one without its offset, if it is like it up to there. */
static int first_like(MDB_cursor *c, uint64_t id, enum delivery_kind kind, uint64_t hash,
                      uint64_t *offset)
{
    uint8_t key[DELIVERY_KEY_MAX];
    struct bytes from = lmdb_delivery_key(key, id, kind, hash, 0);
    MDB_val k = val_of(from.data, from.len), v;
    int rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);

    if (rc)
        return rc;
    if (k.mv_size != from.len || memcmp(k.mv_data, from.data, from.len - 8) != 0)
        return MDB_NOTFOUND;
    *offset = get_be64((const uint8_t *)k.mv_data + from.len - 8);
    return 0;
}

static enum err first(struct store *s, uint64_t id, enum delivery_kind kind, uint64_t hash,
                      uint64_t *offset)
{
    MDB_cursor *c;
    enum err e = lmdb_txn_cursor(s, TABLE_DELIVERIES, &c);
    int rc = e ? 0 : first_like(c, id, kind, hash, offset);

    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    return rc ? lmdb_txn_fail(s, "look for a delivery", rc) : e;
}

enum err lmdb_delivery_first_ready(struct store *s, const struct sub_state *sub,
                                   uint64_t *offset)
{
    return first(s, sub->id, DELIVERY_BY_READY, 0, offset);
}

enum err lmdb_delivery_first_of_key(struct store *s, const struct sub_state *sub,
                                    uint64_t key, uint64_t *offset)
{
    return first(s, sub->id, DELIVERY_BY_KEY, key, offset);
}

/* The first that is due at `from_ms` or after. */
static enum err first_due(struct store *s, int64_t from_ms, struct store_due *out)
{
    uint8_t from[DUE_KEY_LEN];
    struct bytes whole = due_key(from, &(struct store_due){ .due_ms = from_ms });
    MDB_cursor *c;
    MDB_val k = val_of(whole.data, whole.len), v;
    enum err e = lmdb_txn_cursor(s, TABLE_SUB_DUE, &c);
    int rc = e ? 0 : mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);

    *out = (struct store_due){ 0 };
    if (e || rc == MDB_NOTFOUND)
        return e ? e : ERR_NOT_FOUND;
    if (rc || k.mv_size != DUE_KEY_LEN)
        return rc ? lmdb_txn_fail(s, "read what is due", rc)
                  : lmdb_txn_spoil(s, corrupt(s));
    *out = (struct store_due){ .due_ms = (int64_t)get_be64(k.mv_data),
                               .sub_id = get_be64((const uint8_t *)k.mv_data + 8),
                               .offset = get_be64((const uint8_t *)k.mv_data + 16) };
    return ERR_OK;
}

enum err lmdb_delivery_first_due(struct store *s, int64_t now_ms, struct store_due *out)
{
    enum err e = first_due(s, 0, out);

    return !e && out->due_ms > now_ms ? ERR_NOT_FOUND : e;
}

enum err lmdb_delivery_first_tied(struct store *s, struct store_due *out)
{
    return first_due(s, DELIVERY_TIED_MS, out);
}

enum err lmdb_delivery_drop_due(struct store *s, const struct store_due *due)
{
    uint8_t key[DUE_KEY_LEN];

    return lmdb_txn_delete(s, TABLE_SUB_DUE, due_key(key, due));
}

static enum err read_first(struct store_reader *r, uint64_t id, enum delivery_kind kind,
                           uint64_t *offset)
{
    MDB_cursor *c;
    int rc = mdb_cursor_open(r->txn, r->store->dbi[TABLE_DELIVERIES], &c);

    if (!rc) {
        rc = first_like(c, id, kind, 0, offset);
        mdb_cursor_close(c);
    }
    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    return rc ? lmdb_error(r->store, "look for a delivery", rc) : ERR_OK;
}

enum err lmdb_delivery_read_oldest(struct store_reader *r, const struct sub_state *sub,
                                   uint64_t *offset)
{
    return read_first(r, sub->id, DELIVERY_ROW, offset);
}

enum err lmdb_delivery_read_ready(struct store_reader *r, const struct sub_state *sub,
                                  uint64_t *offset)
{
    return read_first(r, sub->id, DELIVERY_BY_READY, offset);
}

/* ---- the trash ---- */

/* Whatever comes first of an id; a row's due entry goes with it. */
enum err lmdb_delivery_free_one(struct store *s, uint64_t id)
{
    uint8_t key[ID_LEN], due[DUE_KEY_LEN];
    MDB_val k = val_of(key, sizeof key), v;
    struct delivery d;
    MDB_cursor *c;
    enum err e = lmdb_txn_cursor(s, TABLE_DELIVERIES, &c);
    int rc;

    if (e)
        return e;
    put_be64(key, id);
    rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND || (!rc && get_be64(k.mv_data) != id))
        return ERR_NOT_FOUND;
    if (!rc && k.mv_size == ID_LEN + 9 &&
        ((const uint8_t *)k.mv_data)[ID_LEN] == DELIVERY_ROW) {
        uint64_t offset = get_be64((const uint8_t *)k.mv_data + ID_LEN + 1);

        if (lmdb_delivery_decode(offset, bytes_of_val(v), &d))
            return lmdb_txn_spoil(s, corrupt(s));
        if (d.due_ms)
            e = lmdb_txn_delete(s, TABLE_SUB_DUE,
                                due_key(due, &(struct store_due){ id, offset, d.due_ms }));
        if (!e)
            e = mark_tied(s, id, &d, false);
    }
    if (!rc && !e)
        rc = mdb_cursor_del(c, 0);
    return rc ? lmdb_txn_fail(s, "free a delivery", rc) : e;
}
