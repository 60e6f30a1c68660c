/*
 * Subscriptions: a row each, by name. What they have handed out is in lmdb_deliveries.c, by
 * an id that is never used twice, so that forgetting all of it is giving the subscription
 * another id and sending the old one to the trash.
 *
 * Nothing is cached: a row is read and written within the transaction that changes it.
 */
#include "lmdb_deliveries.h"
#include "sub_record.h"
#include "base/log.h"

#include <sys/random.h>

static bool is_name(struct bytes name)
{
    return name.len && name.len <= STORE_SUB_NAME_MAX;
}

static enum err corrupt(const struct store *s)
{
    LOG_ERROR("storage", "corrupt", LOG_S("data_dir", s->path),
              LOG_S("what", "a subscription"));
    return ERR_CORRUPT;
}

/* Of both sides: a row under any transaction. */
static enum err get(const struct store *s, MDB_txn *txn, struct bytes name,
                    struct sub_state *out)
{
    MDB_val k = val_of(name.data, name.len), v;
    int rc;

    if (!is_name(name))
        return ERR_NOT_FOUND;
    rc = mdb_get(txn, s->dbi[TABLE_SUBS], &k, &v);
    if (rc)
        return rc == MDB_NOTFOUND ? ERR_NOT_FOUND : lmdb_error(s, "read a subscription", rc);
    return sub_record_decode(name, bytes_of_val(v), out) ? corrupt(s) : ERR_OK;
}

static enum err find(struct store *s, struct bytes name, struct sub_state *out)
{
    enum err e = get(s, s->txn, name, out);

    return e && e != ERR_NOT_FOUND ? lmdb_txn_spoil(s, e) : e;
}

static enum err save(struct store *s, const struct sub_state *sub)
{
    uint8_t row[SUB_RECORD_MAX];
    size_t len = sub_record_encode(sub, row);

    return lmdb_txn_put(s, TABLE_SUBS, bytes_of(sub->name, sub->name_len),
                        bytes_of(row, len));
}

/* ---- ids ---- */

/* Counts in `meta`, which is not read often. */
static enum err new_id(struct store *s, uint64_t *id)
{
    struct bytes name = bytes_str("next_subscription");
    MDB_val k = val_of(name.data, name.len), v;
    uint8_t row[8];
    int rc = mdb_get(s->txn, s->dbi[TABLE_META], &k, &v);

    if (rc && rc != MDB_NOTFOUND)
        return lmdb_txn_fail(s, "read the next subscription", rc);
    if (!rc && v.mv_size != sizeof row)
        return lmdb_txn_spoil(s, corrupt(s));
    *id = rc ? 1 : get_be64(v.mv_data);
    put_be64(row, *id + 1);
    return lmdb_txn_put(s, TABLE_META, name, bytes_of(row, sizeof row));
}

static enum err enter(struct store *s, struct sub_state *sub)
{
    uint8_t key[DELIVERY_KEY_MAX];
    enum err e = new_id(s, &sub->id);

    if (!e)
        e = lmdb_txn_put(s, TABLE_DELIVERIES,
                         lmdb_delivery_key(key, sub->id, DELIVERY_NAME, 0, 0),
                         bytes_of(sub->name, sub->name_len));
    return e;
}

/* The name goes at once, so that nothing that is due finds its way to the subscription. */
static enum err leave(struct store *s, uint64_t id)
{
    uint8_t key[DELIVERY_KEY_MAX];
    enum err e = lmdb_txn_delete(s, TABLE_DELIVERIES,
                                 lmdb_delivery_key(key, id, DELIVERY_NAME, 0, 0));

    return e ? e : lmdb_trash_put(s, TRASH_DELIVERIES, id);
}

static enum err find_id(struct store *s, uint64_t id, struct sub_state *out)
{
    uint8_t key[DELIVERY_KEY_MAX];
    struct bytes whole = lmdb_delivery_key(key, id, DELIVERY_NAME, 0, 0);
    MDB_val k = val_of(whole.data, whole.len), v;
    int rc = mdb_get(s->txn, s->dbi[TABLE_DELIVERIES], &k, &v);
    enum err e;

    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc)
        return lmdb_txn_fail(s, "look up a subscription", rc);
    e = find(s, bytes_of_val(v), out);
    return e == ERR_NOT_FOUND || (!e && out->id != id) ? lmdb_txn_spoil(s, corrupt(s)) : e;
}

/* ---- life ---- */

static enum err create(struct store *s, struct sub_state *sub)
{
    struct bytes name = bytes_of(sub->name, sub->name_len);
    struct sub_state before;
    enum err e = find(s, name, &before);

    if (!is_name(name))
        return ERR_BAD_INPUT;
    if (e != ERR_NOT_FOUND)
        return e ? e : ERR_EXISTS;
    e = enter(s, sub);
    return e ? e : save(s, sub);
}

static enum err renew(struct store *s, struct sub_state *sub)
{
    enum err e = leave(s, sub->id);

    memset(sub->in, 0, sizeof sub->in);
    return e ? e : enter(s, sub);
}

static enum err take_out(struct store *s, const struct sub_state *sub)
{
    enum err e = leave(s, sub->id);

    return e ? e : lmdb_txn_delete(s, TABLE_SUBS, bytes_of(sub->name, sub->name_len));
}

static enum err count(struct store *s, uint64_t *count)
{
    MDB_stat st;
    int rc = mdb_stat(s->txn, s->dbi[TABLE_SUBS], &st);

    *count = rc ? 0 : st.ms_entries;
    return rc ? lmdb_txn_fail(s, "count subscriptions", rc) : ERR_OK;
}

/* ---- the secret ---- */

static void secret(struct store *s, uint8_t out[STORE_SECRET_LEN])
{
    memcpy(out, s->secret, STORE_SECRET_LEN);
}

enum err lmdb_secret_load(struct store *s)
{
    struct bytes name = bytes_str("secret");
    MDB_val k = val_of(name.data, name.len), v;
    int rc = mdb_get(s->txn, s->dbi[TABLE_META], &k, &v);

    if (!rc && v.mv_size == STORE_SECRET_LEN) {
        memcpy(s->secret, v.mv_data, STORE_SECRET_LEN);
        return ERR_OK;
    }
    if (rc && rc != MDB_NOTFOUND)
        return lmdb_txn_fail(s, "read the secret", rc);
    if (getrandom(s->secret, STORE_SECRET_LEN, 0) != STORE_SECRET_LEN)
        return lmdb_txn_spoil(s, ERR_IO);
    return lmdb_txn_put(s, TABLE_META, name, bytes_of(s->secret, STORE_SECRET_LEN));
}

/* ---- read side ---- */

static enum err read_one(struct store_reader *r, struct bytes name, struct sub_state *out)
{
    return get(r->store, r->txn, name, out);
}

/* From the first name at or after both; LMDB wants no empty key. */
static enum err walk(struct store_reader *r, MDB_cursor *c, struct bytes prefix,
                     struct bytes after, store_sub_fn fn, void *arg)
{
    struct bytes from = name_compare(prefix, after) > 0 ? prefix : after;
    struct sub_state sub;
    MDB_val k = val_of(from.data, from.len), v;
    int rc = mdb_cursor_get(c, &k, &v, from.len ? MDB_SET_RANGE : MDB_FIRST);

    if (!rc && after.len && bytes_eq(bytes_of_val(k), after))
        rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
    for (; !rc && name_starts_with(bytes_of_val(k), prefix);
         rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
        if (sub_record_decode(bytes_of_val(k), bytes_of_val(v), &sub))
            return corrupt(r->store);
        if (!fn(arg, &sub))
            return ERR_OK;
    }
    return rc && rc != MDB_NOTFOUND ? lmdb_error(r->store, "list subscriptions", rc)
                                    : ERR_OK;
}

static enum err list(struct store_reader *r, struct bytes prefix, struct bytes after,
                     store_sub_fn fn, void *arg)
{
    MDB_cursor *c;
    int rc = mdb_cursor_open(r->txn, r->store->dbi[TABLE_SUBS], &c);
    enum err e;

    if (rc)
        return lmdb_error(r->store, "list subscriptions", rc);
    e = walk(r, c, prefix, after, fn, arg);
    mdb_cursor_close(c);
    return e;
}

const struct store_subs_ops lmdb_subs = {
    .find = find,
    .find_id = find_id,
    .create = create,
    .save = save,
    .renew = renew,
    .remove = take_out,
    .count = count,
    .delivery_find = lmdb_delivery_find,
    .delivery_put = lmdb_delivery_put,
    .delivery_drop = lmdb_delivery_drop,
    .first_ready = lmdb_delivery_first_ready,
    .first_of_key = lmdb_delivery_first_of_key,
    .first_due = lmdb_delivery_first_due,
    .first_tied = lmdb_delivery_first_tied,
    .drop_due = lmdb_delivery_drop_due,
    .secret = secret,
    .read = read_one,
    .list = list,
    .read_oldest = lmdb_delivery_read_oldest,
    .read_ready = lmdb_delivery_read_ready,
};
