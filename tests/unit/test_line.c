/* Readers in the read ledger's line. Publishers in theirs: test_request.c. */
#include "http_fixture.h"

TestSuite(line, .init = given_a_loop, .fini = remove_data_dir, .timeout = 60);

/* Asking for more memory than there can be fails here as it does elsewhere. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

#define EVERYTHING (8u << 20)

static struct MHD_Connection a, b;
static struct grant everything;

static void given_a_full_read_buffer(void)
{
    OK(ledger_reserve(broker.read, EVERYTHING, &everything));
}

static void then_in_line(size_t waiting)
{
    struct ledger_figures f;

    ledger_read(broker.read, &f);
    cr_assert(eq(sz, f.waiting, waiting));
    cr_assert(eq(uint, atomic_load(&loop.mailbox.owed), (unsigned)waiting));
}

static void then_nothing_is_reserved(void)
{
    struct ledger_figures f;

    ledger_read(broker.read, &f);
    cr_assert(eq(sz, f.used, 0));
    cr_assert(eq(sz, f.waiting, 0));
}

static void given_a_message(const char *body)
{
    OK(sent(message("t", body), NULL));
}

static void asks(struct MHD_Connection *c)
{
    headers(c, "GET", "/v1/topics/t/messages");
    body(c, "");
}

static void waits(struct MHD_Connection *c)
{
    asks(c);
    cr_assert(eq(int, c->suspended, 1));
    cr_assert(eq(uint, c->status, 0));
}

static void parks(struct MHD_Connection *c)
{
    query(c, "wait", "10");
    waits(c);
}

static void room_comes(void)
{
    ledger_release(&everything);
    mail_comes();
}

static void news_come(const char *body)
{
    given_a_message(body);
    a_turn_passes(); /* news go out behind the letters */
    mail_comes();
}

static void is_answered(struct MHD_Connection *c, unsigned status)
{
    cr_assert(eq(int, c->suspended, 0));
    body(c, "");
    cr_assert(eq(uint, c->status, status));
    ends(c, MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

static void is_closed(struct MHD_Connection *c)
{
    cr_assert(eq(int, c->suspended, 0));
    cr_assert(eq(int, headers(c, "GET", ""), MHD_NO));
    ends(c, MHD_REQUEST_TERMINATED_WITH_ERROR);
}

static bool told(const char *what)
{
    return strstr(fake_body, what) != NULL;
}

/* ---- who asks ---- */

Test(line, is_where_a_reader_waits_until_there_is_room)
{
    given_a_message("hello");
    given_a_full_read_buffer();
    waits(&a);
    then_in_line(1);
    room_comes();
    is_answered(&a, 200);
    cr_assert(told("hello"), "%s", fake_body);
    then_the_loop_is_idle();
}

Test(line, shows_what_is_there_when_the_room_comes_not_what_was_there_before)
{
    given_a_message("first");
    given_a_full_read_buffer();
    waits(&a);
    given_a_message("second");
    room_comes();
    is_answered(&a, 200);
    cr_assert(told("first") && told("second"), "%s", fake_body);
    then_the_loop_is_idle();
}

Test(line, is_for_the_raw_form_and_for_one_message_too)
{
    given_a_message("hello");
    given_a_full_read_buffer();
    header(&a, "Accept", "application/octet-stream");
    waits(&a);
    headers(&b, "GET", "/v1/topics/t/messages/0");
    body(&b, "");
    then_in_line(2);
    room_comes();
    is_answered(&a, 200);
    is_answered(&b, 200);
    cr_assert(eq(str, fake_body, "hello"));
    then_the_loop_is_idle();
}

Test(line, is_not_for_an_answer_without_messages)
{
    OK(sent(message("t", "x"), NULL));
    given_a_full_read_buffer();
    query(&a, "from", "latest");
    asks(&a);
    is_answered(&a, 200);
    cr_assert(told("\"messages\":[]"), "%s", fake_body);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(line, ends_with_503_when_the_time_is_over_and_not_before)
{
    given_a_message("x");
    given_a_full_read_buffer();
    waits(&a);
    time_passes(5000); /* of which the first may have begun a while ago */
    then_in_line(1);
    time_passes(1);
    then_in_line(0);
    is_answered(&a, 503);
    cr_assert(told("read_buffer_full"), "%s", fake_body);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(line, is_not_shortened_by_a_long_polls_own_time)
{
    query(&a, "wait", "1");
    waits(&a);
    given_a_full_read_buffer();
    time_passes(500);
    news_come("hello");
    then_in_line(1);
    time_passes(4000);
    then_in_line(1);
    room_comes();
    is_answered(&a, 200);
    cr_assert(told("hello"), "%s", fake_body);
    then_the_loop_is_idle();
}

Test(line, is_not_there_when_the_operator_wants_none)
{
    settings.read_buffer_wait_max_ms = 0;
    given_a_message("x");
    given_a_full_read_buffer();
    asks(&a);
    then_in_line(0);
    is_answered(&a, 503);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

/* ---- who leaves ---- */

Test(line, is_left_by_a_client_that_goes)
{
    given_a_message("x");
    given_a_full_read_buffer();
    waits(&a);
    client_leaves(&a);
    then_in_line(0);
    is_closed(&a);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(line, gets_back_the_room_of_one_that_went_as_it_came)
{
    given_a_message("x");
    given_a_full_read_buffer();
    waits(&a);
    ledger_release(&everything); /* the letter is under way */
    client_leaves(&a);
    cr_assert(eq(int, a.suspended, 1)); /* not before the letter has come */
    mail_comes();
    is_closed(&a);
    then_nothing_is_reserved();
    then_the_loop_is_idle();
}

Test(line, prefers_the_room_that_came_as_the_time_ended)
{
    given_a_message("hello");
    given_a_full_read_buffer();
    waits(&a);
    ledger_release(&everything);
    time_passes(6000);
    cr_assert(eq(int, a.suspended, 1));
    mail_comes();
    is_answered(&a, 200);
    then_the_loop_is_idle();
}

Test(line, keeps_its_loop_until_the_letter_has_come)
{
    given_a_message("x");
    given_a_full_read_buffer();
    waits(&a);
    then_in_line(1);
    ledger_release(&everything);
    wait_cut_all(&loop);
    cr_assert(eq(int, a.suspended, 1));
    mail_comes();
    is_closed(&a);
    then_nothing_is_reserved();
    then_the_loop_is_idle();
}

Test(line, is_cut_with_its_loop)
{
    given_a_message("x");
    given_a_full_read_buffer();
    waits(&a);
    wait_cut_all(&loop);
    then_in_line(0);
    is_closed(&a);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(line, is_answered_by_a_shutdown)
{
    given_a_message("x");
    given_a_full_read_buffer();
    waits(&a);
    broker.draining = true;
    wait_drain(&loop);
    then_in_line(0);
    is_answered(&a, 503);
    cr_assert(told("draining"), "%s", fake_body);
    asks(&b); /* and nobody stands in it any more */
    is_answered(&b, 503);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(line, without_memory_for_a_deadline_has_no_place)
{
    given_a_message("x");
    given_a_full_read_buffer();
    loop.timers.count = loop.timers.cap = SIZE_MAX / 64;
    asks(&a);
    loop.timers.count = loop.timers.cap = 0;
    then_in_line(0);
    cr_assert(eq(int, a.suspended, 0));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

/* ---- between the parked and the line ---- */

Test(line, takes_a_parked_reader_whose_news_find_no_room)
{
    parks(&a);
    given_a_full_read_buffer();
    news_come("hello");
    cr_assert(eq(i64, metric_get(METRIC_READERS_PARKED), 0));
    then_in_line(1);
    given_a_message("more");
    a_turn_passes();
    cr_assert(not(mailbox_drain(&loop.mailbox))); /* it does not wait for news any more */
    room_comes();
    is_answered(&a, 200);
    cr_assert(told("hello") && told("more"), "%s", fake_body);
    then_the_loop_is_idle();
}

/* Its message was there, and is not: the one who waits for messages waits on. */
Test(line, sends_back_to_the_parked_whose_message_went_meanwhile)
{
    struct publish *p = message("t", "short");

    parks(&a);
    given_a_full_read_buffer();
    p->one.has_ttl = true;
    p->one.ttl_ms = 1000;
    OK(sent(p, NULL));
    a_turn_passes();
    mail_comes();
    then_in_line(1);
    clock_fake_wall_ms(NOW + 2000);
    room_comes();
    cr_assert(eq(int, a.suspended, 1));
    cr_assert(eq(i64, metric_get(METRIC_READERS_PARKED), 1));
    then_nothing_is_reserved();
    news_come("long");
    is_answered(&a, 200);
    cr_assert(told("long"));
    cr_assert(not(told("short")));
    then_the_loop_is_idle();
}

Test(line, answers_with_nothing_whose_message_and_time_went_meanwhile)
{
    struct publish *p = message("t", "short");

    query(&a, "wait", "1");
    waits(&a);
    given_a_full_read_buffer();
    p->one.has_ttl = true;
    p->one.ttl_ms = 1000;
    OK(sent(p, NULL));
    a_turn_passes();
    mail_comes();
    time_passes(2000);
    clock_fake_wall_ms(NOW + 2000);
    room_comes();
    is_answered(&a, 200);
    cr_assert(told("\"messages\":[]"), "%s", fake_body);
    then_nothing_is_reserved();
    then_the_loop_is_idle();
}

/* What it asked for fits the message that was there; the one that is there now does not fit
 * in that. */
Test(line, takes_again_who_needs_more_than_it_asked_for)
{
    static char large[60000];
    struct publish *p = message("t", "short");
    struct grant other = { 0 };

    memset(large, 'L', sizeof large - 1);
    p->one.has_ttl = true;
    p->one.ttl_ms = 1000;
    OK(sent(p, NULL));
    given_a_full_read_buffer();
    header(&a, "Accept", "application/octet-stream");
    waits(&a);
    given_a_message(large);
    clock_fake_wall_ms(NOW + 2000);
    ledger_release(&everything);
    OK(ledger_reserve(broker.read, EVERYTHING - 2000, &other)); /* beside the grant */
    mail_comes();
    cr_assert(eq(int, a.suspended, 1));
    then_in_line(1);
    ledger_release(&other);
    mail_comes();
    is_answered(&a, 200);
    cr_assert(told("LLLL"));
    then_nothing_is_reserved();
    then_the_loop_is_idle();
}

/* ---- one answer for all in line ---- */

Test(line, shares_one_answer_among_all_who_asked_the_same)
{
    int64_t before = metric_get(METRIC_DELIVERED_MESSAGES);

    parks(&a);
    parks(&b);
    given_a_full_read_buffer();
    news_come("hello");
    then_in_line(2);
    ledger_shrink(&everything, EVERYTHING - 2000); /* for one of them */
    ledger_tick(broker.read);
    mail_comes();
    then_in_line(0);
    cr_assert(eq(i64, metric_get(METRIC_DELIVERED_MESSAGES), before + 1));
    cr_assert(eq(ptr, request_of(&a)->reply.response, request_of(&b)->reply.response));
    is_answered(&a, 200);
    is_answered(&b, 200);
    cr_assert(told("hello"), "%s", fake_body);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(line, shares_with_one_whose_own_room_is_on_its_way_and_gives_that_back)
{
    parks(&a);
    parks(&b);
    given_a_full_read_buffer();
    news_come("hello");
    room_comes(); /* both letters: the second finds its answer given */
    cr_assert(eq(ptr, request_of(&a)->reply.response, request_of(&b)->reply.response));
    is_answered(&a, 200);
    is_answered(&b, 200);
    then_nothing_is_reserved();
    then_the_loop_is_idle();
}

Test(line, does_not_share_among_those_who_asked_something_else)
{
    given_a_message("one");
    given_a_message("two");
    given_a_full_read_buffer();
    query(&a, "from", "0");
    waits(&a);
    query(&b, "from", "1");
    waits(&b);
    room_comes();
    is_answered(&b, 200);
    cr_assert(told("two"));
    cr_assert(not(told("one")));
    is_answered(&a, 200);
    cr_assert(told("one") && told("two"), "%s", fake_body);
    then_the_loop_is_idle();
}

Test(line, does_not_share_what_a_range_of_was_asked_for)
{
    given_a_message("x");
    query(&a, "from", "latest");
    query(&b, "from", "latest");
    header(&a, "Accept", "application/octet-stream");
    header(&b, "Accept", "application/octet-stream");
    header(&a, "Range", "bytes=0-1");
    parks(&a);
    parks(&b);
    news_come("hello");
    is_answered(&a, 206);
    cr_assert(eq(str, fake_body, "he"));
    is_answered(&b, 200);
    cr_assert(eq(str, fake_body, "hello"));
    then_the_loop_is_idle();
}

/* ---- how much room ---- */

Test(line, is_not_for_a_small_read_while_there_is_a_little_room)
{
    given_a_message("hello");
    OK(ledger_reserve(broker.read, EVERYTHING - 6000, &everything));
    asks(&a);
    is_answered(&a, 200);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(line, is_not_for_a_text_that_fits_though_its_worst_would_not)
{
    static char text[60001];

    memset(text, 't', sizeof text - 1);
    given_a_message(text);
    OK(ledger_reserve(broker.read, EVERYTHING - 64000, &everything));
    asks(&a);
    is_answered(&a, 200);
    memset(text, 1, sizeof text - 1); /* \u0001 each */
    given_a_message(text);
    query(&b, "limit", "1");
    query(&b, "from", "1");
    waits(&b);
    room_comes();
    is_answered(&b, 200);
    then_nothing_is_reserved();
    then_the_loop_is_idle();
}
