#include "healthcheck.h"

#include "address.h"
#include "base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct check {
    int fd;
    int64_t deadline_ms;
    char *why;
    size_t size;
};

static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n"
                              "User-Agent: sluice-healthcheck\r\n"
                              "Connection: close\r\n\r\n";

static enum err say(struct check *c, enum err e, const char *why)
{
    snprintf(c->why, c->size, "%s", why);
    return e;
}

/* A broker that listens everywhere is asked at home. False: port 0, nobody knows it. */
static bool aim(struct sockaddr_storage *to)
{
    if (to->ss_family == AF_INET6) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;

        if (IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
            six->sin6_addr = in6addr_loopback;
        return six->sin6_port != 0;
    }
    struct sockaddr_in *four = (struct sockaddr_in *)to;

    if (four->sin_addr.s_addr == htonl(INADDR_ANY))
        four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return four->sin_port != 0;
}

static enum err wait_for(struct check *c, short events)
{
    struct pollfd p = { .fd = c->fd, .events = events };
    int64_t left_ms;
    int n;

    do {
        left_ms = c->deadline_ms - clock_mono_ms();
        n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return say(c, ERR_CLOSED, strerror(errno));
    return n ? ERR_OK : say(c, ERR_CLOSED, "no answer in time");
}

static enum err connect_to(struct check *c, const struct sockaddr_storage *to,
                           socklen_t len)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    enum err e;

    if (connect(c->fd, (const struct sockaddr *)to, len) == 0)
        return ERR_OK;
    if (errno != EINPROGRESS)
        return say(c, ERR_CLOSED, strerror(errno));
    e = wait_for(c, POLLOUT);
    if (e)
        return e;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &size) || failure)
        return say(c, ERR_CLOSED, strerror(failure ? failure : errno));
    return ERR_OK;
}

/* The request is far smaller than any socket buffer: it goes out in one piece or not. */
static enum err send_request(struct check *c)
{
    ssize_t n = send(c->fd, request, sizeof request - 1, MSG_NOSIGNAL);

    if (n == (ssize_t)sizeof request - 1)
        return ERR_OK;
    return say(c, ERR_CLOSED, n < 0 ? strerror(errno) : "the request did not go out");
}

static enum err read_status(struct check *c, int *status)
{
    char head[64];
    size_t len = 0;

    while (len < sizeof head - 1) {
        enum err e = wait_for(c, POLLIN);
        ssize_t n;

        if (e)
            return e;
        n = recv(c->fd, head + len, sizeof head - 1 - len, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return say(c, ERR_CLOSED, strerror(errno));
        if (n == 0)
            break;
        len += (size_t)n;
        head[len] = '\0';
        if (strchr(head, '\n'))
            break;
    }
    head[len] = '\0';
    if (sscanf(head, "HTTP/1.%*1[01] %3d", status) != 1)
        return say(c, ERR_CLOSED, len ? "the answer is not HTTP" : "closed unanswered");
    return ERR_OK;
}

static enum err ask(struct check *c, const struct sockaddr_storage *to, socklen_t len)
{
    int status = 0;
    enum err e;

    e = connect_to(c, to, len);
    if (!e)
        e = send_request(c);
    if (!e)
        e = read_status(c, &status);
    if (e || status == 200)
        return e;
    snprintf(c->why, c->size, "not ready: it answers %d", status);
    return ERR_BUSY;
}

enum err healthcheck(const char *listen, int timeout_ms, char *why, size_t size)
{
    struct check c = { .deadline_ms = clock_mono_ms() + timeout_ms,
                       .why = why,
                       .size = size };
    struct sockaddr_storage to;
    socklen_t len;
    enum err e;

    why[0] = '\0';
    if (address_parse(listen, &to, &len) || !aim(&to))
        return say(&c, ERR_BAD_INPUT, "not an address with a port");
    c.fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c.fd < 0)
        return say(&c, ERR_CLOSED, strerror(errno));
    e = ask(&c, &to, len);
    close(c.fd);
    return e;
}
