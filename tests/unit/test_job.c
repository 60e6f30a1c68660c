/* A job is made of what pays for it, and of nothing else. */
#include "job.h"
#include "settle.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

TestSuite(job);

static struct ledger *ledger;
static struct grant paid;

static void given(size_t bytes)
{
    ledger = ledger_new(1 << 20);
    cr_assert(eq(int, ledger_reserve(ledger, bytes, &paid), ERR_OK));
}

static size_t used(void)
{
    struct ledger_figures f;

    ledger_read(ledger, &f);
    return f.used;
}

Test(job, takes_what_it_costs_from_what_pays_for_more)
{
    struct settle *c;

    given(settle_bytes(1000) + 77);
    c = settle_new(1000, &paid);
    cr_assert(eq(sz, paid.bytes, 77));
    cr_assert(eq(sz, c->job.grant.bytes, settle_bytes(1000)));
    ledger_release(&paid);
    cr_assert(eq(sz, used(), settle_bytes(1000)));
    job_free(&c->job);
    ledger_free(ledger); /* aborts when a byte is still out */
}

Test(job, is_not_made_where_that_is_too_little)
{
    given(settle_bytes(2) - 1);
    cr_assert(eq(ptr, settle_new(2, &paid), NULL));
    cr_assert(eq(sz, paid.bytes, settle_bytes(2) - 1));
    cr_assert(ne(ptr, paid.from, NULL));
    ledger_release(&paid);
    ledger_free(ledger);
}

Test(job, may_take_all_of_it)
{
    struct settle *c;

    given(settle_bytes(2));
    c = settle_new(2, &paid);
    cr_assert(eq(ptr, paid.from, NULL));
    job_free(&c->job);
    job_free(NULL);
    ledger_free(ledger);
}
