/* Who holds which leases by a connection, and what it is told. */
#include "settle.h"
#include "ties.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

TestSuite(ties);

#define LIMIT 4096

static struct ties *all;
static struct mailbox mail;

struct holder {
    unsigned letters;
    bool over;
    struct tie tie; /* last */
};

static void told(struct tie *t, bool over)
{
    struct holder *h = (struct holder *)((char *)t - offsetof(struct holder, tie));

    h->letters++;
    h->over = over;
}

static struct lease lease(uint64_t offset, uint32_t deliveries)
{
    return (struct lease){ .sub_id = 7, .offset = offset, .deliveries = deliveries };
}

/* Of the leases from `first` on, all for the first time, until 1000. */
static struct holder *holds(uint64_t first, unsigned count)
{
    struct holder *h = calloc(1, offsetof(struct holder, tie) + tie_bytes(count));

    if (!all) {
        all = ties_new(LIMIT);
        cr_assert(eq(int, mailbox_init(&mail), ERR_OK));
    }
    h->tie.home = &mail;
    h->tie.told = told;
    h->tie.subscription = bytes_str("s");
    h->tie.count = count;
    for (unsigned i = 0; i < count; i++)
        h->tie.leases[i] = (struct tied_lease){ .lease = lease(first + i, 1), .due_ms = 1000 };
    ties_enter(all, &h->tie);
    return h;
}

static void settled_with(enum settle_kind kind, struct lease l, enum settle_result result,
                         int64_t until_ms)
{
    struct settle *c = calloc(1, settle_bytes(1));

    c->kind = kind;
    c->count = 1;
    c->until_ms = until_ms;
    c->items[0] = (struct settle_item){ l, result };
    ties_settled(all, c);
    free(c);
}

static void settled(enum settle_kind kind, uint64_t offset)
{
    settled_with(kind, lease(offset, 1), SETTLE_DONE, 0);
}

static unsigned letters_of(struct holder *h)
{
    mailbox_drain(&mail);
    return h->letters;
}

static unsigned leaves(struct holder *h)
{
    unsigned open;

    cr_assert(ties_leave(all, &h->tie));
    open = h->tie.open;
    free(h);
    return open;
}

static void all_is_quiet(void)
{
    cr_assert(eq(uint, atomic_load(&mail.owed), 0));
    ties_free(all);
    mailbox_fini(&mail);
}

Test(ties, the_last_one_settled_is_told_however_it_was)
{
    struct holder *h = holds(10, 4);

    settled(SETTLE_ACK, 12);
    settled(SETTLE_NACK, 10);
    settled(SETTLE_REJECT, 13);
    cr_assert(eq(uint, letters_of(h), 0));
    settled(SETTLE_ACK, 11);
    cr_assert(eq(uint, letters_of(h), 1));
    cr_assert(h->over);
    cr_assert(eq(uint, leaves(h), 0));
    all_is_quiet();
}

Test(ties, what_others_hold_is_theirs)
{
    struct holder *a = holds(10, 1), *b = holds(11, 1);

    settled(SETTLE_ACK, 11);
    cr_assert(eq(uint, letters_of(a), 0));
    cr_assert(eq(uint, letters_of(b), 1));
    cr_assert(eq(uint, leaves(a), 1));
    cr_assert(eq(uint, leaves(b), 0));
    all_is_quiet();
}

Test(ties, a_lease_is_one_delivery_of_one_subscription)
{
    struct holder *h = holds(10, 1);
    struct lease other = lease(10, 1);

    other.sub_id = 8;
    settled_with(SETTLE_ACK, lease(10, 2), SETTLE_DONE, 0);
    settled_with(SETTLE_ACK, other, SETTLE_DONE, 0);
    settled_with(SETTLE_ACK, lease(10, 1), SETTLE_EXPIRED, 0);
    settled_with(SETTLE_ACK, lease(10, 1), SETTLE_FENCED, 0);
    cr_assert(eq(uint, letters_of(h), 0));
    cr_assert(eq(uint, leaves(h), 1));
    all_is_quiet();
}

Test(ties, who_leaves_has_what_is_open_still)
{
    struct holder *h = holds(10, 3);

    settled(SETTLE_ACK, 11);
    cr_assert(ties_leave(all, &h->tie));
    cr_assert(eq(uint, h->tie.open, 2));
    cr_assert(ne(ptr, h->tie.leases[0].of, NULL));
    cr_assert(eq(ptr, h->tie.leases[1].of, NULL));
    settled(SETTLE_ACK, 10); /* it is nobody's now */
    cr_assert(eq(uint, letters_of(h), 0));
    free(h);
    all_is_quiet();
}

Test(ties, who_leaves_while_its_letter_is_on_the_way_gets_it)
{
    struct holder *h = holds(10, 1);

    settled(SETTLE_ACK, 10);
    cr_assert(not(ties_leave(all, &h->tie)));
    cr_assert(eq(uint, letters_of(h), 1));
    free(h);
    all_is_quiet();
}

Test(ties, leases_end_with_their_time)
{
    struct holder *h = holds(10, 2);
    int64_t due;

    settled_with(SETTLE_EXTEND, lease(10, 1), SETTLE_DONE, 5000);
    cr_assert(eq(uint, letters_of(h), 0)); /* later: it will see when it looks */
    cr_assert(ties_expire(all, &h->tie, 999, &due));
    cr_assert(eq(i64, due, 5000));
    cr_assert(ties_expire(all, &h->tie, 1000, &due));
    cr_assert(eq(uint, h->tie.open, 1));
    settled_with(SETTLE_EXTEND, lease(10, 1), SETTLE_DONE, 3000);
    cr_assert(eq(uint, letters_of(h), 1)); /* sooner: it has to look */
    cr_assert(not(h->over));
    cr_assert(ties_expire(all, &h->tie, 2999, &due));
    cr_assert(eq(i64, due, 3000));
    cr_assert(not(ties_expire(all, &h->tie, 3000, &due)));
    cr_assert(eq(uint, leaves(h), 0));
    all_is_quiet();
}

Test(ties, all_of_a_subscription_are_void_at_once)
{
    struct holder *a = holds(10, 3), *b = holds(20, 2);

    ties_void(all, bytes_str("other"));
    cr_assert(eq(uint, letters_of(a), 0));
    ties_void(all, bytes_str("s"));
    cr_assert(eq(uint, letters_of(a) + letters_of(b), 2));
    cr_assert(a->over && b->over);
    cr_assert(eq(uint, leaves(a) + leaves(b), 0));
    all_is_quiet();
}

Test(ties, never_take_more_than_their_limit)
{
    struct holder *h = holds(1, 1);

    cr_assert(eq(sz, ties_book(all, 100, 1000), 1000));
    cr_assert(eq(sz, ties_book(all, 100, LIMIT), LIMIT - 1000));
    cr_assert(eq(sz, ties_book(all, 1, 1), 0));
    ties_give_back(all, 50);
    cr_assert(eq(sz, ties_book(all, 51, 100), 0));
    cr_assert(eq(sz, ties_book(all, 50, 100), 50));
    ties_give_back(all, LIMIT);
    leaves(h);
    all_is_quiet();
}
