/*
 * keep - publishes as fast as it can, and reads every message it got a 201 for once more,
 * late in its life: is it there until it expires, byte by byte?
 *
 *   keep --publishers 200 --readers 20 --ttl 10 --size 70%1KiB,30%64KiB --seconds 60 HOST:PORT
 *
 * Publishers and readers are closed loops of their own, so that a publisher who waits for
 * room keeps no message from being read in time. What was acknowledged stands in one ring;
 * when the oldest has lived --read-at of its TTL, by the broker's own time, a reader takes
 * it. An answer that asks for patience (429, 503) is followed by a rest. A read whose answer
 * comes when the message may have expired meanwhile proves nothing and is counted as late.
 *
 *   CONNECTING --> PUBLISHING or READING --> (next) ...
 *        ^             | 429, 503, lost
 *        '--- RESTING <'                            OVER: nothing left to do
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
#include <time.h>
#include <unistd.h>

#include "figures.h"
#include "kept.h"
#include "net.h"
#include "opt.h"
#include "request.h"

enum { EVENTS = 512, REST_US = 50000, IDLE_US = 5000, MARGIN_US = 300000 };
enum state { CONNECTING, PUBLISHING, READING, RESTING, OVER };

struct conn {
    int fd;
    enum state state;
    unsigned id;
    uint64_t number, seq;
    int64_t since_us, wake_us;
    bool reader, taken;  /* taken: `message` is being read */
    struct kept message;
    struct request request;
    struct reply reply;
};

struct keep {
    uint64_t publishers, readers, topics, run;
    double seconds, ttl, read_at;
    const char *size, *topic;

    struct net_target target;
    struct request_shape shape;
    char headers[100];
    int epoll;
    struct conn *conns;
    struct kept_ring acked;
    uint64_t connections, publishing_over, over, published, bytes, read, wrong, late, lost;
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
        lose(k, c, c->reader ? &k->reading : &k->publishing, FIGURE_RESET);
}

static void begin_read(struct keep *k, struct conn *c)
{
    char topic[300], path[400];

    request_topic(topic, sizeof topic, k->topic, c->message.topic);
    snprintf(path, sizeof path, "/v1/topics/%s/messages/%" PRIu64, topic, c->message.offset);
    request_get(&c->request, k->target.host, path);
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

static void end(struct keep *k, struct conn *c)
{
    c->state = OVER;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    k->over++;
    k->publishing_over += !c->reader;
}

/* The oldest message, once it has lived long enough. */
static bool take_message(struct keep *k, struct conn *c)
{
    const struct kept *m = kept_oldest(&k->acked);

    if (!m || k->now_us < m->stored_us + (int64_t)(k->ttl * k->read_at * 1e6))
        return false;
    c->message = *m;
    c->taken = true;
    kept_drop(&k->acked);
    return true;
}

static void next_read(struct keep *k, struct conn *c)
{
    if (c->taken || take_message(k, c)) {
        begin_read(k, c);
    } else if (k->publishing_over == k->publishers && !k->acked.count) {
        end(k, c);
    } else {
        c->state = RESTING;
        c->wake_us = k->now_us + IDLE_US;
    }
}

static void next_thing(struct keep *k, struct conn *c)
{
    if (c->reader)
        next_read(k, c);
    else if (may_publish(k))
        begin_publish(k, c);
    else
        end(k, c);
}

/* ---- answers ---- */

/* When its life began, by our monotonic clock: what the broker said, or when it was sent. */
static int64_t stored_us(const struct keep *k, const struct conn *c)
{
    int64_t ms = reply_time_ms(&c->reply, "time");
    struct timespec now;

    if (ms < 0)
        return c->since_us;
    clock_gettime(CLOCK_REALTIME, &now);
    return k->now_us - ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 - ms * 1000);
}

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
    kept_add(&k->acked, (struct kept){ stored_us(k, c), (uint64_t)offset, c->request.first, c->request.topic });
}

static bool same(const struct reply *r, const struct payload *want)
{
    struct payload got;

    return payload_check(r->buf + r->body, r->body_len, &got) && got.run == want->run &&
           got.conn == want->conn && got.seq == want->seq && got.size == want->size;
}

static bool may_be_gone(const struct keep *k, const struct kept *m)
{
    return k->now_us > m->stored_us + (int64_t)(k->ttl * 1e6) - MARGIN_US;
}

static void was_read(struct keep *k, struct conn *c)
{
    const struct kept *m = &c->message;

    c->taken = false;
    if (c->reply.status == 200 && same(&c->reply, &m->what)) {
        k->read++;
        figures_time(&k->reading, k->now_us - c->since_us);
        return;
    }
    if (may_be_gone(k, m)) {
        k->late++;
        return;
    }
    if (++k->wrong < 4)
        fprintf(stderr, "keep: offset %" PRIu64 " after %.1f s: %d, %zu bytes: %.150s\n", m->offset,
                (double)(k->now_us - m->stored_us) / 1e6, c->reply.status, c->reply.body_len,
                c->reply.buf + c->reply.body);
}

static void answered(struct keep *k, struct conn *c)
{
    int status = c->reply.status < 600 ? c->reply.status : 0;
    bool busy = status == 503 || status == 429;

    (c->reader ? &k->reading : &k->publishing)->status[status]++;
    if (!c->reader && status == 201)
        published(k, c);
    else if (c->reader && (!busy || may_be_gone(k, &c->message)))
        was_read(k, c);
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
    struct figures *f = c->reader ? &k->reading : &k->publishing;

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
        if (c->fd < 0 && (c->reader || may_publish(k)))
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
    uint64_t unread = k->acked.count;

    for (uint64_t i = k->publishers; i < k->connections; i++)
        unread += k->conns[i].taken;
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
    k->connections = k->publishers + k->readers;
    k->conns = calloc(k->connections, sizeof *k->conns);
    k->now_us = k->start_us = net_now_us();
    for (unsigned i = 0; i < k->connections; i++) {
        k->conns[i].id = i;
        k->conns[i].reader = i >= k->publishers;
        connect_it(k, &k->conns[i]);
    }
}

int main(int argc, char **argv)
{
    struct keep k = { .publishers = 64, .readers = 16, .topics = 8, .seconds = 10, .ttl = 10, .read_at = 0.8,
                      .size = "100", .topic = "keep-%d" };
    const struct opt table[] = {
        { "publishers", OPT_NUMBER, &k.publishers, "connections that publish" },
        { "readers", OPT_NUMBER, &k.readers, "connections that read" },
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

    if (at + 1 != argc || !k.publishers || !k.readers || !k.topics) {
        fprintf(stderr, "keep: expected HOST:PORT after the options; see --help\n");
        return 2;
    }
    k.target = net_target(argv[at]);
    start(&k);
    loop(&k);
    print_result(&k);
    kept_fini(&k.acked);
    free(k.conns);
    return k.wrong || k.lost;
}
