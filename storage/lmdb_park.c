/*
 * Keeps pages full. A topic that is not the last in the log grows in front of another
 * topic's records. Where the two share a page, LMDB splits that page in the middle each
 * time it is full, and every page the topic leaves behind stays half empty: twice the
 * space, twice the writing. It packs well only when the new key is the last on its
 * page.
 *
 * So before a topic's first append in a transaction, the strangers behind it on the
 * same page are parked: copied and taken out. They go back before anything but an
 * append looks at the log, at the latest at commit, when the page may be full and they
 * start the next.
 *
 *   1. Parked records exist only inside a transaction; abort forgets them with the
 * rest.
 *   2. Parking too few or too many costs space or time, never correctness: the address
 * of a key is a hint to its page, no more.
 */
#include "lmdb_internal.h"

#include <stdlib.h>

#define PARK_BYTES 65536u
#define WORTH_IT   16u /* a topic with fewer records wastes no page worth saving */
#define HEAD_LEN   (LOG_KEY_LEN + 4u)

enum err lmdb_park_init(struct park *p)
{
    p->bytes = malloc(PARK_BYTES);
    return p->bytes ? ERR_OK : ERR_NO_MEMORY;
}

void lmdb_park_fini(struct park *p)
{
    free(p->bytes);
}

static bool same_page(const struct store *s, const MDB_val *a, const MDB_val *b)
{
    uintptr_t x = (uintptr_t)a->mv_data, y = (uintptr_t)b->mv_data;

    return (x > y ? x - y : y - x) < s->page_size;
}

static bool fits(const struct store *s, const MDB_val *v)
{
    return v->mv_size < s->page_size / 2 && /* else it has pages of its own */
           s->park.used + HEAD_LEN + v->mv_size <= PARK_BYTES;
}

/* Puts the cursor on the stranger behind the topic's last record and says whether to
 * park it. ERR_NOT_FOUND: there is none, or not on that page. */
static enum err next_stranger(struct store *s, const struct store_topic *t,
                              MDB_cursor *c, MDB_val *k, MDB_val *v)
{
    uint8_t key[LOG_KEY_LEN];
    MDB_val last, stranger = val_of(key, sizeof key);
    int rc;

    log_key(key, t->state.id, t->state.next_offset);
    rc = mdb_cursor_get(c, &stranger, v, MDB_SET_RANGE);
    if (!rc)
        rc = mdb_cursor_get(c, &last, NULL, MDB_PREV);
    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (rc)
        return lmdb_txn_fail(s, "look behind a topic", rc);
    if (get_be64(last.mv_data) != t->state.id || !same_page(s, &last, &stranger) ||
        !fits(s, v))
        return ERR_NOT_FOUND;
    rc = mdb_cursor_get(c, k, v, MDB_NEXT);
    return rc ? lmdb_txn_fail(s, "look behind a topic", rc) : ERR_OK;
}

static enum err park(struct store *s, MDB_cursor *c, const MDB_val *k, const MDB_val *v)
{
    uint8_t *p = s->park.bytes + s->park.used;
    int rc;

    memcpy(p, k->mv_data, LOG_KEY_LEN);
    put_be32(p + LOG_KEY_LEN, (uint32_t)v->mv_size);
    memcpy(p + HEAD_LEN, v->mv_data, v->mv_size);
    rc = mdb_cursor_del(c, 0);
    if (rc)
        return lmdb_txn_fail(s, "park a message", rc);
    s->park.used += HEAD_LEN + v->mv_size;
    return ERR_OK;
}

enum err lmdb_park_before_append(struct store *s, struct store_topic *t)
{
    MDB_cursor *c;
    MDB_val k, v;
    enum err e;

    t->parked_in = s->txn_number;
    if (t->state.live < WORTH_IT)
        return ERR_OK;
    e = lmdb_txn_cursor(s, TABLE_LOG, &c);
    if (!e)
        e = next_stranger(s, t, c, &k, &v);
    while (!e) {
        e = park(s, c, &k, &v);
        if (!e)
            e = next_stranger(s, t, c, &k, &v);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err put_back(struct store *s, MDB_cursor *c, const uint8_t *p, size_t len)
{
    MDB_val k = val_of(p, LOG_KEY_LEN), v = val_of(p + HEAD_LEN, len);
    int rc = mdb_cursor_put(c, &k, &v, MDB_NOOVERWRITE);

    return rc ? lmdb_txn_fail(s, "put a parked message back", rc) : ERR_OK;
}

enum err lmdb_park_return(struct store *s)
{
    struct park *park = &s->park;
    MDB_cursor *c;
    enum err e;

    if (!park->used)
        return ERR_OK;
    e = lmdb_txn_cursor(s, TABLE_LOG, &c);
    for (size_t at = 0; !e && at < park->used;) {
        size_t len = get_be32(park->bytes + at + LOG_KEY_LEN);

        e = put_back(s, c, park->bytes + at, len);
        at += HEAD_LEN + len;
    }
    park->used = 0;
    return e;
}
