/* A subscription with a filter at the writer: what it passes over, and what it is told. */
#include "delivery_fixture.h"
#include "filter.h"
#include "packed.h"

TestSuite(filtered, .init = given_a_writer, .fini = remove_data_dir);

static struct sub_settings wanting(const char *type)
{
    struct sub_settings s = usual();
    struct filter f = { 0 };
    bool twice;

    cr_assert(filter_add(&f, bytes_str("type"), bytes_str(type), &twice));
    cr_assert(filter_write(&f, &s));
    return s;
}

static void say_typed(const char *type, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct publish *p = message("t", "x");
        uint8_t attributes[64]; /* the publish makes its own of them, where they are */
        size_t len = packed_attribute_put(attributes, bytes_str("type"), bytes_str(type));

        p->one.attributes = bytes_of(attributes, len);
        OK(sent(p, NULL));
    }
}

/* A consumer that has looked through the log up to `seen`. */
static struct receive *looked(unsigned limit, uint64_t mark, uint64_t seen)
{
    struct grant paid = { 0 };
    struct receive *c;

    OK(ledger_reserve(ledger, receive_bytes(limit), &paid));
    c = receive_new(limit, &paid);
    c->name[0] = 's';
    c->name_len = 1;
    c->max_bytes = 1 << 20;
    c->room = limit * ROOM;
    c->room_of = room_of;
    c->mark = mark;
    c->seen = seen;
    c->job.home = &loop_mail;
    c->job.letter.open = home;
    receive_submit(writer, c);
    deliver(1);
    OK(c->outcome);
    return c;
}

static uint64_t mark(void)
{
    struct sub_state s = as_it_is();

    return subscription_mark(ops, store, &s);
}

static void passed_over(uint64_t its_mark, uint64_t seen)
{
    job_free(&looked(0, its_mark, seen)->job);
}

static struct subscription_change patched(unsigned set, struct sub_settings s)
{
    return done((struct subscription_change){ .kind = SUBSCRIPTION_PATCH,
                                              .set = set,
                                              .sub = { .settings = s } });
}

Test(filtered, only_what_matches_is_leased)
{
    given_a_subscription(wanting("paid"));
    say_typed("open", 2);
    say_typed("paid", 1);
    say("", "of no type", 0);
    say_typed("paid", 1);
    say_typed("open", 1);
    COME("2 4");
    cr_assert(eq(u64, as_it_is().next, 6));
    cr_assert(eq(u64, as_it_is().in[DELIVERY_LEASED], 2));
    then_everything_is_given_back();
}

Test(filtered, a_turn_passes_over_a_thousand_and_leaves_the_rest_to_who_looks_ahead)
{
    given_a_subscription(wanting("paid"));
    say_typed("open", 1001);
    say_typed("paid", 1);
    COME("");
    cr_assert(eq(u64, as_it_is().next, 1000));
    COME("1001");
    then_everything_is_given_back();
}

Test(filtered, what_was_seen_is_passed_over_at_once)
{
    struct receive *c;

    given_a_subscription(wanting("paid"));
    say_typed("open", 1500);
    say_typed("paid", 1);
    c = looked(1, mark(), 1500);
    cr_assert(eq(u32, c->count, 1));
    cr_assert(eq(u64, c->got[0].offset, 1500));
    job_free(&c->job);
    then_everything_is_given_back();
}

Test(filtered, one_may_pass_over_and_lease_nothing)
{
    given_a_subscription(wanting("paid"));
    say_typed("open", 3);
    say_typed("paid", 1);
    passed_over(mark(), 2);
    cr_assert(eq(u64, as_it_is().next, 2));
    passed_over(mark(), 1);
    cr_assert(eq(u64, as_it_is().next, 2));
    COME("3");
    then_everything_is_given_back();
}

Test(filtered, what_was_seen_through_another_filter_counts_for_nothing)
{
    uint64_t before;

    given_a_subscription(wanting("paid"));
    say_typed("open", 3);
    before = mark();
    OK(patched(SUBSCRIPTION_SET_FILTER, wanting("open")).outcome);
    passed_over(before, 3);
    cr_assert(eq(u64, as_it_is().next, 0));
    COME("0 1 2");
    then_everything_is_given_back();
}

Test(filtered, what_was_seen_before_a_seek_counts_for_nothing)
{
    uint64_t before;

    given_a_subscription(wanting("paid"));
    say_typed("open", 3);
    before = mark();
    OK(changed(SUBSCRIPTION_SEEK, 1, usual()).outcome);
    passed_over(before, 3);
    cr_assert(eq(u64, as_it_is().next, 1));
    then_everything_is_given_back();
}

Test(filtered, nobody_is_ahead_of_the_log)
{
    given_a_subscription(wanting("paid"));
    say_typed("open", 3);
    passed_over(mark(), 4);
    cr_assert(eq(u64, as_it_is().next, 0));
    then_everything_is_given_back();
}

Test(filtered, no_message_of_the_key_that_does_not_match_is_in_the_way)
{
    struct sub_settings s = wanting("paid");
    uint8_t attributes[64];
    size_t len = packed_attribute_put(attributes, bytes_str("type"), bytes_str("paid"));
    struct publish *p = message("t", "x");

    s.ordering = SUB_ORDER_KEY;
    given_a_subscription(s);
    say("k", "not wanted", 0);
    p->one.key = bytes_str("k");
    p->one.attributes = bytes_of(attributes, len);
    OK(sent(p, NULL));
    say("k", "not wanted", 0);
    COME("1");
    cr_assert(eq(u64, as_it_is().in[DELIVERY_HELD], 0));
    then_everything_is_given_back();
}

/* ---- changed while at work ---- */

Test(filtered, a_change_leaves_alone_what_is_not_named)
{
    struct sub_settings before = wanting("paid"), to = dying_at(3), after;

    before.backoffs = 1;
    before.backoff_ms[0] = 5;
    given_a_subscription(before);
    to.lease_ms = 7;
    to.max_in_flight = 1;
    OK(patched(SUBSCRIPTION_SET_LEASE | SUBSCRIPTION_SET_DEAD_LETTER, to).outcome);
    after = as_it_is().settings;
    cr_assert(eq(u64, after.lease_ms, 7));
    cr_assert(eq(u32, after.max_in_flight, before.max_in_flight));
    cr_assert(eq(u32, after.max_deliveries, 0));
    cr_assert(eq(u32, after.backoff_ms[0], 5));
    cr_assert(bytes_eq(bytes_of(after.dead_letter, after.dead_letter_len), bytes_str("dead")));
    cr_assert(sub_extras_equal(&after, &before));
    OK(patched(SUBSCRIPTION_SET_FILTER, usual()).outcome);
    cr_assert(eq(u16, as_it_is().settings.extra_len, 0));
    then_everything_is_given_back();
}

Test(filtered, neither_its_topic_nor_its_ordering_nor_a_loop_of_letters)
{
    struct sub_settings to = usual();

    given_a_subscription(usual());
    OK(patched(SUBSCRIPTION_SET_TOPIC | SUBSCRIPTION_SET_ORDERING, to).outcome);
    to.ordering = SUB_ORDER_KEY;
    cr_assert(eq(int, patched(SUBSCRIPTION_SET_ORDERING, to).outcome, ERR_EXISTS));
    to.topic[0] = 'u';
    cr_assert(eq(int, patched(SUBSCRIPTION_SET_TOPIC, to).outcome, ERR_EXISTS));
    to.dead_letter_len = 1;
    to.dead_letter[0] = 't';
    cr_assert(eq(int, patched(SUBSCRIPTION_SET_DEAD_LETTER, to).outcome, ERR_BAD_INPUT));
    cr_assert(eq(u8, as_it_is().settings.ordering, SUB_ORDER_NONE));
    cr_assert(eq(u8, as_it_is().settings.dead_letter_len, 0));
    then_everything_is_given_back();
}
