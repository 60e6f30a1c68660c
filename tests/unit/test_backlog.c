#include "backlog.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#define JOBS_MAX 64

static struct backlog waiting;
static struct job_chain arrived, turn;
static struct job jobs[JOBS_MAX];
static unsigned count;

static void open_backlog(void)
{
    count = 0;
    job_chain_init(&arrived);
    job_chain_init(&turn);
    cr_assert(eq(int, backlog_init(&waiting), ERR_OK));
}

static void close_backlog(void)
{
    backlog_fini(&waiting);
}

TestSuite(backlog, .init = open_backlog, .fini = close_backlog);

static void arrive(unsigned caller, size_t cost, unsigned times)
{
    while (times--) {
        cr_assert(count < JOBS_MAX);
        jobs[count] = (struct job){ .cost = cost, .flow = { caller, 1 } };
        job_chain_add(&arrived, &jobs[count++]);
    }
}

/* The callers of the jobs of a turn, in order, as digits. */
static const char *take(size_t most, size_t bytes)
{
    static char word[JOBS_MAX + 1];
    struct backlog_taken taken = backlog_take(&waiting, &arrived, &turn, most, bytes);
    struct job *j;
    size_t n = 0, costs = 0;

    while ((j = job_chain_take(&turn))) {
        word[n++] = (char)('0' + j->flow.caller);
        costs += j->cost;
    }
    word[n] = 0;
    cr_assert(eq(sz, n, taken.jobs));
    cr_assert(eq(sz, costs, taken.bytes));
    return word;
}

Test(backlog, all_that_fit_go_as_they_came)
{
    arrive(1, 10, 3);
    arrive(2, 10, 1);
    arrive(1, 10, 1);
    cr_assert(eq(str, (char *)take(10, 50), "11121"));
    cr_assert(eq(sz, waiting.waiting, 0));
}

Test(backlog, a_late_small_one_passes_a_crowd_that_fills_turns)
{
    arrive(1, 100000, 10);
    cr_assert(eq(str, (char *)take(100, 200000), "11"));
    arrive(2, 100, 1);
    cr_assert(eq(str, (char *)take(100, 200000), "21"));
    cr_assert(eq(str, (char *)take(100, 200000), "11"));
}

Test(backlog, one_that_is_larger_than_a_turn_goes_alone)
{
    arrive(1, 500, 1);
    arrive(1, 10, 1);
    cr_assert(eq(str, (char *)take(100, 200), "1"));
    cr_assert(eq(str, (char *)take(100, 200), "1"));
    cr_assert(eq(str, (char *)take(100, 200), ""));
}

Test(backlog, a_turn_has_no_more_jobs_than_it_may)
{
    arrive(3, 1, 7);
    cr_assert(eq(str, (char *)take(3, 1000), "333"));
    cr_assert(eq(str, (char *)take(3, 1000), "333"));
    cr_assert(eq(str, (char *)take(3, 1000), "3"));
}

Test(backlog, within_a_flow_nobody_is_passed_whatever_turns_take)
{
    struct job *last = NULL, *j;

    arrive(1, 30, 20);
    arrive(2, 10, 20);
    for (int turns = 0; turns < 40; turns++) {
        if (turns == 5)
            arrive(1, 20, 5);
        backlog_take(&waiting, &arrived, &turn, 4, 64);
        while ((j = job_chain_take(&turn))) {
            if (j->flow.caller != 1)
                continue;
            cr_assert(j > last);
            last = j;
        }
    }
    cr_assert(eq(ptr, last, &jobs[44]));
    cr_assert(eq(sz, waiting.waiting, 0));
}
