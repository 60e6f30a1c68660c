#include "heap.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define MIB    ((uint64_t)1 << 20)
#define SECOND INT64_C(1000000)

static struct heap heap;
static struct heap_sight now;

static void given_a_process_of_ten_mib_and_a_limit_of_a_hundred(void)
{
    now = (struct heap_sight){ .anon_bytes = 10 * MIB, .used_bytes = 2 * MIB };
    heap_init(&heap, 100 * MIB, &now);
}

/* A second goes by; `cpu_percent` of one core were used in it. */
static bool is_due_after_a_second(uint64_t anon_bytes, uint64_t used_bytes, int cpu_percent)
{
    now.now_us += SECOND;
    now.cpu_us += SECOND / 100 * cpu_percent;
    now.anon_bytes = anon_bytes;
    now.used_bytes = used_bytes;
    return heap_is_moment(&heap, &now) && heap_has_gain(&heap, &now);
}

static void given_back_down_to(uint64_t anon_bytes)
{
    now.anon_bytes = anon_bytes;
    heap_given(&heap, &now);
}

TestSuite(heap, .init = given_a_process_of_ten_mib_and_a_limit_of_a_hundred);

Test(heap, is_left_alone_while_it_does_not_grow)
{
    cr_assert(not(is_due_after_a_second(10 * MIB, 2 * MIB, 0)));
    cr_assert(not(is_due_after_a_second(11 * MIB, 2 * MIB, 0)));
}

Test(heap, is_left_alone_while_what_has_grown_is_used)
{
    cr_assert(not(is_due_after_a_second(50 * MIB, 42 * MIB, 0)));
}

Test(heap, whose_blocks_were_freed_is_given_back)
{
    cr_assert(not(is_due_after_a_second(50 * MIB, 42 * MIB, 0)));
    cr_assert(is_due_after_a_second(50 * MIB, 2 * MIB, 0));
    given_back_down_to(10 * MIB);
    cr_assert(not(is_due_after_a_second(10 * MIB, 2 * MIB, 0)));
}

/* Otherwise the large blocks' going would look like the gain that it hides. */
Test(heap, counts_large_blocks_as_used)
{
    struct heap_sight with, without;
    char *large = malloc(32 * MIB);

    cr_assert(ne(ptr, large, NULL));
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer has its own allocator");
#endif
    heap_count_used(&with);
    free(large);
    heap_count_used(&without);
    cr_assert(ge(u64, with.used_bytes, without.used_bytes + 32 * MIB));
}

Test(heap, that_has_grown_is_left_alone_under_load)
{
    cr_assert(not(is_due_after_a_second(60 * MIB, 2 * MIB, 20)));
    cr_assert(not(is_due_after_a_second(60 * MIB, 2 * MIB, 190)));
    cr_assert(is_due_after_a_second(60 * MIB, 2 * MIB, 19), "the load is over");
}

Test(heap, is_not_searched_twice_for_what_is_not_there)
{
    cr_assert(is_due_after_a_second(40 * MIB, 2 * MIB, 0));
    given_back_down_to(39 * MIB);
    cr_assert(not(is_due_after_a_second(40 * MIB, 2 * MIB, 0)));
}

Test(heap, grows_from_the_least_it_was)
{
    cr_assert(is_due_after_a_second(40 * MIB, 2 * MIB, 0));
    given_back_down_to(39 * MIB);
    cr_assert(not(is_due_after_a_second(12 * MIB, 2 * MIB, 0)), "it shrank by itself");
    cr_assert(is_due_after_a_second(14 * MIB, 2 * MIB, 0));
}

Test(heap, near_the_limit_is_given_back_under_load_as_well)
{
    for (int i = 1; i < 10; i++)
        cr_assert(not(is_due_after_a_second(76 * MIB, 40 * MIB, 190)), "%d s after the start", i);
    cr_assert(is_due_after_a_second(76 * MIB, 40 * MIB, 190));
    given_back_down_to(70 * MIB);
    cr_assert(not(is_due_after_a_second(80 * MIB, 40 * MIB, 190)), "not twice in ten seconds");
}

Test(heap, below_three_quarters_of_the_limit_waits_for_the_end_of_the_load)
{
    for (int i = 1; i < 20; i++)
        cr_assert(not(is_due_after_a_second(75 * MIB, 2 * MIB, 190)), "%d s after the start", i);
}

Test(heap, sees_its_memory_and_its_time)
{
    struct heap_sight before, after;
    char *block = malloc(8 * MIB);

    heap_sight_now(&before);
    memset(block, 1, 8 * MIB);
    heap_sight_now(&after);
    cr_assert(ge(u64, after.anon_bytes, before.anon_bytes + 7 * MIB));
    cr_assert(gt(i64, after.cpu_us, before.cpu_us));
    cr_assert(gt(i64, after.now_us, before.now_us));
    free(block);
}

/* Small blocks with one in use at the end of them: nothing that `free` would give back. */
Test(heap, gives_back_what_lies_between_used_blocks)
{
    static void *blocks[4096];
    struct heap_sight full, after;

#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer keeps freed memory");
#endif
    heap_set_up();
    for (unsigned i = 0; i < 4096; i++)
        blocks[i] = memset(malloc(4000), 1, 4000);
    heap_sight_now(&full);
    heap_count_used(&full);
    heap_init(&heap, 100 * MIB, &full);
    for (unsigned i = 0; i < 4095; i++)
        free(blocks[i]);
    heap.looked_us -= 100 * SECOND; /* quiet since */
    heap_look(&heap);
    heap_sight_now(&after);
    cr_assert(le(u64, after.anon_bytes, full.anon_bytes - 12 * MIB));
    free(blocks[4095]);
}
