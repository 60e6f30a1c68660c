/*
 * park - thousands of long-polls that wait; then they are fired, closed, or poll on.
 *
 *   CONNECTING -> PARKED --answer--> ANSWERED      (--repoll: PARKED again, from `next`)
 *                   `----- close / lost ----> CLOSED
 *
 * One thread. With --stdin the test drives it: a command a line, one JSON line for each:
 *   fire          publish one message; until every parked connection is answered
 *   wait          until every parked connection is answered
 *   close N       close N parked connections at once
 *   run SECONDS   look on (use with --repoll)
 *   again         poll again on every answered connection; until all are parked
 *   quit
 */
#include "hammer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "figures.h"
#include "net.h"
#include "opt.h"

enum { EVENTS = 512, CONNECTS_AT_ONCE = 200, GAUGE_EVERY_US = 20000 };
enum state { UNOPENED, CONNECTING, PARKED, ANSWERED, CLOSED };

struct parked {
    int fd;
    enum state state;
    unsigned id;
    int64_t next; /* offset to go on from; -1: not known yet */
    struct reply reply;
};

struct park {
    uint64_t connections, close_first;
    double timeout, after;
    const char *topic, *path, *gauge, *from, *wait;
    bool fire, commands, repoll;

    struct net_target target;
    int epoll;
    int side; /* blocking: metrics */
    struct parked *conns;
    struct parked publisher; /* in the same epoll, in none of the counts */
    uint64_t in_state[CLOSED + 1];
    uint64_t opened, messages;
    int64_t fired_us, acknowledged_us;
    double *answered_ms;
    size_t answers;    /* since the last fire */
    size_t fired_at; /* how many were parked then */
    struct figures figures;
};

static void move(struct park *p, struct parked *c, enum state to)
{
    p->in_state[c->state]--;
    c->state = to;
    p->in_state[to]++;
}

static void drop(struct park *p, struct parked *c, enum figure_error kind)
{
    p->figures.errors[kind]++;
    close(c->fd);
    reply_free(&c->reply);
    if (c == &p->publisher)
        c->state = CLOSED;
    else
        move(p, c, CLOSED);
}

static void poll_topic(struct park *p, struct parked *c)
{
    char ask[800], from[32];

    snprintf(from, sizeof from, "%ld", c->next);
    int n = p->path
        ? snprintf(ask, sizeof ask, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", p->path,
                   p->target.host)
        : snprintf(ask, sizeof ask,
                   "GET /v1/topics/%s/messages?from=%s&wait=%s HTTP/1.1\r\nHost: %s\r\n\r\n",
                   p->topic, c->next >= 0 ? from : p->from, p->wait, p->target.host);
    reply_next(&c->reply);
    if (send(c->fd, ask, (size_t)n, MSG_NOSIGNAL) != n)
        drop(p, c, FIGURE_RESET);
    else
        move(p, c, PARKED);
}

static void answered(struct park *p, struct parked *c)
{
    int64_t next = reply_number(&c->reply, "next");

    p->figures.status[c->reply.status < 600 ? c->reply.status : 0]++;
    if (c == &p->publisher) {
        p->acknowledged_us = net_now_us();
        c->state = ANSWERED;
        return;
    }
    if (p->fired_us && p->answers < p->connections)
        p->answered_ms[p->answers++] = (double)(net_now_us() - p->fired_us) / 1000;
    if (next >= 0 && c->next >= 0)
        p->messages += (uint64_t)(next - c->next);
    if (next >= 0)
        c->next = next;
    move(p, c, ANSWERED);
    if (c->reply.close) { /* a draining broker says so; no error */
        close(c->fd);
        move(p, c, CLOSED);
    } else if (p->repoll) {
        poll_topic(p, c);
    }
}

static void readable(struct park *p, struct parked *c)
{
    ssize_t n = reply_fill(&c->reply, c->fd);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(p, c, n < 0 ? FIGURE_RESET : FIGURE_CLOSED);
        return;
    }
    switch (c->state == PARKED ? reply_parse(&c->reply) : REPLY_BAD) {
    case REPLY_MORE:
        break;
    case REPLY_DONE:
        answered(p, c);
        break;
    case REPLY_BAD:
        drop(p, c, FIGURE_MALFORMED);
        break;
    }
}

static void watch(struct park *p, struct parked *c, int op, uint32_t events)
{
    struct epoll_event ev = { events, { .ptr = c } };

    epoll_ctl(p->epoll, op, c->fd, &ev);
}

static void connected(struct park *p, struct parked *c)
{
    int e = 0;
    socklen_t len = sizeof e;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len);
    if (e) {
        drop(p, c, FIGURE_CONNECT);
        return;
    }
    watch(p, c, EPOLL_CTL_MOD, EPOLLIN);
    poll_topic(p, c);
}

static void open_some(struct park *p)
{
    while (p->opened < p->connections && p->in_state[CONNECTING] < CONNECTS_AT_ONCE) {
        struct parked *c = &p->conns[p->opened++];
        c->next = *p->from >= '0' && *p->from <= '9' ? strtoll(p->from, NULL, 10) : -1;
        c->fd = net_connect_start(&p->target, c->id);
        move(p, c, CONNECTING);
        if (c->fd < 0)
            drop(p, c, FIGURE_CONNECT);
        else
            watch(p, c, EPOLL_CTL_ADD, EPOLLOUT);
    }
}

static void pump(struct park *p, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(p->epoll, events, EVENTS, timeout_ms);

    for (int i = 0; i < n; i++) {
        struct parked *c = events[i].data.ptr;
        if (c->state == CONNECTING)
            connected(p, c);
        else if (c->state != CLOSED)
            readable(p, c);
    }
    open_some(p);
}

static bool pump_until(struct park *p, bool (*done)(struct park *p))
{
    int64_t end_us = net_now_us() + (int64_t)(p->timeout * 1e6);

    while (!done(p)) {
        if (net_now_us() > end_us)
            return false;
        pump(p, 20);
    }
    return true;
}

static bool all_sent(struct park *p)
{
    return p->opened == p->connections && p->in_state[CONNECTING] == 0;
}

/* With --repoll they are parked again at once: each counts when it was answered. */
static bool all_answered(struct park *p)
{
    return p->publisher.state != PARKED &&
           (p->answers >= p->fired_at || p->in_state[PARKED] == 0);
}

static bool none_parked(struct park *p)
{
    return p->in_state[PARKED] == 0;
}

/* The broker says that it holds all that are waiting here. */
static bool gauge_agrees(struct park *p)
{
    static int64_t asked_us;

    if (net_now_us() < asked_us + GAUGE_EVERY_US)
        return false;
    asked_us = net_now_us();
    return net_metric(p->side, &p->target, p->gauge) >= (double)p->in_state[PARKED];
}

static void report(struct park *p, const char *event, bool in_time, int64_t since_us)
{
    printf("{\"event\":\"%s\",\"in_time\":%s,\"seconds\":%.3f,\"parked\":%lu,"
           "\"answered\":%lu,\"closed\":%lu,\"messages\":%lu,", event,
           in_time ? "true" : "false", (double)(net_now_us() - since_us) / 1e6,
           p->in_state[PARKED], p->in_state[ANSWERED], p->in_state[CLOSED], p->messages);
    if (p->answers) {
        printf("\"answers\":%zu,\"published_ms\":%.3f,", p->answers,
               (double)(p->acknowledged_us - p->fired_us) / 1000);
        figures_print_spread(stdout, "answer_ms", p->answered_ms, p->answers);
        printf(",");
    }
    figures_print(&p->figures, stdout);
    printf("}\n");
    fflush(stdout);
}

static bool wait_parked(struct park *p)
{
    return pump_until(p, all_sent) && (!*p->gauge || pump_until(p, gauge_agrees));
}

static bool command_fire(struct park *p)
{
    char ask[500];
    int n = snprintf(ask, sizeof ask,
                     "POST /v1/topics/%s/messages HTTP/1.1\r\nHost: %s\r\n"
                     "Content-Length: 4\r\n\r\nfire", p->topic, p->target.host);

    if (p->publisher.state == UNOPENED || p->publisher.state == CLOSED) {
        p->publisher.fd = net_connect(&p->target);
        watch(p, &p->publisher, EPOLL_CTL_ADD, EPOLLIN);
    }
    reply_next(&p->publisher.reply);
    p->publisher.state = PARKED;
    p->fired_at = p->in_state[PARKED];
    p->answers = 0;
    p->fired_us = net_now_us();
    return send(p->publisher.fd, ask, (size_t)n, MSG_NOSIGNAL) == n &&
           pump_until(p, all_answered);
}

static bool command_close(struct park *p, uint64_t many)
{
    for (uint64_t i = 0; i < p->connections && many; i++) {
        struct parked *c = &p->conns[i];
        if (c->state != PARKED)
            continue;
        close(c->fd);
        reply_free(&c->reply);
        move(p, c, CLOSED);
        many--;
    }
    return many == 0;
}

static bool command_again(struct park *p)
{
    for (uint64_t i = 0; i < p->connections; i++)
        if (p->conns[i].state == ANSWERED)
            poll_topic(p, &p->conns[i]);
    return wait_parked(p);
}

static bool command_run(struct park *p, double seconds)
{
    int64_t end_us = net_now_us() + (int64_t)(seconds * 1e6);

    while (net_now_us() < end_us)
        pump(p, 20);
    return true;
}

/* False: no more commands. */
static bool obey(struct park *p, const char *line)
{
    int64_t since_us = net_now_us();
    bool ok;

    if (strncmp(line, "fire", 4) == 0)
        ok = command_fire(p);
    else if (strncmp(line, "wait", 4) == 0)
        ok = pump_until(p, none_parked);
    else if (strncmp(line, "close", 5) == 0)
        ok = command_close(p, strtoull(line + 5, NULL, 10));
    else if (strncmp(line, "run", 3) == 0)
        ok = command_run(p, strtod(line + 3, NULL));
    else if (strncmp(line, "again", 5) == 0)
        ok = command_again(p);
    else
        return false;
    report(p, strtok((char[16]){ line[0], line[1], line[2], line[3], line[4] }, " \n"), ok,
           since_us);
    return true;
}

/* Answers that come while no command runs are read before the next one. */
static void obey_stdin(struct park *p)
{
    char line[100];

    while (fgets(line, sizeof line, stdin)) {
        pump(p, 0);
        if (!obey(p, line))
            break;
    }
}

static void start(struct park *p)
{
    net_raise_nofile();
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->side = net_connect(&p->target);
    p->conns = calloc(p->connections, sizeof *p->conns);
    p->answered_ms = calloc(p->connections, sizeof *p->answered_ms);
    p->in_state[UNOPENED] = p->connections;
    for (unsigned i = 0; i < p->connections; i++)
        p->conns[i].id = i;
    open_some(p);
}

static void play(struct park *p)
{
    int64_t since_us = net_now_us();
    char line[40];

    start(p);
    report(p, "parked", wait_parked(p), since_us);
    if (p->after > 0)
        command_run(p, p->after);
    if (p->close_first) {
        snprintf(line, sizeof line, "close %lu", p->close_first);
        obey(p, line);
    }
    if (p->fire)
        obey(p, "fire");
    if (p->commands)
        obey_stdin(p);
}

int hammer_park(int argc, char **argv)
{
    struct park p = { .connections = 100, .timeout = 70, .topic = "parked",
                      .from = "latest", .wait = "60", .gauge = "sluice_readers_parked" };
    const struct opt table[] = {
        { "connections", OPT_NUMBER, &p.connections, "how many" },
        { "topic", OPT_TEXT, &p.topic, "to poll and to fire at" },
        { "from", OPT_TEXT, &p.from, "of the first poll" },
        { "wait", OPT_TEXT, &p.wait, "of every poll, seconds" },
        { "path", OPT_TEXT, &p.path, "poll this path instead" },
        { "gauge", OPT_TEXT, &p.gauge, "of /metrics that counts the parked; '': none" },
        { "timeout", OPT_SECONDS, &p.timeout, "for each step" },
        { "after", OPT_SECONDS, &p.after, "look on so long once all are parked" },
        { "close", OPT_NUMBER, &p.close_first, "then close so many" },
        { "fire", OPT_FLAG, &p.fire, "then publish, until all are answered" },
        { "repoll", OPT_FLAG, &p.repoll, "poll on after each answer" },
        { "stdin", OPT_FLAG, &p.commands, "then obey: fire, wait, close N, run S, again, quit" },
        { 0 },
    };
    int at = opt_parse("park", table, argc, argv);

    if (at + 1 != argc) {
        fprintf(stderr, "hammer park: expected HOST:PORT after the options\n");
        return 2;
    }
    p.target = net_target(argv[at]);
    play(&p);
    return figures_errors(&p.figures) != 0;
}
