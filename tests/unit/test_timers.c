#include "timers.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#define OK(call) cr_assert(eq(int, (call), ERR_OK))
#define MANY 500

static struct timers heap;
static struct timer many[MANY];
static int64_t last_fired_ms;
static unsigned fired;

static void note(struct timer *t)
{
    cr_assert(t->at_ms >= last_fired_ms, "%lld fired after %lld", (long long)t->at_ms,
              (long long)last_fired_ms);
    cr_assert(eq(sz, t->place, 0)); /* not set any more */
    last_fired_ms = t->at_ms;
    fired++;
}

static void given_timers(void)
{
    for (unsigned i = 0; i < MANY; i++)
        many[i] = (struct timer){ .fire = note };
}

TestSuite(timers, .init = given_timers, .fini = NULL, .timeout = 20);

Test(timers, none_is_set_at_first)
{
    cr_assert(eq(i64, timers_next(&heap, 5), -1));
    cr_assert(not(timers_fire(&heap, INT64_MAX)));
    timers_clear(&heap, &many[0]);
    timers_fini(&heap);
}

Test(timers, fire_at_their_millisecond_and_not_before)
{
    OK(timers_set(&heap, &many[0], 100));
    cr_assert(eq(i64, timers_next(&heap, 30), 70));
    cr_assert(not(timers_fire(&heap, 99)));
    cr_assert(eq(i64, timers_next(&heap, 100), 0));
    cr_assert(timers_fire(&heap, 100));
    cr_assert(eq(uint, fired, 1));
    cr_assert(not(timers_fire(&heap, 200)));
    timers_fini(&heap);
}

Test(timers, setting_again_moves_it)
{
    OK(timers_set(&heap, &many[0], 100));
    OK(timers_set(&heap, &many[1], 200));
    OK(timers_set(&heap, &many[0], 300));
    cr_assert(eq(i64, timers_next(&heap, 0), 200));
    cr_assert(timers_fire(&heap, 250));
    cr_assert(eq(uint, fired, 1));
    cr_assert(eq(i64, timers_next(&heap, 250), 50));
    timers_fini(&heap);
}

Test(timers, a_cleared_one_does_not_fire)
{
    OK(timers_set(&heap, &many[0], 100));
    OK(timers_set(&heap, &many[1], 100));
    timers_clear(&heap, &many[0]);
    timers_clear(&heap, &many[0]);
    cr_assert(timers_fire(&heap, 100));
    cr_assert(eq(uint, fired, 1));
    timers_fini(&heap);
}

static void set_again_later(struct timer *t)
{
    fired++;
    OK(timers_set(&heap, t, t->at_ms + 50));
}

Test(timers, one_that_sets_itself_again_fires_once_in_each_period)
{
    many[0].fire = set_again_later;
    OK(timers_set(&heap, &many[0], 100));
    cr_assert(timers_fire(&heap, 120));
    cr_assert(eq(uint, fired, 1));
    cr_assert(eq(i64, timers_next(&heap, 120), 30));
    timers_fini(&heap);
}

static void clear_the_next(struct timer *t)
{
    fired++;
    timers_clear(&heap, t + 1);
}

Test(timers, one_may_clear_another_that_is_due_as_well)
{
    many[0].fire = clear_the_next;
    OK(timers_set(&heap, &many[0], 100));
    OK(timers_set(&heap, &many[1], 101));
    cr_assert(timers_fire(&heap, 500));
    cr_assert(eq(uint, fired, 1));
    timers_fini(&heap);
}

static unsigned random_state = 1;

static unsigned any(unsigned below)
{
    return (unsigned)rand_r(&random_state) % below;
}

static unsigned count_set(int64_t until_ms)
{
    unsigned n = 0;

    for (unsigned i = 0; i < MANY; i++)
        n += many[i].place && many[i].at_ms <= until_ms;
    return n;
}

static void heap_is_in_order(void)
{
    for (size_t i = 1; i <= heap.count; i++) {
        cr_assert(eq(sz, heap.heap[i]->place, i));
        cr_assert(heap.heap[i / 2 ? i / 2 : 1]->at_ms <= heap.heap[i]->at_ms);
    }
    cr_assert(eq(uint, count_set(INT64_MAX), (unsigned)heap.count));
}

static void any_step(int64_t *now_ms)
{
    struct timer *t = &many[any(MANY)];
    unsigned due;

    if (any(10) < 6) {
        OK(timers_set(&heap, t, *now_ms + any(1000)));
    } else if (any(10) < 9) {
        timers_clear(&heap, t);
    } else {
        *now_ms += any(100);
        due = count_set(*now_ms);
        fired = 0;
        cr_assert(eq(int, timers_fire(&heap, *now_ms), due > 0));
        cr_assert(eq(uint, fired, due));
    }
}

/* Seeded: the same walk every time. */
Test(timers, fire_in_order_whatever_was_set_and_cleared_before)
{
    int64_t now_ms = 0;

    for (unsigned i = 0; i < 20000; i++) {
        any_step(&now_ms);
        if (i % 50 == 0)
            heap_is_in_order();
    }
    fired = 0;
    cr_assert(eq(uint, count_set(INT64_MAX), (unsigned)heap.count));
    cr_assert(timers_fire(&heap, INT64_MAX));
    cr_assert(eq(sz, heap.count, 0));
    timers_fini(&heap);
}
