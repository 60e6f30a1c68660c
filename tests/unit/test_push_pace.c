#include "push/pace.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define FIRST_PAUSE (PUSH_PAUSE_LEAST_MS + PUSH_PAUSE_BESIDE_MS)

static struct push_pace proven(void)
{
    struct push_pace p = { 0 };

    push_pace_taken(&p);
    return p;
}

Test(push_pace, sends_one_at_a_time_until_the_first_is_taken)
{
    struct push_pace p = { 0 };

    cr_assert(eq(uint, push_pace_room(&p, 4, 0), 1));
    push_pace_taken(&p);
    cr_assert(eq(uint, push_pace_room(&p, 4, 0), 4));
}

Test(push_pace, pauses_at_once_when_nobody_answers)
{
    struct push_pace p = proven();

    push_pace_silent(&p, 1000);
    cr_assert(eq(uint, push_pace_room(&p, 4, 1000 + FIRST_PAUSE - 1), 0));
    cr_assert(eq(uint, push_pace_room(&p, 4, 1000 + FIRST_PAUSE), 1));
}

Test(push_pace, pauses_twice_as_long_each_time_and_a_minute_at_most)
{
    struct push_pace p = proven();
    static const int64_t seconds[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
    int64_t now = 0;

    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        push_pace_silent(&p, now);
        cr_assert(eq(i64, p.until_ms, now + seconds[i] * 1000 + PUSH_PAUSE_BESIDE_MS));
        now = p.until_ms;
    }
    for (int i = 0; i < 100000; i++, now = p.until_ms)
        push_pace_silent(&p, now);
    push_pace_silent(&p, now);
    cr_assert(eq(i64, p.until_ms, now + 60000 + PUSH_PAUSE_BESIDE_MS));
}

Test(push_pace, counts_those_that_fail_together_as_one)
{
    struct push_pace p = proven();

    for (int i = 0; i < 4; i++)
        push_pace_silent(&p, 1000);
    cr_assert(eq(i64, p.until_ms, 1000 + FIRST_PAUSE));
}

Test(push_pace, lets_an_endpoint_refuse_a_message_or_four)
{
    struct push_pace p = proven();

    for (unsigned i = 0; i < PUSH_REFUSALS_MOST - 1; i++)
        push_pace_refused(&p, 0, 0);
    cr_assert(eq(uint, push_pace_room(&p, 4, 0), 4));
    push_pace_refused(&p, 0, 0);
    cr_assert(eq(uint, push_pace_room(&p, 4, 0), 0));
    cr_assert(eq(uint, push_pace_room(&p, 4, FIRST_PAUSE), 1));
    push_pace_refused(&p, 0, FIRST_PAUSE); /* the one that it was tried with */
    cr_assert(eq(uint, push_pace_room(&p, 4, FIRST_PAUSE + 1999), 0));
}

Test(push_pace, is_as_before_when_one_is_taken)
{
    struct push_pace p = proven();

    push_pace_silent(&p, 0);
    push_pace_silent(&p, 5000);
    push_pace_taken(&p);
    cr_assert(eq(uint, push_pace_room(&p, 4, 5001), 4));
    cr_assert(not(push_pace_doubtful(&p)));
}

Test(push_pace, waits_as_long_as_it_is_asked_to)
{
    struct push_pace p = proven();

    push_pace_refused(&p, 3000, 1000);
    cr_assert(eq(uint, push_pace_room(&p, 4, 3999), 0));
    cr_assert(eq(uint, push_pace_room(&p, 4, 4000), 4));
}

Test(push_pace, retries_by_the_backoff_of_the_subscription)
{
    struct sub_settings s = { .backoffs = 2, .backoff_ms = { 10, 500 } };

    cr_assert(eq(u64, push_pace_retry_ms(&s, 1, 0), 10));
    cr_assert(eq(u64, push_pace_retry_ms(&s, 7, 0), 500));
    cr_assert(eq(u64, push_pace_retry_ms(&s, 1, 3000), 3000));
    cr_assert(eq(u64, push_pace_retry_ms(&s, 7, 1), 500));
}

Test(push_pace, retries_after_a_second_and_then_twice_as_long_where_there_is_no_backoff)
{
    struct sub_settings s = { 0 };

    cr_assert(eq(u64, push_pace_retry_ms(&s, 1, 0), 1000));
    cr_assert(eq(u64, push_pace_retry_ms(&s, 2, 0), 2000));
    cr_assert(eq(u64, push_pace_retry_ms(&s, 7, 0), 60000));
    cr_assert(eq(u64, push_pace_retry_ms(&s, 4000000000u, 0), 60000));
}
