/* What every storage engine promises of messages that go: when their time is over, when they are
 * taken out, with their topic. */
#include "store_fixture.h"

TestSuite(store_expiry, .init = given_an_empty_store, .fini = then_it_is_gone);

/* ---- expiry ---- */

Test(store_expiry, expires_short_lives_behind_a_long_one)
{
    publish("a", "lives a day", 1000, 1000 + 86400000);
    publish_many("a", 5000, 1000, 3000);
    cr_assert(eq(u64, expire(2999, 10000).messages, 0));
    cr_assert(eq(u64, expire(3000, 10000).messages, 5000));
    cr_assert(eq(u64, state("a").live, 1));
    cr_assert(eq(u64, state("a").counters.expired, 5000));
    cr_assert(eq(str, (char *)offsets("a", false), "0"));
    nothing_is_lost();
}

Test(store_expiry, leaves_alone_what_has_no_expiry)
{
    publish("a", "for ever", 1, 0);
    cr_assert(eq(i64, stats().next_due_ms, 0));
    cr_assert(eq(u64, expire(INT64_MAX, 10).messages, 0));
    cr_assert(eq(u64, state("a").live, 1));
}

Test(store_expiry, expires_in_bounded_steps)
{
    struct store_step step;

    publish_many("a", 250, 1000, 3000);
    step = expire(9000, 100);
    cr_assert(eq(u64, step.messages, 100));
    cr_assert(step.more);
    cr_assert(eq(u64, first_from("a", 0), 100));
    nothing_is_lost();
    reopen();
    cr_assert(expire(9000, 100).more);
    step = expire(9000, 100);
    cr_assert(eq(u64, step.messages, 50));
    cr_assert(not(step.more));
    cr_assert(eq(i64, stats().next_due_ms, 0));
}

Test(store_expiry, expires_in_the_transaction_that_appended)
{
    struct store_step step;

    OK(ops->begin(store));
    put_many("a", 10, 1000, 2000);
    OK(ops->expire_step(store, 2000, 5, &step));
    cr_assert(eq(u64, step.messages, 5));
    put_many("a", 10, 1000, 2000);
    OK(ops->commit(store));
    cr_assert(eq(u64, expire(2000, 100).messages, 15));
    nothing_is_lost();
}

Test(store_expiry, counts_as_expired_only_what_it_took_out_itself)
{
    publish_many("a", 100, 1000, 2000);
    publish_many("b", 100, 1000, 2000);
    purge("a", 60, 100);
    delete_topic("b");
    cr_assert(eq(u64, expire(5000, 1000).messages, 40));
    cr_assert(eq(u64, stats().counters.removed, 160));
    cr_assert(eq(u64, stats().counters.expired, 40));
    empty_trash();
    nothing_is_lost();
}

Test(store_expiry, says_when_the_next_record_is_due)
{
    publish("a", "x", 1000, 5050);
    publish("b", "x", 1000, 4010);
    cr_assert(ge(i64, stats().next_due_ms, 4010));
    cr_assert(lt(i64, stats().next_due_ms, 4010 + 100));
}

/* A topic that publishes singly: one index row per tenth of a second, not per message.
 */
static void publish_singly(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        publish("a", "x", 1000, 5000);
}

Test(store_expiry, expires_single_messages_of_many_transactions)
{
    publish_singly(30);
    expire(5000, 7);
    publish_singly(3);
    nothing_is_lost();
    cr_assert(eq(u64, expire(5000, 100).messages, 26));
    cr_assert(eq(u64, stats().live, 0));
    nothing_is_lost();
}

static void publish_one_for_each_bucket(unsigned count)
{
    OK(ops->begin(store));
    for (unsigned i = 0; i < count; i++)
        put("a", "x", 1000, 2000 + 100 * i);
    OK(ops->commit(store));
}

Test(store_expiry, bounds_a_step_that_finds_only_what_is_gone)
{
    struct store_step step;

    publish_one_for_each_bucket(30);
    purge("a", NOWHERE, 100);
    step = expire(100000, 100); /* five for each row: a row costs pages of its own */
    cr_assert(eq(u64, step.messages, 0));
    cr_assert(step.more);
    cr_assert(not(expire(100000, 100).more));
    cr_assert(eq(i64, stats().next_due_ms, 0));
}

/* ---- taking out ---- */

Test(store_expiry, removes_in_bounded_steps_oldest_first)
{
    struct store_step step;

    publish_many("a", 10, 1, 0);
    step = purge("a", 8, 5);
    cr_assert(eq(u64, step.messages, 5));
    cr_assert(step.more);
    step = purge("a", 8, 5);
    cr_assert(eq(u64, step.messages, 3));
    cr_assert(not(step.more));
    cr_assert(eq(str, (char *)offsets("a", false), "8 9"));
    nothing_is_lost();
}

Test(store_expiry, counts_a_deleted_topic_at_once_and_frees_it_later)
{
    struct store_step step;

    publish_many("a", 300, 1, 0);
    delete_topic("a");
    cr_assert(eq(u64, stats().live, 0));
    cr_assert(eq(u64, stats().counters.removed, 300));
    cr_assert(stats().trash);
    OK(ops->begin(store));
    OK(ops->trash_step(store, 1, 100, &step));
    OK(ops->commit(store));
    cr_assert(eq(u64, step.messages, 100));
    cr_assert(step.more);
    nothing_is_lost();
    cr_assert(eq(u64, empty_trash(), 200));
    cr_assert(not(stats().trash));
    nothing_is_lost();
}

Test(store_expiry, frees_a_dead_topic_without_touching_its_successor)
{
    publish_many("a", 50, 1, 0);
    delete_topic("a");
    publish_many("a", 2, 1, 0);
    empty_trash();
    cr_assert(eq(str, (char *)offsets("a", false), "50 51"));
    nothing_is_lost();
}
