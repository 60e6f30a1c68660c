/*
 * faulty_store - the LMDB engine with calls that fail when a test asks for it.
 *
 *   fail_next(FAULT_COMMIT, ERR_IO, 1);
 *
 * A call that fails does nothing. After a failed commit nothing of the transaction is
 * stored, as store.h says; one of the other failures leaves it to the caller to give up.
 * It also remembers how much room it was asked for.
 *
 * Threads: any may ask for a fault; it happens on the thread that makes the call.
 */
#ifndef SLUICE_FAULTY_STORE_H
#define SLUICE_FAULTY_STORE_H

#include "store.h"

#include <stdatomic.h>

enum fault {
    FAULT_BEGIN,
    FAULT_COMMIT,
    FAULT_ROOM,
    FAULT_APPEND,
    FAULT_EXPIRE,
    FAULT_TRASH,
    FAULT_REMOVE,
    FAULT_BLOB_WRITE,
    FAULT_COUNT,
};

static struct {
    _Atomic int error;
    _Atomic int after; /* so many calls still work */
    _Atomic int times; /* then so many fail */
} faults[FAULT_COUNT];

static _Atomic uint64_t room_asked;

__attribute__((unused)) static void fail_after(enum fault f, int after, enum err e,
                                               int times)
{
    atomic_store(&faults[f].error, e);
    atomic_store(&faults[f].after, after);
    atomic_store(&faults[f].times, times);
}

__attribute__((unused)) static void fail_next(enum fault f, enum err e, int times)
{
    fail_after(f, 0, e, times);
}

/* Only the writer makes these calls, so reading and counting down need not be one. */
static enum err fault(enum fault f)
{
    if (atomic_load(&faults[f].times) == 0)
        return ERR_OK;
    if (atomic_load(&faults[f].after) > 0) {
        atomic_fetch_sub(&faults[f].after, 1);
        return ERR_OK;
    }
    atomic_fetch_sub(&faults[f].times, 1);
    return (enum err)atomic_load(&faults[f].error);
}

static enum err faulty_begin(struct store *s)
{
    enum err e = fault(FAULT_BEGIN);

    return e ? e : lmdb_store.begin(s);
}

static enum err faulty_commit(struct store *s)
{
    enum err e = fault(FAULT_COMMIT);

    if (!e)
        return lmdb_store.commit(s);
    lmdb_store.abort(s);
    return e;
}

static enum err faulty_room(struct store *s, uint64_t bytes)
{
    enum err e = fault(FAULT_ROOM);

    atomic_store(&room_asked, bytes);
    return e ? e : lmdb_store.room(s, bytes);
}

static enum err faulty_append(struct store *s, struct store_topic *t, struct record *r,
                              uint64_t *offset)
{
    enum err e = fault(FAULT_APPEND);

    return e ? e : lmdb_store.append(s, t, r, offset);
}

static enum err faulty_expire(struct store *s, int64_t now_ms, unsigned max,
                              struct store_step *out)
{
    enum err e = fault(FAULT_EXPIRE);

    return e ? e : lmdb_store.expire_step(s, now_ms, max, out);
}

static enum err faulty_trash(struct store *s, int64_t now_ms, unsigned max,
                             struct store_step *out)
{
    enum err e = fault(FAULT_TRASH);

    return e ? e : lmdb_store.trash_step(s, now_ms, max, out);
}

static enum err faulty_remove(struct store *s, struct store_topic *t, uint64_t before,
                              unsigned max, struct store_step *out)
{
    enum err e = fault(FAULT_REMOVE);

    return e ? e : lmdb_store.remove_step(s, t, before, max, out);
}

static enum err faulty_blob_write(struct store *s, uint64_t id, uint32_t chunk,
                                  struct bytes data)
{
    enum err e = fault(FAULT_BLOB_WRITE);

    return e ? e : lmdb_store.blob_write(s, id, chunk, data);
}

static const struct store_ops *faulty_store(void)
{
    static struct store_ops faulty;

    faulty = lmdb_store;
    faulty.begin = faulty_begin;
    faulty.commit = faulty_commit;
    faulty.room = faulty_room;
    faulty.append = faulty_append;
    faulty.expire_step = faulty_expire;
    faulty.trash_step = faulty_trash;
    faulty.remove_step = faulty_remove;
    faulty.blob_write = faulty_blob_write;
    return &faulty;
}

#endif
