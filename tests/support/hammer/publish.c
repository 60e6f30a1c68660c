/*
 * publish - connections in a closed loop: send, wait for the answer, send the next.
 *
 *   CONNECTING --> SENDING --> WAITING --answer--> SENDING ...
 *        ^                        |
 *        '-- ASLEEP <--lost, 503--'      CLOSED: no more to do
 *
 * One thread. A connection that is lost is opened again after a rest (unless --until-lost);
 * an answer that asks for patience (429, 503, 507) is followed by the same rest.
 * Every refusal must say when to come back (Retry-After), by Pulsar's API also why.
 */
#include "hammer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "figures.h"
#include "net.h"
#include "opt.h"
#include "pulsar.h"
#include "request.h"

enum { REST_US = 50000, EVENTS = 512 };
enum state { CONNECTING, SENDING, WAITING, ASLEEP, CLOSED };

struct conn {
    int fd;
    enum state state;
    unsigned id;
    uint64_t number; /* requests begun */
    uint64_t seq;    /* messages begun */
    uint64_t done;   /* requests acknowledged */
    int64_t since_us;
    int64_t wake_us;
    struct request request;
    struct reply reply;
    struct conn *next_asleep;
};

struct publish {
    /* What was asked; set by the options. */
    uint64_t connections, requests, topics, batch, run, per_source;
    double seconds, grace;
    const char *size, *topic, *ttl, *prefer, *acks_path, *header, *source;
    bool chunked, until_lost, pulsar, own_topic;

    struct net_target target;
    struct request_shape shape;
    char headers[600];

    int epoll;
    FILE *acks;
    struct conn *conns;
    struct conn *asleep, **asleep_end; /* in order of wake_us: every rest is as long */
    uint64_t open;                     /* connections not CLOSED */
    uint64_t begun, messages, bytes, reconnects;
    uint64_t untold; /* refusals that do not say why, or when to come back */
    bool stopping;
    int64_t now_us, start_us, stop_us, last_ok_us;
    struct figures figures;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

static void conn_close(struct publish *p, struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    if (c->state != CLOSED)
        p->open--;
    c->state = CLOSED;
}

static void conn_sleep(struct publish *p, struct conn *c)
{
    c->state = ASLEEP;
    c->wake_us = p->now_us + REST_US;
    c->next_asleep = NULL;
    *p->asleep_end = c;
    p->asleep_end = &c->next_asleep;
}

/* The peer went away or misbehaved. */
static void conn_lost(struct publish *p, struct conn *c, enum figure_error kind)
{
    p->figures.errors[kind]++;
    close(c->fd);
    c->fd = -1;
    if (p->until_lost || p->stopping)
        conn_close(p, c);
    else
        conn_sleep(p, c);
}

static void conn_connect(struct publish *p, struct conn *c)
{
    struct epoll_event ev = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { .ptr = c } };

    reply_free(&c->reply);
    c->state = CONNECTING;
    c->fd = net_connect_start(&p->target, c->id);
    if (c->fd < 0) {
        conn_lost(p, c, FIGURE_CONNECT);
        return;
    }
    epoll_ctl(p->epoll, EPOLL_CTL_ADD, c->fd, &ev);
}

static void conn_send(struct publish *p, struct conn *c)
{
    switch (request_send(&c->request, c->fd)) {
    case REQUEST_SENT:
        c->state = WAITING;
        break;
    case REQUEST_PARTLY:
        c->state = SENDING;
        break;
    case REQUEST_FAILED:
        conn_lost(p, c, FIGURE_RESET);
        break;
    }
}

static void conn_begin(struct publish *p, struct conn *c)
{
    if (p->stopping || (p->requests && p->begun == p->requests)) {
        conn_close(p, c);
        return;
    }
    p->begun++;
    request_build(&c->request, &p->shape, c->id, c->number++, c->seq);
    c->seq += c->request.count;
    c->since_us = p->now_us;
    reply_next(&c->reply);
    conn_send(p, c);
}

static int64_t first_offset(const struct publish *p, const struct conn *c)
{
    if (p->pulsar)
        return pulsar_first_offset(&c->reply, c->request.count);
    return reply_number(&c->reply, p->batch ? "first_offset" : "offset");
}

/* One line for each acknowledged request: topic first-offset count run conn seq size. */
static bool write_ack(struct publish *p, const struct conn *c)
{
    int64_t offset = first_offset(p, c);
    char topic[300];

    if (offset < 0)
        return false;
    request_topic(topic, sizeof topic, p->topic, c->request.topic);
    fprintf(p->acks, "%s%s %ld %lu %lu %u %lu %lu\n", p->pulsar ? PULSAR_NATIVE : "", topic, offset,
            c->request.count, p->run, c->id, c->request.first.seq, c->request.first.size);
    return true;
}

static bool asks_for_patience(int status)
{
    return status == 429 || status == 503 || status == 507;
}

static bool is_told(const struct publish *p, const struct conn *c)
{
    return (c->reply.retry_after_s >= 1 || !asks_for_patience(c->reply.status)) &&
           (!p->pulsar || pulsar_says_why(&c->reply));
}

static void conn_answered(struct publish *p, struct conn *c)
{
    int status = c->reply.status < 600 ? c->reply.status : 0;

    p->figures.status[status]++;
    if (status == (p->pulsar ? 200 : 201)) {
        figures_time(&p->figures, p->now_us - c->since_us);
        p->messages += c->request.count;
        p->bytes += c->request.count * c->request.first.size;
        p->last_ok_us = p->now_us;
        c->done++;
        if (p->acks ? !write_ack(p, c) : p->pulsar && first_offset(p, c) < 0)
            p->figures.errors[FIGURE_MALFORMED]++;
    } else if (!is_told(p, c)) {
        p->untold++;
    }
    if (c->reply.close || c->request.sent < c->request.front_len + c->request.middle_len) {
        p->reconnects++;
        close(c->fd);
        c->fd = -1;
        conn_sleep(p, c);
    } else if (asks_for_patience(status)) {
        conn_sleep(p, c);
    } else {
        conn_begin(p, c);
    }
}

/* Reads until the socket is empty: the events are edges. */
static void conn_read(struct publish *p, struct conn *c)
{
    for (;;) {
        size_t room = c->reply.cap - c->reply.len;
        ssize_t n = reply_fill(&c->reply, c->fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            conn_lost(p, c, n < 0 ? FIGURE_RESET : FIGURE_CLOSED);
            return;
        }
        enum reply_step step = reply_parse(&c->reply);
        if (step == REPLY_BAD)
            conn_lost(p, c, FIGURE_MALFORMED);
        else if (step == REPLY_DONE)
            conn_answered(p, c);
        if (step != REPLY_MORE || (size_t)n + 1 < room)
            return;
    }
}

static void conn_event(struct publish *p, struct conn *c, uint32_t events)
{
    if (c->state == CONNECTING) {
        int e = 0;
        socklen_t len = sizeof e;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len);
        if (e)
            conn_lost(p, c, FIGURE_CONNECT);
        else if (events & EPOLLOUT)
            conn_begin(p, c);
        return;
    }
    if (c->state == ASLEEP && c->fd >= 0 && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        close(c->fd); /* between two requests: it is opened again when it wakes */
        c->fd = -1;
        return;
    }
    if ((c->state == WAITING || c->state == SENDING) && events & (EPOLLIN | EPOLLHUP))
        conn_read(p, c);
    if (c->state == SENDING && events & EPOLLOUT)
        conn_send(p, c);
}

static void wake_sleepers(struct publish *p)
{
    while (p->asleep && (p->asleep->wake_us <= p->now_us || p->stopping)) {
        struct conn *c = p->asleep;
        p->asleep = c->next_asleep;
        if (!p->asleep)
            p->asleep_end = &p->asleep;
        if (p->stopping)
            conn_close(p, c);
        else if (c->fd < 0)
            conn_connect(p, c);
        else
            conn_begin(p, c);
    }
}

static void stop(struct publish *p)
{
    p->stopping = true;
    p->stop_us = p->now_us;
    for (uint64_t i = 0; i < p->connections; i++)
        if (p->conns[i].state == CONNECTING)
            conn_close(p, &p->conns[i]);
}

static bool wait_more(struct publish *p)
{
    int64_t end_us = p->start_us + (int64_t)(p->seconds * 1e6);

    if (!p->stopping && (interrupted || (p->seconds > 0 && p->now_us >= end_us)))
        stop(p);
    return p->open && !(p->stopping &&
                        p->now_us > p->stop_us + (int64_t)(p->grace * 1e6));
}

static void loop(struct publish *p)
{
    struct epoll_event events[EVENTS];

    while (wait_more(p)) {
        int n = epoll_wait(p->epoll, events, EVENTS, 10);
        p->now_us = net_now_us();
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c->fd >= 0)
                conn_event(p, c, events[i].events);
            p->now_us = net_now_us();
        }
        wake_sleepers(p);
        if (p->acks)
            fflush(p->acks);
    }
    for (uint64_t i = 0; i < p->connections; i++) {
        if (p->conns[i].state == WAITING || p->conns[i].state == SENDING)
            p->figures.errors[FIGURE_UNANSWERED]++;
        conn_close(p, &p->conns[i]);
    }
}

static void print_result(struct publish *p)
{
    double *done = calloc(p->connections, sizeof *done);
    double seconds = (double)(p->last_ok_us - p->start_us) / 1e6;

    for (uint64_t i = 0; i < p->connections; i++)
        done[i] = (double)p->conns[i].done;
    printf("{\"command\":\"publish\",\"connections\":%lu,\"seconds\":%.3f,\"requests\":%lu,"
           "\"messages\":%lu,\"bytes\":%lu,\"per_second\":%.1f,\"messages_per_second\":%.1f,"
           "\"reconnects\":%lu,\"untold\":%lu,",
           p->connections, seconds, p->begun, p->messages, p->bytes,
           seconds > 0 ? (double)p->figures.status[p->pulsar ? 200 : 201] / seconds : 0,
           seconds > 0 ? (double)p->messages / seconds : 0, p->reconnects, p->untold);
    figures_print(&p->figures, stdout);
    printf(",");
    figures_print_spread(stdout, "per_connection", done, p->connections);
    printf("}\n");
    free(done);
}

static void prepare(struct publish *p)
{
    size_t n = 0;

    if (p->pulsar && !p->batch)
        p->batch = 1;
    p->shape = (struct request_shape){ .host = p->target.host, .topic = p->topic,
        .topics = p->topics, .own_topic = p->own_topic, .headers = p->headers, .batch = p->batch,
        .pulsar = p->pulsar, .chunked = p->chunked, .run = p->run };
    if (!request_mix(&p->shape, p->size) || !p->connections || !p->topics) {
        fprintf(stderr, "hammer: wrong --size, --connections or --topics\n");
        exit(2);
    }
    if (p->ttl)
        n += (size_t)snprintf(p->headers, 100, "TTL: %s\r\n", p->ttl);
    if (p->prefer)
        n += (size_t)snprintf(p->headers + n, 100, "Prefer: wait=%s\r\n", p->prefer);
    if (p->header)
        snprintf(p->headers + n, sizeof p->headers - n, "%s\r\n", p->header);
    if (p->acks_path && !(p->acks = fopen(p->acks_path, "a"))) {
        perror(p->acks_path);
        exit(2);
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    net_raise_nofile();
}

static void start(struct publish *p)
{
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->asleep_end = &p->asleep;
    p->conns = calloc(p->connections, sizeof *p->conns);
    p->open = p->connections;
    p->now_us = p->start_us = p->last_ok_us = net_now_us();
    for (unsigned i = 0; i < p->connections; i++) {
        p->conns[i].id = i;
        conn_connect(p, &p->conns[i]);
    }
}

int hammer_publish(int argc, char **argv)
{
    struct publish p = { .connections = 64, .seconds = 5, .grace = 35, .size = "100",
                         .topic = "load-%d", .topics = 1 };
    const struct opt table[] = {
        { "connections", OPT_NUMBER, &p.connections, "how many" },
        { "seconds", OPT_SECONDS, &p.seconds, "how long; 0: until --requests are done" },
        { "requests", OPT_NUMBER, &p.requests, "stop after so many in all; 0: no end" },
        { "size", OPT_TEXT, &p.size, "of a message, or a mix: 70%1KiB,25%16KiB,5%256KiB" },
        { "topic", OPT_TEXT, &p.topic, "name, with %d for the number, percent-encoded" },
        { "topics", OPT_NUMBER, &p.topics, "how many; each connection goes round them" },
        { "ttl", OPT_TEXT, &p.ttl, "value of a TTL header" },
        { "prefer-wait", OPT_TEXT, &p.prefer, "value of Prefer: wait=" },
        { "header", OPT_TEXT, &p.header, "one more header line" },
        { "chunked", OPT_FLAG, &p.chunked, "bodies without Content-Length" },
        { "own-topic", OPT_FLAG, &p.own_topic, "each connection keeps to one topic" },
        { "batch", OPT_NUMBER, &p.batch, "messages in an NDJSON batch; 0: no batch" },
        { "pulsar", OPT_FLAG, &p.pulsar, "by Pulsar's REST API, --batch messages in a request" },
        { "source", OPT_TEXT, &p.source, "source address of the first connections, 127.x.x.x" },
        { "per-source", OPT_NUMBER, &p.per_source, "connections of one address, then the next; 0: 4000" },
        { "acks", OPT_TEXT, &p.acks_path, "append every acknowledgement to this file" },
        { "run", OPT_NUMBER, &p.run, "number in every body, to tell runs apart" },
        { "grace", OPT_SECONDS, &p.grace, "to wait at the end for answers under way" },
        { "until-lost", OPT_FLAG, &p.until_lost, "a lost connection stays lost, no error" },
        { 0 },
    };
    int at = opt_parse("publish", table, argc, argv);

    if (at + 1 != argc) {
        fprintf(stderr, "hammer publish: expected HOST:PORT after the options\n");
        return 2;
    }
    p.target = net_target(argv[at]);
    net_set_source(&p.target, p.source, (unsigned)p.per_source);
    prepare(&p);
    start(&p);
    loop(&p);
    print_result(&p);
    if (p.acks && fclose(p.acks) != 0)
        return 2;
    return figures_errors(&p.figures) && !p.until_lost;
}
