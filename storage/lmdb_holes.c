/*
 * How many messages are live from an offset on, however many that are: O(log n).
 *
 * Most logs lose their messages from the front. There the answer is a subtraction, and
 * nothing is kept. Only what is taken out behind a message that stays is a hole; holes are
 * counted in blocks of 256 offsets, of 256 such blocks, and so on.
 *
 *   1. A block that begins behind the topic's earliest message counts all offsets in it that
 *      are gone: each was taken out while that message was there.
 *   2. What other blocks count means nothing; such rows go when the front has passed them.
 *   3. Within a transaction the last block of each level is in store.holes until
 *      lmdb_holes_flush.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#define HOLE_KEY_LEN 17u
#define BLOCK_BITS   8u
#define BLOCK        (1u << BLOCK_BITS)
#define TIDY_MOST    64u /* rows in one go */

static unsigned shift_of(unsigned level)
{
    return BLOCK_BITS * (level + 1);
}

static struct bytes hole_key(uint8_t key[HOLE_KEY_LEN], uint64_t topic_id, unsigned level,
                             uint64_t block)
{
    put_be64(key, topic_id);
    key[8] = (uint8_t)level;
    put_be64(key + 9, block);
    return bytes_of(key, HOLE_KEY_LEN);
}

/* ---- counting ---- */

static enum err flush_level(struct store *s, unsigned level)
{
    struct hole_block *h = &s->holes.at[level];
    uint8_t key[HOLE_KEY_LEN], row[8];
    struct bytes whole = hole_key(key, s->holes.topic_id, level, h->block);
    MDB_val k = val_of(whole.data, whole.len), v;
    uint64_t before = 0;
    int rc;

    if (!h->count)
        return ERR_OK;
    rc = mdb_get(s->txn, s->dbi[TABLE_HOLES], &k, &v);
    if (rc && rc != MDB_NOTFOUND)
        return lmdb_txn_fail(s, "count holes", rc);
    if (!rc && v.mv_size == sizeof row)
        before = get_be64(v.mv_data);
    put_be64(row, before + h->count);
    h->count = 0;
    return lmdb_txn_put(s, TABLE_HOLES, whole, bytes_of(row, sizeof row));
}

enum err lmdb_holes_flush(struct store *s)
{
    enum err e = ERR_OK;

    for (unsigned level = 0; level < HOLE_LEVELS && !e; level++)
        e = flush_level(s, level);
    return e;
}

enum err lmdb_holes_note(struct store *s, struct store_topic *t, uint64_t offset)
{
    enum err e = ERR_OK;

    if (s->holes.topic_id != t->state.id)
        e = lmdb_holes_flush(s);
    s->holes.topic_id = t->state.id;
    t->holes = HOLES_SOME;
    for (unsigned level = 0; level < HOLE_LEVELS && !e; level++) {
        struct hole_block *h = &s->holes.at[level];
        uint64_t block = offset >> shift_of(level);

        if (h->block != block)
            e = flush_level(s, level);
        h->block = block;
        h->count++;
    }
    return e;
}

/* ---- tidying up ---- */

/* The topic's first row at or after this one. */
static int first_row(MDB_cursor *c, uint64_t topic_id, unsigned level, MDB_val *k, MDB_val *v)
{
    uint8_t key[HOLE_KEY_LEN];
    struct bytes from = hole_key(key, topic_id, level, 0);
    int rc;

    *k = val_of(from.data, from.len);
    rc = mdb_cursor_get(c, k, v, MDB_SET_RANGE);
    return !rc && get_be64(k->mv_data) != topic_id ? MDB_NOTFOUND : rc;
}

static enum err any(struct store *s, struct store_topic *t, MDB_cursor **c)
{
    MDB_val k, v;
    enum err e = t->holes == HOLES_SOME ? lmdb_holes_flush(s) : ERR_OK;
    int rc;

    if (!e)
        e = lmdb_txn_cursor(s, TABLE_HOLES, c);
    if (e || t->holes != HOLES_UNKNOWN)
        return e;
    rc = first_row(*c, t->state.id, 0, &k, &v);
    if (rc && rc != MDB_NOTFOUND)
        return lmdb_txn_fail(s, "look for holes", rc);
    t->holes = rc ? HOLES_NONE : HOLES_SOME;
    return ERR_OK;
}

enum err lmdb_holes_any(struct store *s, struct store_topic *t, bool *any_there)
{
    MDB_cursor *c;
    enum err e = any(s, t, &c);

    *any_there = t->holes == HOLES_SOME;
    return e;
}

static enum err tidy_level(struct store *s, MDB_cursor *c, uint64_t topic_id, unsigned level,
                           uint64_t before, unsigned *left)
{
    MDB_val k, v;
    int rc = 0;

    while (*left && !(rc = first_row(c, topic_id, level, &k, &v))) {
        const uint8_t *p = k.mv_data;

        if (p[8] != level || get_be64(p + 9) >= before >> shift_of(level))
            return ERR_OK;
        rc = mdb_cursor_del(c, 0);
        if (rc)
            break;
        --*left;
    }
    return rc && rc != MDB_NOTFOUND ? lmdb_txn_fail(s, "forget holes", rc) : ERR_OK;
}

enum err lmdb_holes_tidy(struct store *s, struct store_topic *t, uint64_t earliest)
{
    unsigned left = TIDY_MOST;
    MDB_cursor *c;
    MDB_val k, v;
    enum err e;

    if (t->holes == HOLES_NONE)
        return ERR_OK;
    e = any(s, t, &c);
    if (t->holes == HOLES_NONE)
        return e;
    for (unsigned level = 0; level < HOLE_LEVELS && !e; level++)
        e = tidy_level(s, c, t->state.id, level, earliest, &left);
    if (!e && first_row(c, t->state.id, 0, &k, &v) == MDB_NOTFOUND)
        t->holes = HOLES_NONE;
    return e;
}

enum err lmdb_holes_free_one(struct store *s, uint64_t topic_id)
{
    MDB_cursor *c;
    MDB_val k, v;
    enum err e = lmdb_txn_cursor(s, TABLE_HOLES, &c);
    int rc = e ? 0 : first_row(c, topic_id, 0, &k, &v);

    if (e || rc == MDB_NOTFOUND)
        return e ? e : ERR_NOT_FOUND;
    if (!rc)
        rc = mdb_cursor_del(c, 0);
    return rc ? lmdb_txn_fail(s, "forget holes", rc) : ERR_OK;
}

/* ---- read side ---- */

/* Records in [from, to); at most a block. The reader forgets where it stood. */
static enum err walk_records(struct store_reader *r, uint64_t topic_id, uint64_t from,
                             uint64_t to, uint64_t *count)
{
    struct store_entry m;
    enum err e = lmdb_read_seek(r, topic_id, from, &m);

    for (; !e && m.offset < to; e = lmdb_read_next(r, &m))
        ++*count;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* What the rows of a level from `block` on to `end` count. */
static int sum_rows(MDB_cursor *c, uint64_t topic_id, unsigned level, uint64_t block,
                    uint64_t end, uint64_t *holes)
{
    uint8_t key[HOLE_KEY_LEN];
    struct bytes from = hole_key(key, topic_id, level, block);
    MDB_val k = val_of(from.data, from.len), v;
    int rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);

    for (; !rc && memcmp(k.mv_data, key, 9) == 0 &&
           get_be64((const uint8_t *)k.mv_data + 9) < end;
         rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))
        *holes += get_be64(v.mv_data);
    return rc;
}

/* From the block behind `from` on: to the end of the block above it, then of the one above
 * that, and at the highest level to the end of the log. */
static int climb(MDB_cursor *c, const struct topic_state *t, uint64_t from, uint64_t *live)
{
    int rc = 0;

    for (unsigned level = 0; level < HOLE_LEVELS && from < t->next_offset; level++) {
        uint64_t block = from >> shift_of(level), end = (block | (BLOCK - 1)) + 1;
        uint64_t to = end << shift_of(level), holes = 0;

        if (level == HOLE_LEVELS - 1 || to > t->next_offset) {
            end = UINT64_MAX;
            to = t->next_offset;
        }
        rc = sum_rows(c, t->id, level, block, end, &holes);
        if (rc && rc != MDB_NOTFOUND)
            return rc;
        *live += to - from - holes;
        from = to;
    }
    return 0;
}

enum err lmdb_read_live_from(struct store_reader *r, const struct topic_state *t,
                             uint64_t offset, uint64_t *count)
{
    struct store_entry earliest;
    uint64_t first_end;
    MDB_cursor *c;
    enum err e = lmdb_read_seek(r, t->id, 0, &earliest);
    int rc;

    *count = 0;
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (offset <= earliest.offset) {
        *count = t->live;
        return ERR_OK;
    }
    first_end = (offset | (BLOCK - 1)) + 1;
    e = walk_records(r, t->id, offset, first_end, count);
    if (e || first_end >= t->next_offset)
        return e;
    rc = mdb_cursor_open(r->txn, r->store->dbi[TABLE_HOLES], &c);
    if (!rc) {
        rc = climb(c, t, first_end, count);
        mdb_cursor_close(c);
    }
    return rc ? lmdb_error(r->store, "count what is live", rc) : ERR_OK;
}
