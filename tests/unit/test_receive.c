/* Consumers of a subscription on their loop: what they hold, and who is told. */
#include "http_fixture.h"

#include "settle.h"

TestSuite(receive, .init = given_a_loop, .fini = remove_data_dir, .timeout = 60);

static struct MHD_Connection a;

static size_t held(void)
{
    struct ledger_figures f;

    ledger_read(broker.read, &f);
    return f.used;
}

static void begins(struct MHD_Connection *c, const char *method, const char *url,
                   const char *text)
{
    static char length[24];

    snprintf(length, sizeof length, "%zu", strlen(text));
    header(c, "Content-Length", length);
    headers(c, method, url);
    if (*text)
        body(c, text);
    body(c, "");
}

static void receives(struct MHD_Connection *c, const char *limit)
{
    query(c, "limit", limit);
    begins(c, "POST", "/v1/subscriptions/s:receive", "");
}

/* From its beginning to its answer. */
static void asks(const char *method, const char *url, const char *text, unsigned status)
{
    struct MHD_Connection c = { 0 };

    begins(&c, method, url, text);
    cr_assert(eq(uint, c.status, 0), "%s", fake_body);
    mail_comes();
    body(&c, "");
    cr_assert(eq(uint, c.status, status), "%s", fake_body);
    ends(&c, MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

static void given_messages(unsigned count)
{
    asks("PUT", "/v1/subscriptions/s", "{\"topic\":\"t\"}", 201);
    while (count--)
        OK(sent(message("t", "hello"), NULL));
}

static void are_gone(const char *before)
{
    struct MHD_Connection c = { 0 };

    begins(&c, "POST", "/v1/topics/t:purge", before);
    let_it_go();
    a_turn_passes(); /* all letters are there; none is open */
    ends(&c, MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

/* ---- what is leased, and gone before it is written down ---- */

Test(receive, pays_for_taking_back_what_is_gone_out_of_the_answers_own_room)
{
    given_messages(3);
    hold_the_writer();
    receives(&a, "3");
    are_gone("{\"before_offset\":2}");
    hold_the_writer();
    mail_comes();
    body(&a, "");
    cr_assert(eq(uint, a.status, 200));
    cr_assert(ne(ptr, strstr(fake_body, "\"offset\":2,"), NULL), "%s", fake_body);
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    cr_assert(eq(sz, held(), settle_bytes(2)));
    let_it_go();
    a_turn_passes();
    cr_assert(eq(sz, held(), 0));
    then_the_loop_is_idle();
}

Test(receive, pays_for_taking_back_all_of_it_when_its_client_has_left)
{
    given_messages(3);
    hold_the_writer();
    receives(&a, "3");
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    cr_assert(gt(sz, held(), settle_bytes(3)));
    let_it_go();
    a_turn_passes();
    hold_the_writer();
    mail_comes();
    cr_assert(eq(sz, held(), settle_bytes(3)));
    let_it_go();
    a_turn_passes();
    cr_assert(eq(sz, held(), 0));
    then_the_loop_is_idle();
}

/* ---- who is woken, and gets nothing ---- */

#define EVERYTHING (8u << 20)

static struct MHD_Connection b;
static struct grant everything;

static void waits(struct MHD_Connection *c)
{
    query(c, "wait", "20");
    begins(c, "POST", "/v1/subscriptions/s:receive", "");
    cr_assert(eq(uint, request_of(c)->phase, REQUEST_PARKED));
}

/* The second is let go for it, and stands in line; the first one waits on. */
static void given_two_and_a_message_without_room(void)
{
    given_messages(0);
    waits(&a);
    waits(&b);
    OK(ledger_reserve(broker.read, EVERYTHING, &everything));
    OK(sent(message("t", "hello"), NULL));
    a_turn_passes();
    mail_comes();
    cr_assert(eq(uint, request_of(&a)->phase, REQUEST_PARKED));
    cr_assert(eq(uint, request_of(&b)->phase, REQUEST_QUEUED));
}

/* It must not wait for another message to come. */
static void then_the_first_one_gets_it(void)
{
    ledger_release(&everything);
    mailbox_drain(&loop.mailbox);
    cr_assert(eq(uint, request_of(&a)->phase, REQUEST_HELD));
    mail_comes();
    body(&a, "");
    cr_assert(eq(uint, a.status, 200));
    cr_assert(ne(ptr, strstr(fake_body, "hello"), NULL), "%s", fake_body);
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    then_the_loop_is_idle();
}

Test(receive, who_finds_no_room_in_time_lets_another_one_try)
{
    given_two_and_a_message_without_room();
    time_passes(5001);
    body(&b, "");
    cr_assert(eq(uint, b.status, 503));
    ends(&b, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    then_the_first_one_gets_it();
}

Test(receive, who_leaves_the_line_lets_another_one_try)
{
    given_two_and_a_message_without_room();
    client_leaves(&b);
    ends(&b, MHD_REQUEST_TERMINATED_WITH_ERROR);
    then_the_first_one_gets_it();
}

/* Its letter is on the way already. */
Test(receive, who_leaves_just_when_its_room_has_come_lets_another_one_try)
{
    given_two_and_a_message_without_room();
    ledger_release(&everything);
    client_leaves(&b);
    mailbox_drain(&loop.mailbox);
    ends(&b, MHD_REQUEST_TERMINATED_WITH_ERROR);
    then_the_first_one_gets_it();
}

Test(receive, who_leaves_while_the_writer_works_for_it_lets_another_one_have_it)
{
    given_messages(0);
    waits(&a);
    waits(&b);
    OK(sent(message("t", "hello"), NULL));
    a_turn_passes();
    hold_the_writer();
    mailbox_drain(&loop.mailbox);
    cr_assert(eq(uint, request_of(&b)->phase, REQUEST_HELD));
    ends(&b, MHD_REQUEST_TERMINATED_WITH_ERROR);
    let_it_go();
    mail_comes(); /* what it leased is taken back */
    a_turn_passes();
    then_the_first_one_gets_it();
}
