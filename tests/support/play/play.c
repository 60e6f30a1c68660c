/*
 * play - plays a script of client steps (script.h) many times over many connections.
 *
 *   play --script FILE --connections 64 --turns 20000 HOST:PORT
 *
 * A turn is the script from its first step to its last; a connection that is still open
 * then goes on with the next turn. With --rate turns begin at that rate whether or not the
 * broker keeps up, and their times count from when they should have begun.
 *
 * One thread. A peer that goes away where the script does not expect it ends the turn, and
 * is counted; so does an answer with another status. While a request is being sent the
 * peer may answer and close: then the rest of it is not sent, and the answer counts.
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
#include "net.h"
#include "opt.h"
#include "script.h"

enum { EVENTS = 512, LOOK_MS = 2, SCRAP = 65536 };

enum outcome { GO_ON, WAIT, TURN_OVER };

struct player {
    int fd; /* -1: none */
    unsigned id;
    bool playing;
    size_t step;
    size_t sent;         /* of this step */
    bool cut;            /* the peer takes no more of this request */
    uint64_t turn;
    int64_t begun_us;    /* for the times */
    int64_t step_us;     /* when this step began; 0: not yet */
    char *text;
    size_t text_len, text_cap;
    struct reply reply;
};

struct play {
    uint64_t connections, turns, rcvbuf, first_turn;
    double seconds, rate, timeout;
    const char *path;

    struct net_target target;
    struct script script;
    char *letters;
    int epoll;
    struct player *players;
    uint64_t begun, finished, broken, cuts, eofs, wrong, playing;
    int64_t now_us, start_us;
    struct figures figures;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

static void hang_up(struct player *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->cut = false;
    reply_free(&c->reply);
}

static enum outcome broken(struct play *p, struct player *c, enum figure_error kind)
{
    p->figures.errors[kind]++;
    p->broken++;
    hang_up(c);
    return TURN_OVER;
}

static enum outcome connect_now(struct play *p, struct player *c)
{
    struct epoll_event ev = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { .ptr = c } };
    int size = (int)p->rcvbuf;

    hang_up(c);
    c->fd = net_connect_start(&p->target, c->id);
    if (c->fd < 0)
        return broken(p, c, FIGURE_CONNECT);
    if (size)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    epoll_ctl(p->epoll, EPOLL_CTL_ADD, c->fd, &ev);
    return GO_ON;
}

/* ---- the steps ---- */

static enum outcome step_send(struct play *p, struct player *c, const char *data, size_t len)
{
    if (c->fd < 0 && connect_now(p, c) == TURN_OVER)
        return TURN_OVER;
    while (c->sent < len && !c->cut) {
        ssize_t n = send(c->fd, data + c->sent, len - c->sent, MSG_NOSIGNAL);

        if (n >= 0) {
            c->sent += (size_t)n;
        } else if (errno == EAGAIN || errno == ENOTCONN) {
            return WAIT;
        } else if (errno == ECONNREFUSED) {
            return broken(p, c, FIGURE_CONNECT);
        } else if (errno != EINTR) {
            c->cut = true; /* an answer may be there all the same */
            p->cuts++;
        }
    }
    return GO_ON;
}

static enum outcome send_text(struct play *p, struct player *c, const struct step *s)
{
    if (!c->step_us)
        c->text_len = script_text(s, c->turn, c->id, &c->text, &c->text_cap);
    c->step_us = p->now_us;
    return step_send(p, c, c->text, c->text_len);
}

static bool is_expected(const struct step *s, int status)
{
    for (int i = 0; i < STEP_STATUSES && s->status[i]; i++)
        if (s->status[i] == status)
            return true;
    return false;
}

static enum outcome answered(struct play *p, struct player *c, const struct step *s)
{
    int status = c->reply.status < 600 ? c->reply.status : 0;
    bool ends = c->reply.close || c->cut;

    p->figures.status[status]++;
    figures_time(&p->figures, p->now_us - c->begun_us);
    if (!is_expected(s, status)) {
        p->wrong++;
        if (p->wrong < 4)
            fprintf(stderr, "play: turn %" PRIu64 ": answered %d: %.200s\n", c->turn, status,
                    c->reply.buf + c->reply.body);
        hang_up(c);
        return TURN_OVER;
    }
    reply_next(&c->reply);
    if (ends)
        hang_up(c);
    return GO_ON;
}

static enum outcome peer_ended(struct play *p, struct player *c, const struct step *s,
                               enum figure_error kind)
{
    if (s->kind != STEP_EOF && !s->or_eof)
        return broken(p, c, kind);
    p->eofs++;
    hang_up(c);
    return GO_ON;
}

static enum outcome step_answer(struct play *p, struct player *c, const struct step *s)
{
    if (c->fd < 0)
        return peer_ended(p, c, s, FIGURE_CLOSED);
    for (;;) {
        enum reply_step r = reply_parse(&c->reply);
        ssize_t n;

        if (r == REPLY_DONE)
            return answered(p, c, s);
        if (r == REPLY_BAD)
            return broken(p, c, FIGURE_MALFORMED);
        n = reply_fill(&c->reply, c->fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return WAIT;
        if (n <= 0)
            return peer_ended(p, c, s, n < 0 ? FIGURE_RESET : FIGURE_CLOSED);
    }
}

static enum outcome step_eof(struct play *p, struct player *c, const struct step *s)
{
    static char scrap[SCRAP];

    while (c->fd >= 0) {
        ssize_t n = recv(c->fd, scrap, sizeof scrap, 0);

        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return WAIT;
        if (n == 0 || (n < 0 && errno != EINTR))
            return peer_ended(p, c, s, FIGURE_CLOSED);
    }
    return GO_ON;
}

static enum outcome play_step(struct play *p, struct player *c, const struct step *s)
{
    switch (s->kind) {
    case STEP_OPEN:
        return connect_now(p, c);
    case STEP_SEND:
        return send_text(p, c, s);
    case STEP_FILL:
        return step_send(p, c, p->letters, s->number);
    case STEP_PAUSE:
        if (!c->step_us)
            c->step_us = p->now_us;
        return p->now_us < c->step_us + (int64_t)s->number * 1000 ? WAIT : GO_ON;
    case STEP_ANSWER:
        return step_answer(p, c, s);
    case STEP_EOF:
        return step_eof(p, c, s);
    case STEP_SHUT:
        shutdown(c->fd, SHUT_WR);
        return GO_ON;
    case STEP_RESET:
        if (c->fd >= 0)
            net_linger_zero(c->fd);
        hang_up(c);
        return GO_ON;
    default:
        hang_up(c);
        return GO_ON;
    }
}

/* ---- turns ---- */

/* When the next turn may begin, or INT64_MAX: never. */
static int64_t next_turn_us(const struct play *p)
{
    if (interrupted || (p->turns && p->begun == p->turns) ||
        (p->seconds > 0 && p->now_us >= p->start_us + (int64_t)(p->seconds * 1e6)))
        return INT64_MAX;
    return p->rate > 0 ? p->start_us + (int64_t)((double)p->begun / p->rate * 1e6) : p->now_us;
}

/* The broker may close a connection between two turns; the next turn opens its own. */
static void forget_if_closed(struct player *c)
{
    char byte;

    if (c->fd >= 0 && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        hang_up(c);
}

static bool begin_turn(struct play *p, struct player *c)
{
    int64_t at = next_turn_us(p);

    if (at > p->now_us)
        return false;
    forget_if_closed(c);
    c->playing = true;
    c->step = c->sent = 0;
    c->step_us = 0;
    c->turn = p->first_turn + p->begun++;
    c->begun_us = at;
    p->playing++;
    return true;
}

static void end_turn(struct play *p, struct player *c)
{
    c->playing = false;
    p->playing--;
}

/* Plays on until there is something to wait for. */
static void advance(struct play *p, struct player *c)
{
    unsigned turns = 0;

    while (c->playing || (turns++ < 16 && begin_turn(p, c))) {
        const struct step *s = &p->script.steps[c->step];
        enum outcome o = play_step(p, c, s);

        if (o == WAIT)
            return;
        if (o == GO_ON && ++c->step == p->script.count) {
            p->finished++;
            o = TURN_OVER;
        }
        if (o == TURN_OVER)
            end_turn(p, c);
        c->sent = 0;
        c->step_us = 0;
    }
}

static void give_up(struct play *p, struct player *c)
{
    broken(p, c, FIGURE_UNANSWERED);
    end_turn(p, c);
}

/* Pauses that are over, turns that may begin, turns that hang. */
static void look_at_all(struct play *p)
{
    for (uint64_t i = 0; i < p->connections; i++) {
        struct player *c = &p->players[i];

        if (c->playing && p->now_us > c->begun_us + (int64_t)(p->timeout * 1e6))
            give_up(p, c);
        if (!c->playing || p->script.steps[c->step].kind == STEP_PAUSE)
            advance(p, c);
    }
}

static void loop(struct play *p)
{
    struct epoll_event events[EVENTS];

    while (p->playing || next_turn_us(p) != INT64_MAX) {
        int n = epoll_wait(p->epoll, events, EVENTS, LOOK_MS);

        p->now_us = net_now_us();
        for (int i = 0; i < n; i++)
            if (((struct player *)events[i].data.ptr)->playing)
                advance(p, events[i].data.ptr);
        p->now_us = net_now_us();
        look_at_all(p);
    }
}

static void print_result(const struct play *p)
{
    printf("{\"command\":\"play\",\"seconds\":%.3f,\"turns\":%" PRIu64 ",\"finished\":%" PRIu64
           ",\"broken\":%" PRIu64 ",\"wrong_status\":%" PRIu64 ",\"eofs\":%" PRIu64
           ",\"cut_while_sending\":%" PRIu64 ",",
           (double)(net_now_us() - p->start_us) / 1e6, p->begun, p->finished, p->broken, p->wrong,
           p->eofs, p->cuts);
    figures_print(&p->figures, stdout);
    printf("}\n");
}

static void start(struct play *p)
{
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    net_raise_nofile();
    p->letters = malloc(p->script.longest_fill + 1);
    memset(p->letters, 'p', p->script.longest_fill + 1);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->players = calloc(p->connections, sizeof *p->players);
    for (unsigned i = 0; i < p->connections; i++) {
        p->players[i].fd = -1;
        p->players[i].id = i;
    }
    p->now_us = p->start_us = net_now_us();
}

int main(int argc, char **argv)
{
    struct play p = { .connections = 1, .turns = 1, .timeout = 90 };
    const struct opt table[] = {
        { "script", OPT_TEXT, &p.path, "what to play; see script.h" },
        { "connections", OPT_NUMBER, &p.connections, "how many at once" },
        { "turns", OPT_NUMBER, &p.turns, "how often in all; 0: until --seconds are over" },
        { "first-turn", OPT_NUMBER, &p.first_turn, "number of the first turn, for {n}" },
        { "seconds", OPT_SECONDS, &p.seconds, "no turn begins after; 0: no end" },
        { "rate", OPT_SECONDS, &p.rate, "turns a second; 0: as fast as they go" },
        { "timeout", OPT_SECONDS, &p.timeout, "a turn that takes longer is given up" },
        { "rcvbuf", OPT_NUMBER, &p.rcvbuf, "SO_RCVBUF of the connections; 0: the system's" },
        { 0 },
    };
    int at = opt_parse("play", table, argc, argv);

    if (at + 1 != argc || !p.path || !p.connections) {
        fprintf(stderr, "play: expected --script FILE and HOST:PORT; see --help\n");
        return 2;
    }
    p.target = net_target(argv[at]);
    script_read(&p.script, p.path);
    start(&p);
    loop(&p);
    print_result(&p);
    for (uint64_t i = 0; i < p.connections; i++) {
        hang_up(&p.players[i]);
        free(p.players[i].text);
    }
    free(p.players);
    free(p.letters);
    script_free(&p.script);
    return p.broken || p.wrong;
}
