/*
 * Opening order, and closing is its mirror: the directory, the lock on it, the
 * environment, the format version, the tables, the totals, the leftovers.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_VERSION 4u
#define FORMAT_OLDEST  1u /* that is read, and made the newest at open */
#define RESERVE_LEAST  ((uint64_t)8 << 20)
#define RESERVE_SHARE  16 /* of map_size */

static const char *const table_names[TABLES] = {
    [TABLE_META] = "meta",     [TABLE_NAMES] = "names",     [TABLE_ENDED] = "ended",
    [TABLE_TOPICS] = "topics", [TABLE_LOG] = "log",         [TABLE_DUE] = "due",
    [TABLE_BLOBS] = "blobs",   [TABLE_UPLOADS] = "uploads", [TABLE_TRASH] = "trash",
    [TABLE_NAMESPACES] = "namespaces", [TABLE_CURSORS] = "cursors",
    [TABLE_IDS] = "ids",
    [TABLE_SUBS] = "subs",     [TABLE_DELIVERIES] = "deliveries", [TABLE_SUB_DUE] = "sub_due",
    [TABLE_RECEIPTS] = "receipts", [TABLE_RECEIPTS_DUE] = "receipts_due",
    [TABLE_HOLES] = "holes",
};

static enum err refuse(const struct store *s, const char *event, const char *reason,
                       enum err e)
{
    LOG_ERROR("storage", event, LOG_S("data_dir", s->path), LOG_S("reason", reason));
    return e;
}

static enum err make_directory(const struct store *s)
{
    struct stat st;

    if (mkdir(s->path, 0750) != 0 && errno != EEXIST)
        return refuse(s, "cannot_make_data_dir", strerror(errno), ERR_IO);
    if (stat(s->path, &st) != 0)
        return refuse(s, "cannot_use_data_dir", strerror(errno), ERR_IO);
    if (!S_ISDIR(st.st_mode))
        return refuse(s, "cannot_use_data_dir", "it is not a directory", ERR_IO);
    return ERR_OK;
}

/* LMDB lets several processes open one environment; two writers that cache counters and
 * next offsets must not. The kernel drops this lock however the process ends. */
static enum err lock_directory(struct store *s)
{
    char name[4096];

    if (snprintf(name, sizeof name, "%s/lock", s->path) >= (int)sizeof name)
        return refuse(s, "cannot_use_data_dir", "the path is too long", ERR_IO);
    s->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (s->lock_fd < 0)
        return refuse(s, "cannot_write_data_dir", strerror(errno), ERR_IO);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_OK;
    if (errno == EWOULDBLOCK)
        return refuse(s, "data_dir_in_use", "another process has it open", ERR_BUSY);
    return refuse(s, "cannot_lock_data_dir", strerror(errno), ERR_IO);
}

/* What lets a full map still be trimmed: LMDB copies the pages on which it deletes. */
static uint64_t with_reserve(const struct store *s, uint64_t bytes)
{
    uint64_t reserve = s->map_size / RESERVE_SHARE;

    bytes += reserve < RESERVE_LEAST ? RESERVE_LEAST : reserve;
    return (bytes + s->page_size - 1) / s->page_size * s->page_size;
}

static enum err open_failed(const struct store *s, int rc)
{
    bool not_ours =
        rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED;

    return refuse(s, "open_failed", mdb_strerror(rc),
                  rc == ENOMEM ? ERR_NO_MEMORY
                  : not_ours   ? ERR_CORRUPT
                               : ERR_IO);
}

/* A file that grew under a larger setting keeps all it has, and a reserve beside it. */
static int fit_file(struct store *s)
{
    MDB_envinfo info;
    MDB_stat st;
    int rc = mdb_env_stat(s->env, &st);
    uint64_t file;

    if (!rc)
        rc = mdb_env_info(s->env, &info);
    if (rc)
        return rc;
    s->page_size = st.ms_psize;
    file = ((uint64_t)info.me_last_pgno + 1) * s->page_size;
    if (file <= with_reserve(s, s->map_size))
        return 0;
    return mdb_env_set_mapsize(s->env, with_reserve(s, file));
}

static enum err open_environment(struct store *s, const struct store_options *o)
{
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (o->durability == STORE_RELAXED ? MDB_NOSYNC : 0);
    int rc = mdb_env_create(&s->env);
    int dead;

    if (!rc)
        rc = mdb_env_set_maxdbs(s->env, TABLES);
    if (!rc)
        rc = mdb_env_set_maxreaders(s->env, s->max_readers + 1);
    if (!rc)
        rc = mdb_env_set_mapsize(s->env, with_reserve(s, s->map_size));
    if (!rc)
        rc = mdb_env_open(s->env, s->path, flags, 0640);
    if (!rc)
        rc = fit_file(s);
    if (!rc)
        rc = mdb_reader_check(s->env, &dead);
    return rc ? open_failed(s, rc) : ERR_OK;
}

static enum err refuse_version(const struct store *s, int64_t found)
{
    LOG_ERROR("storage", "other_format_version", LOG_S("data_dir", s->path),
              LOG_I("found", found), LOG_I("expected", FORMAT_VERSION));
    return ERR_CORRUPT;
}

static enum err write_version(struct store *s)
{
    uint8_t version[4];

    put_be32(version, FORMAT_VERSION);
    return lmdb_txn_put(s, TABLE_META, bytes_str("format"),
                        bytes_of(version, sizeof version));
}

/* All that older versions have is still read, and nothing in a store before version 3 has an
 * id to be indexed: only the number has to change. An older program would take records that we
 * write for damaged, leave ids behind, or hand out what is delayed. */
static enum err check_version(struct store *s)
{
    MDB_val key = val_of("format", 6), found;
    int rc = mdb_get(s->txn, s->dbi[TABLE_META], &key, &found);
    uint32_t version;

    if (rc == MDB_NOTFOUND)
        return refuse_version(s, 0);
    if (rc)
        return lmdb_txn_fail(s, "read the format version", rc);
    if (found.mv_size != 4)
        return refuse_version(s, -1);
    version = get_be32(found.mv_data);
    if (version < FORMAT_OLDEST || version > FORMAT_VERSION)
        return refuse_version(s, version);
    return version == FORMAT_VERSION ? ERR_OK : write_version(s);
}

static enum err open_table(struct store *s, enum table t, unsigned flags)
{
    int rc = mdb_dbi_open(s->txn, table_names[t], flags, &s->dbi[t]);

    if (rc == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    return rc ? lmdb_txn_fail(s, "open a table", rc) : ERR_OK;
}

static enum err write_first_rows(struct store *s)
{
    struct totals first = {.next_topic_id = 1, .next_blob_id = 1};
    uint8_t row[TOTALS_LEN], key[ID_LEN] = {0};
    enum err e = write_version(s);

    if (e)
        return e;
    lmdb_totals_encode(&first, row);
    return lmdb_txn_put(s, TABLE_TOPICS, bytes_of(key, sizeof key),
                        bytes_of(row, sizeof row));
}

/* The version is looked at before any table is made, so that a refused file is left as
 * it was. */
static enum err open_tables(struct store *s)
{
    enum err e = open_table(s, TABLE_META, 0);
    bool fresh = e == ERR_NOT_FOUND;
    MDB_stat main_db;

    if (e && !fresh)
        return e;
    if (fresh && (mdb_stat(s->txn, 1, &main_db) != 0 || main_db.ms_entries))
        return refuse(s, "open_failed", "data.mdb is not a store of this program",
                      ERR_CORRUPT);
    if (!fresh && (e = check_version(s)))
        return e;
    for (int t = 0; t < TABLES; t++)
        if ((e = open_table(s, (enum table)t, MDB_CREATE)))
            return e;
    return fresh ? write_first_rows(s) : ERR_OK;
}

static enum err open_contents(struct store *s)
{
    enum err e = lmdb_txn_begin(s);

    if (e)
        return e;
    e = open_tables(s);
    if (!e)
        e = lmdb_read_totals(s, s->txn, &s->totals);
    if (e)
        goto out;
    s->committed = s->totals;
    e = lmdb_uploads_to_trash(s);
    if (!e)
        e = lmdb_namespaces_load(s);
    if (!e)
        e = lmdb_secret_load(s);
out:
    if (!e)
        return lmdb_txn_commit(s);
    lmdb_txn_abort(s);
    return e;
}

static enum err alloc_parts(struct store *s, const struct store_options *o)
{
    s->lock_fd = s->ballast_fd = -1;
    s->map_size = o->map_size;
    s->max_readers = o->max_readers;
    s->page_size = (unsigned)sysconf(_SC_PAGESIZE);
    pthread_mutex_init(&s->slots_lock, NULL);
    lmdb_pins_init(&s->pins);
    s->path = strdup(o->path);
    s->opened_ms = calloc(o->max_readers ? o->max_readers : 1, sizeof *s->opened_ms);
    s->slot_taken = calloc(o->max_readers ? o->max_readers : 1, sizeof *s->slot_taken);
    if (!s->path || !s->opened_ms || !s->slot_taken || lmdb_park_init(&s->park))
        return ERR_NO_MEMORY;
    return lmdb_cache_init(s, o->topic_cache_bytes);
}

enum err lmdb_env_open(const struct store_options *o, struct store **out)
{
    struct store *s = calloc(1, sizeof *s);
    enum err e;

    *out = NULL;
    if (!s)
        return ERR_NO_MEMORY;
    e = alloc_parts(s, o);
    if (!e)
        e = make_directory(s);
    if (!e)
        e = lock_directory(s);
    if (!e)
        e = open_environment(s, o);
    if (!e) {
        lmdb_map_find(s);
        lmdb_ballast_open(s);
    }
    if (!e)
        e = open_contents(s);
    if (e) {
        lmdb_env_close(s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

void lmdb_env_close(struct store *s)
{
    if (!s)
        return;
    if (s->txn)
        lmdb_txn_abort(s);
    if (s->env)
        mdb_env_close(s->env);
    lmdb_ballast_close(s);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    lmdb_cache_fini(s);
    lmdb_park_fini(&s->park);
    lmdb_namespaces_fini(s);
    lmdb_pins_fini(&s->pins);
    pthread_mutex_destroy(&s->slots_lock);
    free(s->slot_taken);
    free((void *)s->opened_ms);
    free(s->path);
    free(s);
}
