/* What every storage engine promises: offsets, times, topics, snapshots. */
#include "store_fixture.h"

TestSuite(store, .init = given_an_empty_store, .fini = then_it_is_gone);

Test(store, counts_offsets_from_zero_in_each_topic)
{
    cr_assert(eq(u64, publish("a", "1", 10, 0), 0));
    cr_assert(eq(u64, publish("b", "2", 10, 0), 0));
    cr_assert(eq(u64, publish("a", "3", 10, 0), 1));
    cr_assert(eq(str, (char *)offsets("a", false), "0 1"));
    cr_assert(eq(str, (char *)offsets("b", false), "0"));
    nothing_is_lost();
}

Test(store, finds_everything_again_after_a_restart)
{
    struct topic_state before, after;

    publish_many("a", 100, 10, 500);
    publish("b", "x", 20, 0);
    before = state("a");
    reopen();
    after = state("a");
    cr_assert(eq(u64, after.id, before.id));
    cr_assert(eq(u64, after.next_offset, 100));
    cr_assert(eq(u64, after.live_bytes, before.live_bytes));
    cr_assert(eq(i64, after.last_time_ms, 10));
    cr_assert(eq(u64, stats().live, 101));
    cr_assert(eq(u64, publish("a", "y", 30, 0), 100));
    nothing_is_lost();
}

Test(store, gives_a_record_back_byte_for_byte)
{
    struct record r = {.time_ms = 5,
                       .expires_ms = 9,
                       .key = bytes_str("k"),
                       .content_type = bytes_str("image/png"),
                       .body = bytes_of("\0\1\2\xff", 4)};
    struct store_entry at;
    uint64_t offset;

    OK(ops->begin(store));
    OK(ops->append(store, topic("a"), &r, &offset));
    OK(ops->commit(store));
    OK(ops->read_begin(reader, 1));
    OK(ops->read_seek(reader, 1, 0, &at));
    cr_assert(bytes_eq(at.record.body, r.body));
    cr_assert(bytes_eq(at.record.key, r.key));
    cr_assert(bytes_eq(at.record.content_type, r.content_type));
    cr_assert(eq(i64, at.record.expires_ms, 9));
    ops->read_end(reader);
}

Test(store, never_uses_an_offset_twice)
{
    publish_many("a", 5, 10, 20);
    expire(1000, 100);
    cr_assert(eq(u64, publish("a", "after expiry", 30, 0), 5));
    purge("a", NOWHERE, 100);
    cr_assert(eq(u64, publish("a", "after a purge", 30, 0), 6));
    delete_topic("a");
    cr_assert(eq(u64, publish("a", "after deletion", 30, 0), 7));
    delete_topic("a");
    reopen();
    cr_assert(eq(u64, publish("a", "after deletion and restart", 30, 0), 8));
    nothing_is_lost();
}

/* Whoever reads meanwhile keeps what it sees. */
Test(store, stays_readable_while_its_map_is_made_anew)
{
    struct store_entry at;

    publish("a", "seen", 10, 0);
    publish_many("a", 499, 10, 0);
    OK(ops->read_begin(reader, 20));
    OK(ops->read_seek(reader, 1, 0, &at));
    ops->map_refresh(store);
    cr_assert(bytes_eq(at.record.body, bytes_str("seen")));
    ops->read_end(reader);
    cr_assert(eq(u64, publish("a", "after it", 20, 0), 500));
    ops->map_refresh(store);
    reopen();
    ops->map_refresh(store);
    cr_assert(eq(u64, state("a").live, 501));
    nothing_is_lost();
}

static uint64_t page_table_kib(void)
{
    FILE *in = fopen("/proc/self/status", "r");
    char line[200];
    unsigned long kib = 0;

    while (fgets(line, sizeof line, in) && sscanf(line, "VmPTE: %lu", &kib) != 1)
        ;
    fclose(in);
    return kib;
}

/* One page of them for each 2 MiB that was looked at. */
Test(store, gives_its_page_tables_back)
{
    static char body[64 << 10];
    struct record r = {.time_ms = 10, .body = bytes_of(body, sizeof body)};
    struct store_entry at;
    uint64_t offset, before;
    unsigned char sum = 0;

    for (int i = 0; i < 640; i++) {
        OK(ops->begin(store));
        OK(ops->append(store, topic("a"), &r, &offset));
        OK(ops->commit(store));
    }
    before = page_table_kib();
    OK(ops->read_begin(reader, 20));
    OK(ops->read_seek(reader, 1, 0, &at));
    for (int i = 1; i < 640; i++) {
        OK(ops->read_next(reader, &at));
        for (size_t b = 0; b < at.record.body.len; b += 4096)
            sum |= ((const unsigned char *)at.record.body.data)[b];
    }
    ops->read_end(reader);
    cr_assert(eq(int, sum, 0));
    cr_assert(ge(u64, page_table_kib(), before + 60));
    ops->map_refresh(store);
    cr_assert(le(u64, page_table_kib(), before + 12));
}

Test(store, forgets_an_aborted_transaction)
{
    publish("a", "kept", 10, 0);
    OK(ops->begin(store));
    put("a", "dropped", 99, 100);
    put("new", "dropped", 99, 0);
    ops->abort(store);
    cr_assert(eq(u64, publish("a", "next", 20, 0), 1));
    cr_assert(eq(i64, state("a").last_time_ms, 20));
    cr_assert(eq(u64, stats().topics, 1));
    nothing_is_lost();
}

Test(store, undoes_a_deletion_that_is_aborted)
{
    publish_many("a", 3, 10, 0);
    OK(ops->begin(store));
    OK(ops->topic_delete(store, topic("a")));
    ops->abort(store);
    cr_assert(eq(u64, publish("a", "x", 10, 0), 3));
    cr_assert(eq(u64, state("a").live, 4));
    nothing_is_lost();
}

Test(store, raises_a_time_that_would_fall)
{
    struct record r = {.time_ms = 50, .body = bytes_str("x")};
    uint64_t offset;

    publish("a", "first", 100, 0);
    OK(ops->begin(store));
    OK(ops->append(store, topic("a"), &r, &offset));
    OK(ops->commit(store));
    cr_assert(eq(i64, r.time_ms, 100));
    nothing_is_lost();
}

Test(store, tells_missing_from_existing_topics)
{
    struct topic_settings none = {0};
    struct topic_state out;
    struct store_topic *t;

    OK(ops->begin(store));
    cr_assert(eq(int, ops->topic_find(store, bytes_str("a"), &t), ERR_NOT_FOUND));
    topic("a");
    cr_assert(
        eq(int, ops->topic_create(store, bytes_str("a"), &none, 1, &t), ERR_EXISTS));
    cr_assert(
        eq(int, ops->topic_create(store, bytes_str(""), &none, 1, &t), ERR_BAD_INPUT));
    OK(ops->commit(store));
    OK(ops->read_begin(reader, 1));
    OK(ops->read_topic(reader, bytes_str("a"), &out));
    cr_assert(eq(int, ops->read_topic(reader, bytes_str("b"), &out), ERR_NOT_FOUND));
    ops->read_end(reader);
}

Test(store, keeps_settings)
{
    struct topic_settings set = {.ttl_ms = 60000,
                                 .max_bytes = 1 << 20,
                                 .overflow = STORE_OVERFLOW_DROP_OLDEST,
                                 .max_messages = 7,
                                 .max_age_ms = 8,
                                 .rate_messages = 9,
                                 .rate_bytes = 10,
                                 .weight = 11};
    struct topic_state got;

    OK(ops->begin(store));
    OK(ops->topic_configure(store, topic("a"), &set));
    OK(ops->commit(store));
    reopen();
    got = state("a");
    cr_assert(eq(u64, got.settings.ttl_ms, 60000));
    cr_assert(eq(u64, got.settings.max_bytes, 1 << 20));
    cr_assert(eq(int, got.settings.overflow, STORE_OVERFLOW_DROP_OLDEST));
    cr_assert(eq(u64, got.settings.max_messages, 7));
    cr_assert(eq(u64, got.settings.max_age_ms, 8));
    cr_assert(eq(u64, got.settings.rate_messages, 9));
    cr_assert(eq(u64, got.settings.rate_bytes, 10));
    cr_assert(eq(u32, got.settings.weight, 11));
}

/* 0: it has none. */
static int64_t oldest(const char *name)
{
    int64_t ms = 0;
    enum err e = ops->topic_oldest(store, topic(name), &ms);

    cr_assert(e == ERR_OK || e == ERR_NOT_FOUND);
    return e ? 0 : ms;
}

Test(store, knows_the_oldest_message_whatever_was_taken_out)
{
    struct store_step step;

    OK(ops->begin(store));
    cr_assert(eq(i64, oldest("a"), 0));
    put("a", "1", 10, 500);
    put("b", "a later topic", 99, 0);
    put("a", "2", 20, 0);
    put("a", "3", 30, 0);
    cr_assert(eq(i64, oldest("a"), 10));
    OK(ops->commit(store));
    OK(ops->begin(store));
    OK(ops->expire_step(store, 1000, 100, &step));
    cr_assert(eq(i64, oldest("a"), 20));
    OK(ops->remove_step(store, topic("a"), 2, 100, &step));
    cr_assert(eq(i64, oldest("a"), 30));
    ops->abort(store);
    OK(ops->begin(store));
    cr_assert(eq(i64, oldest("a"), 10)); /* nothing of it happened */
    OK(ops->remove_step(store, topic("a"), NOWHERE, 100, &step));
    cr_assert(eq(i64, oldest("a"), 0));
    put("a", "4", 40, 0);
    cr_assert(eq(i64, oldest("a"), 40));
    OK(ops->commit(store));
    nothing_is_lost();
}

/* ---- walking ---- */

Test(store, walks_both_ways_without_leaving_the_topic)
{
    OK(ops->begin(store));
    put_many("a", 3, 1, 0);
    put_many("b", 3, 1, 0);
    put_many("c", 3, 1, 0);
    OK(ops->commit(store));
    cr_assert(eq(str, (char *)offsets("b", false), "0 1 2"));
    cr_assert(eq(str, (char *)offsets("b", true), "2 1 0"));
    cr_assert(eq(str, (char *)offsets("a", true), "2 1 0"));
    cr_assert(eq(str, (char *)offsets("c", true), "2 1 0"));
    purge("b", NOWHERE, 10);
    cr_assert(eq(str, (char *)offsets("b", true), ""));
    cr_assert(eq(str, (char *)offsets("b", false), ""));
}

Test(store, reads_on_and_back_from_any_record)
{
    struct store_entry at;

    publish_many("a", 9, 1, 0);
    OK(ops->read_begin(reader, 1));
    OK(ops->read_seek(reader, 1, 4, &at));
    OK(ops->read_next(reader, &at));
    cr_assert(eq(u64, at.offset, 5));
    OK(ops->read_prev(reader, 1, &at));
    OK(ops->read_prev(reader, 1, &at));
    cr_assert(eq(u64, at.offset, 3));
    ops->read_end(reader);
}

Test(store, stays_at_an_end_it_ran_over)
{
    struct store_entry at;

    publish_many("a", 2, 1, 0);
    OK(ops->read_begin(reader, 1));
    OK(ops->read_seek(reader, 1, 1, &at));
    cr_assert(eq(int, ops->read_next(reader, &at), ERR_NOT_FOUND));
    cr_assert(eq(int, ops->read_next(reader, &at), ERR_NOT_FOUND));
    OK(ops->read_prev(reader, 1, &at));
    cr_assert(eq(u64, at.offset, 0));
    cr_assert(eq(int, ops->read_prev(reader, 1, &at), ERR_NOT_FOUND));
    cr_assert(eq(int, ops->read_prev(reader, 1, &at), ERR_NOT_FOUND));
    ops->read_end(reader);
}

Test(store, finds_the_first_record_of_a_time_across_holes)
{
    OK(ops->begin(store));
    put_many("a", 50, 100, 0);
    put_many("a", 1, 150, 200); /* 50: a hole after expiry */
    put_many("a", 50, 200, 0);
    put_many("b", 5, 1, 0);
    OK(ops->commit(store));
    expire(1000, 10);
    cr_assert(eq(u64, first_at_time("a", 0), 0));
    cr_assert(eq(u64, first_at_time("a", 100), 0));
    cr_assert(eq(u64, first_at_time("a", 101), 51));
    cr_assert(eq(u64, first_at_time("a", 200), 51));
    cr_assert(eq(u64, first_at_time("a", 201), NOWHERE));
    purge("a", 60, 100);
    cr_assert(eq(u64, first_at_time("a", 0), 60));
    cr_assert(eq(u64, first_from("a", 0), 60));
    cr_assert(eq(u64, first_from("a", 101), NOWHERE));
}

Test(store, shows_a_snapshot_as_it_was)
{
    struct store_entry at;

    publish("a", "old", 1, 0);
    OK(ops->read_begin(reader, 100));
    publish("a", "new", 1, 0);
    purge("a", 1, 10);
    OK(ops->read_seek(reader, 1, 0, &at));
    cr_assert(bytes_eq(at.record.body, bytes_str("old")));
    cr_assert(eq(int, ops->read_next(reader, &at), ERR_NOT_FOUND));
    cr_assert(eq(i64, ops->oldest_reader_ms(store, 175), 75));
    ops->read_end(reader);
    cr_assert(eq(i64, ops->oldest_reader_ms(store, 175), 0));
    cr_assert(eq(str, (char *)offsets("a", false), "1"));
}

struct listing {
    char text[256];
    unsigned left;
};

static bool add_name(void *arg, const struct topic_state *t)
{
    struct listing *l = arg;

    strcat(strcat(l->text, t->name), " ");
    return --l->left > 0;
}

static const char *list(const char *prefix, const char *after, unsigned limit)
{
    static struct listing l;

    l = (struct listing){.left = limit};
    OK(ops->read_begin(reader, 1));
    OK(ops->read_topics(reader, bytes_str(prefix), bytes_str(after), add_name, &l));
    ops->read_end(reader);
    return l.text;
}

Test(store, lists_topics_in_pages)
{
    OK(ops->begin(store));
    topic("b/2");
    topic("a");
    topic("b/1");
    topic("gone");
    topic("b/3");
    topic("c");
    OK(ops->topic_delete(store, topic("gone")));
    OK(ops->commit(store));
    cr_assert(eq(str, (char *)list("", "", 9), "a b/1 b/2 b/3 c "));
    cr_assert(eq(str, (char *)list("b/", "", 9), "b/1 b/2 b/3 "));
    cr_assert(eq(str, (char *)list("b/", "b/1", 1), "b/2 "));
    cr_assert(eq(str, (char *)list("b/", "b/3", 9), ""));
    cr_assert(eq(str, (char *)list("", "b/2x", 9), "b/3 c "));
    cr_assert(eq(str, (char *)list("x", "", 9), ""));
}
