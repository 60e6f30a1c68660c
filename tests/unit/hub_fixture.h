/*
 * hub_fixture - subscribers of the Mercure hub on a loop whose time and turns the test decides: each
 * has a socket whose other end the test reads, or does not.
 */
#ifndef SLUICE_HUB_FIXTURE_H
#define SLUICE_HUB_FIXTURE_H

#include "mercure/hub.h"
#include "mercure/update.h"
#include "stream_fixture.h"

#include <sys/resource.h>

#define SMALL 4096 /* a socket that takes little; the kernel doubles it */

static void given_a_hub(void)
{
    struct rlimit files = { 4096, 4096 };

    setrlimit(RLIMIT_NOFILE, &files);
    given_a_loop_for_streams();
    settings.mercure_anonymous = true;
    settings.mercure_heartbeat_ms = 40000;
    settings.mercure_write_timeout_ms = 600000;
    settings.mercure_dispatch_timeout_ms = 5000;
    strcpy(settings.mercure_topic, "mercure");
}

/* ---- the clock of the loop ---- */

static void turn(void)
{
    loop.progress = false;
    sse_stream_turn(&loop);
}

/* Until nothing is left to do. */
static void turns(void)
{
    do
        turn();
    while (loop.progress);
}

/* The loop hears of what was published, if there is anybody whom it concerns. */
static void news(void)
{
    struct pollfd p = { .fd = loop.mailbox.fd, .events = POLLIN };

    if (poll(&p, 1, 0) > 0)
        mailbox_drain(&loop.mailbox);
    mercure_hub_woken(&loop, 0, LOOP_PARK_BUCKETS); /* the letter may still be on its way */
    turns();
}

/* ---- publishers ---- */

UNUSED static void publishes(const char *topic, const char *id, const char *data)
{
    struct publish *p = message("mercure", data);

    p->one.id = bytes_str(id);
    p->one.key = bytes_str(topic);
    OK(sent(p, NULL));
}

/* Data of so many bytes, which begins with `word`. */
UNUSED static void publishes_much(const char *topic, const char *word, size_t bytes)
{
    char *data = malloc(bytes + 1);

    memset(data, '.', bytes);
    data[bytes] = 0;
    memcpy(data, word, strlen(word));
    publishes(topic, word, data);
    free(data);
}

UNUSED static void all_is_purged(void)
{
    struct store_topic *t = NULL;
    struct store_step step = { 0 };

    writer_stop(writer); /* one writer at a time: for a moment it is the test */
    OK(ops->begin(store));
    OK(ops->topic_find(store, bytes_str("mercure"), &t));
    OK(ops->remove_step(store, t, UINT64_MAX, 10000, &step));
    OK(ops->commit(store));
    start_writer();
}

/* ---- subscribers ---- */

/* Of `topic`; from behind `last` on, or from now on if that is NULL. Its stream begins with the
 * next turn. */
static void asks(struct client *c, const char *topic, const char *last)
{
    int small = SMALL;

    memset(c, 0, offsetof(struct client, got));
    connects(c);
    setsockopt(c->c.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    query(&c->c, "topic", topic);
    if (last)
        header(&c->c, "Last-Event-ID", last);
    headers(&c->c, "GET", "/.well-known/mercure");
    begins(c);
}

static void subscribes(struct client *c, const char *topic, const char *last)
{
    asks(c, topic, last);
    turns();
    library_lets_go(c);
}

static bool is_over(const struct client *c)
{
    struct pollfd p = { .fd = c->socket, .events = POLLRDHUP };

    return poll(&p, 1, 0) > 0;
}

/* If the stream waits for that, it is told. */
static void its_socket_has_room(struct client *c)
{
    if (!is_over(c) && c->request->stream->armed == ARMED_WRITABLE)
        c->request->watch.ready(&c->request->watch, EPOLLOUT);
}

/* Reads until nothing comes any more; the data of all events, each with a space behind it. */
static const char *hears_all(struct client *c)
{
    static char words[1 << 16], text[1 << 20];
    size_t len = 0, n = 0;
    const char *at;

    its_socket_has_room(c);
    while (*hears(c)) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s", c->got);
        its_socket_has_room(c);
        turns();
    }
    text[len] = 0;
    for (at = text; (at = strstr(at, "\ndata: ")); at += 7) {
        size_t word = strcspn(at + 7, ".\n");

        memcpy(words + n, at + 7, word);
        words[n + word] = ' ';
        n += word + 1;
    }
    words[n] = 0;
    return words;
}

/* Exactly these events, in this order: "one two ". */
UNUSED static void is_told(struct client *c, const char *what)
{
    const char *told = hears_all(c);

    cr_assert(strcmp(told, what) == 0, "\"%s\", and not \"%s\"", told, what);
}

/* Nobody reads what is in its socket. The number of bytes. */
UNUSED static size_t its_socket_is_full(struct client *c)
{
    static char junk[SMALL];
    size_t bytes = 0;
    ssize_t n;

    hears(c);
    while ((n = send(c->request->stream->fd, junk, sizeof junk, MSG_DONTWAIT)) > 0 ||
           (n = send(c->request->stream->fd, junk, 1, MSG_DONTWAIT)) > 0)
        bytes += (size_t)n;
    return bytes;
}

/* It reads what its_socket_is_full put there. */
UNUSED static void it_reads(struct client *c, size_t bytes)
{
    while (bytes) {
        ssize_t n = recv(c->socket, c->got, bytes < sizeof c->got ? bytes : sizeof c->got,
                         MSG_DONTWAIT);

        cr_assert(gt(i64, (int64_t)n, 0));
        bytes -= (size_t)n;
    }
    its_socket_has_room(c);
}

UNUSED static void leaves(struct client *c)
{
    client_goes(c);
    ended(c, CUT);
    turns();
    c->request = NULL;
}

/* ---- the read buffer ---- */

static struct ledger_figures read_buffer(void)
{
    struct ledger_figures f;

    ledger_read(broker.read, &f);
    return f;
}

UNUSED static void room_comes(void)
{
    ledger_release(&everything);
    mail_comes();
    turns();
}

static void then_all_is_given_back(void)
{
    cr_assert(eq(sz, read_buffer().used, 0));
    cr_assert(eq(i64, metric_get(METRIC_MERCURE_SUBSCRIBERS), 0));
    mercure_hub_free(&loop);
    then_no_stream_is_left();
}

/* ---- more subscribers than are served in one turn ---- */

static struct client crowd[600]; /* more than are served in one turn */

static void given_a_crowd(void)
{
    for (size_t i = 0; i < 600; i++)
        subscribes(&crowd[i], "x", NULL);
}

/* Those that are served in the second turn are the ones that came first. */
UNUSED static void given_half_a_round(void)
{
    given_a_crowd();
    publishes("x", "one", "one");
    mercure_hub_woken(&loop, 0, LOOP_PARK_BUCKETS);
    turn();
    cr_assert(eq(i64, metric_get(METRIC_SSE_EVENTS), 512));
    cr_assert(loop.progress);
}

UNUSED static void the_crowd_leaves(void)
{
    for (size_t i = 0; i < 600; i++)
        if (crowd[i].request)
            leaves(&crowd[i]);
    then_all_is_given_back();
}

#endif
