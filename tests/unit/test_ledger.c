#include "ledger.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#define OK(call) cr_assert(eq(int, (call), ERR_OK))
#define CLIENTS 8

static struct ledger *ten;           /* of ten bytes */
static char let_in[CLIENTS + 1];     /* the order in which clients were let in: "ab" */

struct client {
    struct ledger_waiter w; /* first */
    char name;
};
static struct client a, b, c;

static void note(struct ledger_waiter *w)
{
    size_t n = strlen(let_in);

    cr_assert(n < CLIENTS);
    let_in[n] = ((struct client *)w)->name;
}

static struct client wants(char name, size_t bytes)
{
    return (struct client){ .w = { .bytes = bytes, .granted = note }, .name = name };
}

static void given_ten_bytes(void)
{
    ten = ledger_new(10);
    a = wants('a', 4);
    b = wants('b', 4);
    c = wants('c', 4);
}

static struct grant reserved(size_t bytes)
{
    struct grant g = { 0 };

    OK(ledger_reserve(ten, bytes, &g));
    return g;
}

static struct ledger_figures figures(void)
{
    struct ledger_figures f;

    ledger_read(ten, &f);
    return f;
}

static void stands_in_line(struct client *who)
{
    cr_assert(eq(int, ledger_wait(ten, &who->w), ERR_BUSY));
}

static void expect_let_in(const char *names)
{
    cr_assert(eq(str, let_in, (char *)names));
}

/* Ends the story: aborts when a byte is still out. */
static void all_is_given_back(void)
{
    ledger_release(&a.w.grant);
    ledger_release(&b.w.grant);
    ledger_release(&c.w.grant);
    cr_assert(eq(sz, figures().used, 0));
    ledger_free(ten);
}

TestSuite(ledger, .init = given_ten_bytes, .timeout = 20);

Test(ledger, grants_up_to_its_limit_and_not_a_byte_more)
{
    struct grant g = reserved(10), more = { 0 };

    cr_assert(eq(int, ledger_reserve(ten, 1, &more), ERR_BUSY));
    cr_assert(eq(ptr, more.from, NULL));
    cr_assert(eq(sz, figures().used, 10));
    ledger_release(&g);
    all_is_given_back();
}

Test(ledger, tells_never_from_not_now)
{
    struct grant g = { 0 };
    struct client huge = wants('h', 11);

    cr_assert(eq(int, ledger_reserve(ten, 11, &g), ERR_TOO_BIG));
    cr_assert(eq(int, ledger_wait(ten, &huge.w), ERR_TOO_BIG));
    cr_assert(eq(sz, figures().waiting, 0));
    all_is_given_back();
}

Test(ledger, whoever_asks_for_all_of_it_gets_it_when_it_is_empty)
{
    struct client all = wants('x', 10);

    OK(ledger_wait(ten, &all.w));
    cr_assert(eq(sz, all.w.grant.bytes, 10));
    expect_let_in(""); /* at once: nobody is called */
    ledger_release(&all.w.grant);
    all_is_given_back();
}

Test(ledger, a_grant_of_nothing_is_a_grant)
{
    struct grant g = reserved(0);

    cr_assert(eq(ptr, g.from, ten));
    ledger_release(&g);
    cr_assert(eq(ptr, g.from, NULL));
    all_is_given_back();
}

Test(ledger, lets_in_who_came_first)
{
    struct grant g = reserved(10);

    stands_in_line(&b);
    stands_in_line(&a);
    ledger_release(&g);
    expect_let_in("ba");
    all_is_given_back();
}

Test(ledger, nobody_passes_the_line_even_where_he_would_fit)
{
    struct grant g = reserved(8), small = { 0 };

    stands_in_line(&a);
    cr_assert(eq(int, ledger_reserve(ten, 1, &small), ERR_BUSY));
    c.w.bytes = 1;
    stands_in_line(&c);
    expect_let_in("");
    ledger_release(&g);
    expect_let_in("ac");
    all_is_given_back();
}

Test(ledger, a_large_request_is_not_starved_by_small_ones_behind_it)
{
    struct grant g = reserved(6), h = reserved(4);

    a.w.bytes = 10;
    b.w.bytes = 1;
    stands_in_line(&a);
    stands_in_line(&b);
    ledger_release(&g);
    ledger_tick(ten);
    expect_let_in("");
    ledger_release(&h);
    expect_let_in("a");
    ledger_release(&a.w.grant);
    expect_let_in("ab");
    all_is_given_back();
}

Test(ledger, the_line_stands_still_until_half_is_free)
{
    struct grant g = reserved(4), h = reserved(1), i = reserved(5);

    stands_in_line(&a);
    ledger_release(&g); /* 4 of 10 are free: a fits, and waits on */
    expect_let_in("");
    ledger_release(&h);
    expect_let_in("a");
    ledger_release(&i);
    all_is_given_back();
}

Test(ledger, once_moving_it_lets_in_all_that_fit_and_no_more)
{
    struct grant g = reserved(10);

    stands_in_line(&a);
    stands_in_line(&b);
    stands_in_line(&c);
    ledger_release(&g);
    expect_let_in("ab");
    cr_assert(eq(sz, figures().used, 8));
    ledger_release(&a.w.grant); /* 6 free: half is free, so it moves on */
    expect_let_in("abc");
    all_is_given_back();
}

Test(ledger, a_tick_lets_in_a_head_that_fits_although_half_is_not_free)
{
    struct grant g = reserved(4), h = reserved(6);

    stands_in_line(&a);
    ledger_release(&g);
    expect_let_in("");
    ledger_tick(ten);
    expect_let_in("a");
    ledger_release(&h);
    all_is_given_back();
}

Test(ledger, a_tick_does_not_pass_a_head_that_does_not_fit)
{
    struct grant g = reserved(8);

    b.w.bytes = 1;
    stands_in_line(&a);
    stands_in_line(&b);
    ledger_tick(ten);
    expect_let_in("");
    ledger_release(&g);
    all_is_given_back();
}

Test(ledger, who_leaves_the_line_is_not_called)
{
    struct grant g = reserved(10);

    stands_in_line(&a);
    stands_in_line(&b);
    cr_assert(ledger_leave(ten, &a.w));
    ledger_release(&g);
    expect_let_in("b");
    cr_assert(eq(ptr, a.w.grant.from, NULL));
    all_is_given_back();
}

Test(ledger, who_was_let_in_cannot_leave_any_more)
{
    struct grant g = reserved(10);

    stands_in_line(&a);
    ledger_release(&g);
    cr_assert(not(ledger_leave(ten, &a.w)));
    cr_assert(eq(sz, a.w.grant.bytes, 4)); /* and must give it back himself */
    all_is_given_back();
}

Test(ledger, leaving_twice_or_without_having_waited_is_harmless)
{
    struct grant g = reserved(10);

    cr_assert(not(ledger_leave(ten, &a.w)));
    stands_in_line(&a);
    cr_assert(ledger_leave(ten, &a.w));
    cr_assert(not(ledger_leave(ten, &a.w)));
    cr_assert(eq(sz, figures().waiting, 0));
    ledger_release(&g);
    all_is_given_back();
}

Test(ledger, when_the_head_leaves_the_one_behind_may_fit)
{
    struct grant g = reserved(5);

    a.w.bytes = 8;
    stands_in_line(&a);
    stands_in_line(&b);
    cr_assert(ledger_leave(ten, &a.w));
    expect_let_in("b");
    ledger_release(&g);
    all_is_given_back();
}

Test(ledger, who_left_may_come_back_at_the_end)
{
    struct grant g = reserved(10);

    stands_in_line(&a);
    stands_in_line(&b);
    cr_assert(ledger_leave(ten, &a.w));
    stands_in_line(&a);
    ledger_release(&g);
    expect_let_in("ba");
    all_is_given_back();
}

Test(ledger, the_one_in_the_middle_may_leave)
{
    struct grant g = reserved(10);

    stands_in_line(&a);
    stands_in_line(&b);
    stands_in_line(&c);
    cr_assert(ledger_leave(ten, &b.w));
    cr_assert(eq(sz, figures().waiting, 2));
    cr_assert(eq(sz, figures().waiting_bytes, 8));
    ledger_release(&g);
    expect_let_in("ac");
    all_is_given_back();
}

Test(ledger, giving_back_a_part_admits_as_well)
{
    struct grant g = reserved(10);

    stands_in_line(&a);
    ledger_shrink(&g, 3);
    expect_let_in("a");
    cr_assert(eq(sz, figures().used, 7));
    ledger_release(&g);
    all_is_given_back();
}

Test(ledger, shrinking_to_more_than_there_is_changes_nothing)
{
    struct grant g = reserved(3);

    ledger_shrink(&g, 5);
    cr_assert(eq(sz, g.bytes, 3));
    cr_assert(eq(sz, figures().used, 3));
    ledger_release(&g);
    all_is_given_back();
}

Test(ledger, releasing_twice_is_harmless)
{
    struct grant g = reserved(3), none = { 0 };

    ledger_release(&g);
    ledger_release(&g);
    ledger_release(&none);
    all_is_given_back();
}

static struct grant again;

static void reserve_again(struct ledger_waiter *w)
{
    ledger_release(&w->grant);
    OK(ledger_reserve(ten, 2, &again));
}

Test(ledger, a_grant_filled_anew_while_it_is_being_released_is_kept)
{
    OK(ledger_reserve(ten, 10, &again));
    a.w.granted = reserve_again; /* runs inside the release of `again` */
    stands_in_line(&a);
    ledger_release(&again);
    cr_assert(eq(sz, again.bytes, 2));
    ledger_release(&again);
    all_is_given_back();
}

Test(ledger, merged_grants_are_released_as_one)
{
    struct grant g = reserved(3), h = reserved(4), none = { 0 };

    ledger_merge(&g, &h);
    ledger_merge(&g, &none);
    cr_assert(eq(sz, g.bytes, 7));
    cr_assert(eq(ptr, h.from, NULL));
    ledger_release(&h);
    cr_assert(eq(sz, figures().used, 7));
    ledger_merge(&none, &g);
    ledger_release(&none);
    all_is_given_back();
}

Test(ledger, remembers_the_most_it_ever_held_and_counts)
{
    struct grant g = reserved(7), h;

    stands_in_line(&a);
    ledger_release(&g);
    h = reserved(1);
    cr_assert(eq(sz, figures().high_water, 7));
    cr_assert(eq(u64, figures().waited_total, 1));
    cr_assert(eq(u64, figures().granted_total, 3));
    ledger_release(&h);
    cr_assert(eq(sz, figures().high_water, 7));
    all_is_given_back();
}

Test(ledger, freeing_it_with_a_grant_out_aborts, .signal = SIGABRT)
{
    struct grant g = reserved(1);

    (void)g;
    ledger_free(ten);
}

Test(ledger, freeing_it_with_somebody_in_line_aborts, .signal = SIGABRT)
{
    struct grant g = reserved(10);

    stands_in_line(&a);
    cr_assert(eq(sz, g.bytes, 10));
    ledger_free(ten);
}

Test(ledger, freeing_none_is_fine)
{
    ledger_free(NULL);
    all_is_given_back();
}
