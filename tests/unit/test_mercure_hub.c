/* The hub's fan-out in each order of events, to the millisecond: slices, who falls behind, who joins
 * when, history. */
#include "hub_fixture.h"

TestSuite(mercure_hub, .init = given_a_hub, .fini = remove_data_dir, .timeout = 60);

static struct client a, b, c;

/* ---- slices ---- */

Test(mercure_hub, tells_what_is_new_to_those_who_want_it)
{
    subscribes(&a, "x", NULL);
    subscribes(&b, "y", NULL);
    subscribes(&c, "{any}", NULL);
    publishes("x", "1", "one");
    publishes("y", "2", "two");
    publishes("x", "3", "three");
    news();
    is_told(&a, "one three ");
    is_told(&b, "two ");
    is_told(&c, "one two three ");
    leaves(&a);
    leaves(&b);
    leaves(&c);
    then_all_is_given_back();
}

static void publishes_numbers(unsigned count, size_t bytes)
{
    char word[16];

    for (unsigned i = 0; i < count; i++) {
        snprintf(word, sizeof word, "%u", i);
        publishes_much("x", word, bytes);
    }
}

/* How many events the next turn brings to one who reads all that comes. */
static unsigned next_slice(struct client *who)
{
    int large = 256 << 10;

    setsockopt(who->request->stream->fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
    mercure_hub_woken(&loop, 0, LOOP_PARK_BUCKETS);
    turn();
    hears(who);
    return (unsigned)metric_get(METRIC_SSE_EVENTS);
}

Test(mercure_hub, a_slice_has_64_events_at_most)
{
    subscribes(&a, "x", NULL);
    publishes_numbers(130, 10);
    cr_assert(eq(uint, next_slice(&a), 64));
    cr_assert(eq(uint, next_slice(&a), 128));
    cr_assert(eq(uint, next_slice(&a), 130));
    leaves(&a);
    then_all_is_given_back();
}

Test(mercure_hub, a_slice_has_32_KiB_at_most_and_the_next_begins_with_what_did_not_fit)
{
    subscribes(&a, "x", NULL);
    publishes_numbers(10, 5000);
    cr_assert(eq(uint, next_slice(&a), 6));
    cr_assert(eq(uint, next_slice(&a), 10));
    leaves(&a);
    then_all_is_given_back();
}

Test(mercure_hub, what_did_not_fit_into_a_slice_comes_once_to_those_who_want_only_that)
{
    subscribes(&a, "x", NULL);
    subscribes(&b, "y", NULL);
    subscribes(&c, "{any}", NULL);
    publishes_much("x", "one", 20000);
    publishes_much("x", "two", 10000);
    publishes_much("y", "three", 10000);
    publishes_much("x", "four", 10000);
    news();
    is_told(&b, "three ");
    is_told(&a, "one two four ");
    is_told(&c, "one two three four ");
    leaves(&a);
    leaves(&b);
    leaves(&c);
    then_all_is_given_back();
}

Test(mercure_hub, what_nobody_wants_is_passed_over_however_much_it_is)
{
    char word[16];

    subscribes(&a, "x", NULL);
    for (unsigned i = 0; i < 1100; i++) { /* more than are looked at in one go */
        snprintf(word, sizeof word, "%u", i);
        publishes("other", word, "");
    }
    publishes("x", "last", "last");
    news();
    is_told(&a, "last ");
    leaves(&a);
    then_all_is_given_back();
}

static struct mercure_set *templates[400];

/* Sets of subscribers who are not there: what counts is that their templates are tried. */
static void given_many_templates(void)
{
    struct mercure_sets *sets = mercure_hub_sets(mercure_hub_of(&loop));
    char text[64];

    for (unsigned i = 0; i < 400; i++) {
        struct bytes topic = bytes_of(text, (size_t)sprintf(text, "none/%u/{x}", i));
        struct mercure_wish wish = { .topics = &topic, .topic_count = 1 };

        OK(mercure_sets_join(sets, &wish, &templates[i]));
    }
}

Test(mercure_hub, a_slice_ends_when_matching_it_has_taken_long)
{
    unsigned first;

    subscribes(&a, "x", NULL);
    given_many_templates();
    publishes_numbers(60, 10);
    first = next_slice(&a);
    cr_assert(ge(uint, first, 30)); /* 400 and a look for each event */
    cr_assert(le(uint, first, 40));
    turns();
    cr_assert(eq(uint, next_slice(&a), 60));
    for (unsigned i = 0; i < 400; i++)
        mercure_set_leave(templates[i]);
    leaves(&a);
    then_all_is_given_back();
}

/* ---- who cannot take it ---- */

Test(mercure_hub, falls_behind_in_the_middle_of_a_slice_and_reads_the_rest_from_the_log)
{
    subscribes(&a, "x", NULL);
    subscribes(&b, "{any}", NULL);
    publishes_much("x", "one", 12000);
    publishes_much("x", "two", 12000);
    news();
    publishes("y", "other", "other");
    publishes("x", "three", "three"); /* a slice that passes while a is in the one before */
    news();
    is_told(&b, "one two other three ");
    publishes("x", "four", "four");
    news();
    is_told(&b, "four ");
    is_told(&a, "one two three four ");
    publishes("x", "five", "five"); /* and it is live again */
    news();
    is_told(&a, "five ");
    leaves(&a);
    leaves(&b);
    then_all_is_given_back();
}

Test(mercure_hub, falls_behind_in_the_middle_of_a_heartbeat_and_loses_nothing)
{
    size_t bytes;

    subscribes(&a, "x", NULL);
    bytes = its_socket_is_full(&a);
    time_passes(40000);
    publishes("x", "one", "one");
    news();
    publishes("x", "two", "two");
    news();
    it_reads(&a, bytes);
    is_told(&a, "one two ");
    publishes("x", "three", "three");
    news();
    is_told(&a, "three ");
    leaves(&a);
    then_all_is_given_back();
}

static struct client *one_that_is_due(void)
{
    size_t i = 0;

    cr_assert(ne(ptr, loop.streams_due.first, NULL));
    while (crowd[i].request != loop.streams_due.first)
        i++;
    return &crowd[i];
}

Test(mercure_hub, whose_heartbeat_does_not_go_out_while_its_slice_is_due_loses_nothing)
{
    struct client *due;
    size_t bytes;

    given_half_a_round();
    due = one_that_is_due();
    bytes = its_socket_is_full(due);
    time_passes(40000);
    turns();
    publishes("x", "two", "two");
    news();
    it_reads(due, bytes);
    is_told(due, "one two ");
    the_crowd_leaves();
}

Test(mercure_hub, one_who_leaves_while_it_is_due_takes_nothing_from_the_others)
{
    struct client *due;

    given_half_a_round();
    due = one_that_is_due();
    leaves(due);
    turns();
    cr_assert(eq(i64, metric_get(METRIC_SSE_EVENTS), 599));
    the_crowd_leaves();
}

Test(mercure_hub, one_who_joins_in_the_middle_of_a_round_gets_what_it_asked_for_once)
{
    publishes("x", "zero", "zero");
    given_half_a_round();
    asks(&a, "x", NULL);
    asks(&b, "x", "zero");
    asks(&c, "{any}", "earliest"); /* a set that nobody wanted when the slice was made */
    turns();
    library_lets_go(&a);
    library_lets_go(&b);
    library_lets_go(&c);
    publishes("x", "two", "two");
    news();
    is_told(&a, "two ");
    is_told(&b, "one two ");
    is_told(&c, "zero one two ");
    leaves(&a);
    leaves(&b);
    leaves(&c);
    the_crowd_leaves();
}

Test(mercure_hub, tells_its_own_while_a_topic_of_the_native_api_has_news_in_each_turn)
{
    static struct client native;

    settings.sse_heartbeat_ms = 15000;
    settings.sse_max_life_ms = 600000;
    connects(&native);
    header(&native.c, "Accept", "text/event-stream");
    headers(&native.c, "GET", "/v1/topics/t/messages");
    begins(&native);
    turn();
    library_lets_go(&native);
    subscribes(&a, "x", NULL);
    publishes("x", "one", "one");
    for (int i = 0; i < 4; i++) {
        sse_stream_woken(&loop, 0, LOOP_PARK_BUCKETS);
        turn();
    }
    cr_assert(eq(i64, metric_get(METRIC_SSE_EVENTS), 1));
    leaves(&a);
    leaves(&native);
    then_all_is_given_back();
}

Test(mercure_hub, one_who_joins_as_the_last_one_leaves_is_not_told_of_an_old_slice)
{
    subscribes(&a, "x", NULL);
    publishes("x", "one", "one");
    mercure_hub_woken(&loop, 0, LOOP_PARK_BUCKETS);
    turn(); /* there may be more: the slice is kept until that is looked for */
    publishes("x", "two", "two");
    publishes("x", "three", "three");
    asks(&b, "x", "two");
    client_goes(&a);
    turns();
    library_lets_go(&b);
    is_told(&b, "three ");
    ended(&a, CUT);
    leaves(&b);
    then_all_is_given_back();
}

/* ---- history ---- */

Test(mercure_hub, those_who_ask_for_the_same_history_share_its_block)
{
    size_t one;

    publishes_numbers(3, 8000);
    subscribes(&a, "x", "earliest");
    one = read_buffer().used;
    cr_assert(gt(sz, one, 24000));
    subscribes(&b, "x", "earliest");
    cr_assert(eq(sz, read_buffer().used, one));
    subscribes(&c, "{any}", "earliest");
    cr_assert(gt(sz, read_buffer().used, one + 24000)); /* who asks for something else does not */
    is_told(&a, "0 1 2 ");
    is_told(&b, "0 1 2 ");
    is_told(&c, "0 1 2 ");
    leaves(&a);
    leaves(&b);
    leaves(&c);
    then_all_is_given_back();
}

Test(mercure_hub, goes_from_history_to_live_where_the_log_ends)
{
    publishes_numbers(20, 6000);
    subscribes(&a, "x", "earliest");
    subscribes(&b, "x", "7");
    publishes("x", "new", "new");
    news();
    is_told(&a, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 new ");
    is_told(&b, "8 9 10 11 12 13 14 15 16 17 18 19 new ");
    leaves(&a);
    leaves(&b);
    then_all_is_given_back();
}
