/* The hub's fan-out when there is no room, and how subscribers end: in each state they can be in. */
#include "hub_fixture.h"

TestSuite(mercure_hub_ends, .init = given_a_hub, .fini = remove_data_dir, .timeout = 60);

static struct client a, b, c;

/* ---- room ---- */

Test(mercure_hub_ends, a_slice_without_room_stands_in_line_and_goes_on)
{
    subscribes(&a, "x", NULL);
    subscribes(&b, "x", NULL);
    given_a_full_read_buffer();
    publishes("x", "one", "one");
    news();
    cr_assert(eq(sz, read_buffer().waiting, 1));
    publishes("x", "two", "two");
    news();
    cr_assert(eq(sz, read_buffer().waiting, 1));
    is_told(&a, "");
    room_comes();
    is_told(&a, "one two ");
    is_told(&b, "one two ");
    leaves(&a);
    leaves(&b);
    then_all_is_given_back();
}

Test(mercure_hub_ends, room_for_a_slice_that_nobody_waits_for_is_given_back)
{
    subscribes(&a, "x", NULL);
    given_a_full_read_buffer();
    publishes("x", "one", "one");
    news();
    leaves(&a);
    ledger_release(&everything);
    mail_comes();
    turns();
    cr_assert(eq(sz, read_buffer().used, 0));
    subscribes(&b, "x", NULL);
    publishes("x", "two", "two");
    news();
    is_told(&b, "two ");
    leaves(&b);
    then_all_is_given_back();
}

Test(mercure_hub_ends, room_for_a_slice_of_what_is_gone_is_given_back)
{
    size_t sets;

    subscribes(&a, "x", NULL);
    sets = read_buffer().used;
    given_a_full_read_buffer();
    publishes("x", "one", "one");
    news();
    all_is_purged();
    room_comes();
    cr_assert(eq(sz, read_buffer().used, sets));
    publishes("x", "two", "two");
    news();
    is_told(&a, "two ");
    leaves(&a);
    then_all_is_given_back();
}

Test(mercure_hub_ends, those_who_want_the_same_history_stand_in_line_with_one)
{
    publishes("x", "one", "one");
    subscribes(&c, "x", NULL);
    given_a_full_read_buffer();
    subscribes(&a, "x", "earliest");
    subscribes(&b, "x", "earliest");
    cr_assert(eq(sz, read_buffer().waiting, 1));
    leaves(&a); /* whichever it is: its place is the other's */
    cr_assert(eq(sz, read_buffer().waiting, 1));
    room_comes();
    is_told(&b, "one ");
    leaves(&b);
    leaves(&c);
    then_all_is_given_back();
}

Test(mercure_hub_ends, who_waits_for_room_for_its_history_gets_news_behind_it)
{
    publishes("x", "one", "one");
    subscribes(&c, "x", NULL);
    given_a_full_read_buffer();
    subscribes(&a, "x", "earliest");
    publishes("x", "two", "two");
    news();
    cr_assert(eq(sz, read_buffer().waiting, 2));
    ledger_release(&everything);
    mail_comes();
    turns();
    while (loop.mailbox.owed)
        mail_comes();
    turns();
    is_told(&a, "one two ");
    is_told(&c, "two ");
    leaves(&a);
    leaves(&c);
    then_all_is_given_back();
}

/* ---- the end ---- */

static void shutdown_begins(void)
{
    broker.draining = true;
    wait_drain(&loop);
    turns();
}

Test(mercure_hub_ends, ends_at_a_shutdown_with_the_news_that_had_come)
{
    subscribes(&a, "x", NULL);
    subscribes(&b, "y", NULL);
    publishes("x", "last", "last");
    mercure_hub_woken(&loop, 0, LOOP_PARK_BUCKETS);
    shutdown_begins();
    is_told(&a, "last ");
    is_told(&b, "");
    ended(&a, CLEAN);
    ended(&b, CLEAN);
    then_all_is_given_back();
}

Test(mercure_hub_ends, ends_at_a_shutdown_in_the_middle_of_a_round)
{
    given_half_a_round();
    shutdown_begins();
    cr_assert(eq(i64, metric_get(METRIC_SSE_EVENTS), 600));
    for (size_t i = 0; i < 600; i++)
        ended(&crowd[i], CLEAN);
    then_all_is_given_back();
}

Test(mercure_hub_ends, ends_at_a_shutdown_behind_the_block_that_it_is_in)
{
    subscribes(&a, "x", NULL);
    publishes_much("x", "one", 20000);
    news();
    shutdown_begins();
    is_told(&a, "one ");
    ended(&a, CLEAN);
    then_all_is_given_back();
}

Test(mercure_hub_ends, ends_at_a_shutdown_though_it_stands_in_line)
{
    publishes("x", "one", "one");
    subscribes(&c, "x", NULL);
    given_a_full_read_buffer();
    subscribes(&a, "x", "earliest");
    subscribes(&b, "x", "earliest");
    shutdown_begins();
    ended(&a, CLEAN);
    ended(&b, CLEAN);
    ended(&c, CLEAN);
    ledger_release(&everything);
    then_all_is_given_back();
}

Test(mercure_hub_ends, is_cut_with_its_loop_in_whatever_state_it_is)
{
    static struct client any;
    size_t bytes;

    publishes_much("x", "zero", 20000);
    subscribes(&any, "{any}", NULL);
    subscribes(&a, "x", "earliest"); /* in a block of history */
    subscribes(&b, "y", NULL);       /* in a heartbeat */
    bytes = its_socket_is_full(&b);
    time_passes(40000);
    given_a_full_read_buffer();
    subscribes(&c, "{any}", "earliest"); /* in line */
    wait_cut_all(&loop);
    turns();
    ended(&a, CUT);
    ended(&b, CUT);
    ended(&c, CUT);
    ended(&any, CUT);
    ledger_release(&everything);
    cr_assert(gt(sz, bytes, 0));
    then_all_is_given_back();
}

Test(mercure_hub_ends, is_cut_with_its_loop_in_the_middle_of_a_round)
{
    given_half_a_round();
    wait_cut_all(&loop);
    turns();
    for (size_t i = 0; i < 600; i++)
        ended(&crowd[i], CUT);
    then_all_is_given_back();
}

Test(mercure_hub_ends, whose_slice_stands_in_line_is_cut_with_its_loop)
{
    subscribes(&a, "x", NULL);
    given_a_full_read_buffer();
    publishes("x", "one", "one");
    news();
    cr_assert(eq(sz, read_buffer().waiting, 1));
    wait_cut_all(&loop);
    turns();
    ended(&a, CUT);
    ledger_release(&everything);
    then_all_is_given_back();
}

static enum err broken_read(struct store_reader *r, int64_t now)
{
    (void)r;
    (void)now;
    return ERR_IO;
}

static struct store_ops broken;

static void given_a_broken_store(void)
{
    broken = *ops;
    broken.read_begin = broken_read;
    loop.fetch.ops = &broken;
}

Test(mercure_hub_ends, a_store_that_fails_cuts_all_who_wait_for_it)
{
    subscribes(&a, "x", NULL);
    subscribes(&b, "y", NULL);
    publishes("x", "one", "one");
    given_a_broken_store();
    news();
    ended(&a, CUT);
    ended(&b, CUT);
    loop.fetch.ops = ops;
    subscribes(&c, "x", "earliest"); /* the next is served again */
    is_told(&c, "one ");
    leaves(&c);
    then_all_is_given_back();
}

Test(mercure_hub_ends, ends_when_its_life_is_over_and_not_before)
{
    subscribes(&a, "x", NULL);
    time_passes(474999); /* four fifths, and a dispatch timeout early */
    is_told(&a, "");
    cr_assert(not(a.saw_the_end));
    time_passes(120001);
    ended(&a, CLEAN);
    then_all_is_given_back();
}

/* ---- where it starts ---- */

static enum err broken_find(struct store_reader *r, uint64_t topic, struct bytes id,
                            uint64_t *offset)
{
    (void)r;
    (void)topic;
    (void)id;
    (void)offset;
    return ERR_IO;
}

/* As if the id were not there, all would come again. */
Test(mercure_hub_ends, whose_id_cannot_be_looked_up_is_answered_with_an_error)
{
    publishes("x", "one", "one");
    broken = *ops;
    broken.read_find_id = broken_find;
    loop.fetch.ops = &broken;
    query(&a.c, "topic", "x");
    header(&a.c, "Last-Event-ID", "one");
    headers(&a.c, "GET", "/.well-known/mercure");
    body(&a.c, "");
    cr_assert(eq(uint, a.c.status, 500));
    ends(&a.c, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    then_all_is_given_back();
}
