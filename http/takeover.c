#include "takeover.h"

#include "accept.h"
#include "wait.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int takeover_nobody(void)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
        return -1;
    close(pair[1]);
    return pair[0];
}

int takeover(struct request *r)
{
    int number = request_socket(r), mine = -1;

    if (r->connection)
        mine = fcntl(number, F_DUPFD_CLOEXEC, 0);
    if (mine < 0)
        return -1;
    if (dup3(r->loop->nobody_fd, number, O_CLOEXEC) < 0) {
        close(mine);
        return -1;
    }
    r->connection->fd = mine;
    r->connection->taken_over = true;
    wait_resume(r);
    r->conn = NULL;
    return mine;
}

bool takeover_end(struct request *r, bool completed)
{
    struct connection *c = r->connection;
    struct loop *l = r->loop;

    if (!c->let_go)
        return false;
    request_gone(r, completed);
    if (completed)
        shutdown(c->fd, SHUT_WR); /* what was sent arrives, whatever the client still sends */
    close(c->fd);
    accept_closed(l, c);
    return true;
}
