/* What may happen to a message that was handed out. */
#include "delivery_fixture.h"

TestSuite(delivery, .init = given_a_writer, .fini = remove_data_dir);

/* ---- leases ---- */

Test(delivery, a_lease_is_good_until_the_moment_it_ends)
{
    struct lease l;

    given_a_subscription(usual());
    say("", "a", 0);
    l = one();
    passes(999);
    COME("");
    DONE(settle(SETTLE_EXTEND, l));
    passes(999);
    DONE(settle(SETTLE_EXTEND, l));
    passes(1000);
    REFUSED(SETTLE_FENCED, settle(SETTLE_ACK, (struct lease){ l.sub_id + 1, 0, 1 }));
    COME("0");
    REFUSED(SETTLE_FENCED, settle(SETTLE_ACK, l));
    l.deliveries++;
    DONE(settle(SETTLE_ACK, l));
    REFUSED(SETTLE_FENCED, settle(SETTLE_ACK, l));
    passes(100000);
    COME("");
    then_everything_is_given_back();
}

/* The ack and the sweep are in one turn: the ack runs first, and must see the time itself. */
Test(delivery, a_lease_that_has_ended_is_over_although_nobody_has_swept)
{
    struct lease l;

    given_a_subscription(usual());
    say("", "a", 0);
    l = one();
    clock_fake_wall_ms(now += 1000);
    REFUSED(SETTLE_EXPIRED, settle(SETTLE_ACK, l));
    COME("0");
    then_everything_is_given_back();
}

Test(delivery, what_nobody_got_does_not_count_as_delivered)
{
    struct lease l;

    given_a_subscription(dying_at(1));
    say("", "a", 0);
    l = one();
    DONE(settle(SETTLE_TAKE_BACK, l));
    cr_assert(eq(u32, one().deliveries, 1));
    then_everything_is_given_back();
}

Test(delivery, backoffs_grow_and_the_last_one_stays)
{
    struct sub_settings s = usual();

    s.backoffs = 2;
    s.backoff_ms[0] = 100;
    s.backoff_ms[1] = 500;
    given_a_subscription(s);
    say("", "a", 0);
    DONE(settle(SETTLE_NACK, one()));
    passes(99);
    COME("");
    passes(1);
    DONE(settle(SETTLE_NACK, one()));
    passes(499);
    COME("");
    passes(1);
    DONE(settle_for(SETTLE_NACK, one(), 7));
    passes(7);
    DONE(settle_for(SETTLE_NACK, one(), 0));
    cr_assert(eq(u32, one().deliveries, 5));
    passes(1000); /* a lease that runs out waits, too */
    COME("");
    passes(500);
    COME("0");
    then_everything_is_given_back();
}

/* ---- what is handed out ---- */

Test(delivery, no_more_is_leased_than_there_is_room_for)
{
    struct receive *c;

    given_a_subscription(usual());
    say("", "a", 0);
    say("", "b", 0);
    c = received(10, ROOM - 1);
    cr_assert(c->small && !c->count);
    job_free(&c->job);
    c = received(10, ROOM + 1);
    cr_assert(c->more && c->count == 1 && !c->small);
    job_free(&c->job);
    cr_assert(eq(u64, as_it_is().in[DELIVERY_LEASED], 1));
    then_everything_is_given_back();
}

Test(delivery, no_more_is_out_than_may_be)
{
    struct sub_settings s = usual();
    struct lease l;

    s.max_in_flight = 2;
    given_a_subscription(s);
    for (unsigned i = 0; i < 4; i++)
        say("", "x", 0);
    l = one();
    COME("1");
    COME("");
    DONE(settle(SETTLE_ACK, l));
    COME("2");
    passes(1000);
    COME("1 2");
    then_everything_is_given_back();
}

Test(delivery, the_expired_are_passed_over_however_many_they_are)
{
    struct publish *p = batch("t", "a b c d e f g h");

    given_a_subscription(usual());
    p->one.has_ttl = true;
    p->one.ttl_ms = 100;
    OK(sent(p, NULL));
    say("", "stays", 0);
    COME("0 1 2 3 4 5 6 7 8");
    passes(1000);
    COME("8");
    cr_assert(eq(u64, as_it_is().counters.expired, 8));
    then_everything_is_given_back();
}

/* ---- by key ---- */

static struct sub_settings in_order(void)
{
    struct sub_settings s = usual();

    s.ordering = SUB_ORDER_KEY;
    return s;
}

Test(delivery, of_a_key_the_next_comes_when_the_one_before_is_finished)
{
    struct lease l;

    given_a_subscription(in_order());
    say("k", "0", 0);
    say("k", "1", 0);
    say("other", "2", 0);
    say("", "3", 0);
    l = one();
    COME("2 3");
    DONE(settle_for(SETTLE_NACK, l, 0));
    l = one();
    cr_assert(eq(u64, l.offset, 0));
    DONE(settle(SETTLE_ACK, l));
    COME("1");
    then_everything_is_given_back();
}

Test(delivery, what_is_held_goes_when_it_expires_and_lets_the_next_one_by)
{
    struct lease l;

    given_a_subscription(in_order());
    say("k", "0", 0);
    say("k", "1", 100);
    say("k", "2", 0);
    l = one();
    COME("");
    cr_assert(eq(u64, as_it_is().in[DELIVERY_HELD], 2));
    passes(200);
    cr_assert(eq(u64, as_it_is().in[DELIVERY_HELD], 1));
    DONE(settle(SETTLE_ACK, l));
    COME("2");
    then_everything_is_given_back();
}

/* ---- seek, and the end ---- */

Test(delivery, a_seek_fences_all_that_is_out)
{
    struct subscription_change c;
    struct lease l;

    given_a_subscription(usual());
    say("", "0", 0);
    say("", "1", 0);
    l = one();
    c = changed(SUBSCRIPTION_SEEK, 0, usual());
    OK(c.outcome);
    REFUSED(SETTLE_FENCED, settle(SETTLE_ACK, l));
    COME("0 1");
    c = changed(SUBSCRIPTION_SEEK, 77, usual());
    cr_assert(eq(u64, c.sub.next, 2)); /* not beyond the log */
    say("", "2", 0);
    COME("2");
    the_trash_is_emptied();
    then_everything_is_given_back();
}

Test(delivery, deleted_while_messages_are_out_nothing_is_left)
{
    given_a_subscription(usual());
    say("", "0", 0);
    one();
    OK(changed(SUBSCRIPTION_DELETE, 0, usual()).outcome);
    cr_assert(eq(int, changed(SUBSCRIPTION_DELETE, 0, usual()).outcome, ERR_NOT_FOUND));
    the_trash_is_emptied();
    passes(5000);
    cr_assert(eq(i64, stats().next_due_ms, 0));
    then_everything_is_given_back();
}

Test(delivery, what_was_out_of_a_topic_that_is_gone_is_dropped)
{
    given_a_subscription(in_order());
    say("k", "0", 0);
    say("k", "1", 0);
    one();
    COME("");
    writer_stop(writer);
    delete_topic("t");
    start_writer();
    passes(1000);
    say("k", "2", 0);
    COME("2");
    cr_assert(eq(u64, as_it_is().counters.expired, 2));
    the_trash_is_emptied();
    then_everything_is_given_back();
}

/* ---- tokens ---- */

Test(delivery, a_token_says_what_the_lease_is_and_to_nobody_else)
{
    const uint8_t secret[16] = "0123456789abcdef", other[16] = "0123456789abcdeg";
    struct lease l = { 7, UINT64_MAX, 9 }, back;
    char text[LEASE_TEXT_LEN];

    lease_write(secret, &l, text);
    cr_assert(lease_read(secret, bytes_of(text, sizeof text), &back));
    cr_assert(eq(u64, back.sub_id, 7));
    cr_assert(eq(u64, back.offset, UINT64_MAX));
    cr_assert(eq(u32, back.deliveries, 9));
    cr_assert(not(lease_read(other, bytes_of(text, sizeof text), &back)));
    cr_assert(not(lease_read(secret, bytes_of(text, sizeof text - 1), &back)));
    for (size_t i = 0; i < sizeof text; i++) {
        char was = text[i];

        text[i] = was == 'A' ? 'B' : 'A';
        cr_assert(not(lease_read(secret, bytes_of(text, sizeof text), &back)));
        text[i] = was;
    }
}

/* ---- nobody asks any more ---- */

Test(delivery, what_waits_for_a_week_is_gone_with_its_message)
{
    given_a_subscription(usual());
    say("", "short", 500);
    DONE(settle_for(SETTLE_NACK, one(), 7 * 24 * 3600 * 1000));
    passes(499);
    cr_assert(eq(u64, as_it_is().in[DELIVERY_WAITING], 1));
    passes(101);
    cr_assert(eq(u64, as_it_is().in[DELIVERY_WAITING], 0));
    cr_assert(eq(u64, as_it_is().counters.expired, 1));
    cr_assert(eq(i64, stats().next_due_ms, 0));
    then_everything_is_given_back();
}
