/* Streams and the blocks that they send from, to the millisecond and in each order of events. */
#include "http_fixture.h"
#include "sse_block.h"
#include "sse_stream.h"
#include "takeover.h"

#include <sys/socket.h>

#define EVERYTHING (8u << 20)

struct client {
    struct MHD_Connection c;
    struct request *request;
    int socket;                     /* the client's end */
    MHD_ContentReaderCallback more; /* what the library asks for the body */
    void *arg;
    struct MHD_Response *response;
    char got[4096];
    bool saw_the_end; /* the last chunk */
};

static struct client a, b;
static struct limits limits;
static int64_t opened; /* connections, whose places nobody took */
static struct grant everything;
static MHD_ContentReaderCallback last_more;
static void *last_arg;
static struct MHD_Response *last_response;

/* The library's own, looked at on the way. */
struct MHD_Response *
MHD_create_response_from_callback(uint64_t size, size_t block,
                                  MHD_ContentReaderCallback more, void *arg,
                                  MHD_ContentReaderFreeCallback done)
{
    struct MHD_Response *(*real)(uint64_t, size_t, MHD_ContentReaderCallback, void *,
                                 MHD_ContentReaderFreeCallback);

    last_more = more;
    last_arg = arg;
    *(void **)&real = dlsym(RTLD_NEXT, __func__);
    last_response = real(size, block, more, arg, done);
    return last_response;
}

/* The library keeps a response while its connection needs it; here until `ended`. */
void MHD_destroy_response(struct MHD_Response *response)
{
    (void)response;
}

static void given_streams_may_come(void)
{
    given_a_loop();
    settings.sse_heartbeat_ms = 15000;
    settings.sse_max_life_ms = 600000;
    broker.limits = &limits;
    loop.nobody_fd = takeover_nobody();
    cr_assert(ge(int, loop.nobody_fd, 0));
}

TestSuite(sse_stream, .init = given_streams_may_come, .fini = remove_data_dir, .timeout = 60);

/* ---- what happens ---- */

static void given_a_message(const char *body)
{
    OK(sent(message("t", body), NULL));
}

static void given_a_full_read_buffer(void)
{
    OK(ledger_reserve(broker.read, EVERYTHING, &everything));
}

static ssize_t library_asks(struct client *c)
{
    char buf[64];

    return c->more(c->arg, 0, buf, sizeof buf);
}

static void connects(struct client *c)
{
    struct address_key nobody = { 0 };
    int pair[2];

    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
    c->c.fd = pair[0];
    c->socket = pair[1];
    c->c.socket_context = connection_open(&loop, pair[0], &nobody);
    cr_assert(ne(ptr, c->c.socket_context, NULL));
    opened++;
}

/* Its socket is not the library's any more: it is told so, and closes what it has. */
static void library_lets_go(struct client *c)
{
    void (*destroy)(struct MHD_Response *);

    cr_assert(eq(int, c->c.suspended, 0));
    cr_assert(eq(i64, library_asks(c), MHD_CONTENT_READER_END_WITH_ERROR));
    ends(&c->c, MHD_REQUEST_TERMINATED_WITH_ERROR);
    accept_closed(&loop, c->c.socket_context);
    *(void **)&destroy = dlsym(RTLD_NEXT, "MHD_destroy_response");
    destroy(c->response);
    close(c->c.fd);
}

static void asks(struct client *c)
{
    connects(c);
    header(&c->c, "Accept", "text/event-stream");
    headers(&c->c, "GET", "/v1/topics/t/messages");
    body(&c->c, "");
    cr_assert(eq(uint, c->c.status, 200));
    c->request = request_of(&c->c);
    c->more = last_more;
    c->arg = last_arg;
    c->response = last_response;
    cr_assert(eq(int, (int)library_asks(c), 0));
    cr_assert(eq(int, c->c.suspended, 1));
}

static void opens(struct client *c)
{
    asks(c);
    sse_stream_turn(&loop);
    library_lets_go(c);
}

/* What has come to the client since the last time. */
static const char *hears(struct client *c)
{
    ssize_t n = recv(c->socket, c->got, sizeof c->got - 1, MSG_DONTWAIT);

    c->got[n > 0 ? n : 0] = 0;
    if (n >= 5 && !strcmp(c->got + n - 5, "0\r\n\r\n"))
        c->saw_the_end = true;
    return c->got;
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

enum end { CLEAN, CUT };

static void ended(struct client *c, enum end how)
{
    char more;

    sse_stream_turn(&loop);
    hears(c);
    cr_assert(eq(int, c->saw_the_end, how == CLEAN));
    cr_assert(eq(i64, recv(c->socket, &more, 1, MSG_DONTWAIT), 0)); /* closed */
    close(c->socket);
}

static void client_goes(struct client *c)
{
    c->request->watch.ready(&c->request->watch, EPOLLRDHUP);
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
    cr_assert(eq(i64, metric_get(METRIC_SSE_SUBSCRIBERS), 0));
    cr_assert(eq(i64, atomic_load(&limits.parts[LIMITS_CONNECTIONS].active_bytes), 0));
    cr_assert(eq(i64, atomic_load(&server.connections), -opened)); /* each gave its place back once */
    close(loop.nobody_fd);
    then_the_loop_is_idle();
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
    void (*destroy)(struct MHD_Response *);

    asks(&a);
    wait_cut_all(&loop);
    cr_assert(eq(int, a.c.suspended, 0));
    cr_assert(eq(i64, library_asks(&a), MHD_CONTENT_READER_END_WITH_ERROR));
    ends(&a.c, MHD_REQUEST_TERMINATED_WITH_ERROR);
    accept_closed(&loop, a.c.socket_context);
    *(void **)&destroy = dlsym(RTLD_NEXT, "MHD_destroy_response");
    destroy(a.response);
    close(a.c.fd);
    close(a.socket);
    then_all_is_given_back();
}
