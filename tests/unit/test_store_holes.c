/* How many messages are live from an offset on. nothing_is_lost compares it with a count, at
 * several places of each log. */
#include "store_fixture.h"

TestSuite(store_holes, .init = given_an_empty_store, .fini = then_it_is_gone);

static uint64_t live_from(const char *name, uint64_t offset)
{
    struct topic_state t = state(name);
    uint64_t count;

    OK(ops->read_begin(reader, 1));
    OK(ops->read_live_from(reader, &t, offset, &count));
    ops->read_end(reader);
    return count;
}

/* Of 100: the first stays for ever, every other one of the rest for 10 ms. */
static void given_a_comb(void)
{
    OK(ops->begin(store));
    put("a", "stays", 1, 0);
    for (unsigned i = 1; i < 100; i++)
        put("a", "x", 1, i % 2 ? 10 : 0);
    OK(ops->commit(store));
}

Test(store_holes, without_any_it_is_the_rest_of_the_log)
{
    publish_many("a", 1000, 1, 0);
    cr_assert(eq(u64, live_from("a", 0), 1000));
    cr_assert(eq(u64, live_from("a", 300), 700));
    cr_assert(eq(u64, live_from("a", 1000), 0));
    purge("a", 500, 10000);
    cr_assert(eq(u64, live_from("a", 300), 500));
    cr_assert(eq(u64, live_from("a", 501), 499));
    nothing_is_lost();
}

Test(store_holes, what_is_gone_in_the_middle_does_not_count)
{
    given_a_comb();
    expire(1000, 10000);
    cr_assert(eq(u64, live_from("a", 0), 50));
    cr_assert(eq(u64, live_from("a", 51), 24));
    cr_assert(eq(u64, live_from("a", 98), 1));
    cr_assert(eq(u64, live_from("a", 99), 0));
    nothing_is_lost();
}

Test(store_holes, an_aborted_step_made_none)
{
    struct store_step step;

    given_a_comb();
    OK(ops->begin(store));
    OK(ops->expire_step(store, 1000, 10000, &step));
    ops->abort(store);
    cr_assert(eq(u64, live_from("a", 51), 49));
    expire(1000, 10000);
    cr_assert(eq(u64, live_from("a", 51), 24));
    nothing_is_lost();
}

static enum err take_out(const char *name, uint64_t offset)
{
    enum err e;

    OK(ops->begin(store));
    e = ops->remove_one(store, topic(name), offset);
    OK(ops->commit(store));
    return e;
}

Test(store_holes, one_message_is_taken_out_wherever_it_is)
{
    publish_many("a", 600, 1, 0);
    OK(take_out("a", 300));
    cr_assert(eq(int, take_out("a", 300), ERR_NOT_FOUND));
    cr_assert(eq(int, take_out("a", 600), ERR_NOT_FOUND));
    OK(take_out("a", 599));
    OK(take_out("a", 0));
    OK(take_out("a", 1));
    cr_assert(eq(u64, live_from("a", 0), 596));
    cr_assert(eq(u64, live_from("a", 200), 398));
    cr_assert(eq(u64, live_from("a", 301), 298));
    cr_assert(eq(u64, state("a").counters.removed, 4));
    nothing_is_lost();
}

/* Beyond 65,536 the third level is asked; what expires comes in steps, of three topics in
 * turn, in front of and behind what stays. */
Test(store_holes, in_long_logs_with_lives_of_all_kinds)
{
    static const char *const names[] = { "a", "b", "c" };
    static const int64_t lives[] = { 0, 100, 200, 200, 300, 300, 300, 400 };
    unsigned seed = 1;

    for (unsigned part = 0; part < 10; part++) {
        OK(ops->begin(store));
        for (unsigned i = 0; i < 24000; i++) {
            seed = seed * 1103515245u + 12345u;
            put(names[seed >> 9 & 1 ? 0 : i % 3], "", part, lives[seed >> 16 & 7]);
        }
        OK(ops->commit(store));
    }
    cr_assert(gt(u64, state("a").next_offset, 2 * 65536));
    for (int64_t now = 100; now <= 400; now += 100) {
        while (expire(now, 20000).more)
            ;
        nothing_is_lost();
        purge("b", (uint64_t)now * 60, 100000);
        nothing_is_lost();
    }
    publish_many("a", 10, 5, 0);
    purge("a", NOWHERE, 100000);
    purge("c", 39000, 100000);
    nothing_is_lost();
    delete_topic("c");
    empty_trash();
    nothing_is_lost();
}
