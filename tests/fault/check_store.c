/*
 * check_store - the invariants of a store that nobody has open, as a crash left it.
 *
 *   check_store DATA_DIR
 *
 * Opens it, which is its recovery, and lets the engine read and prove all of it: messages against
 * counters, expiry, ids, cursors and blobs against each other. Exit status 0: it is sound. What is
 * broken is said by the engine, on stderr.
 */
#include "base/clock.h"
#include "store.h"

#include <stdio.h>
#include <unistd.h>

static enum err check(const struct store_ops *ops, struct store *s)
{
    struct store_reader *r;
    enum err e = ops->reader_open(s, &r);

    if (e)
        return e;
    e = ops->read_begin(r, clock_wall_ms());
    if (!e) {
        e = ops->check(r);
        ops->read_end(r);
    }
    ops->reader_close(r);
    return e;
}

int main(int argc, char **argv)
{
    const struct store_ops *ops = &lmdb_store;
    struct store_options o = { .map_size = 1u << 30,
                               .durability = STORE_FSYNC,
                               .max_readers = 8,
                               .topic_cache_bytes = 1u << 20 };
    struct store *s;
    enum err e;

    if (argc != 2 || access(argv[1], R_OK)) { /* a store that is not there would be made */
        fprintf(stderr, "usage: check_store DATA_DIR\n");
        return 2;
    }
    o.path = argv[1];
    e = ops->open(&o, &s);
    if (!e) {
        e = check(ops, s);
        ops->close(s);
    }
    fprintf(stderr, "check_store: %s\n", err_name(e));
    return e ? 1 : 0;
}
