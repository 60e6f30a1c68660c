/* A publish under a key of its publisher's: sent again, it is answered again, not stored. */
#include "writer_fixture.h"

TestSuite(publish_once, .init = given_a_writer, .fini = remove_data_dir, .timeout = 120);

#define WINDOW 60000

static struct publish *keyed(struct publish *p, const char *key, char print)
{
    p->once = (struct publish_once){ .key = bytes_str(key), .window_ms = WINDOW };
    memset(p->once.print, print, sizeof p->once.print);
    return p;
}

static struct publish *under(const char *key, const char *body)
{
    return keyed(message("t", body), key, body[0]);
}

Test(publish_once, a_repeat_is_answered_like_the_first_and_not_stored)
{
    struct publish first, again, *p = under("k", "one");

    p->one.has_ttl = true;
    p->one.ttl_ms = 5000;
    OK(sent(p, &first));
    cr_assert(not(first.replayed));
    OK(sent(message("t", "other"), NULL));
    clock_fake_wall_ms(NOW + 100);
    OK(sent(under("k", "one"), &again));
    cr_assert(again.replayed);
    cr_assert(eq(u64, again.first_offset, 0));
    cr_assert(eq(i64, again.time_ms, first.time_ms));
    cr_assert(eq(i64, again.expires_ms, NOW + 5000));
    cr_assert(eq(u64, again.ttl_ms, 5000));
    cr_assert(eq(u64, stats().counters.accepted, 2));
    then_everything_is_given_back();
}

Test(publish_once, another_message_under_the_same_key_is_refused)
{
    struct publish result;

    OK(sent(under("k", "one"), NULL));
    cr_assert(eq(int, sent(under("k", "two"), &result), ERR_EXISTS));
    cr_assert(eq(int, result.refusal, PUBLISH_KEY_REUSED));
    OK(sent(under("l", "two"), &result));
    cr_assert(eq(u64, result.first_offset, 1));
    then_everything_is_given_back();
}

Test(publish_once, of_two_in_one_turn_one_is_stored)
{
    struct publish *first = under("k", "one"), *second = under("k", "one");

    hold_the_writer();
    publish_submit(first, NULL);
    publish_submit(second, NULL);
    let_it_go();
    deliver(2);
    OK(first->outcome);
    OK(second->outcome);
    cr_assert(not(first->replayed));
    cr_assert(second->replayed);
    cr_assert(eq(u64, stats().live, 1));
    publish_free(first);
    publish_free(second);
    then_everything_is_given_back();
}

Test(publish_once, keys_are_a_topics_own)
{
    struct publish result;

    OK(sent(under("k", "one"), NULL));
    OK(sent(keyed(message("u", "one"), "k", 'o'), &result));
    cr_assert(not(result.replayed));
    cr_assert(eq(u64, stats().live, 2));
    then_everything_is_given_back();
}

Test(publish_once, a_batch_is_replayed_as_a_batch)
{
    struct publish again;

    OK(sent(message("t", "first"), NULL));
    OK(sent(keyed(batch("t", "a b c"), "k", 'b'), NULL));
    OK(sent(keyed(batch("t", "a b c"), "k", 'b'), &again));
    cr_assert(again.replayed);
    cr_assert(eq(u64, again.first_offset, 1));
    cr_assert(eq(u64, again.count, 3));
    cr_assert(eq(u64, stats().live, 4));
    then_everything_is_given_back();
}

Test(publish_once, is_answered_where_it_could_not_be_stored_now)
{
    struct publish again, *p = under("k", "one");

    p->has_if_next = true;
    OK(sent(p, NULL));
    fail_next(FAULT_ROOM, ERR_FULL, 1);
    p = under("k", "one");
    p->has_if_next = true; /* 0, which it was */
    OK(sent(p, &again));
    cr_assert(again.replayed);
    fail_next(FAULT_ROOM, ERR_OK, 0);
    then_everything_is_given_back();
}

Test(publish_once, is_a_new_one_when_the_window_is_over)
{
    struct publish result;

    OK(sent(under("k", "one"), NULL));
    clock_fake_wall_ms(NOW + WINDOW - 1);
    OK(sent(under("k", "one"), &result));
    cr_assert(result.replayed);
    clock_fake_wall_ms(NOW + WINDOW);
    OK(sent(under("k", "two"), &result));
    cr_assert(not(result.replayed));
    cr_assert(eq(u64, result.first_offset, 1));
    then_everything_is_given_back();
}

Test(publish_once, keys_are_forgotten_by_the_sweep)
{
    unsigned turns = 0;

    OK(sent(under("k", "one"), NULL));
    OK(sent(under("l", "two"), NULL));
    cr_assert(eq(u64, stats().receipts, 2));
    clock_fake_wall_ms(NOW + WINDOW);
    while (stats().receipts && ++turns < 100)
        a_turn_passes();
    cr_assert(eq(u64, stats().receipts, 0));
    cr_assert(eq(u64, stats().live, 2));
    then_everything_is_given_back();
}

Test(publish_once, no_more_keys_than_there_may_be)
{
    struct publish result, *p = under("k", "one");

    p->once.max_keys = 1;
    OK(sent(p, NULL));
    p = under("l", "two");
    p->once.max_keys = 1;
    cr_assert(eq(int, sent(p, &result), ERR_FULL));
    cr_assert(eq(int, result.refusal, PUBLISH_KEYS_FULL));
    p = keyed(message("new", "two"), "l", 't');
    p->once.max_keys = 1;
    cr_assert(eq(int, sent(p, NULL), ERR_FULL));
    cr_assert(eq(u64, stats().topics, 1)); /* none is made for who is refused */
    OK(sent(under("k", "one"), &result));
    cr_assert(result.replayed);
    OK(sent(message("t", "without"), NULL));
    then_everything_is_given_back();
}

Test(publish_once, of_a_commit_that_fails_nothing_is_remembered)
{
    struct publish result;

    fail_next(FAULT_COMMIT, ERR_IO, 1);
    cr_assert(eq(int, sent(under("k", "one"), NULL), ERR_IO));
    OK(sent(under("k", "one"), &result));
    cr_assert(not(result.replayed));
    cr_assert(eq(u64, result.first_offset, 0));
    then_everything_is_given_back();
}

Test(publish_once, its_receipt_is_paid_for)
{
    struct publish with, without;

    OK(sent(under("k", "x"), &with));
    OK(sent(message("t", "x"), &without));
    cr_assert(with.job.cost >= without.job.cost + 2048 + 2 * 61);
    then_everything_is_given_back();
}
