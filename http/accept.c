#include "accept.h"

#include "base/log.h"
#include "loop.h"
#include "metrics.h"
#include "refusal.h"
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Those who are already in have their turn between this many. */
#define ACCEPTS_IN_A_ROW 64
#define COMPLAIN_EVERY_MS 60000

/* ---- the counts ---- */

static bool take_place(struct server *s)
{
    int64_t max = (int64_t)s->broker->config->max_connections;
    int64_t n = atomic_load(&s->connections);

    while (n < max)
        if (atomic_compare_exchange_weak(&s->connections, &n, n + 1))
            return true;
    return false;
}

static void give_place_back(struct loop *l, struct address_key *from)
{
    addresses_leave(l->server->addresses, from);
    atomic_fetch_sub(&l->server->connections, 1);
    metric_add(METRIC_CONNECTIONS, -1);
}

struct connection *accept_taken(struct loop *l)
{
    struct connection *c = l->arriving;

    l->arriving = NULL;
    return c;
}

void accept_closed(struct loop *l, struct connection *c)
{
    if (c->taken_over && !c->let_go) {
        c->let_go = true;
        return;
    }
    give_place_back(l, &c->from);
    connection_close(l, c);
}

/* ---- one arrives ---- */

static void let_in(struct loop *l, int fd, const struct sockaddr *addr, socklen_t len,
                   struct address_key *from)
{
    metric_add(METRIC_CONNECTIONS, 1);
    l->arriving = connection_open(l, fd, from);
    if (!l->arriving) {
        give_place_back(l, from);
        close(fd);
        return;
    }
    metric_add(METRIC_CONNECTIONS_ACCEPTED, 1);
    (void)MHD_add_connection(l->daemon, fd, addr, len); /* closes fd when it fails */
    if (l->arriving) /* ... before it called connection_changed */
        accept_closed(l, accept_taken(l));
}

static void arrive(struct loop *l, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct server *s = l->server;
    struct address_key from;

    if (!take_place(s)) {
        refusal_add(l, fd, PROBLEM_CONNECTIONS_FULL);
    } else if (addresses_enter(s->addresses, addr, &from)) {
        atomic_fetch_sub(&s->connections, 1);
        refusal_add(l, fd, PROBLEM_TOO_MANY_CONNECTIONS);
    } else {
        let_in(l, fd, addr, len, &from);
    }
}

/* ---- the listening socket ---- */

static void listen_for(struct loop *l, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = &l->listen_source };

    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, l->listen_fd, &ev);
}

/* They wait in the kernel until the next tick, or the loop would turn without end. */
static void pause_accepting(struct loop *l)
{
    listen_for(l, 0);
    l->accept_paused = true;
    if (l->complained_ms && l->now_ms - l->complained_ms < COMPLAIN_EVERY_MS)
        return;
    l->complained_ms = l->now_ms;
    LOG_WARN("accept", "out_of_resources", LOG_S("error", strerror(errno)),
             LOG_I("connections", atomic_load(&l->server->connections)));
}

static void on_arrivals(struct source *s, uint32_t events)
{
    struct loop *l = (struct loop *)((char *)s - offsetof(struct loop, listen_source));

    (void)events;
    for (int i = 0; i < ACCEPTS_IN_A_ROW && l->listen_fd >= 0; i++) {
        struct sockaddr_storage addr;
        socklen_t len = sizeof addr;
        int fd = accept4(l->listen_fd, (struct sockaddr *)&addr, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0)
            arrive(l, fd, (struct sockaddr *)&addr, len);
        else if (errno == EAGAIN)
            return;
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                 errno == ENOMEM)
            return pause_accepting(l);
        /* else that one was gone again, or its network was: the next one */
    }
}

void accept_tick(struct loop *l)
{
    if (!l->accept_paused)
        return;
    l->accept_paused = false;
    if (l->listen_fd >= 0)
        listen_for(l, EPOLLIN);
}

enum err accept_start(struct loop *l)
{
    return loop_add_source(l, l->listen_fd, &l->listen_source, on_arrivals);
}

void accept_stop(struct loop *l)
{
    if (l->listen_fd < 0)
        return;
    close(l->listen_fd); /* which takes it out of the epoll set */
    l->listen_fd = -1;
}
