/* Leases that end with a connection: what the store knows of them, and what a new process does. */
#include "delivery_fixture.h"

TestSuite(tied, .init = given_a_writer, .fini = remove_data_dir);

static void given_tied_leases(struct sub_settings s, unsigned messages)
{
    given_a_subscription(s);
    while (messages--)
        say("", "x", 0);
    tied = true;
}

/* Its connections are gone, and nobody has given anything back. */
static void the_process_is_another(void)
{
    writer_stop(writer);
    reopen();
    start_writer();
    a_turn_passes();
    tied = false;
}

Test(tied, who_vanishes_gives_back_at_once_and_is_fenced_then)
{
    struct sub_settings s = usual();
    struct lease l;

    s.backoffs = 1;
    s.backoff_ms[0] = 60000;
    given_tied_leases(s, 1);
    l = one();
    DONE(settle(SETTLE_VANISHED, l));
    REFUSED(SETTLE_EXPIRED, settle(SETTLE_VANISHED, l));
    REFUSED(SETTLE_EXPIRED, settle(SETTLE_ACK, l));
    DONE(settle(SETTLE_ACK, one()));
    say("", "y", 0);
    l = one();
    DONE(settle(SETTLE_VANISHED, l));
    one();
    REFUSED(SETTLE_FENCED, settle(SETTLE_ACK, l));
    then_everything_is_given_back();
}

Test(tied, who_vanishes_is_counted_as_a_delivery)
{
    struct lease l;

    given_tied_leases(usual(), 1);
    DONE(settle(SETTLE_VANISHED, one()));
    l = one();
    cr_assert(eq(u32, l.deliveries, 2));
    DONE(settle(SETTLE_ACK, l));
    then_everything_is_given_back();
}

Test(tied, what_kills_its_workers_is_given_up)
{
    given_tied_leases(dying_at(2), 1);
    DONE(settle(SETTLE_VANISHED, one()));
    DONE(settle(SETTLE_VANISHED, one()));
    COME("");
    cr_assert(eq(u64, state("dead").live, 1));
    then_everything_is_given_back();
}

Test(tied, another_process_gives_back_what_was_tied_and_nothing_else)
{
    struct sub_settings s = usual();

    s.lease_ms = 12 * 3600 * 1000;
    s.backoffs = 1;
    s.backoff_ms[0] = 60000;
    given_tied_leases(s, 4);
    one();
    DONE(settle(SETTLE_ACK, one()));
    DONE(settle_for(SETTLE_EXTEND, one(), 3600 * 1000));
    tied = false;
    one();
    the_process_is_another();
    cr_assert(eq(u64, as_it_is().in[DELIVERY_LEASED], 1));
    COME("0 2");
    the_process_is_another();
    COME("");
    then_everything_is_given_back();
}

Test(tied, another_process_counts_it_as_a_delivery)
{
    given_tied_leases(dying_at(1), 3);
    COME("0 1 2");
    the_process_is_another();
    COME("");
    cr_assert(eq(u64, state("dead").live, 3));
    then_everything_is_given_back();
}

Test(tied, what_was_tied_is_not_tied_when_it_comes_again)
{
    given_tied_leases(usual(), 2);
    COME("0 1");
    passes(1000); /* their time is over, in the usual way */
    tied = false;
    COME("0 1");
    the_process_is_another();
    COME("");
    passes(1000);
    COME("0 1");
    then_everything_is_given_back();
}

Test(tied, what_was_void_leads_nowhere)
{
    given_tied_leases(usual(), 3);
    COME("0 1 2");
    OK(changed(SUBSCRIPTION_SEEK, 1, usual()).outcome);
    the_process_is_another();
    COME("1 2");
    then_everything_is_given_back();
}

Test(tied, a_store_that_fails_gives_back_later)
{
    given_tied_leases(usual(), 2);
    COME("0 1");
    writer_stop(writer);
    reopen();
    fail_next(FAULT_COMMIT, ERR_IO, 1);
    start_writer();
    a_turn_passes();
    tied = false;
    COME("");
    passes(1000);
    COME("0 1");
    then_everything_is_given_back();
}
