#include "server.h"

#include "address.h"
#include "base/clock.h"
#include "base/log.h"
#include "mercure/subscriptions.h"
#include "metrics.h"
#include "push/push.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

/* A parked reader sends nothing for a minute, and its machine may be gone: that is noticed
 * after idle_timeout or a minute, whichever is less, but not below four seconds. */
static void keep_alive(int fd, uint64_t idle_timeout_ms)
{
    int seconds = idle_timeout_ms < 60000 ? (int)(idle_timeout_ms / 1000) : 60;

    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds / 2 > 1 ? seconds / 2 : 1);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds / 6 > 1 ? seconds / 6 : 1);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

/* The kernel's buffers of a connection count against a container's limit like our own
 * memory, so they are not left to grow to the system's maximum. Accepted sockets inherit
 * them; the kernel doubles the number. For the way out two of loopback's segments of 64 KiB
 * must fit: with less, a download was seen to stop at every delayed acknowledgement. */
static int listen_on(const struct sockaddr_storage *addr, socklen_t len,
                     const struct config *c)
{
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (addr->ss_family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    set(fd, SOL_SOCKET, SO_SNDBUF, (int)LIMITS_SEND_BUFFER);
    set(fd, SOL_SOCKET, SO_RCVBUF, (int)c->receive_buffer_bytes);
    keep_alive(fd, c->idle_timeout_ms);
    if (bind(fd, (const struct sockaddr *)addr, len) || listen(fd, BACKLOG)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* SO_REUSEPORT lets a second broker of the same user in silently; it must not. */
static enum err check_free(const struct sockaddr_storage *addr, socklen_t len)
{
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), failed;

    if (fd < 0)
        return ERR_IO;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (addr->ss_family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    failed = bind(fd, (const struct sockaddr *)addr, len) ? errno : 0;
    close(fd);
    errno = failed;
    return failed ? ERR_IO : ERR_OK;
}

static enum err cannot_listen(const struct server *s)
{
    LOG_ERROR("server", "listen_failed", LOG_S("listen", s->broker->config->listen),
              LOG_S("error", strerror(errno)));
    return ERR_IO;
}

static enum err start_loops(struct server *s)
{
    struct sockaddr_storage addr;
    socklen_t len;
    enum err e = address_parse(s->broker->config->listen, &addr, &len);

    if (e)
        return e;
    if (check_free(&addr, len))
        return cannot_listen(s);
    for (unsigned i = 0; i < s->broker->config->loops; i++) {
        int fd = listen_on(&addr, len, s->broker->config);

        if (fd < 0)
            return cannot_listen(s);
        len = sizeof addr; /* port 0: the other loops join the port that was chosen */
        getsockname(fd, (struct sockaddr *)&addr, &len);
        e = loop_start(&s->loops[i], s, s->broker, i, fd);
        if (e)
            return e;
        s->count++;
    }
    LOG_INFO("server", "listening", LOG_S("address", s->broker->config->listen),
             LOG_I("port", ntohs(((struct sockaddr_in *)&addr)->sin_port)),
             LOG_I("loops", s->count));
    return ERR_OK;
}

enum err server_start(struct broker *b, struct server **out)
{
    struct server *s = calloc(1, sizeof *s);
    enum err e;

    if (!s)
        return ERR_NO_MEMORY;
    s->broker = b;
    s->loops = calloc(b->config->loops, sizeof *s->loops);
    if (getrandom(&s->start_id, sizeof s->start_id, 0) < 0)
        s->start_id = (uint64_t)clock_mono_us();
    e = addresses_open(b->config->max_connections, b->config->max_connections_per_address,
                       &s->addresses);
    if (!e)
        e = mercure_subscriptions_open(b, &s->registry);
    if (!e)
        e = push_open(b, &s->push);
    if (!e)
        e = s->loops ? start_loops(s) : ERR_NO_MEMORY;
    if (e) {
        server_stop(s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

void server_drain(struct server *s, int64_t timeout_ms)
{
    int64_t until = clock_mono_ms() + timeout_ms;

    atomic_store(&s->broker->draining, true);
    for (unsigned i = 0; i < s->count; i++)
        loop_drain(&s->loops[i]);
    push_drain(s->push);
    while ((metric_get(METRIC_REQUESTS_IN_FLIGHT) > 0 || !push_quiet(s->push) ||
            !mercure_subscriptions_told(s->registry)) &&
           clock_mono_ms() < until)
        usleep(2000);
}

void server_stop(struct server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->count; i++)
        loop_stop(&s->loops[i]);
    push_close(s->push);
    mercure_registry_free(s->registry);
    addresses_free(s->addresses);
    free(s->loops);
    free(s);
}
