/* A log with holes, in which each set wants what a rule says, is walked again and again: who is told
 * to pass over messages never misses one that is wanted, and in the end looks at little else. */
#include "mercure/known.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define LOG 20000u

static struct mercure_known known;
static unsigned looks;

static bool is_there(uint64_t offset)
{
    return offset % 7 != 3 && offset % 1000 > 40;
}

static bool wants(uint64_t set, uint64_t offset)
{
    return offset * 2654435761u / 7 % 97 == set % 97;
}

/* As a subscriber who is behind does; it stops after so many looks. Where it stands then. */
static uint64_t walk(uint64_t set, uint64_t begin, unsigned most)
{
    uint64_t at = begin, expected = begin;

    while (most-- && at < LOG) {
        uint64_t next = mercure_known_next(&known, set, at), m;

        cr_assert(next >= at);
        for (m = next; m < LOG && !is_there(m); m++)
            ;
        for (; expected < m && expected < LOG; expected++)
            cr_assert(not(is_there(expected) && wants(set, expected)), "set %u misses %u",
                      (unsigned)set, (unsigned)expected);
        if (m == LOG)
            return LOG;
        looks++;
        mercure_known_learn(&known, set, next, m, wants(set, m));
        expected = at = m + 1;
    }
    return at;
}

Test(mercure_known, nothing_that_is_wanted_is_passed_over)
{
    uint64_t seed = 1;

    for (unsigned i = 0; i < 3000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        walk(1 + (seed >> 33) % 5, (seed >> 40) % LOG, (unsigned)(seed >> 20) % 600);
    }
}

Test(mercure_known, the_second_looks_at_what_it_wants)
{
    unsigned first, wanted = 0;

    looks = 0;
    walk(1, 100, LOG);
    first = looks;
    looks = 0;
    walk(1, 117, LOG); /* in the middle of a cell */
    for (uint64_t m = 117; m < LOG; m++)
        wanted += is_there(m) && wants(1, m);
    cr_assert(gt(uint, wanted, 100));
    cr_assert(ge(uint, looks, wanted));
    /* and, in each cell, once behind what is known of it: a hole at its end */
    cr_assert(le(uint, looks, wanted + LOG / MERCURE_KNOWN_CELL + 1));
    cr_assert(gt(uint, first, 10 * looks));
}

Test(mercure_known, sets_know_nothing_of_each_other)
{
    walk(1, 0, LOG);
    cr_assert(eq(u64, mercure_known_next(&known, 2, 500), 500));
}
