#include "refusal.h"

#include "loop.h"
#include "metrics.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void explain(const struct loop *l, enum problem why, char *out, size_t size)
{
    const struct config *c = l->broker->config;

    if (why == PROBLEM_TOO_MANY_CONNECTIONS)
        snprintf(out, size,
                 "This address has its %llu connections (max_connections_per_address); "
                 "close one first, or use one for many requests.",
                 (unsigned long long)c->max_connections_per_address);
    else
        snprintf(out, size,
                 "All %llu connections of the broker (max_connections) are in use.",
                 (unsigned long long)c->max_connections);
}

static void tell(struct loop *l, int fd, enum problem why)
{
    char detail[200], id[40], text[1024];
    size_t len;

    explain(l, why, detail, sizeof detail);
    snprintf(id, sizeof id, "%08x-%x-%llx", (unsigned)l->server->start_id, l->index,
             (unsigned long long)l->next_request_id++);
    len = problem_raw(why, id, detail, text, sizeof text);
    (void)!send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    linger_keep(&l->linger, fd, l->now_ms);
}

enum asked { NOT_YET, ASKED, LEFT };

static enum asked has_asked(int fd)
{
    char first;
    ssize_t n = recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n > 0)
        return ASKED;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? NOT_YET : LEFT;
}

void refusal_add(struct loop *l, int fd, enum problem why)
{
    struct refusals *all = &l->refusals;

    metric_add(why == PROBLEM_TOO_MANY_CONNECTIONS ? METRIC_REFUSED_ADDRESS
                                                   : METRIC_REFUSED_FULL,
               1);
    if (all->count == REFUSALS_MAX || has_asked(fd) == ASKED)
        tell(l, fd, why);
    else
        all->entries[all->count++] =
            (struct refusal){ fd, why, l->now_ms + REFUSAL_MS };
}

/* True when there is nothing more to do for it here. */
static bool settle(struct loop *l, const struct refusal *r)
{
    enum asked asked = has_asked(r->fd);

    if (asked == LEFT)
        close(r->fd);
    else if (asked == ASKED || l->now_ms >= r->until_ms)
        tell(l, r->fd, r->why);
    else
        return false;
    return true;
}

void refusal_tick(struct loop *l)
{
    struct refusals *all = &l->refusals;

    for (unsigned i = 0; i < all->count;)
        if (settle(l, &all->entries[i]))
            all->entries[i] = all->entries[--all->count];
        else
            i++;
}

void refusal_fini(struct loop *l)
{
    while (l->refusals.count)
        close(l->refusals.entries[--l->refusals.count].fd);
}
