#include "rate.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>

#define SECOND 1000000 /* microseconds, like all times here */
#define MS     1000

static struct rate *rate;
static struct rate_limits limits;
static struct rate_refusal why;
static int64_t now;

static void given_no_limits(void)
{
    now = 5 * SECOND;
    limits = (struct rate_limits){ .burst_us = SECOND };
    rate = rate_new(64 << 10);
    rate_set(rate, &limits, now);
}

TestSuite(rate, .init = given_no_limits);

static void given(enum rate_scope scope, enum rate_unit unit, uint64_t per_s)
{
    limits.per_s[scope][unit] = per_s;
    rate_set(rate, &limits, now);
}

static void given_a_burst_of(int64_t us)
{
    limits.burst_us = us;
    rate_set(rate, &limits, now);
}

/* One request, kept in `ticket` until the next. */
static struct rate_ticket ticket;

static bool asks(const char *topic, const char *caller, uint64_t messages, uint64_t bytes)
{
    uint64_t cost[RATE_UNITS] = { messages, bytes };

    return rate_admit(rate, &ticket, bytes_str(topic), bytes_str(caller), cost, now,
                      &why) == ERR_OK;
}

static bool publishes(const char *topic, uint64_t bytes)
{
    return asks(topic, "somebody", 1, bytes);
}

static unsigned how_many_pass(const char *topic)
{
    unsigned n = 0;

    while (n < 10000 && publishes(topic, 10))
        n++;
    return n;
}

/* ---- the bucket ---- */

Test(rate, without_a_limit_everybody_passes)
{
    cr_assert(not(rate_on(rate)));
    cr_assert(eq(uint, how_many_pass("a"), 10000));
}

Test(rate, a_full_bucket_holds_a_burst)
{
    given(RATE_TOPIC, RATE_MESSAGES, 100);
    cr_assert(eq(uint, how_many_pass("a"), 100));
    given_a_burst_of(250 * MS);
    now += 10 * SECOND;
    cr_assert(eq(uint, how_many_pass("a"), 25));
}

Test(rate, tokens_come_back_with_time)
{
    given(RATE_BROKER, RATE_MESSAGES, 100);
    how_many_pass("a");
    now += 50 * MS;
    cr_assert(eq(uint, how_many_pass("a"), 5));
    now += 50 * MS;
    cr_assert(eq(uint, how_many_pass("b"), 5));
}

Test(rate, a_message_larger_than_the_bucket_passes_and_is_paid_afterwards)
{
    given(RATE_BROKER, RATE_BYTES, 1000);
    cr_assert(publishes("a", 1) && publishes("a", 5000));
    cr_assert(not(publishes("a", 1)));
    now += 4 * SECOND;
    cr_assert(not(publishes("a", 1)));
    now += 2 * MS;
    cr_assert(publishes("a", 1));
}

Test(rate, a_batch_is_charged_when_its_messages_are_known)
{
    given(RATE_TOPIC, RATE_MESSAGES, 10);
    cr_assert(publishes("a", 1));
    rate_take(&ticket, RATE_MESSAGES, 29, now);
    cr_assert(not(publishes("a", 1)));
    cr_assert(eq(u64, why.retry_s, 3)); /* 30 were taken of 10: the first comes after 2 s */
    now += 2 * SECOND + MS;
    cr_assert(publishes("a", 1));
}

Test(rate, a_debt_beyond_reason_does_not_overflow)
{
    given(RATE_BROKER, RATE_BYTES, 1);
    cr_assert(publishes("a", UINT64_MAX));
    for (int i = 0; i < 100; i++)
        rate_take(&ticket, RATE_BYTES, UINT64_MAX, now);
    cr_assert(not(publishes("a", 1)));
    cr_assert(gt(u64, why.retry_s, 900000000));
}

/* ---- accuracy ---- */

/* Offers `offered` messages of `bytes` a second for ten; the sum of what passed. */
static uint64_t passes_in_ten_seconds(uint64_t offered, uint64_t bytes)
{
    int64_t step = SECOND / (int64_t)offered;
    uint64_t passed = 0;

    for (int64_t end = now + 10 * SECOND; now < end; now += step)
        passed += publishes("a", bytes);
    return passed;
}

Test(rate, is_within_five_percent_over_ten_seconds_of_twice_the_messages)
{
    uint64_t passed;

    given_a_burst_of(250 * MS);
    given(RATE_TOPIC, RATE_MESSAGES, 100);
    passed = passes_in_ten_seconds(200, 10);
    cr_assert(all(ge(u64, passed, 1000), le(u64, passed, 1050)));
}

Test(rate, is_within_five_percent_over_ten_seconds_of_twice_the_bytes)
{
    uint64_t passed;

    given_a_burst_of(250 * MS);
    given(RATE_CALLER, RATE_BYTES, 1 << 20);
    passed = passes_in_ten_seconds(200, 10486) * 10486;
    cr_assert(all(ge(u64, passed, 10 << 20), le(u64, passed, (10 << 20) / 20 * 21)));
}

/* ---- whose bucket ---- */

Test(rate, topics_have_buckets_of_their_own)
{
    given(RATE_TOPIC, RATE_MESSAGES, 10);
    cr_assert(eq(uint, how_many_pass("a"), 10));
    cr_assert(eq(uint, how_many_pass("b"), 10));
}

Test(rate, callers_have_buckets_of_their_own)
{
    given(RATE_CALLER, RATE_MESSAGES, 1);
    cr_assert(asks("t", "10.0.0.1", 1, 1));
    cr_assert(not(asks("u", "10.0.0.1", 1, 1)));
    cr_assert(asks("t", "10.0.0.2", 1, 1));
}

Test(rate, the_strictest_limit_decides_and_nobody_else_pays_for_a_refusal)
{
    given(RATE_BROKER, RATE_MESSAGES, 100);
    given(RATE_TOPIC, RATE_MESSAGES, 10);
    cr_assert(eq(uint, how_many_pass("a"), 10));
    for (int i = 0; i < 1000; i++)
        cr_assert(not(publishes("a", 1)));
    cr_assert(eq(uint, how_many_pass("b"), 10));
    cr_assert(eq(int, why.scope, RATE_TOPIC));
}

Test(rate, a_refusal_says_which_limit_and_when)
{
    given(RATE_BROKER, RATE_MESSAGES, 10);
    given(RATE_CALLER, RATE_BYTES, 1000);
    cr_assert(publishes("a", 7500));
    cr_assert(not(publishes("b", 1)));
    cr_assert(eq(int, why.scope, RATE_CALLER));
    cr_assert(eq(int, why.unit, RATE_BYTES));
    cr_assert(eq(u64, why.per_s, 1000));
    cr_assert(eq(u64, why.retry_s, 7));
    cr_assert(eq(u64, rate_refused(rate, RATE_CALLER), 1));
    cr_assert(eq(u64, rate_refused(rate, RATE_BROKER), 0));
}

Test(rate, who_waits_as_told_is_admitted)
{
    static const uint64_t bytes[] = { 1, 999, 1000, 1001, 12345, 100000 };

    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        given(RATE_BROKER, RATE_BYTES, 1000);
        while (publishes("a", bytes[i]))
            ;
        now += (int64_t)(why.retry_s - 1) * SECOND;
        cr_expect(not(publishes("a", 1)));
        now += SECOND;
        cr_expect(publishes("a", 1));
        now += 1000 * SECOND;
    }
}

/* ---- giving back ---- */

Test(rate, a_request_refused_for_another_reason_gets_its_tokens_back)
{
    given(RATE_BROKER, RATE_BYTES, 1000);
    given(RATE_TOPIC, RATE_MESSAGES, 1);
    cr_assert(publishes("a", 50000));
    rate_give_back(&ticket);
    cr_assert(publishes("a", 50000));
    cr_assert(not(publishes("a", 1)));
}

Test(rate, tokens_are_given_back_once_and_not_when_they_are_spent)
{
    given(RATE_TOPIC, RATE_MESSAGES, 2);
    cr_assert(publishes("a", 1) && publishes("a", 1));
    rate_give_back(&ticket);
    rate_give_back(&ticket);
    cr_assert(publishes("a", 1));
    rate_spend(&ticket);
    rate_give_back(&ticket);
    cr_assert(not(publishes("a", 1)));
}

/* ---- changing ---- */

static void learns(const char *topic, uint64_t messages, uint64_t bytes)
{
    uint64_t own[RATE_UNITS] = { messages, bytes };

    rate_learn(rate, bytes_str(topic), own, now);
}

Test(rate, a_higher_limit_pays_a_debt_sooner)
{
    given(RATE_TOPIC, RATE_MESSAGES, 1);
    cr_assert(publishes("a", 1));
    rate_take(&ticket, RATE_MESSAGES, 1000, now);
    cr_assert(not(publishes("a", 1)));
    cr_assert(eq(u64, why.retry_s, 1001));
    given(RATE_TOPIC, RATE_MESSAGES, 1000); /* of which a full bucket holds as many */
    cr_assert(not(publishes("a", 1)));
    cr_assert(eq(u64, why.retry_s, 2)); /* a second, and a nanosecond for the token */
    now += SECOND;
    cr_assert(not(publishes("a", 1)));
    now += 1;
    cr_assert(publishes("a", 1));
}

Test(rate, a_lower_limit_puts_nobody_in_debt)
{
    given(RATE_TOPIC, RATE_MESSAGES, 100);
    for (int i = 0; i < 60; i++)
        cr_assert(publishes("a", 1));
    given(RATE_TOPIC, RATE_MESSAGES, 10);
    cr_assert(eq(uint, how_many_pass("a"), 4)); /* as full as it was: two fifths */
}

Test(rate, a_lower_limit_keeps_a_debt_in_messages)
{
    given(RATE_TOPIC, RATE_MESSAGES, 100);
    cr_assert(publishes("a", 1));
    rate_take(&ticket, RATE_MESSAGES, 149, now); /* 100 held, 50 owed */
    given(RATE_TOPIC, RATE_MESSAGES, 10);
    cr_assert(not(publishes("a", 1)));
    cr_assert(eq(u64, why.retry_s, 6)); /* five seconds, and a nanosecond */
}

Test(rate, another_burst_neither_forgives_a_debt_nor_makes_one)
{
    given(RATE_TOPIC, RATE_MESSAGES, 100);
    learns("own", 100, 0);
    cr_assert(publishes("own", 1));
    rate_take(&ticket, RATE_MESSAGES, 599, now);
    cr_assert(publishes("a", 1));
    rate_take(&ticket, RATE_MESSAGES, 599, now); /* five seconds owed, both */
    for (int i = 0; i < 60; i++)
        cr_assert(publishes("b", 1));
    given_a_burst_of(10 * SECOND);
    cr_assert(not(publishes("own", 1)));
    cr_assert(eq(u64, why.retry_s, 6));
    cr_assert(not(publishes("a", 1)));
    cr_assert(eq(u64, why.retry_s, 6));
    given_a_burst_of(SECOND / 10);
    cr_assert(not(publishes("a", 1)));
    cr_assert(eq(u64, why.retry_s, 6));
    cr_assert(not(publishes("b", 1))); /* empty, as such a bucket is now */
    now += 1;
    cr_assert(publishes("b", 1));
}

Test(rate, a_limit_that_is_taken_away_takes_its_debts_along)
{
    given(RATE_BROKER, RATE_MESSAGES, 1);
    how_many_pass("a");
    given(RATE_BROKER, RATE_MESSAGES, 0);
    cr_assert(eq(uint, how_many_pass("a"), 10000));
    given(RATE_BROKER, RATE_MESSAGES, 1);
    cr_assert(publishes("a", 1));
}

Test(rate, a_limit_that_comes_while_a_body_comes_leaves_it_alone)
{
    cr_assert(publishes("a", 1));
    given(RATE_TOPIC, RATE_BYTES, 1);
    rate_take(&ticket, RATE_BYTES, 1000, now);
    cr_assert(publishes("a", 1));
}

/* ---- a topic's own limits ---- */

Test(rate, a_topics_own_limit_stands_in_place_of_the_brokers)
{
    given(RATE_TOPIC, RATE_MESSAGES, 10);
    learns("a", 20, 0);
    learns("b", RATE_NONE, 0);
    cr_assert(eq(uint, how_many_pass("a"), 20));
    cr_assert(eq(int, why.own, true));
    cr_assert(eq(u64, why.per_s, 20));
    cr_assert(eq(uint, how_many_pass("b"), 10000));
    cr_assert(eq(uint, how_many_pass("c"), 10));
    cr_assert(eq(int, why.own, false));
}

Test(rate, a_topics_own_limit_holds_where_the_broker_has_none)
{
    learns("a", 0, 1000);
    cr_assert(rate_on(rate));
    cr_assert(publishes("a", 5000));
    cr_assert(not(publishes("a", 1)));
    cr_assert(publishes("b", 1000000) && publishes("b", 1));
    learns("a", 0, 0);
    cr_assert(publishes("a", 1));
}

Test(rate, a_topics_debt_stays_what_it_is_when_its_own_limit_changes)
{
    learns("a", 1, 0);
    cr_assert(publishes("a", 1));
    rate_take(&ticket, RATE_MESSAGES, 1000, now);
    learns("a", 100, 0);
    cr_assert(not(publishes("a", 1)));
    cr_assert(eq(u64, why.retry_s, 11)); /* ten, and a nanosecond */
    given(RATE_TOPIC, RATE_MESSAGES, 7); /* not this topic's business */
    cr_assert(not(publishes("a", 1)));
    cr_assert(eq(u64, why.retry_s, 11));
}

/* ---- crowds ---- */

static void a_crowd_of(unsigned count)
{
    char name[32];

    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "crowd-%u", i);
        (void)asks(name, name, 1, 1);
    }
}

Test(rate, a_crowd_of_topics_and_callers_does_not_wipe_out_a_debt)
{
    given(RATE_CALLER, RATE_MESSAGES, 10);
    given(RATE_TOPIC, RATE_MESSAGES, 10);
    cr_assert(asks("a", "debtor", 1, 1));
    rate_take(&ticket, RATE_MESSAGES, 100000, now);
    a_crowd_of(100000);
    cr_assert(not(asks("b", "debtor", 1, 1)));
    cr_assert(not(asks("a", "another", 1, 1)));
}

Test(rate, a_crowd_that_has_gone_leaves_nothing_behind)
{
    given(RATE_CALLER, RATE_MESSAGES, 1);
    a_crowd_of(100000);
    now += 3000 * (int64_t)SECOND;
    for (int i = 0; i < 100; i++) {
        char name[32];

        snprintf(name, sizeof name, "newcomer-%d", i);
        cr_assert(asks("t", name, 1, 1));
    }
}

/* ---- what is shown ---- */

Test(rate, shows_what_is_left_and_when_it_is_full_again)
{
    struct rate_bucket b[RATE_SCOPES][RATE_UNITS];

    given(RATE_TOPIC, RATE_MESSAGES, 100);
    given(RATE_BROKER, RATE_BYTES, 1000);
    cr_assert(publishes("a", 5000));
    rate_look(&ticket, now, b);
    cr_assert(eq(u64, b[RATE_TOPIC][RATE_MESSAGES].left, 99));
    cr_assert(eq(u64, b[RATE_TOPIC][RATE_MESSAGES].wait_s, 1));
    cr_assert(eq(u64, b[RATE_BROKER][RATE_BYTES].left, 0));
    cr_assert(eq(u64, b[RATE_BROKER][RATE_BYTES].wait_s, 5)); /* and a nanosecond: 4 s */
    cr_assert(eq(u64, b[RATE_CALLER][RATE_BYTES].per_s, 0));
}
