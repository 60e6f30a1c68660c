/*
 * consume - workers in a closed loop: receive messages of a subscription, ack them, receive the next;
 * or, to compare, read the same messages as a log.
 *
 * A thread for each worker, on a connection of its own. It ends when there is nothing more, when --messages
 * are done in all, or when the time is over. Of a log each worker reads a part of its own, again and again
 * until the time is over.
 */
#include "hammer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"
#include "net.h"
#include "opt.h"
#include "request.h"

enum { LEASE = 38, LEASES_MAX = 1000 };

struct consume {
    uint64_t connections, limit, messages, from, subscriptions;
    double seconds;
    const char *subscription, *log;

    struct net_target target;
    int64_t end_us;
    atomic_ullong done;
};

struct worker {
    struct consume *c;
    pthread_t thread;
    unsigned id;
    int fd;
    uint64_t rounds, messages, begin, at, end; /* begin to end: its part of the log */
    struct reply reply;
    struct figures asked, acked; /* receives or reads; acks */
};

static int64_t ask(struct worker *w, struct figures *f, const char *text, size_t len)
{
    int64_t began = net_now_us();

    if (!net_ask(w->fd, text, len, &w->reply)) {
        f->errors[FIGURE_CLOSED]++;
        return -1;
    }
    figures_time(f, net_now_us() - began);
    f->status[w->reply.status]++;
    return w->reply.status == 200 ? 0 : -1;
}

static size_t put_head(struct worker *w, char *to, size_t cap, const char *verb, size_t body_len)
{
    char name[300];

    request_topic(name, sizeof name, w->c->subscription,
                  (unsigned)((w->id + w->rounds * w->c->connections) % w->c->subscriptions));
    return (size_t)snprintf(to, cap, "POST /v1/subscriptions/%s:%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n",
                            name, verb, w->c->target.host, body_len);
}

/* {"leases":["...",...]} of all that the answer holds; how many. */
static size_t put_leases(const struct reply *r, char *to, size_t *len)
{
    static const char before[] = "\"lease\":\"", start[] = "{\"leases\":[";
    const char *p = r->buf + r->body, *end = p + r->body_len;
    size_t count = 0;
    char *at = to + sprintf(to, "%s", start);

    while (count < LEASES_MAX && (p = memmem(p, (size_t)(end - p), before, sizeof before - 1))) {
        p += sizeof before - 1;
        at += sprintf(at, "%s\"%.*s\"", count++ ? "," : "", LEASE, p);
    }
    at += sprintf(at, "]}");
    *len = (size_t)(at - to);
    return count;
}

/* How many messages; -1: it is over. */
static int64_t receive_and_ack(struct worker *w)
{
    char request[400 + LEASES_MAX * (LEASE + 3)], body[20 + LEASES_MAX * (LEASE + 3)], verb[100];
    size_t len, body_len, count;

    snprintf(verb, sizeof verb, "receive?limit=%lu&max_bytes=16MiB", w->c->limit);
    len = put_head(w, request, sizeof request, verb, 0);
    if (ask(w, &w->asked, request, len) < 0)
        return -1;
    count = put_leases(&w->reply, body, &body_len);
    if (!count)
        return -1;
    len = put_head(w, request, sizeof request, "ack", body_len);
    memcpy(request + len, body, body_len);
    w->rounds++;
    return ask(w, &w->acked, request, len + body_len) < 0 ? -1 : (int64_t)count;
}

static int64_t read_log(struct worker *w)
{
    uint64_t left = w->end - (w->at = w->at < w->end ? w->at : w->begin);
    char request[400];
    int n = snprintf(request, sizeof request,
                     "GET /v1/topics/%s/messages?from=%lu&limit=%lu&max_bytes=16MiB HTTP/1.1\r\nHost: %s\r\n\r\n",
                     w->c->log, w->at, left < w->c->limit ? left : w->c->limit, w->c->target.host);
    const char *next;
    uint64_t before = w->at;

    if (!left || ask(w, &w->asked, request, (size_t)n) < 0)
        return -1;
    next = memmem(w->reply.buf + w->reply.body, w->reply.body_len, "],\"next\":", 9);
    w->at = next ? strtoull(next + 9, NULL, 10) : before;
    return w->at > before ? (int64_t)(w->at - before) : -1;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct consume *c = w->c;
    int64_t got;

    while (net_now_us() < c->end_us && (!c->messages || c->log || atomic_load(&c->done) < c->messages)) {
        got = c->log ? read_log(w) : receive_and_ack(w);
        if (got < 0)
            break;
        w->messages += (uint64_t)got;
        atomic_fetch_add(&c->done, (unsigned long long)got);
    }
    close(w->fd);
    return NULL;
}

static void add(struct figures *to, const struct figures *f)
{
    for (int i = 0; i < 600; i++)
        to->status[i] += f->status[i];
    for (int i = 0; i < FIGURE_ERRORS; i++)
        to->errors[i] += f->errors[i];
    for (int i = 0; i < FIGURE_BUCKETS; i++)
        to->bucket[i] += f->bucket[i];
    to->times += f->times;
    to->slowest_us = f->slowest_us > to->slowest_us ? f->slowest_us : to->slowest_us;
}

static bool is_well(const struct figures *f)
{
    return f->status[200] == f->times && !figures_errors(f);
}

/* Exit status: whether all that was answered was 200. */
static int finish(struct consume *c, struct worker *workers, int64_t start_us)
{
    static struct figures asked, acked;
    double seconds = (double)(net_now_us() - start_us) / 1e6;
    uint64_t messages = 0;

    for (uint64_t i = 0; i < c->connections; i++) {
        messages += workers[i].messages;
        add(&asked, &workers[i].asked);
        add(&acked, &workers[i].acked);
        reply_free(&workers[i].reply);
    }
    printf("{\"command\":\"consume\",\"connections\":%lu,\"seconds\":%.3f,\"messages\":%lu,"
           "\"messages_per_second\":%.1f,\"requests\":%lu,",
           c->connections, seconds, messages, seconds > 0 ? (double)messages / seconds : 0, asked.times + acked.times);
    figures_print(&asked, stdout);
    printf(",\"ack\":{");
    figures_print(&acked, stdout);
    printf("}}\n");
    return !is_well(&asked) || !is_well(&acked);
}

static int run(struct consume *c)
{
    struct worker *workers = calloc(c->connections, sizeof *workers);
    uint64_t part = (c->messages + c->connections - 1) / c->connections;
    int64_t start_us;
    int status;

    for (unsigned i = 0; i < c->connections; i++) {
        struct worker *w = &workers[i];
        uint64_t end = (i + 1) * part < c->messages ? (i + 1) * part : c->messages;

        *w = (struct worker){ .c = c, .id = i, .begin = c->from + i * part, .end = c->from + end };
        w->end = w->end < w->begin ? w->begin : w->end;
        w->at = w->begin;
        w->fd = net_connect(&c->target);
    }
    start_us = net_now_us();
    c->end_us = start_us + (int64_t)(c->seconds * 1e6);
    for (unsigned i = 0; i < c->connections; i++)
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    for (unsigned i = 0; i < c->connections; i++)
        pthread_join(workers[i].thread, NULL);
    status = finish(c, workers, start_us);
    free(workers);
    return status;
}

int hammer_consume(int argc, char **argv)
{
    struct consume c = { .connections = 1, .limit = 100, .seconds = 60, .subscriptions = 1, .subscription = "load" };
    const struct opt table[] = {
        { "connections", OPT_NUMBER, &c.connections, "workers" },
        { "seconds", OPT_SECONDS, &c.seconds, "how long at most" },
        { "messages", OPT_NUMBER, &c.messages, "stop after so many in all; 0: when there are none. Of a log: its part" },
        { "limit", OPT_NUMBER, &c.limit, "messages in an answer, up to 1000" },
        { "subscription", OPT_TEXT, &c.subscription, "name, with %d for the number, percent-encoded" },
        { "subscriptions", OPT_NUMBER, &c.subscriptions, "how many; the workers go round them" },
        { "log", OPT_TEXT, &c.log, "a topic to read as a log instead" },
        { "from", OPT_NUMBER, &c.from, "offset in the log to begin at" },
        { 0 },
    };
    int at = opt_parse("consume", table, argc, argv);

    if (at + 1 != argc || !c.connections || !c.subscriptions || !c.limit || c.limit > LEASES_MAX || (c.log && !c.messages)) {
        fprintf(stderr, "hammer consume: expected HOST:PORT after the options; --limit 1 to 1000; --log wants --messages\n");
        return 2;
    }
    c.target = net_target(argv[at]);
    return run(&c);
}
