#include "net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PER_SOURCE = 4000 };

static void die(const char *what)
{
    fprintf(stderr, "hammer: %s: %s\n", what, strerror(errno));
    exit(2);
}

struct net_target net_target(const char *hostport)
{
    struct net_target t = { .addr.sin_family = AF_INET, .source = INADDR_LOOPBACK, .per_source = PER_SOURCE };
    const char *colon = strrchr(hostport, ':');
    char ip[32] = "";

    snprintf(t.host, sizeof t.host, "%s", hostport);
    if (colon)
        snprintf(ip, sizeof ip, "%.*s", (int)(colon - hostport), hostport);
    if (strcmp(ip, "localhost") == 0)
        strcpy(ip, "127.0.0.1");
    t.addr.sin_port = htons(colon ? (uint16_t)atoi(colon + 1) : 0);
    if (!t.addr.sin_port || inet_pton(AF_INET, ip, &t.addr.sin_addr) != 1) {
        fprintf(stderr, "hammer: expected an IPv4 HOST:PORT: %s\n", hostport);
        exit(2);
    }
    return t;
}

void net_set_source(struct net_target *t, const char *first, unsigned per_source)
{
    struct in_addr a;

    if (first && inet_pton(AF_INET, first, &a) != 1) {
        fprintf(stderr, "hammer: expected an IPv4 address: %s\n", first);
        exit(2);
    }
    if (first)
        t->source = ntohl(a.s_addr);
    if (per_source)
        t->per_source = per_source;
}

static void bind_source(int fd, const struct net_target *to, unsigned index)
{
    uint32_t dest = ntohl(to->addr.sin_addr.s_addr);
    struct sockaddr_in from = { .sin_family = AF_INET };
    int on = 1;

    if (dest >> 24 != 127)
        return;
    from.sin_addr.s_addr = htonl(to->source + index / to->per_source);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("bind");
}

int net_connect_start(const struct net_target *to, unsigned index)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (to->receive_buffer) /* before the connection, which tells its window */
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &to->receive_buffer, sizeof to->receive_buffer);
    bind_source(fd, to, index);
    if (connect(fd, (const struct sockaddr *)&to->addr, sizeof to->addr) < 0 &&
        errno != EINPROGRESS) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

int net_connect(const struct net_target *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0 || connect(fd, (const struct sockaddr *)&to->addr, sizeof to->addr) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

bool net_ask(int fd, const char *request, size_t len, struct reply *r)
{
    enum reply_step step = REPLY_MORE;

    reply_next(r);
    if (!send_all(fd, request, len))
        return false;
    while ((step = reply_parse(r)) == REPLY_MORE) {
        ssize_t n = reply_fill(r, fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
    }
    return step == REPLY_DONE;
}

double net_metric(int fd, const struct net_target *to, const char *name)
{
    struct reply r = { 0 };
    char ask[160];
    double value = -1;
    int n = snprintf(ask, sizeof ask, "GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\n", to->host);

    if (net_ask(fd, ask, (size_t)n, &r) && r.status == 200) {
        size_t len = strlen(name);
        for (const char *p = r.buf + r.body; (p = strstr(p, name)); p += len)
            if (p[-1] == '\n' && p[len] == ' ') {
                value = strtod(p + len, NULL);
                break;
            }
    }
    reply_free(&r);
    return value;
}

void net_linger_zero(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void net_raise_nofile(void)
{
    struct rlimit r;

    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

int64_t net_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}
