/* The store at its limits: full maps and disks, foreign files, many topics, random use.
 */
#include "store_fixture.h"

#include <lmdb.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

TestSuite(store_limits, .init = given_an_empty_store, .fini = then_it_is_gone);

static void with_map(uint64_t bytes)
{
    options.map_size = bytes;
    reopen();
}

static enum err fill_once(const char *name, unsigned count, size_t size)
{
    static char body[1 << 20];
    struct record r = {.time_ms = 1, .expires_ms = 1000, .body = bytes_of(body, size)};
    uint64_t offset;
    enum err e = ERR_OK;

    OK(ops->begin(store));
    for (unsigned i = 0; i < count && !e; i++) {
        e = ops->room(store, size);
        if (!e)
            e = ops->append(store, topic(name), &r, &offset);
    }
    if (e)
        ops->abort(store);
    else
        e = ops->commit(store);
    return e;
}

static uint64_t fill(const char *name, unsigned count, size_t size)
{
    uint64_t commits = 0;
    enum err e;

    while (!(e = fill_once(name, count, size)))
        commits++;
    cr_assert(eq(int, e, ERR_FULL));
    return commits;
}

static void expire_all(void)
{
    while (expire(5000, 500).more)
        ;
}

Test(store_limits, refuses_when_full_and_can_still_be_trimmed)
{
    uint64_t first, second;

    with_map((uint64_t)4 << 20);
    first = fill("a", 10, 1000);
    cr_assert(ge(u64, first * 10 * 1000, (uint64_t)2 << 20));
    cr_assert(le(u64, stats().used_bytes, (uint64_t)4 << 20));
    nothing_is_lost();
    expire_all();
    cr_assert(eq(u64, stats().live, 0));
    second = fill("a", 10, 1000);
    cr_assert(ge(u64, second, first * 9 / 10));
    nothing_is_lost();
}

Test(store_limits, trims_a_map_full_of_large_records)
{
    with_map((uint64_t)8 << 20);
    cr_assert(gt(u64, fill("a", 1, 300000), 10));
    expire_all();
    cr_assert(gt(u64, fill("b", 1, 300000), 10));
    cr_assert(lt(u64, fill("c", 1, 100), 20000)); /* what is left fits small ones */
    expire_all();
    cr_assert(eq(u64, stats().live, 0));
    nothing_is_lost();
}

/* Without asking for room first: LMDB itself says no, in the middle of a transaction.
 */
static enum err append_until_it_fails(void)
{
    static char body[100000];
    struct record r = {.time_ms = 1, .body = bytes_of(body, sizeof body)};
    uint64_t offset;
    enum err e = ERR_OK;

    OK(ops->begin(store));
    while (!e)
        e = ops->append(store, topic("a"), &r, &offset);
    cr_assert(eq(int, ops->commit(store), e));
    return e;
}

Test(store_limits, survives_a_transaction_that_outgrows_the_map)
{
    with_map((uint64_t)1 << 20);
    publish_many("a", 10, 1, 0);
    cr_assert(eq(int, append_until_it_fails(), ERR_FULL));
    cr_assert(eq(u64, publish("a", "next", 1, 0), 10));
    cr_assert(eq(u64, purge("a", 5, 100).messages, 5));
    nothing_is_lost();
}

/* The first limit on the file's size stands for a full disk. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};

    signal(SIGXFSZ, SIG_IGN);
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &limit), 0));
}

Test(store_limits, survives_a_disk_that_is_full_at_commit)
{
    struct topic_state before;

    publish_many("a", 100, 1, 0);
    before = state("a");
    limit_files(64 * 1024);
    OK(ops->begin(store));
    put_many("a", 5000, 1, 0);
    cr_assert(ne(int, ops->commit(store), ERR_OK));
    limit_files(RLIM_INFINITY);
    cr_assert(eq(u64, state("a").next_offset, before.next_offset));
    cr_assert(eq(u64, publish("a", "next", 1, 0), before.next_offset));
    nothing_is_lost();
}

/* A disk of 16 MiB, seen by this process only: as root, or where users may make one. */
static void given_a_small_disk(void)
{
    static char path[sizeof data_dir + 16];

    if ((unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        cr_skip_test("this process may not mount a disk of its own");
    close_store();
    snprintf(path, sizeof path, "%s/disk", data_dir);
    cr_assert(eq(int, mkdir(path, 0700), 0));
    cr_assert(eq(int, mount("none", path, "tmpfs", 0, "size=16m"), 0));
    options.path = path;
    open_store();
}

/* In small steps: a large one that fails leaves space behind for the next. */
static enum err fill_disk(size_t size, bool with_ids)
{
    static char body[1000];
    struct record r = {.time_ms = 1, .expires_ms = 1000, .body = bytes_of(body, size)};
    uint64_t id = 0;
    uint64_t offset;
    enum err e = ERR_OK;

    while (!e) {
        OK(ops->begin(store));
        for (unsigned i = 0; i < 4 && !e; i++) {
            id = id * 6364136223846793005u + 1442695040888963407u; /* in no order */
            r.id = bytes_of(&id, with_ids ? sizeof id : 0);
            e = ops->append(store, topic("a"), &r, &offset);
        }
        e = ops->commit(store);
    }
    return e;
}

Test(store_limits, trims_a_full_disk_with_the_space_it_held_back)
{
    uint64_t before;

    given_a_small_disk();
    cr_assert(eq(int, fill_disk(1000, false), ERR_FULL));
    before = state("a").next_offset;
    cr_assert(gt(u64, before, 5000));
    cr_assert(eq(int, fill_once("a", 1, 1000), ERR_FULL));
    expire_all();
    cr_assert(
        eq(int, fill_once("a", 1, 1000), ERR_OK)); /* into free pages of the file */
    cr_assert(eq(u64, state("a").next_offset, before + 1));
    nothing_is_lost();
    close_store();
    umount(options.path);
}

/* Each message that is taken out changes a page of the index of ids. */
Test(store_limits, trims_a_full_disk_of_messages_with_ids)
{
    given_a_small_disk();
    cr_assert(eq(int, fill_disk(10, true), ERR_FULL));
    cr_assert(gt(u64, state("a").live, 50000));
    while (expire(5000, 1000).more)
        ;
    cr_assert(eq(u64, state("a").live, 0));
    cr_assert(eq(int, fill_once("a", 1, 1000), ERR_OK));
    nothing_is_lost();
    close_store();
    umount(options.path);
}

Test(store_limits, opens_a_file_that_outgrew_a_smaller_setting)
{
    cr_assert(eq(int, fill_once("a", 100, 100000), ERR_OK));
    with_map((uint64_t)1 << 20);
    cr_assert(eq(u64, state("a").live, 100));
    cr_assert(eq(int, fill_once("a", 1, 100), ERR_FULL));
    expire_all();
    cr_assert(eq(int, fill_once("a", 1, 100), ERR_OK));
    nothing_is_lost();
}

/* ---- opening ---- */

Test(store_limits, refuses_a_second_opening)
{
    struct store *other;

    cr_assert(eq(int, ops->open(&options, &other), ERR_BUSY));
    cr_assert(eq(ptr, other, NULL));
    publish("a", "the first goes on", 1, 0);
}

static void write_to_meta(const char *table, const void *value, size_t len)
{
    MDB_val k = {6, "format"}, v = {len, (void *)value};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    cr_assert(eq(int, mdb_env_create(&env), 0));
    mdb_env_set_maxdbs(env, 4);
    cr_assert(eq(int, mdb_env_open(env, data_dir, 0, 0640), 0));
    cr_assert(eq(int, mdb_txn_begin(env, NULL, 0, &txn), 0));
    cr_assert(eq(int, mdb_dbi_open(txn, table, MDB_CREATE, &dbi), 0));
    cr_assert(eq(int, mdb_put(txn, dbi, &k, &v, 0), 0));
    cr_assert(eq(int, mdb_txn_commit(txn), 0));
    mdb_env_close(env);
}

Test(store_limits, refuses_another_format_version)
{
    close_store();
    write_to_meta("meta", "\0\0\0\x2a", 4);
    cr_assert(eq(int, ops->open(&options, &store), ERR_CORRUPT));
    write_to_meta("meta", "\0\0\0\x01", 4);
    open_store();
}

/* Makes of the first topic's row what version 1 had: no more than 82 bytes and the name. */
static void write_first_topic_as_version_1(void)
{
    uint8_t id[8] = {0, 0, 0, 0, 0, 0, 0, 1}, row[512];
    MDB_val k = {sizeof id, id}, v;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    cr_assert(eq(int, mdb_env_create(&env), 0));
    mdb_env_set_maxdbs(env, 4);
    cr_assert(eq(int, mdb_env_open(env, data_dir, 0, 0640), 0));
    cr_assert(eq(int, mdb_txn_begin(env, NULL, 0, &txn), 0));
    cr_assert(eq(int, mdb_dbi_open(txn, "topics", 0, &dbi), 0));
    cr_assert(eq(int, mdb_get(txn, dbi, &k, &v), 0));
    memcpy(row, v.mv_data, 82);
    memcpy(row + 82, (uint8_t *)v.mv_data + 118, v.mv_size - 118);
    row[0] = 1;
    v = (MDB_val){v.mv_size - 36, row};
    cr_assert(eq(int, mdb_put(txn, dbi, &k, &v, 0), 0));
    cr_assert(eq(int, mdb_txn_commit(txn), 0));
    mdb_env_close(env);
}

Test(store_limits, reads_a_store_of_version_1_and_goes_on_with_it)
{
    struct topic_settings set = {
        .ttl_ms = 77, .max_bytes = 88, .overflow = STORE_OVERFLOW_DROP_OLDEST};

    publish_many("old", 3, 10, 0);
    OK(ops->begin(store));
    OK(ops->topic_configure(store, topic("old"), &set));
    OK(ops->commit(store));
    close_store();
    write_first_topic_as_version_1();
    write_to_meta("meta", "\0\0\0\x01", 4);
    open_store();
    nothing_is_lost();
    cr_assert(eq(u64, state("old").settings.ttl_ms, 77));
    cr_assert(eq(u64, state("old").settings.max_bytes, 88));
    cr_assert(eq(int, state("old").settings.overflow, STORE_OVERFLOW_DROP_OLDEST));
    cr_assert(eq(u64, state("old").settings.max_messages, 0));
    cr_assert(eq(u32, state("old").settings.weight, 0));
    cr_assert(eq(u64, publish("old", "x", 20, 0), 3));
    set.max_messages = 99;
    OK(ops->begin(store));
    OK(ops->topic_configure(store, topic("old"), &set));
    OK(ops->commit(store));
    reopen();
    cr_assert(eq(u64, state("old").settings.max_messages, 99));
    cr_assert(eq(u64, state("old").live, 4));
    nothing_is_lost();
}

Test(store_limits, refuses_a_file_of_another_program)
{
    char other[sizeof data_dir + 16];

    close_store();
    snprintf(other, sizeof other, "%s/data.mdb", data_dir);
    remove(other);
    write_to_meta("someones", "x", 1);
    cr_assert(eq(int, ops->open(&options, &store), ERR_CORRUPT));
}

Test(store_limits, refuses_what_is_no_database)
{
    char name[sizeof data_dir + 16];
    FILE *f;

    close_store();
    snprintf(name, sizeof name, "%s/data.mdb", data_dir);
    f = fopen(name, "w");
    fprintf(f, "%9000d", 1);
    fclose(f);
    cr_assert(eq(int, ops->open(&options, &store), ERR_CORRUPT));
}

Test(store_limits, refuses_a_path_that_is_a_file)
{
    char name[sizeof data_dir + 16];
    struct store *other;

    snprintf(name, sizeof name, "%s/data.mdb", data_dir);
    options.path = name;
    cr_assert(eq(int, ops->open(&options, &other), ERR_IO));
    options.path = data_dir;
}

Test(store_limits, makes_a_missing_directory)
{
    char name[sizeof data_dir + 16];
    struct store *other;

    snprintf(name, sizeof name, "%s/made", data_dir);
    options.path = name;
    OK(ops->open(&options, &other));
    ops->close(other);
    options.path = data_dir;
}

static unsigned open_readers_until_busy(struct store_reader **r, unsigned max)
{
    unsigned n = 0;

    while (n < max && ops->reader_open(store, &r[n]) == ERR_OK)
        n++;
    return n;
}

Test(store_limits, opens_as_many_readers_as_it_was_told)
{
    struct store_reader *r[20];
    unsigned n = open_readers_until_busy(r, 20);

    cr_assert(eq(uint, n, 7)); /* one is open already */
    ops->reader_close(r[0]);
    OK(ops->reader_open(store, &r[0]));
    while (n)
        ops->reader_close(r[--n]);
}

/* ---- many topics ---- */

static void publish_to_many(unsigned topics, unsigned per_commit)
{
    char name[32];

    for (unsigned i = 0; i < topics; i++) {
        if (i % per_commit == 0)
            OK(ops->begin(store));
        snprintf(name, sizeof name, "topic-%u", i);
        put(name, "x", 1, 1000);
        if (i % per_commit == per_commit - 1)
            OK(ops->commit(store));
    }
}

Test(store_limits, bounds_its_cache_with_many_topics)
{
    options.topic_cache_bytes = 64 << 10;
    reopen();
    publish_to_many(20000, 50);
    publish_to_many(20000, 50);
    OK(ops->begin(store)); /* trims what the last transaction brought in */
    ops->abort(store);
    cr_assert(le(u64, stats().topic_cache_bytes, 64 << 10));
    cr_assert(eq(u64, stats().topics, 20000));
    cr_assert(eq(u64, state("topic-777").next_offset, 2));
    expire_all();
    cr_assert(eq(u64, stats().counters.expired, 40000));
    nothing_is_lost();
}

static void publish_side_by_side(unsigned topics, unsigned commits)
{
    char name[32];

    while (commits--) {
        OK(ops->begin(store));
        for (unsigned i = 0; i < topics; i++) {
            snprintf(name, sizeof name, "topic-%u", i);
            put_many(name, 7, 1, 0);
        }
        OK(ops->commit(store));
    }
}

/* A record takes about 45 bytes with its key here; half empty pages would make it 90.
 */
Test(store_limits, packs_topics_that_grow_side_by_side)
{
    publish_side_by_side(8, 1000);
    cr_assert(eq(u64, stats().live, 56000));
    cr_assert(lt(u64, stats().used_bytes, 56000 * 60));
    nothing_is_lost();
}
