#include "linger.h"

#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

static void start(struct lingering *l, int fd, int64_t now_ms)
{
    shutdown(fd, SHUT_WR);
    l->entries[l->count++] = (struct linger_entry){ fd, now_ms + LINGER_MS, 0 };
    metric_add(METRIC_CONNECTIONS_LINGERING, 1);
}

void linger_take(struct lingering *l, int fd, int64_t now_ms)
{
    int copy;

    if (l->count == LINGER_MAX)
        return;
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0)
        start(l, copy, now_ms);
}

/* False when the client has closed or sent enough. */
static bool discard(struct linger_entry *e)
{
    static _Thread_local char waste[16384];
    size_t in_this_tick = 0;

    while (in_this_tick < (4u << 20)) {
        ssize_t n = recv(e->fd, waste, sizeof waste, MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (n < 0)
            return true;
        e->bytes += (size_t)n;
        in_this_tick += (size_t)n;
        if (e->bytes > LINGER_BYTES)
            return false;
    }
    return true;
}

void linger_keep(struct lingering *l, int fd, int64_t now_ms)
{
    struct linger_entry once = { .fd = fd };

    if (l->count < LINGER_MAX / 2) {
        start(l, fd, now_ms);
        return;
    }
    (void)discard(&once); /* a request that was read does not cause a reset */
    close(fd);
}

static void drop(struct lingering *l, unsigned i)
{
    close(l->entries[i].fd);
    l->entries[i] = l->entries[--l->count];
    metric_add(METRIC_CONNECTIONS_LINGERING, -1);
}

void linger_tick(struct lingering *l, int64_t now_ms)
{
    for (unsigned i = 0; i < l->count;)
        if (now_ms >= l->entries[i].until_ms || !discard(&l->entries[i]))
            drop(l, i);
        else
            i++;
}

void linger_fini(struct lingering *l)
{
    while (l->count)
        drop(l, 0);
}
