/*
 * The part of the proof (lmdb_check.c) that is about subscriptions:
 *
 *   1. Every id in the table of deliveries is a subscription's, or in the trash.
 *   2. A subscription has as many deliveries in each state as it says, all below `next`,
 *      which is not beyond the log.
 *   3. Its filter is a list of attributes.
 *   4. A delivery's entries (READY, KEY, due) are there exactly as its row says.
 */
#include "lmdb_deliveries.h"
#include "sub_record.h"
#include "base/log.h"

#define KIND_AT 8u

struct walk {
    struct store_reader *r;
    uint64_t id;    /* whose deliveries are walked over */
    bool lives;     /* it is a subscription's */
    struct sub_state sub;
    uint64_t in[DELIVERY_STATES];
};

static enum err broken(const struct walk *w, const char *what, uint64_t id, uint64_t number)
{
    LOG_ERROR("storage", "check_failed", LOG_S("data_dir", w->r->store->path),
              LOG_S("what", what), LOG_I("subscription_id", id), LOG_I("number", number));
    return ERR_CORRUPT;
}

static bool look_up(const struct walk *w, enum table t, struct bytes key, MDB_val *v)
{
    MDB_val k = val_of(key.data, key.len);

    return mdb_get(w->r->txn, w->r->store->dbi[t], &k, v) == 0;
}

static bool has(const struct walk *w, enum table t, struct bytes key)
{
    MDB_val v;

    return look_up(w, t, key, &v);
}

static bool in_trash(const struct walk *w, uint64_t id)
{
    uint8_t key[9] = { TRASH_DELIVERIES };

    put_be64(key + 1, id);
    return has(w, TABLE_TRASH, bytes_of(key, sizeof key));
}

/* ---- a delivery and its entries ---- */

static bool row_of(const struct walk *w, uint64_t id, uint64_t offset, struct delivery *d)
{
    uint8_t key[DELIVERY_KEY_MAX];
    MDB_val v;

    return look_up(w, TABLE_DELIVERIES, lmdb_delivery_key(key, id, DELIVERY_ROW, 0, offset),
                   &v) &&
           !lmdb_delivery_decode(offset, bytes_of_val(v), d);
}

static bool has_entries(const struct walk *w, const struct delivery *d)
{
    uint8_t key[DELIVERY_KEY_MAX], due[DUE_KEY_LEN];

    if (d->state == DELIVERY_READY &&
        !has(w, TABLE_DELIVERIES,
             lmdb_delivery_key(key, w->id, DELIVERY_BY_READY, 0, d->offset)))
        return false;
    if (d->key && !has(w, TABLE_DELIVERIES,
                       lmdb_delivery_key(key, w->id, DELIVERY_BY_KEY, d->key, d->offset)))
        return false;
    put_be64(due, (uint64_t)d->due_ms);
    put_be64(due + 8, w->id);
    put_be64(due + 16, d->offset);
    if (d->due_ms && !has(w, TABLE_SUB_DUE, bytes_of(due, sizeof due)))
        return false;
    put_be64(due, DELIVERY_TIED_MS);
    return !d->tied || has(w, TABLE_SUB_DUE, bytes_of(due, sizeof due));
}

static enum err check_row(struct walk *w, uint64_t offset, struct bytes row)
{
    struct delivery d;

    if (lmdb_delivery_decode(offset, row, &d))
        return broken(w, "the row of a delivery", w->id, offset);
    if (offset >= w->sub.next)
        return broken(w, "a delivery beyond what was handed out", w->id, offset);
    if (!has_entries(w, &d))
        return broken(w, "a delivery without its entries", w->id, offset);
    w->in[d.state]++;
    return ERR_OK;
}

static enum err check_entry(const struct walk *w, const uint8_t *key, size_t len)
{
    uint64_t offset = get_be64(key + len - 8);
    struct delivery d;

    if (!row_of(w, w->id, offset, &d))
        return broken(w, "an entry without its delivery", w->id, offset);
    if (key[KIND_AT] == DELIVERY_BY_READY ? d.state != DELIVERY_READY
                                          : d.key != get_be64(key + KIND_AT + 1))
        return broken(w, "an entry that its delivery knows nothing of", w->id, offset);
    return ERR_OK;
}

/* ---- a subscription ---- */

static enum err end_one(const struct walk *w)
{
    for (unsigned i = 0; w->lives && i < DELIVERY_STATES; i++)
        if (w->in[i] != w->sub.in[i])
            return broken(w, "a subscription counts its deliveries wrongly", w->id, i);
    return ERR_OK;
}

/* Its first entry is its name, or it is trash. */
static enum err begin_one(struct walk *w, uint64_t id, bool named, struct bytes name)
{
    MDB_val row;

    w->id = id;
    w->lives = named;
    memset(w->in, 0, sizeof w->in);
    if (!named)
        return in_trash(w, id) ? ERR_OK : broken(w, "deliveries of nobody", id, 0);
    if (!look_up(w, TABLE_SUBS, name, &row) ||
        sub_record_decode(name, bytes_of_val(row), &w->sub) || w->sub.id != id)
        return broken(w, "a name that is no subscription's", id, 0);
    return ERR_OK;
}

static enum err check_one(struct walk *w, struct bytes key, struct bytes value)
{
    const uint8_t *p = key.data;
    enum err e = ERR_OK;

    if (key.len <= KIND_AT)
        return broken(w, "the key of a delivery", 0, key.len);
    if (get_be64(p) != w->id) {
        e = end_one(w);
        if (!e)
            e = begin_one(w, get_be64(p), p[KIND_AT] == DELIVERY_NAME, value);
    }
    if (e || !w->lives || p[KIND_AT] == DELIVERY_NAME)
        return e;
    if (p[KIND_AT] == DELIVERY_ROW)
        return check_row(w, get_be64(p + KIND_AT + 1), value);
    return check_entry(w, p, key.len);
}

static enum err check_due(struct walk *w, struct bytes key, struct bytes value)
{
    const uint8_t *p = key.data;
    uint8_t name[DELIVERY_KEY_MAX];
    struct delivery d;
    uint64_t id;
    int64_t due_ms;

    (void)value;
    if (key.len != DUE_KEY_LEN)
        return broken(w, "the key of what is due", 0, key.len);
    id = get_be64(p + 8);
    if (!has(w, TABLE_DELIVERIES, lmdb_delivery_key(name, id, DELIVERY_NAME, 0, 0)))
        return in_trash(w, id) ? ERR_OK : broken(w, "something due of nobody", id, 0);
    due_ms = (int64_t)get_be64(p);
    if (!row_of(w, id, get_be64(p + 16), &d) ||
        (due_ms == DELIVERY_TIED_MS ? !d.tied : d.due_ms != due_ms))
        return broken(w, "something due that is no delivery", id, get_be64(p + 16));
    return ERR_OK;
}

static bool is_list(struct bytes attributes)
{
    struct bytes name, value;

    while (attributes.len)
        if (!attribute_next(&attributes, &name, &value))
            return false;
    return true;
}

static enum err check_sub(struct walk *w, struct bytes key, struct bytes value)
{
    uint8_t id[DELIVERY_KEY_MAX];
    struct topic_state t;
    struct sub_state sub;
    enum err e;

    if (sub_record_decode(key, value, &sub))
        return broken(w, "the row of a subscription", 0, value.len);
    if (!is_list(sub_extra(&sub.settings, SUB_FILTER)))
        return broken(w, "the filter of a subscription", sub.id, 0);
    if (!has(w, TABLE_DELIVERIES, lmdb_delivery_key(id, sub.id, DELIVERY_NAME, 0, 0)))
        return broken(w, "a subscription without its name", sub.id, 0);
    e = lmdb_read_topic(w->r, bytes_of(sub.settings.topic, sub.settings.topic_len), &t);
    if (!e && sub.next > t.next_offset)
        return broken(w, "a subscription beyond its topic", sub.id, sub.next);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err walk(struct walk *w, enum table t,
                     enum err (*each)(struct walk *w, struct bytes key, struct bytes value))
{
    struct store *s = w->r->store;
    enum err e = ERR_OK;
    MDB_cursor *c;
    MDB_val k, v;
    int rc = mdb_cursor_open(w->r->txn, s->dbi[t], &c);

    if (rc)
        return lmdb_error(s, "check", rc);
    while (!e && !(rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)))
        e = each(w, bytes_of_val(k), bytes_of_val(v));
    mdb_cursor_close(c);
    return e || rc == MDB_NOTFOUND ? e : lmdb_error(s, "check", rc);
}

enum err lmdb_check_subs(struct store_reader *r)
{
    struct walk w = { .r = r };
    enum err e = walk(&w, TABLE_SUBS, check_sub);

    if (!e)
        e = walk(&w, TABLE_DELIVERIES, check_one);
    if (!e)
        e = end_one(&w);
    return e ? e : walk(&w, TABLE_SUB_DUE, check_due);
}
