/* Real sockets: what the kernel says of a connection decides here. */
#include "base/clock.h"
#include "connection.h"
#include "loop.h"
#include "metrics.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct config config;
static struct limits limits;
static struct broker broker;
static struct loop loop;
static struct connection *connection;
static int client, ours;

static void given_a_client_that_was_let_in(void)
{
    struct sockaddr_in any = { .sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof any;
    struct address_key from = { 0 };
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert(eq(int, bind(listener, (struct sockaddr *)&any, len), 0));
    cr_assert(eq(int, listen(listener, 1), 0));
    getsockname(listener, (struct sockaddr *)&any, &len);
    client = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(eq(int, connect(client, (struct sockaddr *)&any, len), 0));
    ours = accept(listener, NULL, NULL);
    cr_assert(ge(int, ours, 0));
    config.header_timeout_ms = 1;
    config.idle_timeout_ms = config.write_timeout_ms = 3600000;
    broker.config = &config;
    broker.limits = &limits;
    loop.broker = &broker;
    loop.now_ms = clock_mono_ms();
    connection = connection_open(&loop, ours, &from);
    cr_assert(ne(ptr, connection, NULL));
}

static void sends(const char *text)
{
    cr_assert(eq(sz, (size_t)send(client, text, strlen(text), 0), strlen(text)));
}

static void is_read(size_t bytes)
{
    char buf[64];

    cr_assert(eq(sz, (size_t)recv(ours, buf, bytes, MSG_WAITALL), bytes));
}

static void checked_a_little_later(void)
{
    usleep(40000); /* the kernel counts in its own ticks, up to 10 ms each */
    loop.now_ms = clock_mono_ms();
    connection_check(&loop);
}

/* More than the kernels of both sides take. */
static void fills_the_socket(void)
{
    static char much[1 << 16];

    while (send(ours, much, sizeof much, MSG_DONTWAIT) > 0)
        ;
}

TestSuite(connection, .init = given_a_client_that_was_let_in, .timeout = 20);

Test(connection, sees_part_of_a_request_that_came_at_once)
{
    sends("GET");
    checked_a_little_later();
    cr_assert(gt(i64, connection->dripping_ms, 0));
    checked_a_little_later();
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_SLOW_HEADERS), 1));
    connection_close(&loop, connection);
}

Test(connection, sees_part_of_the_next_request)
{
    sends("all of it");
    is_read(9);
    connection_busy(connection);
    connection_awaits(&loop, connection);
    usleep(40000);
    sends("GET");
    checked_a_little_later();
    cr_assert(gt(i64, connection->dripping_ms, 0));
    checked_a_little_later();
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_SLOW_HEADERS), 1));
    connection_close(&loop, connection);
}

Test(connection, does_not_take_the_request_just_answered_for_part_of_the_next)
{
    connection_busy(connection);
    loop.now_ms = clock_mono_ms();
    usleep(40000); /* the loop is busy with others in the same round */
    sends("all of it");
    is_read(9);
    connection_awaits(&loop, connection);
    checked_a_little_later();
    cr_assert(eq(i64, connection->dripping_ms, 0));
    checked_a_little_later();
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_SLOW_HEADERS), 0));
    connection_close(&loop, connection);
}

Test(connection, is_left_alone_while_busy)
{
    connection_busy(connection);
    config.idle_timeout_ms = 0;
    checked_a_little_later();
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_IDLE), 0));
    connection_awaits(&loop, connection);
    checked_a_little_later();
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_IDLE), 1));
    connection_close(&loop, connection);
}

Test(connection, is_left_when_its_client_has_closed_its_side)
{
    shutdown(client, SHUT_WR);
    checked_a_little_later();
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_LEFT), 1));
    connection_close(&loop, connection);
}

/* As a stream without news; it has not stopped, and it does not drip. */
Test(connection, has_not_stopped_while_there_is_nothing_to_read)
{
    connection_busy(connection);
    connection_replies(&loop, connection);
    config.write_timeout_ms = 0;
    config.min_read_rate_bytes_s = 1 << 20;
    for (int i = 0; i < 4; i++)
        checked_a_little_later();
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_STOPPED), 0));
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_SLOW_READERS), 0));
    connection_close(&loop, connection);
}

Test(connection, has_stopped_reading_when_nothing_is_acknowledged)
{
    fills_the_socket();
    connection_busy(connection);
    connection_replies(&loop, connection);
    connection->acked = 1; /* nothing more since then */
    config.write_timeout_ms = 0;
    checked_a_little_later(); /* sees the count move, from 1 to the kernel's */
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_STOPPED), 0));
    while (!metric_get(METRIC_CONNECTIONS_STOPPED))
        checked_a_little_later(); /* the kernels may still move some of it */
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_STOPPED), 1));
    connection_close(&loop, connection);
}
