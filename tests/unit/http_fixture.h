/*
 * http_fixture - one HTTP loop without its thread and its daemon: the test calls what the
 * library would call, and decides what time it is.
 */
#ifndef SLUICE_HTTP_FIXTURE_H
#define SLUICE_HTTP_FIXTURE_H

#include "fake_connection.h"
#include "metrics.h"
#include "router.h"
#include "wait.h"
#include "server.h"
#include "writer_fixture.h"

#include <sys/epoll.h>

static struct config settings;
static struct broker broker;
static struct server server;
static struct loop loop;

static void given_a_loop(void)
{
    given_a_writer();
    settings = (struct config){ .max_message_bytes = 1 << 20,
                                .inline_max_bytes = 64 << 10,
                                .max_batch_bytes = 1 << 20,
                                .publish_wait_max_ms = 5000,
                                .read_wait_max_ms = 30000,
                                .read_buffer_wait_max_ms = 5000,
                                .min_body_rate_bytes_s = 0,
                                .auto_create = true,
                                .mercure_topic = "mercure",
                              .loops = 1 };
    broker = (struct broker){ .config = &settings,
                              .ops = ops,
                              .store = store,
                              .writer = writer,
                              .waiters = waiters,
                              .receivers = receivers_new(),
                              .ties = ties_new(2 << 20),
                              .publish = ledger,
                              .read = ledger_new(8 << 20),
                              .json = ledger_new(8 << 20),
                              .rate = rate_new(64 << 10),
                              .places = places_new() };
    server.broker = &broker;
    loop.server = &server;
    loop.broker = &broker;
    loop.now_ms = 1000;
    loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    OK(fetch_open(&loop.fetch, ops, store));
    OK(mailbox_init(&loop.mailbox));
    waiters_join(waiters, 0, &loop.mailbox, wait_woken, &loop);
}

static void then_the_loop_is_idle(void)
{
    cr_assert(eq(i64, metric_get(METRIC_REQUESTS_IN_FLIGHT), 0));
    cr_assert(eq(i64, metric_get(METRIC_READERS_PARKED), 0));
    cr_assert(eq(sz, loop.held, 0));
    writer_stop(writer);
    writer = NULL;
    cr_assert(eq(uint, atomic_load(&loop.mailbox.owed), 0));
    ledger_free(broker.read);
    ledger_free(broker.json);
    rate_free(broker.rate);
    places_free(broker.places);
    receivers_free(broker.receivers);
    ties_free(broker.ties);
    timers_fini(&loop.timers);
    fetch_close(&loop.fetch);
    mailbox_fini(&loop.mailbox);
    then_everything_is_given_back();
}

/* ---- what the library does with a request ---- */

UNUSED static void header(struct MHD_Connection *c, const char *name, const char *value)
{
    fake_value(c, MHD_HEADER_KIND, name, value);
}

UNUSED static void query(struct MHD_Connection *c, const char *name, const char *value)
{
    fake_value(c, MHD_GET_ARGUMENT_KIND, name, value);
}

UNUSED static enum MHD_Result headers(struct MHD_Connection *c, const char *method,
                               const char *url)
{
    size_t none = 0;

    return request_handle(&loop, c, url, method, "HTTP/1.1", NULL, &none, &c->context);
}

/* The next call with what there is of the body; "" when it is complete, or nothing has
 * come yet. Returns how much was taken. */
UNUSED static size_t body(struct MHD_Connection *c, const char *data)
{
    size_t size = strlen(data), left = size;

    request_handle(&loop, c, "", "", "HTTP/1.1", data, &left, &c->context);
    return size - left;
}

UNUSED static void ends(struct MHD_Connection *c, enum MHD_RequestTerminationCode how)
{
    request_completed(&loop, c, &c->context, how);
    cr_assert(eq(int, c->suspended, 0)); /* the library insists */
}

UNUSED static struct request *request_of(struct MHD_Connection *c)
{
    return c->context;
}

UNUSED static void client_leaves(struct MHD_Connection *c)
{
    request_of(c)->watch.ready(&request_of(c)->watch, EPOLLRDHUP);
}

UNUSED static void time_passes(int64_t ms)
{
    loop.now_ms += ms;
    timers_fire(&loop.timers, loop.now_ms);
}

UNUSED static void mail_comes(void)
{
    struct pollfd p = { .fd = loop.mailbox.fd, .events = POLLIN };

    poll(&p, 1, -1);
    mailbox_drain(&loop.mailbox);
}

#endif
