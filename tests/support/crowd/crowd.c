/*
 * crowd - many subscribers of Server-Sent Events, and what they see: each message once, in order?
 *
 *   crowd --subscribers 10000 --path '/v1/topics/news/messages?from=latest' HOST:PORT
 *
 * It reads what a herald publishes (herald.c), from any server of event streams. A subscriber
 * whose stream ends comes back with its Last-Event-ID (--resume), or stays away. --churn of them
 * a second leave, the longest connected first, and others come in their place.
 *
 *   CONNECTING --> ASKING (for the head) --> OPEN --ended, lost--> RESTING or GONE
 *        ^                                                            |
 *        '------------------------------------------------------------'
 *
 * Commands on stdin, a line each, are answered with a line of figures: `figures`; `times`, which
 * also begins the times anew; `leave`, which closes all; `quit`. One thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"
#include "opt.h"
#include "request.h"
#include "tally.h"

enum { EVENTS = 512, BUFFER = 256 << 10, OPENING = 128, TICK_MS = 20 };
enum state { WAITING, CONNECTING, ASKING, OPEN, RESTING, GONE, STATES };

struct subscriber {
    int fd;
    enum state state;
    unsigned id;
    int64_t opened_us, wake_us;
    struct tally_place place;
    struct scan scan;
};

struct crowd {
    uint64_t count, topics, per_source, receive_buffer;
    double seconds, rest, churn;
    const char *path, *source;
    bool resume, forget;

    struct net_target target;
    int epoll;
    struct subscriber *all;
    uint64_t in[STATES]; /* subscribers in each state */
    uint64_t started;    /* of `all`, for the first time */
    uint64_t oldest;     /* the next to leave for another */
    uint64_t opened, refused, ended, reset, failed, left, resumed;
    int64_t now_us, start_us;
    double churned;
    bool leaving, over;
    struct tally tally;
    char *buffer;
};

static struct crowd crowd;

static void become(struct crowd *c, struct subscriber *s, enum state state)
{
    c->in[s->state]--;
    c->in[state]++;
    s->state = state;
}

/* ---- a subscriber's connection ---- */

static void hang_up(struct crowd *c, struct subscriber *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    scan_again(&s->scan);
    become(c, s, c->resume && !c->leaving ? RESTING : GONE);
    s->wake_us = c->now_us + (int64_t)(c->rest * 1e6);
}

static void lose(struct crowd *c, struct subscriber *s, uint64_t *kind)
{
    ++*kind;
    hang_up(c, s);
}

static void start(struct crowd *c, struct subscriber *s)
{
    struct epoll_event ev = { EPOLLIN | EPOLLOUT, { .ptr = s } };

    become(c, s, CONNECTING);
    s->fd = net_connect_start(&c->target, s->id);
    if (s->fd < 0)
        lose(c, s, &c->failed);
    else
        epoll_ctl(c->epoll, EPOLL_CTL_ADD, s->fd, &ev);
}

static void ask(struct crowd *c, struct subscriber *s)
{
    struct epoll_event ev = { EPOLLIN, { .ptr = s } };
    char request[600], path[300], resume[100] = "";
    int n, e = 0;
    socklen_t len = sizeof e;

    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &len);
    if (s->scan.id[0] && !c->forget)
        snprintf(resume, sizeof resume, "Last-Event-ID: %s\r\n", s->scan.id);
    request_topic(path, sizeof path, c->path, s->id % (unsigned)c->topics);
    n = snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n%s\r\n", path,
                 c->target.host, resume);
    become(c, s, ASKING);
    epoll_ctl(c->epoll, EPOLL_CTL_MOD, s->fd, &ev);
    if (e || send(s->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        lose(c, s, &c->failed);
    else
        c->resumed += resume[0] != 0;
}

/* ---- what it reads ---- */

static void on_message(void *arg, const struct scan_event *e)
{
    struct subscriber *s = arg;

    tally_event(&crowd.tally, &s->place, e, s->opened_us, crowd.now_us);
}

static void on_opened(void *arg)
{
    struct subscriber *s = arg;

    if (s->scan.status != 200)
        return;
    s->opened_us = net_now_us();
    crowd.opened++;
    become(&crowd, s, OPEN);
}

static void take(struct crowd *c, struct subscriber *s)
{
    struct scan_sink sink = { on_message, on_opened, s };
    ssize_t n = recv(s->fd, c->buffer, BUFFER, MSG_DONTWAIT);
    enum scan_step step;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->now_us = net_now_us();
    if (n <= 0) {
        lose(c, s, n < 0 ? &c->reset : &c->ended);
        return;
    }
    c->tally.bytes += (uint64_t)n;
    step = scan_feed(&s->scan, c->buffer, (size_t)n, &sink);
    if (s->scan.opened && s->scan.status != 200)
        lose(c, s, &c->refused);
    else if (step != SCAN_MORE)
        lose(c, s, step == SCAN_ENDED ? &c->ended : &c->failed);
}

static void on_event(struct crowd *c, struct subscriber *s, uint32_t events)
{
    if (s->fd < 0)
        return;
    if (s->state == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        ask(c, s);
    if (s->fd >= 0 && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        take(c, s);
}

/* ---- coming and leaving ---- */

static bool is_opening(const struct crowd *c)
{
    return c->in[CONNECTING] + c->in[ASKING] >= OPENING;
}

static void come(struct crowd *c)
{
    for (; c->started < c->count && !is_opening(c); c->started++)
        start(c, &c->all[c->started]);
    for (uint64_t i = 0; c->in[RESTING] && i < c->count && !is_opening(c); i++)
        if (c->all[i].state == RESTING && c->all[i].wake_us <= c->now_us)
            start(c, &c->all[i]);
}

/* Another in the place of one that leaves: it knows no id, and has seen nothing. */
static void replace(struct crowd *c, struct subscriber *s)
{
    if (s->fd >= 0)
        close(s->fd);
    c->left += s->fd >= 0;
    s->scan = (struct scan){ 0 };
    s->place = (struct tally_place){ 0 };
    become(c, s, WAITING);
    start(c, s);
}

static void churn(struct crowd *c)
{
    double due = c->churn * (double)(c->now_us - c->start_us) / 1e6;

    if (c->started < c->count || c->leaving)
        return;
    for (; c->churned < due; c->churned++) {
        struct subscriber *s = &c->all[c->oldest++ % c->count];

        if (s->state == OPEN || s->state == RESTING || s->state == GONE)
            replace(c, s);
    }
}

static void leave(struct crowd *c)
{
    c->leaving = true;
    c->started = c->count;
    for (uint64_t i = 0; i < c->count; i++) {
        c->left += c->all[i].fd >= 0;
        hang_up(c, &c->all[i]);
    }
}

/* ---- figures ---- */

/* Of those that read: the number that the slowest, and the fastest, waits for. */
static void print_places(const struct crowd *c)
{
    uint64_t least = UINT64_MAX, most = 0, silent = 0;

    for (uint64_t i = 0; i < c->count; i++) {
        const struct subscriber *s = &c->all[i];

        if (s->state != OPEN)
            continue;
        silent += !s->place.began;
        if (s->place.began && s->place.next < least)
            least = s->place.next;
        if (s->place.began && s->place.next > most)
            most = s->place.next;
    }
    printf(",\"next\":{\"least\":%" PRIu64 ",\"most\":%" PRIu64 ",\"silent\":%" PRIu64 "}",
           least == UINT64_MAX ? 0 : least, most, silent);
}

static void print_figures(const struct crowd *c)
{
    printf("{\"command\":\"crowd\",\"t\":%.6f,\"open\":%" PRIu64 ",\"opening\":%" PRIu64 ",\"resting\":%" PRIu64
           ",\"gone\":%" PRIu64 ",\"opened\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"ended\":%" PRIu64
           ",\"reset\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"left\":%" PRIu64 ",\"resumed\":%" PRIu64 ",",
           (double)net_now_us() / 1e6, c->in[OPEN], c->in[WAITING] + c->in[CONNECTING] + c->in[ASKING],
           c->in[RESTING], c->in[GONE], c->opened, c->refused, c->ended, c->reset, c->failed, c->left, c->resumed);
    tally_print(&c->tally, stdout);
    print_places(c);
    printf("}\n");
    fflush(stdout);
}

/* ---- orders ---- */

static void obey(struct crowd *c, const char *line)
{
    if (strncmp(line, "leave", 5) == 0)
        leave(c);
    c->over |= strncmp(line, "quit", 4) == 0;
    if (!c->over)
        print_figures(c);
    if (strncmp(line, "times", 5) == 0)
        tally_reset_times(&c->tally);
}

static void read_stdin(struct crowd *c)
{
    static char text[256];
    static size_t len;
    ssize_t n = read(0, text + len, sizeof text - 1 - len);
    char *end;

    if (n <= 0) {
        c->over |= n == 0;
        return;
    }
    len += (size_t)n;
    text[len] = 0;
    while ((end = strchr(text, '\n'))) {
        *end = 0;
        obey(c, text);
        len -= (size_t)(end + 1 - text);
        memmove(text, end + 1, len + 1);
    }
}

static void listen_to_stdin(struct crowd *c)
{
    struct epoll_event ev = { EPOLLIN, { .ptr = NULL } };

    if (c->seconds == 0)
        epoll_ctl(c->epoll, EPOLL_CTL_ADD, 0, &ev);
}

static void loop(struct crowd *c)
{
    struct epoll_event events[EVENTS];
    int64_t tick_us = 0;

    while (!c->over) {
        int n = epoll_wait(c->epoll, events, EVENTS, TICK_MS);

        c->now_us = net_now_us();
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_event(c, events[i].data.ptr, events[i].events);
            else
                read_stdin(c);
        }
        if (c->started < c->count || c->now_us >= tick_us) {
            come(c);
            churn(c);
            tick_us = c->now_us + TICK_MS * 1000;
        }
        if (c->seconds > 0 && c->now_us > c->start_us + (int64_t)(c->seconds * 1e6))
            c->over = true;
    }
}

static void set_up(struct crowd *c)
{
    net_raise_nofile();
    c->target.receive_buffer = (int)c->receive_buffer;
    net_set_source(&c->target, c->source, (unsigned)c->per_source);
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->all = calloc(c->count, sizeof *c->all);
    c->buffer = malloc(BUFFER);
    if (!c->all || !c->buffer)
        abort();
    for (uint64_t i = 0; i < c->count; i++)
        c->all[i] = (struct subscriber){ .fd = -1, .id = (unsigned)i };
    c->in[WAITING] = c->count;
    c->tally.all = c->topics == 1 ? c->count : 0;
    c->now_us = c->start_us = net_now_us();
    listen_to_stdin(c);
}

int main(int argc, char **argv)
{
    struct crowd *c = &crowd;
    const struct opt table[] = {
        { "subscribers", OPT_NUMBER, &c->count, "how many" },
        { "path", OPT_TEXT, &c->path, "of the stream, with %d for the topic's number" },
        { "topics", OPT_NUMBER, &c->topics, "subscriber i reads topic i modulo this" },
        { "source", OPT_TEXT, &c->source, "the first address to come from, 127.x.x.x" },
        { "per-source", OPT_NUMBER, &c->per_source, "connections of one address; 0: 4000" },
        { "receive-buffer", OPT_NUMBER, &c->receive_buffer, "SO_RCVBUF; 0: the kernel's" },
        { "resume", OPT_FLAG, &c->resume, "come back with the last id when a stream ends" },
        { "forget", OPT_FLAG, &c->forget, "with --resume: without the id, as who must miss something" },
        { "rest", OPT_SECONDS, &c->rest, "before coming back" },
        { "churn", OPT_SECONDS, &c->churn, "so many a second leave, others come" },
        { "seconds", OPT_SECONDS, &c->seconds, "until the end; 0: by stdin" },
        { 0 },
    };

    *c = (struct crowd){ .count = 1000, .topics = 1, .path = "/v1/topics/news/messages?from=latest", .rest = 0.5 };
    int at = opt_parse("crowd", table, argc, argv);

    if (at + 1 != argc || !c->count || !c->topics) {
        fprintf(stderr, "crowd: expected HOST:PORT after the options; see --help\n");
        return 2;
    }
    c->target = net_target(argv[at]);
    set_up(c);
    loop(c);
    print_figures(c);
    free(c->all);
    free(c->buffer);
    return 0;
}
