/*
 * What is due, in runs: one row for consecutive offsets of a topic that become due in
 * the same tenth of a second. Rows are in order of time, so that expiry only ever looks
 * at the front of the table: its cost is what it takes out, whatever else is stored.
 *
 *   1. Every live record with an expiry lies in a row of its bucket (or, within a
 *      transaction, in the run of its topic that lmdb_expiry_flush will write).
 *   2. A row may cover records that are gone: purged, or gone with their topic. It is
 *      dropped when its time comes.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#define BUCKET_MS 100

/* Consecutive records share the pages that they change; a row has two of its own. */
#define MESSAGES_PER_ROW 5

struct due_row {
    int64_t due_ms;
    uint64_t topic_id;
    uint64_t first;
    uint32_t count;
};

/* What one step may still do, and what it did. */
struct sweep {
    int64_t now_ms;
    unsigned max, rows_left;
    struct store_step *out;
};

int64_t lmdb_expiry_bucket(int64_t expires_ms)
{
    int64_t over = expires_ms % BUCKET_MS;

    if (expires_ms > INT64_MAX - BUCKET_MS)
        return INT64_MAX;
    return expires_ms <= 0 ? 0 : over ? expires_ms - over + BUCKET_MS : expires_ms;
}

static enum err corrupt(struct store *s)
{
    LOG_ERROR("storage", "corrupt", LOG_S("data_dir", s->path),
              LOG_S("what", "the index of due messages"));
    return lmdb_txn_spoil(s, ERR_CORRUPT);
}

static void due_key(uint8_t key[DUE_KEY_LEN], const struct due_row *row)
{
    put_be64(key, (uint64_t)row->due_ms);
    put_be64(key + 8, row->topic_id);
    put_be64(key + 16, row->first);
}

static enum err put_row(struct store *s, const struct due_row *row)
{
    uint8_t key[DUE_KEY_LEN], count[4];

    due_key(key, row);
    put_be32(count, row->count);
    return lmdb_txn_put(s, TABLE_DUE, bytes_of(key, sizeof key),
                        bytes_of(count, sizeof count));
}

static enum err delete_row(struct store *s, const struct due_row *row)
{
    uint8_t key[DUE_KEY_LEN];

    due_key(key, row);
    return lmdb_txn_delete(s, TABLE_DUE, bytes_of(key, sizeof key));
}

static enum err write_run(struct store *s, struct store_topic *t)
{
    struct due_row row = {t->run.due_ms, t->state.id, t->run.first, t->run.count};

    if (!t->run.dirty)
        return ERR_OK;
    t->run.dirty = false;
    return put_row(s, &row);
}

/* A run goes on growing over transactions; its row is then written over in place. */
enum err lmdb_expiry_note(struct store *s, struct store_topic *t, int64_t expires_ms,
                          uint64_t offset)
{
    struct due_run *run = &t->run;
    int64_t due_ms = lmdb_expiry_bucket(expires_ms);
    enum err e;

    if (run->count && run->count < UINT32_MAX && run->due_ms == due_ms &&
        run->first + run->count == offset) {
        run->count++;
        run->dirty = true;
        return ERR_OK;
    }
    e = write_run(s, t);
    *run =
        (struct due_run){.due_ms = due_ms, .first = offset, .count = 1, .dirty = true};
    return e;
}

enum err lmdb_expiry_flush(struct store *s)
{
    enum err e = ERR_OK;

    for (struct store_topic *t = s->cache.touched; t && !e; t = t->next_touched)
        if (!t->gone)
            e = write_run(s, t);
    return e;
}

/* ERR_NOT_FOUND: nothing is due. */
static enum err first_row(struct store *s, int64_t now_ms, struct due_row *row)
{
    MDB_cursor *c;
    MDB_val k, v;
    enum err e = lmdb_txn_cursor(s, TABLE_DUE, &c);
    int rc;

    if (e)
        return e;
    rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc)
        return lmdb_txn_fail(s, "read what is due", rc);
    if (k.mv_size != DUE_KEY_LEN || v.mv_size != 4)
        return corrupt(s);
    row->due_ms = (int64_t)get_be64(k.mv_data);
    row->topic_id = get_be64((const uint8_t *)k.mv_data + 8);
    row->first = get_be64((const uint8_t *)k.mv_data + 16);
    row->count = get_be32(v.mv_data);
    return row->due_ms <= now_ms ? ERR_OK : ERR_NOT_FOUND;
}

static void count_expired(struct store_counters *c, uint64_t *live,
                          uint64_t *live_bytes, uint64_t size)
{
    c->expired++;
    *live -= 1;
    *live_bytes -= size;
}

static bool is_over(const struct sweep *sw)
{
    return sw->out->spent >= sw->max;
}

static enum err expire_one(struct store *s, struct store_topic *t, MDB_cursor *c,
                           uint64_t offset, const struct record *r, struct sweep *sw)
{
    uint64_t size = record_size(r);
    enum err e = lmdb_log_take_out(s, c, t->state.id, offset, r, &sw->out->spent);

    if (e)
        return e;
    sw->out->messages++;
    sw->out->bytes += size;
    lmdb_namespaces_add(s, t, 0, -1, -(int64_t)size);
    count_expired(&t->state.counters, &t->state.live, &t->state.live_bytes, size);
    count_expired(&s->totals.counters, &s->totals.live, &s->totals.live_bytes, size);
    return ERR_OK;
}

/* Is a record that stays in front of this offset? */
static enum err stays_before(struct store *s, MDB_cursor *c, uint64_t topic_id,
                             uint64_t offset, bool *stays)
{
    uint64_t earliest;
    MDB_val v;
    enum err e = lmdb_log_seek(s, c, topic_id, 0, &earliest, &v);

    *stays = !e && earliest < offset;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* Takes out the records of a row; *row is what is left of it, count 0 when nothing is. *hole:
 * a record in front of what comes next stays. */
static enum err expire_row(struct store *s, struct store_topic *t, MDB_cursor *c,
                           struct due_row *row, bool *hole, struct sweep *sw)
{
    uint64_t end = row->first + row->count, at;
    struct record r;
    MDB_val v;
    enum err e = lmdb_log_seek(s, c, row->topic_id, row->first, &at, &v);

    for (; !e && at < end; e = lmdb_log_next(s, c, row->topic_id, &at, &v)) {
        if (is_over(sw)) {
            row->count = (uint32_t)(end - at);
            row->first = at;
            return ERR_OK;
        }
        if (record_decode(bytes_of_val(v), &r))
            return corrupt(s);
        if (!r.expires_ms || r.expires_ms > sw->now_ms) {
            *hole = true;
            continue; /* whatever the row says, never what may still be delivered */
        }
        e = expire_one(s, t, c, at, &r, sw);
        if (!e && *hole)
            e = lmdb_holes_note(s, t, at);
        if (e)
            return e;
    }
    row->count = 0;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* The topic's run must not bring a row back that has been worked on. */
static enum err sweep_topic(struct store *s, struct store_topic *t, struct due_row *row,
                            struct sweep *sw)
{
    uint64_t end = row->first + row->count;
    bool hole;
    MDB_cursor *c;
    enum err e = lmdb_txn_cursor(s, TABLE_LOG, &c);

    if (!e)
        e = stays_before(s, c, row->topic_id, row->first, &hole);
    if (e)
        return e;
    lmdb_cache_touch(&s->cache, t);
    t->oldest_ms = 0;
    if (t->run.due_ms == row->due_ms)
        t->run.count = 0;
    e = expire_row(s, t, c, row, &hole, sw);
    return e || hole ? e : lmdb_holes_tidy(s, t, row->count ? row->first : end);
}

static enum err sweep_row(struct store *s, const struct due_row *row, struct sweep *sw)
{
    struct due_row rest = *row;
    uint64_t before = sw->out->spent;
    struct store_topic *t;
    enum err e = lmdb_topics_find_id(s, row->topic_id, &t);

    if (e == ERR_NOT_FOUND) {
        rest.count = 0;
        e = ERR_OK;
    } else if (!e) {
        e = sweep_topic(s, t, &rest, sw);
    }
    if (e)
        return e;
    sw->rows_left--;
    if (sw->out->spent == before)
        sw->out->spent++; /* so that a step over rows without records ends, too */
    e = delete_row(s, row);
    return e || !rest.count ? e : put_row(s, &rest);
}

enum err lmdb_expiry_step(struct store *s, int64_t now_ms, unsigned max,
                          struct store_step *out)
{
    struct sweep sw = {now_ms, max, max / MESSAGES_PER_ROW + 1, out};
    struct due_row row;
    enum err e = lmdb_park_return(s);

    *out = (struct store_step){0};
    if (!e)
        e = lmdb_expiry_flush(s);
    if (!e)
        e = first_row(s, now_ms, &row);
    while (!e && !is_over(&sw) && sw.rows_left) {
        e = sweep_row(s, &row, &sw);
        if (!e)
            e = first_row(s, now_ms, &row);
    }
    out->more = !e;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}
