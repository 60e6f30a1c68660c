#include "http_fixture.h"
#include <sys/socket.h>

#include <stdlib.h>

TestSuite(request, .init = given_a_loop, .fini = remove_data_dir, .timeout = 60);

/* Asking for more memory than there can be fails here as it does elsewhere. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static struct MHD_Connection a, b;

static void timers_find_no_memory(void)
{
    cr_assert(eq(sz, loop.timers.count, 0));
    loop.timers.count = loop.timers.cap = SIZE_MAX / 64;
}

static void timers_find_memory_again(void)
{
    loop.timers.count = loop.timers.cap = 0;
}

/* ---- standing in line ---- */

static struct grant everything;

static void given_a_full_buffer(void)
{
    OK(ledger_reserve(ledger, 64 << 20, &everything));
}

static void stands_in_line(struct MHD_Connection *c)
{
    struct ledger_figures f;

    header(c, "Content-Length", "5");
    cr_assert(eq(int, headers(c, "POST", "/v1/topics/t/messages"), MHD_YES));
    cr_assert(eq(int, c->suspended, 1));
    ledger_read(ledger, &f);
    cr_assert(eq(sz, f.waiting, 1));
}

static void sends_its_body(struct MHD_Connection *c)
{
    cr_assert(eq(sz, body(c, "hello"), 5));
    body(c, "");
    while (!c->status) {
        mail_comes();
        body(c, "");
    }
}

Test(request, publishes_when_there_is_room)
{
    header(&a, "Content-Length", "5");
    headers(&a, "POST", "/v1/topics/t/messages");
    sends_its_body(&a);
    cr_assert(eq(uint, a.status, 201));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    cr_assert(eq(str, (char *)offsets("t", false), "0"));
    then_the_loop_is_idle();
}

Test(request, waits_in_line_and_goes_on_when_there_is_room)
{
    given_a_full_buffer();
    stands_in_line(&a);
    ledger_release(&everything);
    mail_comes();
    cr_assert(eq(int, a.suspended, 0));
    body(&a, ""); /* the library's call after a resume in the headers */
    sends_its_body(&a);
    cr_assert(eq(uint, a.status, 201));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    then_the_loop_is_idle();
}

Test(request, is_told_that_there_is_no_room_when_its_patience_is_over)
{
    given_a_full_buffer();
    header(&a, "Prefer", "wait=2");
    stands_in_line(&a);
    time_passes(2000); /* of which the first may have begun a while ago */
    cr_assert(eq(int, a.suspended, 1));
    time_passes(1);
    cr_assert(eq(int, a.suspended, 0));
    body(&a, "");
    cr_assert(eq(sz, body(&a, "hello"), 5)); /* thrown away */
    body(&a, "");
    cr_assert(eq(uint, a.status, 503));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    ledger_release(&everything);
    cr_assert(eq(u64, stats().counters.accepted, 0));
    then_the_loop_is_idle();
}

Test(request, without_patience_is_told_at_once)
{
    given_a_full_buffer();
    header(&a, "Prefer", "wait=0");
    header(&a, "Content-Length", "5");
    headers(&a, "POST", "/v1/topics/t/messages");
    cr_assert(eq(int, a.suspended, 0));
    body(&a, "hello");
    body(&a, "");
    cr_assert(eq(uint, a.status, 503));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(request, refused_before_its_body_has_time_to_send_it)
{
    int pair[2];

    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
    a.fd = pair[0];
    settings.idle_timeout_ms = 60000;
    settings.body_grace_ms = 5000;
    loop.now_ms = 1000000;
    given_a_full_buffer();
    header(&a, "Prefer", "wait=0");
    header(&a, "Content-Length", "5");
    headers(&a, "POST", "/v1/topics/t/messages");
    request_check_bodies(&loop);
    cr_assert(eq(int, (int)send(pair[1], "hello", 5, MSG_NOSIGNAL), 5));
    body(&a, "hello");
    body(&a, "");
    cr_assert(eq(uint, a.status, 503));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    ledger_release(&everything);
    then_the_loop_is_idle();
    close(pair[0]);
    close(pair[1]);
}

Test(request, whose_client_leaves_the_line_gets_no_room)
{
    given_a_full_buffer();
    stands_in_line(&a);
    client_leaves(&a);
    cr_assert(eq(int, headers(&a, "POST", ""), MHD_NO));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(request, whose_client_leaves_just_after_it_got_room_gives_it_back)
{
    given_a_full_buffer();
    stands_in_line(&a);
    ledger_release(&everything); /* the letter is under way */
    client_leaves(&a);
    cr_assert(eq(int, a.suspended, 1)); /* not before the letter has come */
    mail_comes();
    cr_assert(eq(int, headers(&a, "POST", ""), MHD_NO));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    then_the_loop_is_idle();
}

Test(request, in_line_is_owed_a_letter_so_that_its_loop_does_not_end_before)
{
    given_a_full_buffer();
    stands_in_line(&a);
    cr_assert(eq(uint, atomic_load(&loop.mailbox.owed), 1));
    ledger_release(&everything);
    wait_cut_all(&loop);
    cr_assert(eq(int, a.suspended, 1));
    mail_comes(); /* which is why the loop goes on until nothing is owed */
    cr_assert(eq(int, a.suspended, 0));
    cr_assert(eq(uint, atomic_load(&loop.mailbox.owed), 0));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    then_the_loop_is_idle();
}

Test(request, that_left_the_line_is_owed_nothing)
{
    given_a_full_buffer();
    stands_in_line(&a);
    wait_drain(&loop);
    cr_assert(eq(int, a.suspended, 0));
    cr_assert(eq(uint, atomic_load(&loop.mailbox.owed), 0));
    body(&a, "");
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

Test(request, without_memory_for_its_deadline_does_not_stay_in_line)
{
    struct ledger_figures f;

    given_a_full_buffer();
    timers_find_no_memory();
    header(&a, "Content-Length", "5");
    headers(&a, "POST", "/v1/topics/t/messages");
    timers_find_memory_again();
    ledger_read(ledger, &f);
    cr_assert(eq(sz, f.waiting, 0));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    ledger_release(&everything);
    then_the_loop_is_idle();
}

/* ---- parked ---- */

static void parks(struct MHD_Connection *c)
{
    query(c, "wait", "10");
    headers(c, "GET", "/v1/topics/t/messages");
    body(c, "");
    cr_assert(eq(int, c->suspended, 1));
}

static void a_message_comes(void)
{
    OK(sent(message("t", "x"), NULL));
    a_turn_passes(); /* news go out behind the letters */
    mail_comes();
}

static void is_answered(struct MHD_Connection *c)
{
    cr_assert(eq(int, c->suspended, 0));
    body(c, "");
    cr_assert(eq(uint, c->status, 200));
    ends(c, MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

Test(request, parked_is_answered_when_a_message_comes)
{
    parks(&a);
    cr_assert(eq(i64, metric_get(METRIC_READERS_PARKED), 1));
    a_message_comes();
    is_answered(&a);
    then_the_loop_is_idle();
}

Test(request, parked_with_others_shares_one_answer)
{
    OK(sent(message("t", "x"), NULL));
    query(&a, "from", "latest");
    query(&b, "from", "latest");
    parks(&a);
    parks(&b);
    a_message_comes();
    cr_assert(ne(ptr, request_of(&a)->reply.response, NULL));
    cr_assert(eq(ptr, request_of(&a)->reply.response, request_of(&b)->reply.response));
    is_answered(&b);
    is_answered(&a);
    then_the_loop_is_idle();
}

Test(request, parked_is_answered_when_its_time_is_over)
{
    parks(&a);
    time_passes(10000);
    cr_assert(eq(int, a.suspended, 1));
    time_passes(1);
    is_answered(&a);
    then_the_loop_is_idle();
}

Test(request, parked_whose_client_leaves_is_counted_out)
{
    parks(&a);
    client_leaves(&a);
    cr_assert(eq(i64, metric_get(METRIC_READERS_LEFT), 1));
    cr_assert(eq(int, headers(&a, "GET", ""), MHD_NO));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    OK(sent(message("t", "x"), NULL));
    a_turn_passes();
    cr_assert(not(mailbox_drain(&loop.mailbox))); /* nobody waits for this topic */
    then_the_loop_is_idle();
}

Test(request, without_memory_for_its_deadline_does_not_stay_parked)
{
    timers_find_no_memory();
    query(&a, "wait", "10");
    headers(&a, "GET", "/v1/topics/t/messages");
    body(&a, "");
    timers_find_memory_again();
    cr_assert(eq(int, a.suspended, 0));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    cr_assert(eq(i64, metric_get(METRIC_READERS_PARKED), 0));
    then_the_loop_is_idle();
}

/* News that came between the first look and the last one before parking. */
static bool finds_news(struct request *r, bool last)
{
    (void)last;
    reply_empty(r, MHD_HTTP_OK);
    r->loop->last_woken = r;
    return true;
}

Test(request, answered_just_before_it_parks_is_no_model_for_later_ones)
{
    static const struct route route = { .look = finds_news };

    headers(&a, "GET", "/v1/topics/t/messages");
    request_of(&a)->route = &route;
    wait_park(request_of(&a));
    cr_assert(eq(ptr, loop.last_woken, NULL)); /* it is freed long before they come */
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    then_the_loop_is_idle();
}

/* ---- what is gone ---- */

/* Five messages have been, and are gone. */
static void given_a_topic_that_was_emptied(void)
{
    struct publish *p;

    for (int i = 0; i < 5; i++) {
        p = message("t", "x");
        p->one.has_ttl = true;
        OK(sent(p, NULL));
    }
}

Test(request, parked_hears_how_many_messages_it_missed)
{
    given_a_topic_that_was_emptied();
    query(&a, "from", "2");
    parks(&a);
    a_message_comes();
    is_answered(&a);
    cr_assert(ne(ptr, strstr(fake_body, "\"skipped\":3"), NULL), "%s", fake_body);
    then_the_loop_is_idle();
}

Test(request, that_missed_nothing_is_not_told_what_another_one_missed)
{
    given_a_topic_that_was_emptied();
    query(&b, "from", "5");
    parks(&b);
    query(&a, "from", "2");
    parks(&a); /* the last one to come is looked at first */
    a_message_comes();
    cr_assert(ne(ptr, request_of(&a)->reply.response, request_of(&b)->reply.response));
    is_answered(&a);
    is_answered(&b);
    cr_assert(eq(ptr, strstr(fake_body, "skipped"), NULL), "%s", fake_body);
    then_the_loop_is_idle();
}

Test(request, that_counts_from_the_end_did_not_miss_what_is_gone)
{
    given_a_topic_that_was_emptied();
    query(&b, "from", "-3");
    parks(&b);
    query(&a, "from", "5");
    parks(&a);
    a_message_comes();
    is_answered(&a);
    is_answered(&b);
    cr_assert(eq(ptr, strstr(fake_body, "skipped"), NULL), "%s", fake_body);
    then_the_loop_is_idle();
}

Test(request, of_a_strict_reader_is_refused_when_its_offset_is_gone)
{
    given_a_topic_that_was_emptied();
    query(&a, "from", "2");
    query(&a, "strict", "1");
    headers(&a, "GET", "/v1/topics/t/messages");
    body(&a, "");
    cr_assert(eq(uint, a.status, 410));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    then_the_loop_is_idle();
}

Test(request, tells_no_ttl_below_nothing_when_the_clock_went_back)
{
    OK(sent(message("t", "x"), NULL));
    clock_fake_wall_ms(NOW - 60000);
    header(&a, "Content-Length", "5");
    header(&a, "TTL", "10");
    headers(&a, "POST", "/v1/topics/t/messages");
    sends_its_body(&a);
    cr_assert(eq(uint, a.status, 201));
    cr_assert(eq(str, a.ttl, "10"));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    then_the_loop_is_idle();
}
