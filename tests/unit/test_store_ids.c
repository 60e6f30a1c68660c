/* Messages with ids: found by them as long as they are there, and no longer. */
#include "store_fixture.h"

#include <lmdb.h>

TestSuite(store_ids, .init = given_an_empty_store, .fini = then_it_is_gone, .timeout = 60);

/* Inside a transaction. */
static uint64_t put_id(const char *name, struct bytes id, int64_t expires_ms)
{
    struct record r = {
        .time_ms = 1, .expires_ms = expires_ms, .id = id, .body = bytes_str("body")};
    uint64_t offset;

    OK(ops->append(store, topic(name), &r, &offset));
    return offset;
}

static uint64_t publish_bytes(const char *name, struct bytes id, int64_t expires_ms)
{
    uint64_t offset;

    OK(ops->begin(store));
    offset = put_id(name, id, expires_ms);
    OK(ops->commit(store));
    return offset;
}

static uint64_t publish_id(const char *name, const char *id, int64_t expires_ms)
{
    return publish_bytes(name, bytes_str(id), expires_ms);
}

static uint64_t find_bytes(const char *name, struct bytes id)
{
    uint64_t topic_id = state(name).id, offset = 0;
    enum err e;

    OK(ops->read_begin(reader, 1));
    e = ops->read_find_id(reader, topic_id, id, &offset);
    ops->read_end(reader);
    cr_assert(e == ERR_OK || e == ERR_NOT_FOUND);
    return e ? NOWHERE : offset;
}

static uint64_t find(const char *name, const char *id)
{
    return find_bytes(name, bytes_str(id));
}

Test(store_ids, finds_a_message_by_its_id)
{
    publish("a", "without", 1, 0);
    cr_assert(eq(u64, publish_id("a", "one", 0), 1));
    cr_assert(eq(u64, publish_id("b", "one", 0), 0));
    cr_assert(eq(u64, publish_id("a", "two", 0), 2));
    cr_assert(eq(u64, find("a", "one"), 1));
    cr_assert(eq(u64, find("a", "two"), 2));
    cr_assert(eq(u64, find("b", "one"), 0));
    cr_assert(eq(u64, find("b", "two"), NOWHERE));
    nothing_is_lost();
}

Test(store_ids, takes_no_id_for_another_that_is_like_it)
{
    struct bytes zeros = bytes_of("a\0\0\0\0\0\0\0\0", 9);

    publish_id("a", "ab", 0);
    publish_bytes("a", zeros, 0);
    publish_id("a", "b", 0);
    cr_assert(eq(u64, find("a", "a"), NOWHERE));
    cr_assert(eq(u64, find("a", "abc"), NOWHERE));
    cr_assert(eq(u64, find("a", ""), NOWHERE));
    publish_id("a", "a", 0);
    cr_assert(eq(u64, find("a", "a"), 3));
    cr_assert(eq(u64, find("a", "ab"), 0));
    cr_assert(eq(u64, find_bytes("a", zeros), 1));
    cr_assert(eq(u64, find_bytes("a", bytes_of("a\0\0", 3)), NOWHERE));
    nothing_is_lost();
}

Test(store_ids, gives_the_id_back_with_its_message)
{
    struct store_entry at;

    publish_id("a", "urn:uuid:1", 9);
    OK(ops->read_begin(reader, 1));
    OK(ops->read_seek(reader, 1, 0, &at));
    cr_assert(bytes_eq(at.record.id, bytes_str("urn:uuid:1")));
    cr_assert(bytes_eq(at.record.body, bytes_str("body")));
    ops->read_end(reader);
}

Test(store_ids, keeps_ids_of_255_bytes_and_refuses_longer_ones)
{
    static char text[RECORD_ID_MAX + 1];
    struct record r = {.time_ms = 1, .id = bytes_of(text, sizeof text)};
    struct bytes longest = bytes_of(text, RECORD_ID_MAX);
    uint64_t offset;

    memset(text, 'x', sizeof text);
    OK(ops->begin(store));
    cr_assert(eq(u64, put_id("a", longest, 0), 0));
    cr_assert(eq(int, ops->append(store, topic("a"), &r, &offset), ERR_BAD_INPUT));
    text[RECORD_ID_MAX - 1] = 'y';
    cr_assert(eq(u64, put_id("a", longest, 0), 1));
    OK(ops->commit(store));
    cr_assert(eq(u64, find_bytes("a", longest), 1));
    cr_assert(eq(u64, find_bytes("a", r.id), NOWHERE));
    text[RECORD_ID_MAX - 1] = 'x';
    cr_assert(eq(u64, find_bytes("a", longest), 0));
    nothing_is_lost();
}

Test(store_ids, answers_the_first_of_several_and_when_that_leaves_the_next)
{
    for (unsigned i = 0; i < 3; i++) {
        publish_id("a", "twin", i == 1 ? 100 : 0);
        publish_id("a", "other", 0);
    }
    cr_assert(eq(u64, find("a", "twin"), 0));
    expire(1000, 100); /* the second goes before the first */
    cr_assert(eq(u64, find("a", "twin"), 0));
    purge("a", 1, 100);
    cr_assert(eq(u64, find("a", "twin"), 4));
    nothing_is_lost();
    purge("a", 5, 100);
    cr_assert(eq(u64, find("a", "twin"), NOWHERE));
    cr_assert(eq(u64, find("a", "other"), 5));
    nothing_is_lost();
}

Test(store_ids, finds_one_of_very_many_with_the_same_id)
{
    OK(ops->begin(store));
    for (unsigned i = 0; i < 20000; i++)
        put_id("a", bytes_str("again"), 0);
    OK(ops->commit(store));
    while (purge("a", 19990, 1000).more)
        ;
    cr_assert(eq(u64, find("a", "again"), 19990));
    nothing_is_lost();
}

Test(store_ids, forgets_the_ids_of_a_deleted_topic)
{
    publish_id("a", "one", 0);
    publish_id("b", "one", 0);
    delete_topic("a");
    nothing_is_lost(); /* its ids wait in the trash with its messages */
    cr_assert(eq(u64, publish_id("a", "new", 0), 1));
    cr_assert(eq(u64, find("a", "one"), NOWHERE));
    empty_trash();
    nothing_is_lost();
    cr_assert(eq(u64, find("a", "new"), 1));
    cr_assert(eq(u64, find("b", "one"), 0));
}

Test(store_ids, knows_no_id_of_an_aborted_transaction)
{
    publish_id("a", "kept", 0);
    OK(ops->begin(store));
    put_id("a", bytes_str("lost"), 0);
    ops->abort(store);
    cr_assert(eq(u64, find("a", "lost"), NOWHERE));
    OK(ops->begin(store));
    OK(ops->remove_step(store, topic("a"), 1, 10, &(struct store_step){0}));
    ops->abort(store);
    cr_assert(eq(u64, find("a", "kept"), 0));
    nothing_is_lost();
}

Test(store_ids, finds_them_again_after_a_restart)
{
    publish_id("a", "one", 0);
    publish_id("a", "one", 0);
    reopen();
    cr_assert(eq(u64, find("a", "one"), 0));
    purge("a", 1, 1);
    reopen();
    cr_assert(eq(u64, find("a", "one"), 1));
    nothing_is_lost();
}

Test(store_ids, large_messages_have_ids_too)
{
    struct record r = {.time_ms = 1, .id = bytes_str("large"), .blob_size = 3};
    uint64_t offset;

    OK(ops->begin(store));
    OK(ops->blob_begin(store, &r.blob_id));
    OK(ops->blob_write(store, r.blob_id, 0, bytes_str("abc")));
    OK(ops->append(store, topic("a"), &r, &offset));
    OK(ops->commit(store));
    cr_assert(eq(u64, find("a", "large"), 0));
    nothing_is_lost();
    purge("a", 1, 1);
    cr_assert(eq(u64, find("a", "large"), NOWHERE));
    empty_trash();
    nothing_is_lost();
}

/* ---- what they cost ---- */

static struct bytes rising_id(uint64_t n)
{
    static char text[48];

    snprintf(text, sizeof text, "urn:uuid:0190a5b2-%04x-7000-8000-%012llx",
             (unsigned)(n >> 16 & 0xffff), (unsigned long long)n);
    return bytes_str(text);
}

/* As one that a client drew. */
static struct bytes drawn_id(uint64_t n)
{
    return rising_id(n * 0x9e3779b97f4a7c15u >> 8);
}

static void publish_ids(uint64_t count, struct bytes (*id)(uint64_t n), int64_t expires_ms)
{
    OK(ops->begin(store));
    for (uint64_t i = 0; i < count; i++)
        put_id("a", id ? id(i) : bytes_of("", 0), expires_ms);
    OK(ops->commit(store));
}

/* A row takes 73 bytes; half empty pages would make it 146. */
Test(store_ids, packs_ids_that_rise)
{
    uint64_t without, with;

    publish_ids(20000, NULL, 0);
    without = stats().used_bytes;
    while (purge("a", 20000, 1000).more)
        ;
    publish_ids(20000, rising_id, 0);
    with = stats().used_bytes;
    cr_assert(gt(u64, with - without, 20000 * (73 + 46)));
    cr_assert(lt(u64, with - without, 20000 * (90 + 60)));
}

Test(store_ids, a_step_counts_the_pages_that_scattered_ids_change)
{
    struct store_step rising, drawn;

    publish_ids(4000, rising_id, 100);
    rising = expire(1000, 300);
    cr_assert(gt(u64, rising.messages, 250));
    while (expire(1000, 300).more)
        ;
    publish_ids(4000, drawn_id, 100);
    drawn = expire(1000, 300);
    cr_assert(ge(u64, drawn.messages, 100));
    cr_assert(lt(u64, drawn.messages, 130));
    cr_assert(ge(u64, drawn.spent, 300));
    cr_assert(drawn.more);
    drawn = purge("a", NOWHERE, 300);
    cr_assert(ge(u64, drawn.messages, 100));
    cr_assert(lt(u64, drawn.messages, 130));
    nothing_is_lost();
}

static enum err fill_once(uint64_t *next)
{
    struct record r = {.time_ms = 1, .expires_ms = 100};
    uint64_t offset;
    enum err e = ERR_OK;

    OK(ops->begin(store));
    for (unsigned i = 0; i < 20 && !e; i++) {
        r.id = drawn_id(++*next);
        e = ops->room(store, 300);
        if (!e)
            e = ops->append(store, topic("a"), &r, &offset);
    }
    if (e)
        ops->abort(store);
    else
        e = ops->commit(store);
    return e;
}

Test(store_ids, a_full_map_of_scattered_ids_can_still_be_trimmed)
{
    uint64_t next = 0;
    enum err e;

    options.map_size = (uint64_t)4 << 20;
    reopen();
    while (!(e = fill_once(&next)))
        ;
    cr_assert(eq(int, e, ERR_FULL));
    cr_assert(gt(u64, stats().live, 10000));
    while (expire(1000, 1000).more)
        ;
    cr_assert(eq(u64, stats().live, 0));
    OK(fill_once(&next));
    nothing_is_lost();
}

/* ---- what the check sees, and older stores ---- */

static MDB_env *env;

static MDB_txn *open_raw(const char *table, MDB_dbi *dbi)
{
    MDB_txn *txn;

    cr_assert(eq(int, mdb_env_create(&env), 0));
    mdb_env_set_maxdbs(env, 4);
    cr_assert(eq(int, mdb_env_open(env, data_dir, 0, 0640), 0));
    cr_assert(eq(int, mdb_txn_begin(env, NULL, 0, &txn), 0));
    cr_assert(eq(int, mdb_dbi_open(txn, table, 0, dbi), 0));
    return txn;
}

static void close_raw(MDB_txn *txn)
{
    cr_assert(eq(int, mdb_txn_commit(txn), 0));
    mdb_env_close(env);
}

static size_t rows_of_ids(void)
{
    MDB_stat st;
    MDB_dbi dbi;
    MDB_txn *txn;

    close_store();
    txn = open_raw("ids", &dbi);
    cr_assert(eq(int, mdb_stat(txn, dbi, &st), 0));
    close_raw(txn);
    open_store();
    return st.ms_entries;
}

Test(store_ids, has_a_row_for_each_message_with_an_id_and_for_no_other)
{
    publish_many("a", 50, 1, 0);
    cr_assert(eq(sz, rows_of_ids(), 0));
    publish_id("a", "x", 0);
    publish_id("a", "x", 0);
    publish_id("b", "y", 100);
    cr_assert(eq(sz, rows_of_ids(), 3));
    expire(1000, 100);
    purge("a", 51, 100);
    cr_assert(eq(sz, rows_of_ids(), 1));
    delete_topic("a");
    empty_trash();
    cr_assert(eq(sz, rows_of_ids(), 0));
}

static void then_the_check_fails(void)
{
    OK(ops->read_begin(reader, 1));
    cr_assert(eq(int, ops->check(reader), ERR_CORRUPT));
    ops->read_end(reader);
}

/* Id "x" of the message at offset 0 of the first topic. */
#define ROW_OF_X "\0\0\0\0\0\0\0\1\1x\0\0\0\0\0\0\0\0"

Test(store_ids, a_message_without_its_row_is_found_by_the_check)
{
    MDB_val k = {sizeof ROW_OF_X - 1, (void *)ROW_OF_X};
    MDB_dbi dbi;
    MDB_txn *txn;

    publish_id("a", "x", 0);
    close_store();
    txn = open_raw("ids", &dbi);
    cr_assert(eq(int, mdb_del(txn, dbi, &k, NULL), 0));
    close_raw(txn);
    open_store();
    then_the_check_fails();
    purge("a", 1, 1); /* and can be taken out all the same */
    nothing_is_lost();
}

Test(store_ids, a_row_without_its_message_is_found_by_the_check)
{
    MDB_val k = {sizeof ROW_OF_X - 1, (void *)ROW_OF_X}, v = {0, NULL};
    MDB_dbi dbi;
    MDB_txn *txn;

    publish_id("a", "y", 0); /* a message is there, but that is not its id */
    close_store();
    txn = open_raw("ids", &dbi);
    cr_assert(eq(int, mdb_put(txn, dbi, &k, &v, 0), 0));
    close_raw(txn);
    open_store();
    then_the_check_fails();
}

/* A store without ids, unless it is one of version 3. */
static void make_it_a_store_of_version(uint8_t version)
{
    uint8_t number[4] = {0, 0, 0, version};
    MDB_val k = {6, "format"}, v = {4, number};
    MDB_dbi ids, meta;
    MDB_txn *txn = open_raw("ids", &ids);

    if (version < 3)
        cr_assert(eq(int, mdb_drop(txn, ids, 1), 0));
    cr_assert(eq(int, mdb_dbi_open(txn, "meta", 0, &meta), 0));
    cr_assert(eq(int, mdb_put(txn, meta, &k, &v, 0), 0));
    close_raw(txn);
}

static unsigned format_version(void)
{
    MDB_val k = {6, "format"}, v;
    MDB_dbi meta;
    MDB_txn *txn;
    unsigned found;

    close_store();
    txn = open_raw("meta", &meta);
    cr_assert(eq(int, mdb_get(txn, meta, &k, &v), 0));
    found = get_be32(v.mv_data);
    close_raw(txn);
    open_store();
    return found;
}

Test(store_ids, a_store_of_version_2_has_ids_from_now_on)
{
    publish_many("a", 5, 1, 0);
    close_store();
    make_it_a_store_of_version(2);
    open_store();
    nothing_is_lost();
    cr_assert(eq(uint, format_version(), 4));
    cr_assert(eq(u64, publish_id("a", "first", 0), 5));
    cr_assert(eq(u64, find("a", "first"), 5));
    cr_assert(eq(str, (char *)offsets("a", false), "0 1 2 3 4 5"));
    nothing_is_lost();
}

Test(store_ids, a_store_of_version_3_is_one_of_version_4_from_now_on)
{
    publish_id("a", "first", 0);
    close_store();
    make_it_a_store_of_version(3);
    open_store();
    nothing_is_lost();
    cr_assert(eq(uint, format_version(), 4));
    cr_assert(eq(u64, find("a", "first"), 0));
}
