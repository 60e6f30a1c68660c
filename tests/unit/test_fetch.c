#include "fetch.h"

#include "base/clock.h"
#include "store_fixture.h"

#define NOW 1000000

static struct fetch f;

static void given_messages(void)
{
    clock_fake_wall_ms(NOW);
    given_an_empty_store();
    OK(fetch_open(&f, ops, store));
}

static void done(void)
{
    fetch_end(&f);
    fetch_close(&f);
    then_it_is_gone();
}

/* Ten messages, accepted at 100, 200, ...; those with an odd offset live until NOW. */
static void given_ten(void)
{
    for (int i = 0; i < 10; i++)
        publish("t", "x", 100 * (i + 1), i % 2 ? NOW : 0);
    OK(fetch_begin(&f, bytes_str("t")));
}

static uint64_t resolved(enum fetch_from_kind kind, uint64_t value)
{
    struct fetch_from from = { kind, value };
    uint64_t offset = NOWHERE;

    OK(fetch_resolve(&f, from, &offset));
    return offset;
}

static uint64_t first(uint64_t offset)
{
    struct store_entry m;

    f.positioned = false;
    return offset_or_nowhere(fetch_next(&f, offset, &m), &m);
}

/* What a reader gets from an offset on, as "0 2 4". */
static const char *walk(uint64_t offset)
{
    static char text[256];
    struct store_entry m;
    size_t len = 0;

    text[0] = 0;
    f.positioned = false;
    for (; !fetch_next(&f, offset, &m); offset = m.offset + 1)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%llu", len ? " " : "",
                                (unsigned long long)m.offset);
    return text;
}

static void expect_walk(uint64_t offset, const char *offsets_then)
{
    cr_assert(eq(str, (char *)walk(offset), (char *)offsets_then));
}

TestSuite(fetch, .init = given_messages, .fini = then_it_is_gone, .timeout = 60);

Test(fetch, of_a_topic_that_is_not_there_opens_nothing)
{
    cr_assert(eq(int, fetch_begin(&f, bytes_str("nobody")), ERR_NOT_FOUND));
    cr_assert(eq(i64, ops->oldest_reader_ms(store, NOW), 0));
    given_ten(); /* begins again: not nested */
    done();
}

Test(fetch, earliest_and_latest_and_an_offset_are_what_they_say)
{
    given_ten();
    cr_assert(eq(u64, resolved(FETCH_EARLIEST, 0), 0));
    cr_assert(eq(u64, resolved(FETCH_LATEST, 0), 10));
    cr_assert(eq(u64, resolved(FETCH_OFFSET, 4), 4));
    cr_assert(eq(u64, resolved(FETCH_OFFSET, 400), 400)); /* it may come yet */
    done();
}

Test(fetch, the_last_few_are_counted_in_live_messages)
{
    given_ten();
    cr_assert(eq(u64, resolved(FETCH_LAST, 1), 8));
    done();
}

Test(fetch, the_last_few_of_fewer_are_all_there_are)
{
    given_ten();
    cr_assert(eq(u64, resolved(FETCH_LAST, 100), 0));
    done();
}

Test(fetch, the_last_few_mean_the_same_wherever_one_looked_before)
{
    uint64_t earliest;

    given_ten();
    cr_assert(eq(u64, first(4), 4));
    cr_assert(eq(u64, resolved(FETCH_LAST, 1), 8));
    OK(fetch_earliest(&f, &earliest));
    cr_assert(eq(u64, resolved(FETCH_LAST, 2), 6));
    cr_assert(eq(u64, resolved(FETCH_LAST, 2), 6));
    done();
}

Test(fetch, a_time_is_the_first_message_accepted_then_or_later)
{
    given_ten();
    cr_assert(eq(u64, resolved(FETCH_TIME, 0), 0));
    cr_assert(eq(u64, resolved(FETCH_TIME, 300), 2));
    cr_assert(eq(u64, resolved(FETCH_TIME, 301), 3));
    cr_assert(eq(u64, resolved(FETCH_TIME, 1000), 9));
    cr_assert(eq(u64, resolved(FETCH_TIME, 1001), 10));
    done();
}

Test(fetch, an_id_is_the_first_message_that_has_it)
{
    struct record r = { .time_ms = 1, .id = bytes_str("x"), .body = bytes_str("b") };
    uint64_t offset;

    publish("t", "without", 1, 0);
    OK(ops->begin(store));
    OK(ops->append(store, topic("t"), &r, &offset));
    OK(ops->append(store, topic("t"), &r, &offset));
    OK(ops->append(store, topic("other"), &r, &offset));
    OK(ops->commit(store));
    OK(fetch_begin(&f, bytes_str("t")));
    OK(fetch_find_id(&f, bytes_str("x"), &offset));
    cr_assert(eq(u64, offset, 1));
    cr_assert(eq(int, fetch_find_id(&f, bytes_str("y"), &offset), ERR_NOT_FOUND));
    done();
}

Test(fetch, messages_past_their_time_are_skipped)
{
    given_ten();
    expect_walk(0, "0 2 4 6 8");
    expect_walk(3, "4 6 8");
    cr_assert(eq(u64, first(9), NOWHERE));
    done();
}

Test(fetch, to_the_millisecond)
{
    given_ten();
    fetch_end(&f);
    clock_fake_wall_ms(NOW - 1);
    OK(fetch_begin(&f, bytes_str("t")));
    expect_walk(5, "5 6 7 8 9");
    fetch_end(&f);
    clock_fake_wall_ms(NOW);
    OK(fetch_begin(&f, bytes_str("t")));
    expect_walk(5, "6 8");
    done();
}

Test(fetch, an_open_snapshot_stands_still_in_time)
{
    given_ten();
    clock_fake_wall_ms(NOW - 1); /* whatever the clock does meanwhile */
    publish("t", "later", 2000, 0);
    expect_walk(6, "6 8");
    done();
}

Test(fetch, the_earliest_is_the_first_one_alive)
{
    uint64_t earliest;

    publish("t", "x", 100, NOW);
    publish("t", "x", 100, NOW);
    publish("t", "x", 100, NOW + 1);
    OK(fetch_begin(&f, bytes_str("t")));
    OK(fetch_earliest(&f, &earliest));
    cr_assert(eq(u64, earliest, 2));
    done();
}

Test(fetch, of_a_topic_without_live_messages_the_earliest_is_the_next)
{
    uint64_t earliest;

    publish("t", "x", 100, NOW);
    OK(fetch_begin(&f, bytes_str("t")));
    OK(fetch_earliest(&f, &earliest));
    cr_assert(eq(u64, earliest, 1));
    cr_assert(eq(u64, resolved(FETCH_LAST, 5), 1));
    cr_assert(eq(u64, first(0), NOWHERE));
    done();
}

Test(fetch, does_not_run_over_into_another_topic)
{
    publish("a", "x", 100, 0);
    publish("b", "x", 100, 0);
    OK(fetch_begin(&f, bytes_str("a")));
    expect_walk(0, "0");
    cr_assert(eq(u64, resolved(FETCH_LAST, 5), 0));
    done();
}

Test(fetch, a_walk_may_jump_ahead)
{
    struct store_entry m;

    given_ten();
    OK(fetch_next(&f, 0, &m));
    OK(fetch_next(&f, 5, &m));
    cr_assert(eq(u64, m.offset, 6));
    done();
}

Test(fetch, a_piece_of_a_blob_ends_where_the_blob_ends)
{
    uint64_t id;
    char text[8];
    size_t got;

    OK(ops->begin(store));
    OK(ops->blob_begin(store, &id));
    OK(ops->blob_write(store, id, 0, bytes_str("0123456789")));
    OK(ops->commit(store));
    OK(fetch_blob(&f, id, 4, text, sizeof text, &got));
    cr_assert(eq(sz, got, 6));
    cr_assert(eq(int, memcmp(text, "456789", 6), 0));
    OK(fetch_blob(&f, id, 10, text, sizeof text, &got));
    cr_assert(eq(sz, got, 0));
    given_ten();
    done();
}
