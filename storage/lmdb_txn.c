/*
 * One write transaction at a time. What is cached beside it (totals, topic states,
 * runs, parked records) goes to its tables at commit and is forgotten at abort.
 *
 *   1. After the first failing LMDB call nothing of the transaction can be committed.
 *   2. totals is what the transaction sees, committed what readers see.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#include <errno.h>

#define TOTALS_VERSION 1
#define META_PAGES     2u

/* Where a row of 100 bytes with its share of keys and of half full pages may end up. */
#define ROOM_OVERHEAD 256u

enum err lmdb_error(const struct store *s, const char *doing, int rc)
{
    enum err e = ERR_IO;

    if (lmdb_is_disk_full(s, rc))
        return ERR_FULL;
    switch (rc) {
    case 0:
        return ERR_OK;
    case MDB_MAP_FULL:
    case EFBIG:
        return ERR_FULL;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_VALSIZE:
        e = ERR_CORRUPT;
        break;
    default:
        break;
    }
    LOG_ERROR("storage", "lmdb_failed", LOG_S("data_dir", s->path),
              LOG_S("doing", doing), LOG_S("reason", mdb_strerror(rc)),
              LOG_I("code", rc));
    return e;
}

enum err lmdb_txn_spoil(struct store *s, enum err e)
{
    if (!s->error)
        s->error = e;
    return s->error;
}

enum err lmdb_txn_fail(struct store *s, const char *doing, int rc)
{
    bool disk_full = lmdb_is_disk_full(s, rc);

    if (!rc || s->error)
        return s->error; /* what follows from the first failure needs no second line */
    lmdb_txn_spoil(s, lmdb_error(s, doing, rc));
    if (disk_full)
        lmdb_ballast_give_up(s);
    return s->error;
}

enum err lmdb_txn_begin(struct store *s)
{
    int rc;

    lmdb_cache_trim(s);
    lmdb_ballast_take_back(s);
    rc = mdb_txn_begin(s->env, NULL, 0, &s->txn);
    if (rc) {
        s->txn = NULL;
        lmdb_namespaces_settle(s, false);
        return lmdb_error(s, "begin a transaction", rc);
    }
    s->txn_number++;
    s->error = ERR_OK;
    s->room_left = 0;
    s->top_topic = 0;
    s->id_row = 0;
    s->totals = s->committed;
    memset(s->cursor, 0, sizeof s->cursor);
    return ERR_OK;
}

static enum err write_totals(struct store *s)
{
    uint8_t row[TOTALS_LEN], key[ID_LEN] = {0};

    if (memcmp(&s->totals, &s->committed, sizeof s->totals) == 0)
        return ERR_OK;
    lmdb_totals_encode(&s->totals, row);
    return lmdb_txn_put(s, TABLE_TOPICS, bytes_of(key, sizeof key),
                        bytes_of(row, sizeof row));
}

static enum err flush(struct store *s)
{
    enum err e = s->error;

    if (!e)
        e = lmdb_park_return(s);
    if (!e)
        e = lmdb_expiry_flush(s);
    if (!e)
        e = lmdb_holes_flush(s);
    if (!e)
        e = lmdb_topics_flush(s);
    if (!e)
        e = lmdb_namespaces_flush(s);
    return e ? e : write_totals(s);
}

enum err lmdb_txn_commit(struct store *s)
{
    enum err e = flush(s);

    if (e) {
        lmdb_txn_abort(s);
        return e;
    }
    /* Frees the transaction and its cursors whether it works or not. */
    e = lmdb_txn_fail(s, "commit", mdb_txn_commit(s->txn));
    s->txn = NULL;
    if (e)
        s->totals = s->committed;
    else
        s->committed = s->totals;
    lmdb_cache_settle(s, !e);
    lmdb_namespaces_settle(s, !e);
    return e;
}

void lmdb_txn_abort(struct store *s)
{
    mdb_txn_abort(s->txn);
    s->txn = NULL;
    s->totals = s->committed;
    s->park.used = 0;
    memset(&s->holes, 0, sizeof s->holes);
    lmdb_cache_settle(s, false);
    lmdb_namespaces_settle(s, false);
}

enum err lmdb_txn_cursor(struct store *s, enum table t, MDB_cursor **out)
{
    int rc;

    if (!s->cursor[t]) {
        rc = mdb_cursor_open(s->txn, s->dbi[t], &s->cursor[t]);
        if (rc) {
            s->cursor[t] = NULL;
            return lmdb_txn_fail(s, "open a cursor", rc);
        }
    }
    *out = s->cursor[t];
    return ERR_OK;
}

enum err lmdb_txn_put(struct store *s, enum table t, struct bytes key,
                      struct bytes value)
{
    MDB_val k = val_of(key.data, key.len), v = val_of(value.data, value.len);
    int rc = mdb_put(s->txn, s->dbi[t], &k, &v, 0);

    return rc ? lmdb_txn_fail(s, "write", rc) : ERR_OK;
}

enum err lmdb_txn_delete(struct store *s, enum table t, struct bytes key)
{
    MDB_val k = val_of(key.data, key.len);
    int rc = mdb_del(s->txn, s->dbi[t], &k, NULL);

    return rc && rc != MDB_NOTFOUND ? lmdb_txn_fail(s, "delete", rc) : ERR_OK;
}

/* O(tables): LMDB counts the pages of each; 0 is its list of free pages, 1 its root. */
static int used_bytes(const struct store *s, MDB_txn *txn, uint64_t *out)
{
    uint64_t pages = META_PAGES;
    MDB_stat st;
    int rc = 0;

    for (unsigned i = 0; i < TABLES + 2u && !rc; i++) {
        rc = mdb_stat(txn, i < 2 ? i : s->dbi[i - 2], &st);
        if (!rc)
            pages += st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
    }
    *out = pages * s->page_size;
    return rc;
}

/* On a full disk only free pages inside the file count, and some are left for trimming.
 */
static int count_room(struct store *s)
{
    uint64_t used, limit = s->map_size;
    MDB_envinfo info;
    int rc = used_bytes(s, s->txn, &used);

    if (!rc)
        rc = mdb_env_info(s->env, &info);
    if (rc)
        return rc;
    if (s->disk_full) {
        uint64_t file = ((uint64_t)info.me_last_pgno + 1) * s->page_size;

        file = file > BALLAST_BYTES ? file - BALLAST_BYTES : 0;
        limit = file < limit ? file : limit;
    }
    s->room_left = used < limit ? limit - used : 0;
    return 0;
}

enum err lmdb_txn_room(struct store *s, uint64_t bytes)
{
    uint64_t need = bytes + bytes / 16 + ROOM_OVERHEAD;
    int rc = need > s->room_left ? count_room(s) : 0;

    if (rc)
        return lmdb_txn_fail(s, "count pages", rc);
    if (need < bytes || need > s->room_left)
        return ERR_FULL;
    s->room_left -= need;
    return ERR_OK;
}

/* Lowers *out to the time of the table's first row; 0: it was not set yet. */
static int first_due(const struct store *s, MDB_txn *txn, enum table t, int64_t *out)
{
    MDB_cursor *c;
    MDB_val k, v;
    int rc = mdb_cursor_open(txn, s->dbi[t], &c);

    if (rc)
        return rc;
    rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    if (!rc && k.mv_size >= 8 && (!*out || (int64_t)get_be64(k.mv_data) < *out))
        *out = (int64_t)get_be64(k.mv_data);
    mdb_cursor_close(c);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

enum err lmdb_stats_fill(struct store *s, MDB_txn *txn, const struct totals *totals,
                         struct store_stats *out)
{
    MDB_envinfo info;
    MDB_stat trash, receipts;
    int rc = mdb_env_info(s->env, &info);

    *out = (struct store_stats){
        .counters = totals->counters,
        .live = totals->live,
        .live_bytes = totals->live_bytes,
        .topics = totals->topics,
        .map_bytes = s->map_size,
        .topic_cache_bytes = atomic_load(&s->cache_bytes),
    };
    if (!rc)
        rc = used_bytes(s, txn, &out->used_bytes);
    if (!rc)
        rc = first_due(s, txn, TABLE_DUE, &out->next_due_ms);
    if (!rc)
        rc = first_due(s, txn, TABLE_SUB_DUE, &out->next_due_ms);
    if (!rc)
        rc = first_due(s, txn, TABLE_RECEIPTS_DUE, &out->next_due_ms);
    if (!rc)
        rc = mdb_stat(txn, s->dbi[TABLE_RECEIPTS], &receipts);
    if (!rc)
        rc = mdb_stat(txn, s->dbi[TABLE_TRASH], &trash);
    if (rc)
        return lmdb_error(s, "read figures", rc);
    out->file_bytes = ((uint64_t)info.me_last_pgno + 1) * s->page_size;
    out->trash = trash.ms_entries != 0;
    out->receipts = receipts.ms_entries;
    return ERR_OK;
}

enum err lmdb_txn_stats(struct store *s, struct store_stats *out)
{
    enum err e = lmdb_park_return(s);

    if (!e)
        e = lmdb_expiry_flush(s);
    if (!e)
        e = lmdb_stats_fill(s, s->txn, &s->totals, out);
    return e ? lmdb_txn_spoil(s, e) : ERR_OK;
}

enum err lmdb_txn_sync(struct store *s)
{
    return lmdb_error(s, "sync", mdb_env_sync(s->env, 1));
}

void lmdb_totals_encode(const struct totals *t, uint8_t out[TOTALS_LEN])
{
    const uint64_t fields[] = {
        t->next_topic_id,    t->next_blob_id,     t->topics, t->counters.accepted,
        t->counters.expired, t->counters.removed, t->live,   t->live_bytes};

    out[0] = TOTALS_VERSION;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        put_be64(out + 1 + 8 * i, fields[i]);
}

enum err lmdb_totals_decode(struct bytes stored, struct totals *t)
{
    const uint8_t *p = stored.data;

    if (stored.len != TOTALS_LEN || p[0] != TOTALS_VERSION)
        return ERR_CORRUPT;
    *t = (struct totals){
        .next_topic_id = get_be64(p + 1),
        .next_blob_id = get_be64(p + 9),
        .topics = get_be64(p + 17),
        .counters = {.accepted = get_be64(p + 25),
                     .expired = get_be64(p + 33),
                     .removed = get_be64(p + 41)},
        .live = get_be64(p + 49),
        .live_bytes = get_be64(p + 57),
    };
    return ERR_OK;
}
