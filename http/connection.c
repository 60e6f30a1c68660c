#include "connection.h"

#include "base/clock.h"
#include "loop.h"
#include "metrics.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <linux/tcp.h> /* struct tcp_info with its later fields; not <netinet/tcp.h> */

#define TCP_CLOSE_WAIT_STATE 8 /* TCP_CLOSE_WAIT, which only <netinet/tcp.h> names */

static void list_remove(struct connection *c)
{
    if (!c->list)
        return;
    *(c->prev ? &c->prev->next : &c->list->first) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->prev = c->next = NULL;
    c->list = NULL;
}

static void list_add(struct connection_list *list, struct connection *c)
{
    list_remove(c);
    c->next = list->first;
    if (c->next)
        c->next->prev = c;
    list->first = c;
    c->list = list;
}

struct connection *connection_open(struct loop *l, int fd, struct address_key *from)
{
    struct connection *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->fd = fd;
    c->from = *from;
    *from = (struct address_key){ 0 };
    connection_awaits(l, c);
    limits_count(l->broker->limits, LIMITS_CONNECTIONS,
                 (int64_t)l->broker->limits->connection_bytes);
    return c;
}

void connection_close(struct loop *l, struct connection *c)
{
    limits_count(l->broker->limits, LIMITS_CONNECTIONS,
                 -(int64_t)l->broker->limits->connection_bytes);
    list_remove(c);
    if (c->early)
        linger_take(&l->linger, c->fd, l->now_ms);
    free(c);
}

void connection_awaits(struct loop *l, struct connection *c)
{
    if (!c)
        return;
    c->since_ms = clock_mono_ms(); /* not the loop's: what came meanwhile was answered */
    c->dripping_ms = 0;
    c->stall_ms = 0;
    list_add(&l->awaiting, c);
}

void connection_busy(struct connection *c)
{
    if (!c)
        return;
    c->has_asked = true;
    list_remove(c);
}

void connection_replies(struct loop *l, struct connection *c)
{
    if (!c)
        return;
    c->since_ms = l->now_ms;
    c->acked = 0;
    c->window_ms = 0; /* begins with the first look, which knows what was taken before */
    list_add(&l->replying, c);
}

static bool ask_kernel(const struct connection *c, struct tcp_info *info)
{
    socklen_t len = sizeof *info;

    return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0;
}

static void cut(struct connection *c, enum metric why)
{
    metric_add(why, 1);
    list_remove(c);
    shutdown(c->fd, SHUT_RDWR);
}

/* Of a reader. What it has not taken goes with it: else the kernel keeps that, up to twice the
 * socket_buffer, for as long as the client answers that it still has no room. */
static void cut_reader(struct connection *c, enum metric why)
{
    struct linger at_once = { .l_onoff = 1 };

    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    cut(c, why);
}

/* libmicrohttpd 0.9.75 leaves handle_idle when the content reader fails, and cleans up when it comes
 * there again. It comes there for all connections with a timeout of their own, but for the others
 * only from the oldest on up to the first that is open. */
void connection_to_close(struct MHD_Connection *conn)
{
    (void)MHD_set_connection_option(conn, MHD_CONNECTION_OPTION_TIMEOUT, 1u);
}

/* Did anything arrive since it began to wait? Then it is part of a request, for a whole
 * one would have made it busy. The kernel's times are up to 10 ms off: part of a request
 * right behind an answer may be missed, and is left to idle_timeout. */
static bool has_sent(const struct connection *c, const struct tcp_info *info,
                     int64_t waited_ms)
{
    if (!c->has_asked)
        return info->tcpi_bytes_received > 0;
    return (int64_t)info->tcpi_last_data_recv + 10 < waited_ms;
}

static void check_awaiting(struct loop *l, struct connection *c)
{
    const struct config *limits = l->broker->config;
    int64_t waited = l->now_ms - c->since_ms;
    struct tcp_info info;

    if (!ask_kernel(c, &info))
        return;
    if (info.tcpi_state == TCP_CLOSE_WAIT_STATE)
        cut(c, METRIC_CONNECTIONS_LEFT); /* its end came with its last bytes, unnoticed */
    else if (waited >= (int64_t)limits->idle_timeout_ms)
        cut(c, METRIC_CONNECTIONS_IDLE);
    else if (waited < (int64_t)limits->header_timeout_ms)
        return;
    else if (!c->dripping_ms && has_sent(c, &info, waited))
        c->dripping_ms = l->now_ms;
    else if (c->dripping_ms &&
             l->now_ms - c->dripping_ms >= (int64_t)limits->header_timeout_ms)
        cut(c, METRIC_CONNECTIONS_SLOW_HEADERS);
}

/* Over windows of write_timeout, as bodies are: a fast start must not buy a long drip. */
static bool drips(struct loop *l, struct connection *c)
{
    const struct config *limits = l->broker->config;
    int64_t ms = l->now_ms - c->window_ms;
    uint64_t taken = c->acked - c->window_acked;
    bool slow = c->window_ms && taken < limits->min_read_rate_bytes_s * (uint64_t)ms / 1000;

    if (c->window_ms && ms < (int64_t)limits->write_timeout_ms)
        return false;
    c->window_ms = l->now_ms;
    c->window_acked = c->acked;
    return slow;
}

/* What the client has acknowledged is what it has taken. Nothing more for the whole
 * timeout, and something is there to take: it has stopped. Who has all that there is waits for
 * us, as the client of a stream without news does. */
static void check_replying(struct loop *l, struct connection *c)
{
    uint64_t stall_ms = c->stall_ms ? c->stall_ms : l->broker->config->write_timeout_ms;
    struct tcp_info info;
    bool has_all;

    if (!ask_kernel(c, &info))
        return;
    has_all = !info.tcpi_unacked && !info.tcpi_notsent_bytes;
    if (has_all)
        c->window_ms = 0;
    if (info.tcpi_bytes_acked != c->acked || has_all) {
        c->acked = info.tcpi_bytes_acked;
        c->since_ms = l->now_ms;
    } else if (l->now_ms - c->since_ms >= (int64_t)stall_ms) {
        cut_reader(c, METRIC_CONNECTIONS_STOPPED);
        return;
    }
    if (drips(l, c))
        cut_reader(c, METRIC_CONNECTIONS_SLOW_READERS);
}

void connection_check(struct loop *l)
{
    struct connection *c, *next;

    for (c = l->awaiting.first; c; c = next) {
        next = c->next;
        check_awaiting(l, c);
    }
    for (c = l->replying.first; c; c = next) {
        next = c->next;
        check_replying(l, c);
    }
}
