/*
 * herald - publishes what a crowd (crowd.c) reads: messages that carry their number.
 *
 *   herald --path /v1/topics/news/messages --size 1024 --rate 10 HOST:PORT
 *
 * The data is "SEQ-TIME-BEFORE-xxx...": the number in its topic, from 0 on; when it was sent, and
 * when the one before it was (monotonic microseconds). One connection, one message at a time, so
 * that numbers are stored in their order. With a rate, a publish's time counts from the moment it
 * was due. One that is refused for now (429, 503) is sent again; of one whose answer is lost it is
 * not known whether it is there, so its number is not used again: `uncertain`.
 *
 * Ends after --count, --seconds, or SIGTERM, with a line of figures.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "figures.h"
#include "net.h"
#include "opt.h"
#include "request.h"

enum { HEAD_ROOM = 2048, WINDOWS = 1024, REST_US = 50000 };

struct window { /* of time */
    double p99_ms, most_ms;
    uint64_t count;
};

struct herald {
    uint64_t count, size, topics, first;
    double seconds, rate, window;
    const char *path, *front, *type, *token;

    struct net_target target;
    int fd;
    uint64_t published, uncertain, again;
    int64_t start_us, window_us;
    int64_t *sent_us; /* of each topic's latest */
    char *request, *body;
    struct reply reply;
    struct figures figures, current;
    struct window windows[WINDOWS];
    unsigned window_count;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

/* ---- one publish ---- */

static size_t build(struct herald *h, uint64_t number, int64_t now_us)
{
    unsigned topic = (unsigned)(number % h->topics);
    char path[300], token[600] = "";
    size_t front, body;
    int n;

    request_topic(h->body, HEAD_ROOM, h->front, topic);
    front = strlen(h->body);
    body = front + (size_t)sprintf(h->body + front, "%" PRIu64 "-%" PRId64 "-%" PRId64 "-",
                                   h->first + number / h->topics, now_us, h->sent_us[topic]);
    for (; body < front + h->size; body++)
        h->body[body] = 'x';
    request_topic(path, sizeof path, h->path, topic);
    if (h->token)
        snprintf(token, sizeof token, "Authorization: Bearer %s\r\n", h->token);
    n = snprintf(h->request, HEAD_ROOM,
                 "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n",
                 path, h->target.host, h->type, token, body);
    memcpy(h->request + n, h->body, body);
    h->sent_us[topic] = now_us;
    return (size_t)n + body;
}

static void sleep_until(int64_t us)
{
    struct timespec t = { us / 1000000, us % 1000000 * 1000 };

    while (!interrupted && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
        ;
}

static bool is_refused_for_now(const struct herald *h)
{
    return h->reply.status == 429 || h->reply.status == 503;
}

static void connect_again(struct herald *h)
{
    if (h->fd >= 0)
        close(h->fd);
    reply_free(&h->reply);
    h->fd = net_connect(&h->target);
}

static void close_window(struct herald *h)
{
    struct window w = { figures_quantile_ms(&h->current, 0.99), (double)h->current.slowest_us / 1000,
                        h->current.times };

    if (h->window_count < WINDOWS && w.count)
        h->windows[h->window_count++] = w;
    memset(&h->current, 0, sizeof h->current);
    h->window_us = net_now_us();
}

static void was_published(struct herald *h, int64_t due_us)
{
    int64_t now = net_now_us();

    h->published++;
    figures_time(&h->figures, now - due_us);
    figures_time(&h->current, now - due_us);
    if (now >= h->window_us + (int64_t)(h->window * 1e6))
        close_window(h);
}

static void publish(struct herald *h, uint64_t number, int64_t due_us)
{
    do {
        size_t len = build(h, number, net_now_us());

        if (!net_ask(h->fd, h->request, len, &h->reply)) {
            h->uncertain++;
            connect_again(h);
            return;
        }
        h->figures.status[h->reply.status < 600 ? h->reply.status : 0]++;
        if (h->reply.close)
            connect_again(h);
        if (!is_refused_for_now(h))
            break;
        h->again++;
        sleep_until(net_now_us() + REST_US);
    } while (!interrupted);
    if (h->reply.status / 100 == 2)
        was_published(h, due_us);
}

/* Only when each topic has as many as the others. */
static bool is_over(const struct herald *h, uint64_t number)
{
    if (number % h->topics)
        return false;
    return interrupted || (h->count && number >= h->count) ||
           (h->seconds > 0 && net_now_us() >= h->start_us + (int64_t)(h->seconds * 1e6));
}

static void loop(struct herald *h)
{
    for (uint64_t number = 0; !is_over(h, number); number++) {
        int64_t due_us = net_now_us();

        if (h->rate > 0) {
            due_us = h->start_us + (int64_t)((double)number * 1e6 / h->rate);
            sleep_until(due_us);
            if (is_over(h, number))
                break;
        }
        publish(h, number, due_us);
    }
    close_window(h);
}

static void print_result(const struct herald *h)
{
    double seconds = (double)(net_now_us() - h->start_us) / 1e6;

    printf("{\"command\":\"herald\",\"seconds\":%.3f,\"published\":%" PRIu64 ",\"per_second\":%.1f,\"uncertain\":%" PRIu64
           ",\"again\":%" PRIu64 ",\"next\":%" PRIu64 ",\"windows\":[",
           seconds, h->published, (double)h->published / seconds, h->uncertain, h->again,
           h->first + (h->published + h->uncertain) / h->topics);
    for (unsigned i = 0; i < h->window_count; i++)
        printf("%s{\"count\":%" PRIu64 ",\"p99\":%.3f,\"max\":%.3f}", i ? "," : "", h->windows[i].count,
               h->windows[i].p99_ms, h->windows[i].most_ms);
    printf("],");
    figures_print(&h->figures, stdout);
    printf("}\n");
}

static void set_up(struct herald *h)
{
    struct sigaction stop = { .sa_handler = on_signal }; /* without SA_RESTART: wakes a sleep */

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    h->sent_us = calloc(h->topics, sizeof *h->sent_us);
    h->body = malloc(HEAD_ROOM + h->size);
    h->request = malloc(2 * HEAD_ROOM + h->size);
    if (!h->sent_us || !h->body || !h->request)
        abort();
    h->fd = net_connect(&h->target);
    h->start_us = h->window_us = net_now_us();
}

int main(int argc, char **argv)
{
    static struct herald h = { .topics = 1, .size = 100, .window = 10, .fd = -1, .front = "",
                               .path = "/v1/topics/news/messages", .type = "text/plain" };
    const struct opt table[] = {
        { "path", OPT_TEXT, &h.path, "to POST to, with %d for the topic's number" },
        { "topics", OPT_NUMBER, &h.topics, "one after the other" },
        { "size", OPT_NUMBER, &h.size, "bytes of a message's data, at least" },
        { "front", OPT_TEXT, &h.front, "of the body, before the data; %d as in --path" },
        { "type", OPT_TEXT, &h.type, "Content-Type" },
        { "token", OPT_TEXT, &h.token, "of a publisher: Authorization: Bearer" },
        { "rate", OPT_SECONDS, &h.rate, "messages a second; 0: as fast as answers come" },
        { "first", OPT_NUMBER, &h.first, "number in each topic" },
        { "count", OPT_NUMBER, &h.count, "messages; 0: no end" },
        { "seconds", OPT_SECONDS, &h.seconds, "until the end; 0: no end" },
        { "window", OPT_SECONDS, &h.window, "of time, each with a p99 of its own" },
        { 0 },
    };
    int at = opt_parse("herald", table, argc, argv);

    if (at + 1 != argc || !h.topics) {
        fprintf(stderr, "herald: expected HOST:PORT after the options; see --help\n");
        return 2;
    }
    h.target = net_target(argv[at]);
    set_up(&h);
    loop(&h);
    print_result(&h);
    close(h.fd);
    reply_free(&h.reply);
    free(h.sent_us);
    free(h.body);
    free(h.request);
    return h.figures.status[0] || h.uncertain;
}
