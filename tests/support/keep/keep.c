/*
 * keep - publishes as fast as it can, and reads every message it got a 201 for once more,
 * late in its life: is it there until it expires, byte by byte?
 *
 *   keep --connections 200 --ttl 10 --size 70%1KiB,30%64KiB --seconds 60 HOST:PORT
 *
 * Each connection is a closed loop. It remembers what it was acknowledged; when the oldest
 * of that has lived --read-at of its TTL it is read, else another one is published. An
 * answer that asks for patience (429, 503) is followed by a rest. A read whose answer comes
 * when the message may have expired meanwhile proves nothing and is counted as late.
 *
 *   CONNECTING --> PUBLISHING --201--> (next) --> READING --> (next) ...
 *        ^             |  503              ^         | 503
 *        '--- RESTING <+-------------------'---------'        OVER: nothing left to do
 *
 * One thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "figures.h"
#include "kept.h"
#include "net.h"
#include "opt.h"
#include "request.h"

enum { EVENTS = 512, REST_US = 50000, MARGIN_US = 300000 };
enum state { CONNECTING, PUBLISHING, READING, RESTING, OVER };

struct conn {
    int fd;
    enum state state;
    unsigned id;
    uint64_t number, seq;
    int64_t since_us, wake_us;
    struct request request;
    struct reply reply;
    struct kept_ring acked;
};

struct keep {
    uint64_t connections, topics, run;
    double seconds, ttl, read_at;
    const char *size, *topic;

    struct net_target target;
    struct request_shape shape;
    char headers[100];
    int epoll;
    struct conn *conns;
    uint64_t over, published, bytes, read, wrong, late, lost;
    int64_t now_us, start_us;
    struct figures publishing, reading;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

/* ---- a connection ---- */

static void rest(struct keep *k, struct conn *c)
{
    c->state = RESTING;
    c->wake_us = k->now_us + REST_US;
}

static void lose(struct keep *k, struct conn *c, struct figures *f, enum figure_error kind)
{
    f->errors[kind]++;
    k->lost++;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    reply_free(&c->reply);
    rest(k, c);
}

static void connect_it(struct keep *k, struct conn *c)
{
    struct epoll_event ev = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { .ptr = c } };

    c->state = CONNECTING;
    c->fd = net_connect_start(&k->target, c->id);
    if (c->fd < 0)
        lose(k, c, &k->publishing, FIGURE_CONNECT);
    else
        epoll_ctl(k->epoll, EPOLL_CTL_ADD, c->fd, &ev);
}

static void send_it(struct keep *k, struct conn *c)
{
    if (request_send(&c->request, c->fd) == REQUEST_FAILED)
        lose(k, c, c->state == READING ? &k->reading : &k->publishing, FIGURE_RESET);
}

static void begin_read(struct keep *k, struct conn *c, const struct kept *m)
{
    struct request *r = &c->request;
    char topic[300];

    request_topic(topic, sizeof topic, k->topic, m->topic);
    r->front_len = (size_t)snprintf(r->front, r->front_cap,
                                    "GET /v1/topics/%s/messages/%" PRIu64 " HTTP/1.1\r\nHost: %s\r\n\r\n",
                                    topic, m->offset, k->target.host);
    r->middle_len = r->tail_len = r->sent = 0;
    c->state = READING;
    c->since_us = k->now_us;
    reply_next(&c->reply);
    send_it(k, c);
}

static void begin_publish(struct keep *k, struct conn *c)
{
    request_build(&c->request, &k->shape, c->id, c->number++, c->seq++);
    c->state = PUBLISHING;
    c->since_us = k->now_us;
    reply_next(&c->reply);
    send_it(k, c);
}

static bool may_publish(const struct keep *k)
{
    return !interrupted && k->now_us < k->start_us + (int64_t)(k->seconds * 1e6);
}

static void next_thing(struct keep *k, struct conn *c)
{
    const struct kept *m = kept_oldest(&c->acked);
    int64_t age = (int64_t)(k->ttl * k->read_at * 1e6);

    if (m && k->now_us >= m->acked_us + age) {
        begin_read(k, c, m);
    } else if (may_publish(k)) {
        begin_publish(k, c);
    } else if (m) {
        c->state = RESTING;
        c->wake_us = m->acked_us + age;
    } else {
        c->state = OVER;
        close(c->fd);
        c->fd = -1;
        k->over++;
    }
}

/* ---- answers ---- */

static void published(struct keep *k, struct conn *c)
{
    int64_t offset = reply_number(&c->reply, "offset");

    if (offset < 0) {
        k->publishing.errors[FIGURE_MALFORMED]++;
        return;
    }
    k->published++;
    k->bytes += c->request.first.size;
    figures_time(&k->publishing, k->now_us - c->since_us);
    /* Its life began when it was stored, at the latest when it was sent whole: now is later. */
    kept_add(&c->acked, (struct kept){ c->since_us, (uint64_t)offset, c->request.first, c->request.topic });
}

static bool same(const struct reply *r, const struct payload *want)
{
    struct payload got;

    return payload_check(r->buf + r->body, r->body_len, &got) && got.run == want->run &&
           got.conn == want->conn && got.seq == want->seq && got.size == want->size;
}

static void was_read(struct keep *k, struct conn *c)
{
    const struct kept *m = kept_oldest(&c->acked);
    bool may_be_gone = k->now_us > m->acked_us + (int64_t)(k->ttl * 1e6) - MARGIN_US;

    if (c->reply.status == 200 && same(&c->reply, &m->what)) {
        k->read++;
        figures_time(&k->reading, k->now_us - c->since_us);
    } else if (may_be_gone) {
        k->late++;
    } else {
        k->wrong++;
        if (k->wrong < 4)
            fprintf(stderr, "keep: offset %" PRIu64 " after %.1f s: %d, %zu bytes: %.150s\n", m->offset,
                    (double)(k->now_us - m->acked_us) / 1e6, c->reply.status, c->reply.body_len,
                    c->reply.buf + c->reply.body);
    }
    kept_drop(&c->acked);
}

static void answered(struct keep *k, struct conn *c)
{
    int status = c->reply.status < 600 ? c->reply.status : 0;
    bool reading = c->state == READING, busy = status == 503 || status == 429;

    (reading ? &k->reading : &k->publishing)->status[status]++;
    if (!reading && status == 201)
        published(k, c);
    else if (reading && !busy)
        was_read(k, c);
    if (reading && busy && k->now_us > kept_oldest(&c->acked)->acked_us + (int64_t)(k->ttl * 1e6) - MARGIN_US) {
        k->late++;
        kept_drop(&c->acked);
    }
    if (c->reply.close) {
        close(c->fd);
        c->fd = -1;
        reply_free(&c->reply);
    }
    if (c->fd < 0 || busy)
        rest(k, c);
    else
        next_thing(k, c);
}

static void take(struct keep *k, struct conn *c)
{
    struct figures *f = c->state == READING ? &k->reading : &k->publishing;

    while (c->fd >= 0 && (c->state == READING || c->state == PUBLISHING)) {
        enum reply_step step = reply_parse(&c->reply);
        ssize_t n;

        if (step == REPLY_DONE) {
            answered(k, c);
            return; /* the next answer is an event of its own */
        }
        if (step == REPLY_BAD) {
            lose(k, c, f, FIGURE_MALFORMED);
            return;
        }
        n = reply_fill(&c->reply, c->fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            lose(k, c, f, n < 0 ? FIGURE_RESET : FIGURE_CLOSED);
    }
}

static void on_event(struct keep *k, struct conn *c, uint32_t events)
{
    int e = 0;
    socklen_t len = sizeof e;

    if (c->fd < 0)
        return;
    if (c->state == CONNECTING) {
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len);
        if (e)
            lose(k, c, &k->publishing, FIGURE_CONNECT);
        else if (events & EPOLLOUT)
            next_thing(k, c);
    } else if (c->state == RESTING) {
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            close(c->fd);
            c->fd = -1;
            reply_free(&c->reply);
        }
    } else {
        if (events & EPOLLOUT)
            send_it(k, c);
        take(k, c);
    }
}

static void wake(struct keep *k)
{
    for (uint64_t i = 0; i < k->connections; i++) {
        struct conn *c = &k->conns[i];

        if (c->state != RESTING || c->wake_us > k->now_us)
            continue;
        if (c->fd < 0 && (c->acked.count || may_publish(k)))
            connect_it(k, c);
        else
            next_thing(k, c);
    }
}

static void loop(struct keep *k)
{
    struct epoll_event events[EVENTS];
    int64_t end = k->start_us + (int64_t)((k->seconds + 2 * k->ttl + 60) * 1e6);

    while (k->over < k->connections && k->now_us < end) {
        int n = epoll_wait(k->epoll, events, EVENTS, 5);

        k->now_us = net_now_us();
        for (int i = 0; i < n; i++) {
            on_event(k, events[i].data.ptr, events[i].events);
            k->now_us = net_now_us();
        }
        wake(k);
    }
}

static void print_result(const struct keep *k)
{
    uint64_t unread = 0;

    for (uint64_t i = 0; i < k->connections; i++)
        unread += k->conns[i].acked.count;
    printf("{\"command\":\"keep\",\"seconds\":%.3f,\"published\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"read\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"late\":%" PRIu64 ",\"unread\":%" PRIu64
           ",\"connections_lost\":%" PRIu64 ",\"publishing\":{",
           (double)(net_now_us() - k->start_us) / 1e6, k->published, k->bytes, k->read, k->wrong, k->late,
           unread, k->lost);
    figures_print(&k->publishing, stdout);
    printf("},\"reading\":{");
    figures_print(&k->reading, stdout);
    printf("}}\n");
}

static void start(struct keep *k)
{
    k->shape = (struct request_shape){ .host = k->target.host, .topic = k->topic, .topics = k->topics,
                                       .headers = k->headers, .run = k->run };
    snprintf(k->headers, sizeof k->headers, "TTL: %g\r\n", k->ttl);
    if (!request_mix(&k->shape, k->size)) {
        fprintf(stderr, "keep: wrong --size\n");
        exit(2);
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    net_raise_nofile();
    k->epoll = epoll_create1(EPOLL_CLOEXEC);
    k->conns = calloc(k->connections, sizeof *k->conns);
    k->now_us = k->start_us = net_now_us();
    for (unsigned i = 0; i < k->connections; i++) {
        k->conns[i].id = i;
        connect_it(k, &k->conns[i]);
    }
}

int main(int argc, char **argv)
{
    struct keep k = { .connections = 64, .topics = 8, .seconds = 10, .ttl = 10, .read_at = 0.8,
                      .size = "100", .topic = "keep-%d" };
    const struct opt table[] = {
        { "connections", OPT_NUMBER, &k.connections, "how many" },
        { "seconds", OPT_SECONDS, &k.seconds, "to publish; then what is left is read" },
        { "size", OPT_TEXT, &k.size, "of a message, or a mix; at least 45 bytes" },
        { "topic", OPT_TEXT, &k.topic, "name, with %d for the number" },
        { "topics", OPT_NUMBER, &k.topics, "how many" },
        { "ttl", OPT_SECONDS, &k.ttl, "of every message, whole seconds" },
        { "read-at", OPT_SECONDS, &k.read_at, "part of its life after which a message is read" },
        { "run", OPT_NUMBER, &k.run, "number in every body" },
        { 0 },
    };
    int at = opt_parse("keep", table, argc, argv);

    if (at + 1 != argc || !k.connections || !k.topics) {
        fprintf(stderr, "keep: expected HOST:PORT after the options; see --help\n");
        return 2;
    }
    k.target = net_target(argv[at]);
    start(&k);
    loop(&k);
    print_result(&k);
    for (uint64_t i = 0; i < k.connections; i++)
        kept_fini(&k.conns[i].acked);
    free(k.conns);
    return k.wrong || k.lost;
}
