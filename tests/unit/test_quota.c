#include "writer_fixture.h"

#include "metrics.h"

TestSuite(quota, .init = given_a_writer, .fini = remove_data_dir, .timeout = 120);

/* ---- bytes ---- */

Test(quota, over_its_quota_a_topic_rejects_and_keeps_what_it_has)
{
    struct publish p;

    given_topic("t", (struct topic_settings){ .max_bytes = 10 });
    OK(sent(message("t", "123456"), NULL));
    cr_assert(eq(int, sent(message("t", "12345"), &p), ERR_FULL));
    cr_assert(eq(int, p.refusal, PUBLISH_QUOTA));
    cr_assert(eq(int, p.quota.limit, QUOTA_BYTES));
    cr_assert(eq(u64, p.quota.value, 10));
    OK(sent(message("t", "1234"), NULL)); /* to the byte */
    cr_assert(eq(str, (char *)offsets("t", false), "0 1"));
    then_everything_is_given_back();
}

Test(quota, or_it_drops_its_oldest_messages_where_told_to)
{
    given_topic("t", (struct topic_settings){ .max_bytes = 10,
                                              .overflow = STORE_OVERFLOW_DROP_OLDEST });
    OK(sent(message("t", "aaaa"), NULL));
    OK(sent(message("t", "bbbb"), NULL));
    OK(sent(message("t", "cccc"), NULL));
    cr_assert(eq(str, (char *)offsets("t", false), "1 2"));
    cr_assert(eq(u64, state("t").counters.removed, 1));
    OK(sent(message("t", "dddddddddd"), NULL));
    cr_assert(eq(str, (char *)offsets("t", false), "3"));
    then_everything_is_given_back();
}

Test(quota, it_drops_no_more_than_it_must)
{
    given_topic("t", (struct topic_settings){ .max_bytes = 130,
                                              .overflow = STORE_OVERFLOW_DROP_OLDEST });
    OK(sent(message("t", "a large one of thirty bytes ..."), NULL));
    OK(sent(message("t", "a large one of thirty bytes ..."), NULL));
    OK(sent(message("t", "a large one of thirty bytes ..."), NULL));
    OK(sent(batch("t", "1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9"), NULL));
    OK(sent(message("t", "thirty bytes as the first was."), NULL));
    cr_assert(eq(u64, state("t").counters.removed, 1));
    then_everything_is_given_back();
}

Test(quota, what_is_larger_than_the_whole_quota_drops_nothing)
{
    struct publish p;

    given_topic("t", (struct topic_settings){ .max_bytes = 10,
                                              .overflow = STORE_OVERFLOW_DROP_OLDEST });
    OK(sent(message("t", "aaaa"), NULL));
    cr_assert(eq(int, sent(message("t", "12345678901"), &p), ERR_FULL));
    cr_assert(eq(int, p.refusal, PUBLISH_QUOTA));
    cr_assert(eq(str, (char *)offsets("t", false), "0"));
    then_everything_is_given_back();
}

static void publish_small_ones(unsigned count)
{
    char bodies[4001];

    for (unsigned i = 0; i < 2000; i++)
        memcpy(bodies + 2 * i, "x ", 2);
    bodies[4000] = 0;
    for (unsigned i = 0; i < count; i += 2000)
        OK(sent(batch("t", bodies), NULL));
}

Test(quota, place_for_a_large_message_is_made_in_bounded_turns)
{
    given_topic("t", (struct topic_settings){ .max_bytes = 60000,
                                              .overflow = STORE_OVERFLOW_DROP_OLDEST });
    int64_t commits;

    publish_small_ones(60000);
    struct publish *large = message("t", "");

    large->blob_size = 60000;
    writer_stop(writer);
    OK(ops->begin(store));
    OK(ops->blob_begin(store, &large->blob_id));
    OK(ops->blob_write(store, large->blob_id, 0, bytes_str("as if it were 60000")));
    OK(ops->commit(store));
    start_writer();
    large->writer = writer;
    hold_the_writer();
    commits = metric_get(METRIC_COMMITS);
    publish_submit(large, NULL);
    struct publish *other = message("u", "x");

    publish_submit(other, NULL);
    let_it_go();
    deliver(2);
    OK(large->outcome);
    OK(other->outcome);
    cr_assert(metric_get(METRIC_COMMITS) - commits >= 4); /* the gate's, and three */
    cr_assert(eq(u64, state("t").counters.removed, 60000));
    cr_assert(eq(u64, state("t").live_bytes, 60000));
    publish_free(large);
    publish_free(other);
    writer_stop(writer);
    then_it_is_gone(); /* with a blob that is not as large as it said */
}

/* ---- messages ---- */

Test(quota, a_topic_holds_so_many_messages_and_no_more)
{
    struct publish p;

    given_topic("t", (struct topic_settings){ .max_messages = 3 });
    OK(sent(batch("t", "a b"), NULL));
    cr_assert(eq(int, sent(batch("t", "c d"), &p), ERR_FULL));
    cr_assert(eq(int, p.refusal, PUBLISH_QUOTA));
    cr_assert(eq(int, p.quota.limit, QUOTA_MESSAGES));
    cr_assert(eq(u64, p.quota.value, 3));
    cr_assert(not(p.quota.never));
    OK(sent(message("t", "c"), NULL));
    cr_assert(eq(str, (char *)offsets("t", false), "0 1 2"));
    then_everything_is_given_back();
}

Test(quota, or_the_last_so_many_of_them)
{
    given_topic("t", (struct topic_settings){ .max_messages = 3,
                                              .overflow = STORE_OVERFLOW_DROP_OLDEST });
    OK(sent(batch("t", "a b c"), NULL));
    OK(sent(batch("t", "d e"), NULL));
    cr_assert(eq(str, (char *)offsets("t", false), "2 3 4"));
    then_everything_is_given_back();
}

Test(quota, whichever_limit_is_passed_what_can_never_fit_drops_nothing)
{
    struct publish p;

    given_topic("t", (struct topic_settings){ .max_bytes = 4,
                                              .max_messages = 2,
                                              .overflow = STORE_OVERFLOW_DROP_OLDEST });
    OK(sent(message("t", "aaaa"), NULL));
    cr_assert(eq(int, sent(batch("t", "b c d"), &p), ERR_FULL)); /* over both */
    cr_assert(eq(int, p.quota.limit, QUOTA_MESSAGES));
    cr_assert(p.quota.never);
    cr_assert(eq(str, (char *)offsets("t", false), "0"));
    then_everything_is_given_back();
}

Test(quota, messages_that_expire_make_room)
{
    given_topic("t", (struct topic_settings){ .max_messages = 1, .ttl_ms = 100 });
    OK(sent(message("t", "a"), NULL));
    cr_assert(eq(int, sent(message("t", "b"), NULL), ERR_FULL));
    clock_fake_wall_ms(NOW + 200);
    a_turn_passes();
    OK(sent(message("t", "c"), NULL));
    then_everything_is_given_back();
}

/* ---- age ---- */

Test(quota, a_backlog_that_is_too_old_keeps_publishers_out)
{
    struct publish p;

    given_topic("t", (struct topic_settings){ .max_age_ms = 1000 });
    OK(sent(message("t", "a"), NULL));
    clock_fake_wall_ms(NOW + 1000);
    OK(sent(message("t", "b"), NULL));
    clock_fake_wall_ms(NOW + 1001);
    cr_assert(eq(int, sent(message("t", "c"), &p), ERR_FULL));
    cr_assert(eq(int, p.quota.limit, QUOTA_AGE));
    cr_assert(eq(u64, p.quota.value, 1000));
    then_everything_is_given_back();
}

static void purge_below(const char *name, uint64_t offset)
{
    struct store_topic *t;
    struct store_step step;

    writer_stop(writer);
    OK(ops->begin(store));
    OK(ops->topic_find(store, bytes_str(name), &t));
    OK(ops->remove_step(store, t, offset, 100, &step));
    OK(ops->commit(store));
    start_writer();
}

Test(quota, until_the_old_ones_are_taken_out)
{
    given_topic("t", (struct topic_settings){ .max_age_ms = 1000 });
    OK(sent(message("t", "a"), NULL));
    clock_fake_wall_ms(NOW + 1000);
    OK(sent(message("t", "b"), NULL));
    clock_fake_wall_ms(NOW + 1500);
    cr_assert(eq(int, sent(message("t", "c"), NULL), ERR_FULL));
    purge_below("t", 1);
    OK(sent(message("t", "c"), NULL));
    cr_assert(eq(str, (char *)offsets("t", false), "1 2"));
    then_everything_is_given_back();
}

Test(quota, or_it_drops_those_that_are_too_old)
{
    given_topic("t", (struct topic_settings){ .max_age_ms = 1000,
                                              .overflow = STORE_OVERFLOW_DROP_OLDEST });
    OK(sent(message("t", "a"), NULL));
    OK(sent(message("t", "b"), NULL));
    clock_fake_wall_ms(NOW + 800);
    OK(sent(message("t", "c"), NULL));
    clock_fake_wall_ms(NOW + 1500);
    OK(sent(message("t", "d"), NULL));
    cr_assert(eq(str, (char *)offsets("t", false), "2 3"));
    cr_assert(eq(u64, state("t").counters.removed, 2));
    then_everything_is_given_back();
}

Test(quota, a_clock_that_goes_back_makes_no_message_old)
{
    given_topic("t", (struct topic_settings){ .max_age_ms = 1000 });
    OK(sent(message("t", "a"), NULL));
    clock_fake_wall_ms(NOW - 5000);
    OK(sent(message("t", "b"), NULL));
    then_everything_is_given_back();
}

/* ---- namespaces ---- */

static void given_namespace(const char *prefix, struct namespace_settings s)
{
    struct store_namespace *n;
    bool more;

    writer_stop(writer);
    OK(ops->begin(store));
    OK(ops->namespace_create(store, bytes_str(prefix), &s, NOW, &n));
    OK(ops->namespace_count(store, n, 1000, &more));
    OK(ops->commit(store));
    start_writer();
}

Test(quota, a_namespace_holds_so_much_in_all_its_topics)
{
    struct publish p;

    given_namespace("a/", (struct namespace_settings){ .max_bytes = 10 });
    OK(sent(message("a/1", "123456"), NULL));
    OK(sent(message("b", "any number of bytes"), NULL));
    cr_assert(eq(int, sent(message("a/2", "12345"), &p), ERR_FULL));
    cr_assert(eq(int, p.quota.limit, QUOTA_BYTES));
    cr_assert(eq(u64, p.quota.value, 10));
    cr_assert(eq(u16, p.quota.prefix_len, 2));
    cr_assert(not(p.quota.never));
    OK(sent(message("a/2", "1234"), NULL));
    cr_assert(eq(int, sent(message("a/1", "1"), NULL), ERR_FULL));
    then_everything_is_given_back();
}

Test(quota, a_topic_that_a_full_namespace_refuses_is_not_made)
{
    given_namespace("a/", (struct namespace_settings){ .max_messages = 1 });
    OK(sent(message("a/1", "x"), NULL));
    cr_assert(eq(int, sent(message("a/2", "x"), NULL), ERR_FULL));
    cr_assert(eq(u64, stats().topics, 1));
    then_everything_is_given_back();
}

Test(quota, of_namespaces_in_one_another_the_quotas_of_all_hold)
{
    struct publish p;

    given_namespace("a/", (struct namespace_settings){ .max_messages = 3 });
    given_namespace("a/b/", (struct namespace_settings){ .max_messages = 1 });
    OK(sent(message("a/b/1", "x"), NULL));
    cr_assert(eq(int, sent(message("a/b/1", "x"), &p), ERR_FULL));
    cr_assert(eq(u16, p.quota.prefix_len, 4));
    OK(sent(message("a/1", "x"), NULL));
    OK(sent(message("a/1", "x"), NULL));
    cr_assert(eq(int, sent(message("a/1", "x"), &p), ERR_FULL));
    cr_assert(eq(u16, p.quota.prefix_len, 2));
    then_everything_is_given_back();
}

Test(quota, a_topic_drops_its_own_for_its_namespaces_sake_if_that_is_enough)
{
    given_namespace("a/", (struct namespace_settings){ .max_messages = 4 });
    given_topic("a/ring", (struct topic_settings){ .overflow = STORE_OVERFLOW_DROP_OLDEST });
    OK(sent(batch("a/1", "x y"), NULL));
    OK(sent(batch("a/ring", "1 2"), NULL));
    OK(sent(message("a/ring", "3"), NULL));
    cr_assert(eq(str, (char *)offsets("a/ring", false), "1 2"));
    cr_assert(eq(int, sent(batch("a/ring", "4 5 6"), NULL), ERR_FULL));
    cr_assert(eq(str, (char *)offsets("a/ring", false), "1 2"));
    cr_assert(eq(str, (char *)offsets("a/1", false), "0 1"));
    then_everything_is_given_back();
}

Test(quota, topics_may_be_so_many_in_a_namespace)
{
    struct publish p;

    given_namespace("a/", (struct namespace_settings){ .max_topics = 1 });
    OK(sent(message("a/1", "x"), NULL));
    OK(sent(message("a/1", "x"), NULL));
    cr_assert(eq(int, sent(message("a/2", "x"), &p), ERR_FULL));
    cr_assert(eq(int, p.quota.limit, QUOTA_TOPICS));
    cr_assert(eq(u16, p.quota.prefix_len, 2));
    OK(sent(message("b", "x"), NULL));
    then_everything_is_given_back();
}

Test(quota, topics_may_be_so_many_in_all)
{
    struct publish p;

    writer_stop(writer);
    start_writer_with(2);
    OK(sent(message("1", "x"), NULL));
    OK(sent(message("2", "x"), NULL));
    cr_assert(eq(int, sent(message("3", "x"), &p), ERR_FULL));
    cr_assert(eq(int, p.quota.limit, QUOTA_TOPICS));
    cr_assert(eq(u64, p.quota.value, 2));
    cr_assert(eq(u16, p.quota.prefix_len, 0));
    OK(sent(message("2", "x"), NULL));
    then_everything_is_given_back();
}

Test(quota, the_narrowest_namespace_that_has_a_ttl_stands_in_for_the_topics)
{
    struct publish p;

    given_namespace("a", (struct namespace_settings){ .ttl_ms = 1000 });
    given_namespace("a/", (struct namespace_settings){ .ttl_ms = 500 });
    given_namespace("a/b/", (struct namespace_settings){ .max_topics = 9 });
    given_topic("a/own", (struct topic_settings){ .ttl_ms = 7000 });
    OK(sent(message("a1", "x"), &p));
    cr_assert(eq(i64, p.expires_ms, NOW + 1000));
    OK(sent(message("a/b/1", "x"), &p));
    cr_assert(eq(i64, p.expires_ms, NOW + 500));
    OK(sent(message("a/own", "x"), &p));
    cr_assert(eq(i64, p.expires_ms, NOW + 7000));
    struct publish *longer = message("a/1", "x");

    longer->one.has_ttl = true;
    longer->one.ttl_ms = 9000;
    OK(sent(longer, &p));
    cr_assert(eq(i64, p.expires_ms, NOW + 500)); /* it is a cap, too */
    OK(sent(message("b", "x"), &p));
    cr_assert(eq(i64, p.expires_ms, 0));
    then_everything_is_given_back();
}

/* ---- hold ---- */

static bool marked(const char *name)
{
    return places_marked(places, waiters_slot(bytes_str(name)));
}

Test(quota, a_topic_that_holds_refuses_like_others_and_is_marked_for_those_to_come)
{
    struct publish p;

    given_topic("t", (struct topic_settings){ .max_messages = 1,
                                              .overflow = STORE_OVERFLOW_HOLD });
    OK(sent(message("u", "x"), NULL));
    cr_assert(not(marked("u")));
    cr_assert(not(marked("t")));
    OK(sent(message("t", "x"), NULL));
    cr_assert(marked("t"));
    cr_assert(eq(int, sent(message("t", "x"), &p), ERR_FULL));
    cr_assert(eq(int, p.quota.overflow, STORE_OVERFLOW_HOLD));
    then_everything_is_given_back();
}

Test(quota, so_is_each_topic_of_a_namespace_that_holds)
{
    given_namespace("a/", (struct namespace_settings){ .max_messages = 1,
                                                       .overflow = STORE_OVERFLOW_HOLD });
    OK(sent(message("a/1", "x"), NULL));
    cr_assert(marked("a/1"));
    cr_assert(eq(int, sent(message("a/2", "x"), NULL), ERR_FULL));
    cr_assert(marked("a/2"));
    then_everything_is_given_back();
}
