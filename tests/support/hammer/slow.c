/*
 * slow - clients that behave badly, each in one way, to see that the broker copes.
 *
 *   trickle  sends a publish at --rate bytes a second, to its end
 *   stop     sends --part percent of a publish, then nothing
 *   head     sends half of the request's head, then nothing
 *   reset    sends --part percent of a publish, then breaks off with RST
 *   half     sends a whole publish, closes its sending side, waits for the answer
 *   read     asks for --path and takes --rate bytes a second with a small receive buffer
 *   idle     connects and says nothing
 *
 * One thread that looks at every connection every 20 ms. What the server did to each
 * connection is counted: the status it answered, or how the connection ended.
 */
#include "hammer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "figures.h"
#include "net.h"
#include "opt.h"
#include "request.h"

enum { TICK_MS = 20, READ_BUFFER = 4096 };
enum mode { TRICKLE, STOP, HEAD_ONLY, RESET, HALF, READ, IDLE, MODES };

static const char *const mode_names[MODES] = {
    [TRICKLE] = "trickle", [STOP] = "stop", [HEAD_ONLY] = "head", [RESET] = "reset",
    [HALF] = "half",       [READ] = "read", [IDLE] = "idle",
};

struct sloth {
    int fd; /* -1: over */
    char *out;
    size_t out_len, sent;
    uint64_t received;
    bool shut;
    struct reply reply;
};

struct slow {
    uint64_t connections, rate, size, part;
    double seconds;
    const char *mode_name, *topic, *path;

    enum mode mode;
    struct net_target target;
    struct sloth *sloths;
    uint64_t open, sent, received, reset_by_us;
    int64_t start_us;
    struct figures figures;
};

static void over(struct slow *s, struct sloth *c)
{
    close(c->fd);
    c->fd = -1;
    free(c->out);
    c->out = NULL;
    reply_free(&c->reply);
    s->open--;
}

static void make_request(struct slow *s, struct sloth *c, unsigned id)
{
    struct payload p = { 0, id, 0, s->size };
    size_t head;

    c->out = malloc(1024 + PAYLOAD_HEAD + s->size);
    if (s->mode == READ) {
        c->out_len = (size_t)snprintf(c->out, 1024, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
                                      s->path, s->target.host);
        return;
    }
    head = (size_t)snprintf(c->out, 1024,
                            "POST /v1/topics/%s/messages HTTP/1.1\r\nHost: %s\r\n"
                            "Content-Length: %lu\r\n\r\n", s->topic, s->target.host, s->size);
    payload_head(c->out + head, &p);
    if (s->size > PAYLOAD_HEAD)
        memcpy(c->out + head + PAYLOAD_HEAD, payload_letters(&p), s->size - PAYLOAD_HEAD);
    c->out_len = head + s->size;
    if (s->mode == STOP || s->mode == RESET)
        c->out_len = head + s->size * s->part / 100;
    else if (s->mode == HEAD_ONLY)
        c->out_len = head / 2;
    else if (s->mode == IDLE)
        c->out_len = 0;
}

/* How far a connection that goes at --rate may be by now. */
static uint64_t allowed(const struct slow *s)
{
    return (uint64_t)((double)(net_now_us() - s->start_us) * (double)s->rate / 1e6);
}

static void send_some(struct slow *s, struct sloth *c)
{
    size_t to = c->out_len;
    ssize_t n;

    if (s->mode == TRICKLE && allowed(s) < to)
        to = allowed(s);
    if (c->sent >= to)
        return;
    n = send(c->fd, c->out + c->sent, to - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
        c->sent += (size_t)n;
        s->sent += (uint64_t)n;
    } else if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN) {
        s->figures.errors[FIGURE_RESET]++;
        over(s, c);
    }
}

/* What follows a request that is out. */
static void after_sending(struct slow *s, struct sloth *c)
{
    if (c->fd < 0 || c->sent < c->out_len || c->shut)
        return;
    if (s->mode == RESET) {
        net_linger_zero(c->fd); /* so that the close sends RST */
        s->reset_by_us++;
        over(s, c);
    } else if (s->mode == HALF) {
        shutdown(c->fd, SHUT_WR);
        c->shut = true;
    }
}

static void read_slowly(struct slow *s, struct sloth *c)
{
    char buf[READ_BUFFER];
    uint64_t to = allowed(s);

    while (c->fd >= 0 && c->received < to) {
        size_t want = to - c->received < sizeof buf ? to - c->received : sizeof buf;
        ssize_t n = recv(c->fd, buf, want, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            s->figures.errors[n < 0 ? FIGURE_RESET : FIGURE_CLOSED]++;
            over(s, c);
            return;
        }
        c->received += (uint64_t)n;
        s->received += (uint64_t)n;
    }
}

static void read_answer(struct slow *s, struct sloth *c)
{
    ssize_t n = reply_fill(&c->reply, c->fd);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        s->figures.errors[n < 0 ? FIGURE_RESET : FIGURE_CLOSED]++;
        over(s, c);
        return;
    }
    s->received += (uint64_t)n;
    if (reply_parse(&c->reply) == REPLY_DONE) {
        s->figures.status[c->reply.status < 600 ? c->reply.status : 0]++;
        figures_time(&s->figures, net_now_us() - s->start_us);
        over(s, c);
    }
}

static void start(struct slow *s)
{
    int small = READ_BUFFER;

    payload_prepare(s->size);
    net_raise_nofile();
    s->sloths = calloc(s->connections, sizeof *s->sloths);
    for (unsigned i = 0; i < s->connections; i++) {
        struct sloth *c = &s->sloths[i];
        c->fd = net_connect_start(&s->target, i);
        if (c->fd < 0) {
            s->figures.errors[FIGURE_CONNECT]++;
            continue;
        }
        if (s->mode == READ)
            setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        make_request(s, c, i);
        s->open++;
    }
    s->start_us = net_now_us();
}

static void loop(struct slow *s)
{
    while (s->open && net_now_us() < s->start_us + (int64_t)(s->seconds * 1e6)) {
        poll(NULL, 0, TICK_MS);
        for (uint64_t i = 0; i < s->connections; i++) {
            struct sloth *c = &s->sloths[i];
            if (c->fd >= 0)
                send_some(s, c);
            if (c->fd >= 0 && s->mode == READ)
                read_slowly(s, c);
            else if (c->fd >= 0)
                read_answer(s, c);
            after_sending(s, c);
        }
    }
}

static void print_result(const struct slow *s)
{
    printf("{\"command\":\"slow\",\"mode\":\"%s\",\"connections\":%lu,\"seconds\":%.3f,"
           "\"still_open\":%lu,\"reset_by_us\":%lu,\"bytes_sent\":%lu,\"bytes_received\":%lu,",
           s->mode_name, s->connections, (double)(net_now_us() - s->start_us) / 1e6, s->open,
           s->reset_by_us, s->sent, s->received);
    figures_print(&s->figures, stdout);
    printf("}\n");
}

static bool find_mode(struct slow *s)
{
    for (s->mode = 0; s->mode < MODES; s->mode++)
        if (strcmp(mode_names[s->mode], s->mode_name) == 0)
            return true;
    return false;
}

int hammer_slow(int argc, char **argv)
{
    struct slow s = { .connections = 10, .rate = 100, .size = 10000, .part = 50,
                      .seconds = 30, .mode_name = "trickle", .topic = "slow" };
    const struct opt table[] = {
        { "mode", OPT_TEXT, &s.mode_name, "trickle, stop, head, reset, half, read or idle" },
        { "connections", OPT_NUMBER, &s.connections, "how many" },
        { "seconds", OPT_SECONDS, &s.seconds, "at most" },
        { "rate", OPT_NUMBER, &s.rate, "bytes a second of each" },
        { "size", OPT_NUMBER, &s.size, "of the message" },
        { "part", OPT_NUMBER, &s.part, "percent of the body that stop and reset send" },
        { "topic", OPT_TEXT, &s.topic, "to publish to" },
        { "path", OPT_TEXT, &s.path, "to read" },
        { 0 },
    };
    int at = opt_parse("slow", table, argc, argv);

    if (at + 1 != argc || !find_mode(&s) || (s.mode == READ && !s.path)) {
        fprintf(stderr, "hammer slow: expected --mode, --path for read, and HOST:PORT\n");
        return 2;
    }
    s.target = net_target(argv[at]);
    if (s.size < PAYLOAD_HEAD)
        s.size = PAYLOAD_HEAD;
    start(&s);
    loop(&s);
    print_result(&s);
    return s.figures.errors[FIGURE_CONNECT] != 0;
}
