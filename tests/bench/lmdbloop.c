/*
 * lmdbloop - the fastest that LMDB appends: one thread, keys in order, fsync at each commit.
 *
 * What the broker's batches reach in one run is compared with this in the same run.
 *
 *   lmdbloop DIRECTORY PER_COMMIT BYTES SECONDS     prints one line of JSON
 */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct loop {
    MDB_env *env;
    MDB_dbi table;
    size_t per_commit, bytes;
    double seconds;
    uint64_t offset;
    char *value;
};

static void must(int rc, const char *what)
{
    if (rc) {
        fprintf(stderr, "lmdbloop: %s: %s\n", what, mdb_strerror(rc));
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 16 bytes: the topic's id and the offset, as in the broker's log. */
static void put_key(uint8_t *key, uint64_t offset)
{
    memset(key, 0, 16);
    key[7] = 1;
    for (int i = 15; i > 7; i--, offset >>= 8)
        key[i] = (uint8_t)offset;
}

static void commit_once(struct loop *l)
{
    MDB_txn *txn;
    uint8_t bytes[16];

    must(mdb_txn_begin(l->env, NULL, 0, &txn), "begin");
    for (size_t i = 0; i < l->per_commit; i++) {
        MDB_val key = { sizeof bytes, bytes }, value = { l->bytes, l->value };
        put_key(bytes, l->offset++);
        must(mdb_put(txn, l->table, &key, &value, MDB_APPEND), "put");
    }
    must(mdb_txn_commit(txn), "commit");
}

static void open_env(struct loop *l, const char *directory)
{
    MDB_txn *txn;

    must(mdb_env_create(&l->env), "create");
    must(mdb_env_set_mapsize(l->env, (size_t)16 << 30), "map size");
    must(mdb_env_set_maxdbs(l->env, 4), "tables");
    must(mdb_env_open(l->env, directory, MDB_NORDAHEAD, 0600), "open");
    must(mdb_txn_begin(l->env, NULL, 0, &txn), "begin");
    must(mdb_dbi_open(txn, "log", MDB_CREATE, &l->table), "table");
    must(mdb_txn_commit(txn), "commit");
}

int main(int argc, char **argv)
{
    struct loop l = { 0 };
    uint64_t commits = 0;

    if (argc != 5) {
        fprintf(stderr, "usage: lmdbloop DIRECTORY PER_COMMIT BYTES SECONDS\n");
        return 2;
    }
    l.per_commit = strtoul(argv[2], NULL, 10);
    l.bytes = strtoul(argv[3], NULL, 10);
    l.seconds = strtod(argv[4], NULL);
    l.value = malloc(l.bytes + 1);
    memset(l.value, 'x', l.bytes);
    open_env(&l, argv[1]);

    double start = now(), took;
    while ((took = now() - start) < l.seconds) {
        commit_once(&l);
        commits++;
    }
    printf("{\"command\":\"lmdbloop\",\"per_commit\":%zu,\"bytes\":%zu,\"seconds\":%.3f,"
           "\"commits\":%lu,\"messages_per_second\":%.1f}\n",
           l.per_commit, l.bytes, took, commits, (double)l.offset / took);
    mdb_env_close(l.env);
    free(l.value);
    return 0;
}
