/* Messages that subscriptions are not to hand out before their time. */
#include "delivery_fixture.h"
#include "metrics.h"
#include "publish_delay.h"

TestSuite(delayed, .init = given_a_writer, .fini = remove_data_dir);

static struct publish *delayed(const char *key, uint64_t ms)
{
    struct publish *p = message("t", "late");

    p->one.key = bytes_str(key);
    p->one.delay = (struct packed_delay){ PACKED_DELAY_AFTER, ms };
    return p;
}

static void say_later(const char *key, uint64_t ms)
{
    OK(sent(delayed(key, ms), NULL));
}

static struct sub_settings by_key(void)
{
    struct sub_settings s = usual();

    s.ordering = SUB_ORDER_KEY;
    return s;
}

#define WAITING(n) cr_assert(eq(u64, as_it_is().in[DELIVERY_WAITING], n))
#define HELD(n)    cr_assert(eq(u64, as_it_is().in[DELIVERY_HELD], n))

/* ---- its time ---- */

Test(delayed, it_comes_at_its_time_and_others_do_not_wait_for_it)
{
    given_a_subscription(usual());
    say_later("", 100);
    say("", "now", 0);
    COME("1");
    WAITING(1);
    passes(99);
    COME("");
    passes(1);
    WAITING(0);
    cr_assert(eq(u32, one().deliveries, 1));
    then_everything_is_given_back();
}

Test(delayed, nothing_is_kept_of_it_while_nobody_asks)
{
    given_a_subscription(usual());
    say_later("", 100);
    passes(50);
    WAITING(0);
    cr_assert(eq(u64, as_it_is().next, 0));
    passes(50);
    COME("0");
    then_everything_is_given_back();
}

Test(delayed, it_is_tried_as_often_as_any_other)
{
    given_a_subscription(dying_at(2));
    say_later("", 100);
    COME("");
    passes(100);
    DONE(settle_for(SETTLE_NACK, one(), 0));
    DONE(settle(SETTLE_NACK, one()));
    COME("");
    cr_assert(eq(u64, state("dead").live, 1));
    cr_assert(eq(u64, as_it_is().counters.redelivered, 1));
    then_everything_is_given_back();
}

Test(delayed, a_dead_letter_of_it_and_what_nobody_got_are_not_delayed_again)
{
    struct lease l;

    given_a_subscription(dying_at(1));
    say_later("", 100);
    COME("");
    passes(100);
    l = one();
    DONE(settle(SETTLE_TAKE_BACK, l));
    l = one();
    cr_assert(eq(u32, l.deliveries, 1));
    DONE(settle(SETTLE_NACK, l));
    cr_assert(eq(u64, state("dead").live, 1));
    then_everything_is_given_back();
}

Test(delayed, after_a_seek_and_a_restart_it_still_waits)
{
    given_a_subscription(usual());
    say_later("", 100);
    COME("");
    OK(changed(SUBSCRIPTION_SEEK, 0, usual()).outcome);
    COME("");
    WAITING(1);
    writer_stop(writer);
    start_writer();
    passes(99);
    COME("");
    passes(1);
    COME("0");
    the_trash_is_emptied();
    then_everything_is_given_back();
}

Test(delayed, one_that_was_purged_is_dropped_at_its_time)
{
    given_a_subscription(usual());
    say_later("", 100);
    COME("");
    writer_stop(writer);
    delete_topic("t");
    start_writer();
    passes(100);
    WAITING(0);
    cr_assert(eq(u64, as_it_is().counters.expired, 1));
    COME("");
    the_trash_is_emptied();
    then_everything_is_given_back();
}

Test(delayed, a_large_one_needs_no_room_before_its_time)
{
    struct receive *c;

    given_a_subscription(usual());
    say_later("", 100);
    say("", "now", 0);
    c = received(10, ROOM);
    cr_assert(eq(u32, c->count, 1));
    cr_assert(eq(u64, c->got[0].offset, 1));
    job_free(&c->job);
    then_everything_is_given_back();
}

/* Their keys and times may be anywhere in the store: a turn changes no more pages than it may. */
Test(delayed, many_are_set_aside_in_several_turns)
{
    int64_t turns;

    given_a_subscription(usual());
    for (unsigned i = 0; i < 100; i++)
        say_later("", 100 + i);
    say("", "now", 0);
    turns = metric_get(METRIC_COMMITS);
    COME("100");
    WAITING(100);
    cr_assert(eq(i64, metric_get(METRIC_COMMITS) - turns, 2)); /* of 61 at most */
    passes(150);
    cr_assert(eq(u64, as_it_is().in[DELIVERY_READY], 51));
    then_everything_is_given_back();
}

Test(delayed, many_that_are_due_together_are_set_aside_in_one)
{
    int64_t turns;

    given_a_subscription(usual());
    for (unsigned i = 0; i < 300; i++)
        say_later("", 100);
    turns = metric_get(METRIC_COMMITS);
    COME("");
    WAITING(300);
    cr_assert(eq(i64, metric_get(METRIC_COMMITS) - turns, 1));
    then_everything_is_given_back();
}

/* ---- by key ---- */

Test(delayed, those_of_its_key_stay_behind_it)
{
    struct lease l;

    given_a_subscription(by_key());
    say_later("k", 100);
    say("k", "1", 0);
    say("other", "2", 0);
    COME("2");
    WAITING(1);
    HELD(1);
    passes(100);
    l = one();
    cr_assert(eq(u64, l.offset, 0));
    COME("");
    DONE(settle(SETTLE_ACK, l));
    COME("1");
    then_everything_is_given_back();
}

Test(delayed, one_that_was_held_waits_on_for_its_time)
{
    struct lease l;

    given_a_subscription(by_key());
    say("k", "0", 0);
    say_later("k", 100);
    say("k", "2", 0);
    l = one();
    COME("");
    HELD(2);
    DONE(settle(SETTLE_ACK, l));
    COME("");
    WAITING(1);
    HELD(1);
    passes(100);
    COME("1");
    then_everything_is_given_back();
}

Test(delayed, one_that_was_held_longer_than_its_time_is_ready_when_it_is_let_go)
{
    struct lease l;

    given_a_subscription(by_key());
    say("k", "0", 0);
    say_later("k", 100);
    l = one();
    COME("");
    passes(100);
    HELD(1);
    COME("");
    DONE(settle(SETTLE_ACK, l));
    COME("1");
    then_everything_is_given_back();
}

/* It is held, and its own time does not make it ready; its expiry takes it out all the same. */
Test(delayed, one_that_is_held_expires)
{
    struct publish *p = delayed("k", 100);

    p->one.has_ttl = true;
    p->one.ttl_ms = 200;
    given_a_subscription(by_key());
    say("k", "0", 0);
    one();
    OK(sent(p, NULL));
    COME("");
    passes(100);
    HELD(1);
    passes(100);
    HELD(0);
    cr_assert(eq(u64, as_it_is().counters.expired, 1));
    then_everything_is_given_back();
}

/* ---- the bound ---- */

/* As if so many were set aside. */
static void given_set_aside(uint64_t count)
{
    struct sub_state s;

    writer_stop(writer);
    OK(ops->begin(store));
    OK(ops->subs->find(store, bytes_str("s"), &s));
    s.in[DELIVERY_WAITING] += count;
    OK(ops->subs->save(store, &s));
    OK(ops->commit(store));
    start_writer();
}

Test(delayed, at_the_bound_nothing_new_is_taken_until_one_is_due)
{
    given_a_subscription(usual());
    say_later("", 100);
    say_later("", 200);
    say("", "now", 0);
    given_set_aside(SUBSCRIPTION_HELD_MAX - 1);
    COME("");
    cr_assert(eq(u64, as_it_is().next, 1));
    passes(100);
    COME("0");
    cr_assert(eq(u64, as_it_is().next, 2));
    OK(changed(SUBSCRIPTION_DELETE, 0, usual()).outcome); /* its count was a lie */
    the_trash_is_emptied();
    then_everything_is_given_back();
}

/* ---- publishing ---- */

static struct publish refused(struct publish *p, enum publish_refusal why)
{
    struct publish result;

    cr_assert(eq(int, sent(p, &result), ERR_BAD_INPUT));
    cr_assert(eq(int, result.refusal, why));
    return result;
}

Test(delayed, a_time_that_has_come_is_no_delay)
{
    struct publish *p = delayed("", 0), result;

    OK(sent(p, &result));
    cr_assert(eq(i64, result.deliver_ms, 0));
    p = delayed("", 0);
    p->one.delay = (struct packed_delay){ PACKED_DELAY_UNTIL, NOW };
    OK(sent(p, &result));
    cr_assert(eq(i64, result.deliver_ms, 0));
    p = delayed("", 0);
    p->one.delay = (struct packed_delay){ PACKED_DELAY_UNTIL, NOW + 1 };
    OK(sent(p, &result));
    cr_assert(eq(i64, result.deliver_ms, NOW + 1));
    then_everything_is_given_back();
}

Test(delayed, what_would_expire_before_it_comes_is_refused_and_makes_no_topic)
{
    struct publish *p = delayed("", 100), result;

    p->one.has_ttl = true;
    p->one.ttl_ms = 100;
    result = refused(p, PUBLISH_NEVER_DELIVERED);
    cr_assert(eq(i64, result.late.deliver_ms, NOW + 100));
    cr_assert(eq(i64, result.late.expires_ms, NOW + 100));
    cr_assert(eq(u64, stats().topics, 0));
    given_topic("t", (struct topic_settings){ .ttl_ms = 50 });
    refused(delayed("", 50), PUBLISH_NEVER_DELIVERED);
    say_later("", 49);
    cr_assert(eq(u64, state("t").live, 1));
    then_everything_is_given_back();
}

Test(delayed, nothing_waits_longer_than_it_may)
{
    say_later("", PUBLISH_DELAY_MAX_MS);
    refused(delayed("", PUBLISH_DELAY_MAX_MS + 1), PUBLISH_DELAY_TOO_LONG);
    refused(delayed("", UINT64_MAX), PUBLISH_DELAY_TOO_LONG);
    cr_assert(eq(u64, state("t").live, 1));
    then_everything_is_given_back();
}

/* A message of a batch that says so itself: `at` of the batch's bytes. */
static size_t pack(uint8_t *out, enum packed_tag tag, uint64_t ms)
{
    size_t n = 1 + varint_put(out + 2, ms);

    out[0] = (uint8_t)n;
    out[1] = (uint8_t)tag;
    return 1 + n;
}

static struct publish *batch_of_three(uint64_t second_ms)
{
    struct publish *p = batch("t", "a b c");

    p->body_len = pack(p->body, PACKED_DELIVER_AFTER_MS, 0);
    p->body_len += pack(p->body + p->body_len, PACKED_DELIVER_AFTER_MS, second_ms);
    p->body[p->body_len++] = 0; /* says nothing, and has no body */
    p->total_bytes = 0;
    p->delayed = true;
    return p;
}

Test(delayed, a_message_of_a_batch_says_it_itself_or_the_batch_does_for_it)
{
    struct publish *p = batch_of_three(200);

    given_a_subscription(usual());
    p->one.delay = (struct packed_delay){ PACKED_DELAY_AFTER, 100 };
    OK(sent(p, NULL));
    COME("0");
    passes(100);
    COME("2");
    passes(100);
    COME("1");
    then_everything_is_given_back();
}

Test(delayed, a_batch_is_refused_whole_with_the_place_of_the_wrong_one)
{
    struct publish *p = batch_of_three(100);

    p->one.has_ttl = true;
    p->one.ttl_ms = 100;
    cr_assert(eq(u64, refused(p, PUBLISH_NEVER_DELIVERED).late.index, 1));
    cr_assert(eq(u64, stats().topics, 0));
    cr_assert(eq(u64, refused(batch_of_three(PUBLISH_DELAY_MAX_MS * 2), PUBLISH_DELAY_TOO_LONG).late.index,
                 1));
    then_everything_is_given_back();
}
