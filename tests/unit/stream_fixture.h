/*
 * stream_fixture - clients of event streams on a loop whose time and turns the test decides. Each has
 * a socket whose other end the test reads, or does not; the test does what the library would do, too.
 */
#ifndef SLUICE_STREAM_FIXTURE_H
#define SLUICE_STREAM_FIXTURE_H

#include "http_fixture.h"
#include "sse_stream.h"
#include "takeover.h"

#include <sys/socket.h>

#define EVERYTHING (8u << 20) /* the read buffer (http_fixture.h) */

struct client {
    struct MHD_Connection c;
    struct request *request;
    int socket;                     /* the client's end */
    MHD_ContentReaderCallback more; /* what the library asks for the body */
    void *arg;
    struct MHD_Response *response;
    char got[96 << 10];
    bool saw_the_end; /* the last chunk */
};

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

/* The library keeps a response while its connection needs it; here until it lets go. */
void MHD_destroy_response(struct MHD_Response *response)
{
    (void)response;
}

static void given_a_loop_for_streams(void)
{
    given_a_loop();
    broker.limits = &limits;
    loop.nobody_fd = takeover_nobody();
    cr_assert(ge(int, loop.nobody_fd, 0));
}

static void then_no_stream_is_left(void)
{
    cr_assert(eq(i64, metric_get(METRIC_SSE_SUBSCRIBERS), 0));
    cr_assert(eq(i64, atomic_load(&limits.parts[LIMITS_CONNECTIONS].active_bytes), 0));
    cr_assert(eq(i64, atomic_load(&server.connections), -opened)); /* each gave its place back once */
    close(loop.nobody_fd);
    then_the_loop_is_idle();
}

UNUSED static void given_a_full_read_buffer(void)
{
    struct ledger_figures f;

    ledger_read(broker.read, &f);
    OK(ledger_reserve(broker.read, EVERYTHING - f.used, &everything));
}

/* ---- what the library does ---- */

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

/* Its headers are there: they are answered with a stream, and the head is written. */
static void begins(struct client *c)
{
    body(&c->c, "");
    cr_assert(eq(uint, c->c.status, 200));
    c->request = request_of(&c->c);
    c->more = last_more;
    c->arg = last_arg;
    c->response = last_response;
    cr_assert(eq(int, (int)library_asks(c), 0));
    cr_assert(eq(int, c->c.suspended, 1));
}

/* ---- what the client does ---- */

/* What has come to the client since the last time. */
static const char *hears(struct client *c)
{
    ssize_t n = recv(c->socket, c->got, sizeof c->got - 1, MSG_DONTWAIT);

    c->got[n > 0 ? n : 0] = 0;
    if (n >= 5 && !strcmp(c->got + n - 5, "0\r\n\r\n"))
        c->saw_the_end = true;
    return c->got;
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

#endif
