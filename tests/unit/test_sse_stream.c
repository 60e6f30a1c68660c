/* Streams and the blocks that they send from, to the millisecond and in each order of events. */
#include "sse_block.h"
#include "stream_fixture.h"

static struct client a, b;
static void given_streams_may_come(void)
{
    given_a_loop_for_streams();
    settings.sse_heartbeat_ms = 15000;
    settings.sse_max_life_ms = 600000;
}

TestSuite(sse_stream, .init = given_streams_may_come, .fini = remove_data_dir, .timeout = 60);

/* ---- what happens ---- */

static void given_a_message(const char *body)
{
    OK(sent(message("t", body), NULL));
}

static void asks(struct client *c)
{
    connects(c);
    header(&c->c, "Accept", "text/event-stream");
    headers(&c->c, "GET", "/v1/topics/t/messages");
    begins(c);
}

static void opens(struct client *c)
{
    asks(c);
    sse_stream_turn(&loop);
    library_lets_go(c);
}

static bool heard(struct client *c, const char *what)
{
    return strstr(hears(c), what) != NULL;
}

static void is_told(struct client *c, const char *what)
{
    cr_assert(heard(c, what), "%s", c->got);
}

static void is_told_nothing(struct client *c)
{
    cr_assert(eq(str, (char *)(uintptr_t)hears(c), ""));
}

static void leaves(struct client *c)
{
    client_goes(c);
    ended(c, CUT);
}

static void then_in_line(size_t waiting)
{
    struct ledger_figures f;

    ledger_read(broker.read, &f);
    cr_assert(eq(sz, f.waiting, waiting));
    cr_assert(eq(uint, atomic_load(&loop.mailbox.owed), (unsigned)waiting));
}

static void then_all_is_given_back(void)
{
    struct ledger_figures f;

    ledger_read(broker.read, &f);
    cr_assert(eq(sz, f.used, 0));
    then_no_stream_is_left();
}

static void room_comes(void)
{
    ledger_release(&everything);
    mail_comes();
    sse_stream_turn(&loop);
}

/* ---- blocks ---- */

static struct sse_want want(uint64_t offset, bool envelope)
{
    struct bytes topic = bytes_str("t");

    return (struct sse_want){ .loop = &loop,
                              .topic = topic,
                              .offset = offset,
                              .slot = (uint16_t)waiters_slot(topic),
                              .envelope = envelope };
}

static struct sse_block *taken(uint64_t offset, bool envelope)
{
    struct sse_want w = want(offset, envelope);
    struct sse_block *block = NULL;
    struct grant none = { 0 };

    OK(sse_block_take(&w, &none, &block));
    return block;
}

Test(sse_stream, finds_the_block_of_those_who_want_the_same)
{
    struct sse_block *first, *same, *later, *other;

    given_a_message("one");
    given_a_message("two");
    first = taken(0, false);
    same = taken(0, false);
    later = taken(1, false);
    other = taken(0, true);
    cr_assert(eq(ptr, first, same));
    cr_assert(ne(ptr, first, later));
    cr_assert(ne(ptr, first, other));
    cr_assert(eq(uint, first->count, 2));
    cr_assert(eq(u64, first->next, 2));
    cr_assert(eq(uint, later->count, 1));
    sse_block_drop(first);
    cr_assert(eq(ptr, taken(0, false), same)); /* one is still in it */
    sse_block_drop(same);
    sse_block_drop(same);
    sse_block_drop(later);
    sse_block_drop(other);
    then_all_is_given_back();
}

Test(sse_stream, pays_for_a_block_what_it_takes)
{
    struct ledger_figures f;
    struct sse_block *block;

    given_a_message("one");
    block = taken(0, false);
    ledger_read(broker.read, &f);
    cr_assert(eq(sz, f.used, block->paid.bytes));
    cr_assert(ge(sz, f.used, sizeof *block + 1 + block->len));
    cr_assert(le(sz, f.used, sizeof *block + block->len + 256));
    sse_block_drop(block);
    then_all_is_given_back();
}

Test(sse_stream, has_no_block_where_nothing_is_there)
{
    struct sse_want w = want(1, false);
    struct sse_block *block = NULL;
    struct grant none = { 0 };

    given_a_message("one");
    cr_assert(eq(int, sse_block_take(&w, &none, &block), ERR_NOT_FOUND));
    then_all_is_given_back();
}

/* ---- streams ---- */

Test(sse_stream, sends_history_and_then_news)
{
    given_a_message("one");
    opens(&a);
    is_told(&a, "id: 0\ndata: one\n\n");
    given_a_message("two");
    mail_comes();
    sse_stream_turn(&loop);
    is_told(&a, "id: 1\ndata: two\n\n");
    is_told_nothing(&a);
    leaves(&a);
    then_all_is_given_back();
}

static void socket_takes_more(struct client *c)
{
    c->request->watch.ready(&c->request->watch, EPOLLOUT);
}

Test(sse_stream, reads_no_further_when_streams_have_had_their_time)
{
    opens(&a);
    hears(&a);
    given_a_message("one");
    loop.streams_until_us = 1; /* long ago */
    socket_takes_more(&a);
    is_told_nothing(&a);
    loop.streams_until_us = 0;
    socket_takes_more(&a);
    is_told(&a, "data: one\n\n");
    leaves(&a);
    then_all_is_given_back();
}

Test(sse_stream, says_something_when_it_has_been_silent_for_so_long)
{
    opens(&a);
    hears(&a);
    time_passes(14999);
    is_told_nothing(&a);
    time_passes(1);
    is_told(&a, ":\n\n");
    time_passes(15000);
    is_told(&a, ":\n\n");
    leaves(&a);
    then_all_is_given_back();
}

Test(sse_stream, ends_when_its_life_is_over)
{
    opens(&a);
    time_passes(479000);
    is_told(&a, ":\n\n");
    time_passes(600000);
    ended(&a, CLEAN);
    then_all_is_given_back();
}

Test(sse_stream, waits_in_line_with_one_for_all_of_a_topic)
{
    given_a_full_read_buffer();
    given_a_message("hello");
    opens(&a);
    opens(&b);
    cr_assert(not(heard(&a, "hello")));
    then_in_line(1);
    room_comes();
    is_told(&a, "hello");
    is_told(&b, "hello");
    leaves(&a);
    leaves(&b);
    then_all_is_given_back();
}

Test(sse_stream, gives_its_place_in_line_to_another_when_its_client_leaves)
{
    given_a_full_read_buffer();
    given_a_message("hello");
    opens(&a);
    opens(&b);
    leaves(&a);
    then_in_line(1);
    room_comes();
    is_told(&b, "hello");
    leaves(&b);
    then_all_is_given_back();
}

Test(sse_stream, whose_client_leaves_as_its_room_comes_gives_the_room_back)
{
    given_a_full_read_buffer();
    given_a_message("hello");
    opens(&a);
    opens(&b);
    ledger_release(&everything); /* granted: its letter is on the way */
    hears(&a);
    client_goes(&a);
    is_told_nothing(&a); /* it is not closed yet either: the letter would find it gone */
    mail_comes();
    sse_stream_turn(&loop);
    ended(&a, CUT);
    is_told(&b, "hello");
    leaves(&b);
    then_all_is_given_back();
}

Test(sse_stream, ends_at_a_shutdown_with_the_news_that_had_come)
{
    opens(&a);
    opens(&b);
    given_a_message("last");
    mail_comes();
    broker.draining = true;
    wait_drain(&loop);
    sse_stream_turn(&loop);
    is_told(&a, "last");
    is_told(&b, "last");
    ended(&a, CLEAN);
    ended(&b, CLEAN);
    then_all_is_given_back();
}

Test(sse_stream, ends_at_a_shutdown_though_it_stands_in_line)
{
    given_a_full_read_buffer();
    given_a_message("hello");
    opens(&a);
    opens(&b);
    broker.draining = true;
    wait_drain(&loop);
    sse_stream_turn(&loop);
    ended(&a, CLEAN);
    ended(&b, CLEAN);
    ledger_release(&everything);
    then_all_is_given_back();
}

Test(sse_stream, is_closed_with_its_loop)
{
    opens(&a);
    given_a_message("news");
    mail_comes();
    wait_cut_all(&loop);
    sse_stream_turn(&loop);
    ended(&a, CUT);
    then_all_is_given_back();
}

/* ---- a connection that goes on without the library ---- */

Test(sse_stream, goes_on_though_the_library_has_not_let_go_yet)
{
    given_a_message("one");
    asks(&a);
    sse_stream_turn(&loop);
    is_told(&a, "data: one\n\n");
    client_goes(&a);
    sse_stream_turn(&loop);
    is_told_nothing(&a); /* it has ended, and must be there for the library still */
    library_lets_go(&a);
    ended(&a, CUT);
    then_all_is_given_back();
}

Test(sse_stream, is_closed_by_the_library_when_the_loop_ends_before_it_was_taken_over)
{
    asks(&a);
    wait_cut_all(&loop);
    library_lets_go(&a);
    close(a.socket);
    then_all_is_given_back();
}
