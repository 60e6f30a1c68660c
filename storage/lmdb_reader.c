/*
 * Readers and their snapshots. A reader keeps its LMDB transaction and its cursors for
 * life; read_begin renews them, which costs no allocation and no lock.
 */
#include "lmdb_internal.h"

#include <stdlib.h>

static enum err take_slot(struct store *s, unsigned *slot)
{
    enum err e = ERR_BUSY;

    pthread_mutex_lock(&s->slots_lock);
    for (unsigned i = 0; i < s->max_readers && e; i++) {
        if (s->slot_taken[i])
            continue;
        s->slot_taken[i] = true;
        *slot = i;
        e = ERR_OK;
    }
    pthread_mutex_unlock(&s->slots_lock);
    return e;
}

static void give_slot(struct store *s, unsigned slot)
{
    pthread_mutex_lock(&s->slots_lock);
    s->slot_taken[slot] = false;
    pthread_mutex_unlock(&s->slots_lock);
}

static enum err open_cursors(struct store_reader *r)
{
    struct store *s = r->store;
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &r->txn);

    if (rc) {
        r->txn = NULL;
        return lmdb_error(s, "open a reader", rc);
    }
    rc = mdb_cursor_open(r->txn, s->dbi[TABLE_LOG], &r->log);
    if (!rc)
        rc = mdb_cursor_open(r->txn, s->dbi[TABLE_BLOBS], &r->blobs);
    mdb_txn_reset(r->txn);
    return rc ? lmdb_error(s, "open a reader", rc) : ERR_OK;
}

enum err lmdb_reader_open(struct store *s, struct store_reader **out)
{
    struct store_reader *r = calloc(1, sizeof *r);
    enum err e;

    *out = NULL;
    if (!r)
        return ERR_NO_MEMORY;
    r->store = s;
    e = take_slot(s, &r->slot);
    if (e) {
        free(r);
        return e;
    }
    e = open_cursors(r);
    if (e) {
        lmdb_reader_close(r);
        return e;
    }
    *out = r;
    return ERR_OK;
}

void lmdb_reader_close(struct store_reader *r)
{
    if (!r)
        return;
    if (r->log)
        mdb_cursor_close(r->log);
    if (r->blobs)
        mdb_cursor_close(r->blobs);
    if (r->txn)
        mdb_txn_abort(r->txn);
    atomic_store(&r->store->opened_ms[r->slot], 0);
    give_slot(r->store, r->slot);
    free(r);
}

enum err lmdb_read_begin(struct store_reader *r, int64_t now_ms)
{
    int rc;

    r->have = r->placed = false;
    /* Before the snapshot is taken, so that its age is never understated. */
    atomic_store(&r->store->opened_ms[r->slot], now_ms > 0 ? now_ms : 1);
    rc = mdb_txn_renew(r->txn);
    if (!rc) {
        rc = mdb_cursor_renew(r->txn, r->log);
        if (!rc)
            rc = mdb_cursor_renew(r->txn, r->blobs);
        if (rc)
            mdb_txn_reset(r->txn);
    }
    if (!rc)
        return ERR_OK;
    atomic_store(&r->store->opened_ms[r->slot], 0);
    return lmdb_error(r->store, "begin a snapshot", rc);
}

void lmdb_read_end(struct store_reader *r)
{
    mdb_txn_reset(r->txn);
    atomic_store(&r->store->opened_ms[r->slot], 0);
}

int64_t lmdb_oldest_reader_ms(struct store *s, int64_t now_ms)
{
    int64_t oldest = 0;

    for (unsigned i = 0; i < s->max_readers; i++) {
        int64_t opened = atomic_load(&s->opened_ms[i]);

        if (opened && (!oldest || opened < oldest))
            oldest = opened;
    }
    if (!oldest)
        return 0;
    return now_ms > oldest ? now_ms - oldest : 1; /* 0 would say that none is open */
}
