/*
 * One table for the logs of all topics, keyed by topic and offset. Appending encodes
 * straight into the page that LMDB reserves.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#define ID_PAGE_COST 2 /* a page that only one record changes, in records that share theirs */

static enum err corrupt(struct store *s)
{
    LOG_ERROR("storage", "corrupt", LOG_S("data_dir", s->path),
              LOG_S("what", "a message"));
    return lmdb_txn_spoil(s, ERR_CORRUPT);
}

static enum err key_found(struct store *s, int rc, uint64_t topic_id, const MDB_val *k,
                          uint64_t *found)
{
    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc)
        return lmdb_txn_fail(s, "walk a log", rc);
    if (k->mv_size != LOG_KEY_LEN)
        return corrupt(s);
    *found = get_be64((const uint8_t *)k->mv_data + 8);
    return get_be64(k->mv_data) == topic_id ? ERR_OK : ERR_NOT_FOUND;
}

enum err lmdb_log_seek(struct store *s, MDB_cursor *c, uint64_t topic_id,
                       uint64_t offset, uint64_t *found, MDB_val *value)
{
    uint8_t key[LOG_KEY_LEN];
    MDB_val k = val_of(key, sizeof key);
    int rc;

    log_key(key, topic_id, offset);
    rc = mdb_cursor_get(c, &k, value, MDB_SET_RANGE);
    return key_found(s, rc, topic_id, &k, found);
}

/* After a deletion this is the record that followed the deleted one. */
enum err lmdb_log_next(struct store *s, MDB_cursor *c, uint64_t topic_id,
                       uint64_t *found, MDB_val *value)
{
    MDB_val k;
    int rc = mdb_cursor_get(c, &k, value, MDB_NEXT);

    return key_found(s, rc, topic_id, &k, found);
}

/* MDB_APPEND wants a key above all others: true of the highest topic with records. */
static enum err put_flags(struct store *s, MDB_cursor *c, uint64_t topic_id,
                          unsigned *flags)
{
    MDB_val k;
    int rc;

    *flags = MDB_RESERVE;
    if (!s->top_topic) {
        rc = mdb_cursor_get(c, &k, NULL, MDB_LAST);
        if (rc && rc != MDB_NOTFOUND)
            return lmdb_txn_fail(s, "find the end of the log", rc);
        s->top_topic = rc ? 1 : get_be64(k.mv_data);
    }
    if (topic_id < s->top_topic)
        return ERR_OK;
    s->top_topic = topic_id;
    *flags |= MDB_APPEND;
    return ERR_OK;
}

static enum err put_record(struct store *s, struct store_topic *t,
                           const struct record *r)
{
    uint8_t key[LOG_KEY_LEN];
    MDB_val k = val_of(key, sizeof key), v = val_of(NULL, record_encoded_len(r));
    MDB_cursor *c;
    unsigned flags;
    int rc;
    enum err e = lmdb_txn_cursor(s, TABLE_LOG, &c);

    if (!e)
        e = put_flags(s, c, t->state.id, &flags);
    if (!e && !(flags & MDB_APPEND) && t->parked_in != s->txn_number)
        e = lmdb_park_before_append(s, t);
    if (e)
        return e;
    log_key(key, t->state.id, t->state.next_offset);
    rc = mdb_cursor_put(c, &k, &v, flags);
    if (rc)
        return lmdb_txn_fail(s, "append", rc);
    record_encode(r, v.mv_data);
    return ERR_OK;
}

static void count_accepted(struct store_counters *c, uint64_t *live,
                           uint64_t *live_bytes, uint64_t size)
{
    c->accepted++;
    *live += 1;
    *live_bytes += size;
}

enum err lmdb_log_append(struct store *s, struct store_topic *t, struct record *r,
                         uint64_t *offset)
{
    struct topic_state *state = &t->state;
    enum err e = ERR_OK;

    if (r->id.len > RECORD_ID_MAX)
        return ERR_BAD_INPUT;
    if (r->time_ms < state->last_time_ms)
        r->time_ms = state->last_time_ms;
    lmdb_cache_touch(&s->cache, t);
    if (r->blob_id)
        e = lmdb_blob_adopt(s, r->blob_id);
    if (!e)
        e = put_record(s, t, r);
    if (!e && r->id.len)
        e = lmdb_id_put(s, state->id, r->id, state->next_offset);
    if (!e && r->expires_ms)
        e = lmdb_expiry_note(s, t, r->expires_ms, state->next_offset);
    if (e)
        return e;
    *offset = state->next_offset++;
    state->last_time_ms = r->time_ms;
    if (!state->live)
        t->oldest_ms = r->time_ms;
    lmdb_namespaces_add(s, t, 0, 1, (int64_t)record_size(r));
    count_accepted(&state->counters, &state->live, &state->live_bytes, record_size(r));
    count_accepted(&s->totals.counters, &s->totals.live, &s->totals.live_bytes,
                   record_size(r));
    return ERR_OK;
}

/* The key is made before anything is written: from then on the record's views are void. */
enum err lmdb_log_take_out(struct store *s, MDB_cursor *c, uint64_t topic_id,
                           uint64_t offset, const struct record *r, uint64_t *spent)
{
    uint8_t key[ID_KEY_MAX];
    struct bytes id = r->id.len ? lmdb_id_key(key, topic_id, r->id, offset) : r->id;
    bool moved = false;
    enum err e = r->blob_id ? lmdb_trash_put(s, TRASH_BLOB, r->blob_id) : ERR_OK;
    int rc;

    if (!e && id.len)
        e = lmdb_id_take_out(s, id, &moved);
    if (e)
        return e;
    *spent += moved ? 1 + ID_PAGE_COST : 1;
    s->taken_out_in = s->txn_number;
    rc = mdb_cursor_del(c, 0);
    return rc ? lmdb_txn_fail(s, "take out a message", rc) : ERR_OK;
}

/* *first: nothing before it is left. */
static enum err take_out_before(struct store *s, MDB_cursor *c, uint64_t topic_id,
                                uint64_t before, unsigned max, struct store_step *out,
                                uint64_t *first)
{
    struct record r;
    uint64_t at;
    MDB_val v;
    enum err e = lmdb_log_seek(s, c, topic_id, 0, &at, &v);

    while (!e && at < before) {
        if (out->spent >= max) {
            out->more = true;
            *first = at;
            return ERR_OK;
        }
        if (record_decode(bytes_of_val(v), &r))
            return corrupt(s);
        e = lmdb_log_take_out(s, c, topic_id, at, &r, &out->spent);
        if (e)
            return e;
        out->messages++;
        out->bytes += record_size(&r);
        e = lmdb_log_next(s, c, topic_id, &at, &v);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static void count_removed(struct store *s, struct store_topic *t, uint64_t messages,
                          uint64_t bytes)
{
    lmdb_cache_touch(&s->cache, t);
    t->oldest_ms = 0;
    t->state.counters.removed += messages;
    t->state.live -= messages;
    t->state.live_bytes -= bytes;
    lmdb_namespaces_add(s, t, 0, -(int64_t)messages, -(int64_t)bytes);
    s->totals.counters.removed += messages;
    s->totals.live -= messages;
    s->totals.live_bytes -= bytes;
}

enum err lmdb_log_remove_step(struct store *s, struct store_topic *t, uint64_t before,
                              unsigned max, struct store_step *out)
{
    uint64_t first = before;
    MDB_cursor *c;
    enum err e = lmdb_park_return(s);

    *out = (struct store_step){0};
    if (!e)
        e = lmdb_txn_cursor(s, TABLE_LOG, &c);
    if (!e)
        e = take_out_before(s, c, t->state.id, before, max, out, &first);
    if (e)
        return e;
    e = lmdb_holes_tidy(s, t, first);
    if (e)
        return e;
    count_removed(s, t, out->messages, out->bytes);
    return ERR_OK;
}

enum err lmdb_log_remove_one(struct store *s, struct store_topic *t, uint64_t offset)
{
    uint64_t first = 0, at = 0, spent = 0;
    struct record r;
    MDB_cursor *c;
    MDB_val v;
    enum err e = lmdb_park_return(s);

    if (!e)
        e = lmdb_txn_cursor(s, TABLE_LOG, &c);
    if (!e)
        e = lmdb_log_seek(s, c, t->state.id, 0, &first, &v);
    if (!e)
        e = lmdb_log_seek(s, c, t->state.id, offset, &at, &v);
    if (e || at != offset)
        return e ? e : ERR_NOT_FOUND;
    if (record_decode(bytes_of_val(v), &r))
        return corrupt(s);
    count_removed(s, t, 1, record_size(&r));
    e = lmdb_log_take_out(s, c, t->state.id, offset, &r, &spent);
    if (!e)
        e = first < offset ? lmdb_holes_note(s, t, offset)
                           : lmdb_holes_tidy(s, t, offset + 1);
    return e;
}
