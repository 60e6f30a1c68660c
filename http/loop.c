/*
 * Invariants:
 *  1. A connection is suspended at most once at a time, and only by request.c.
 *  2. The daemon is run again at once while it has work it can do without the network.
 *     With held requests it always says that it has; then `progress` tells, and a run a
 *     millisecond is the fallback.
 *  3. Before the daemon is stopped, nothing is suspended or held.
 */
#include "loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "hold.h"
#include "mercure/hub.h"
#include "metrics.h"
#include "request.h"
#include "server.h"
#include "sse_stream.h"
#include "takeover.h"
#include "wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define TICK_MS 50
#define CONNECTION_CHECK_MS 1000
#define RUNS_IN_A_ROW 64
#define STREAMS_TURN_US 1000

/* ---- the watch ---- */

void loop_watch(struct loop *l, int fd, struct source *s)
{
    struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = s };

    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) && errno == EEXIST)
        (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
}

void loop_watch_again(struct loop *l, int fd, struct source *s)
{
    struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = s };

    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
}

void loop_watch_writable(struct loop *l, int fd, struct source *s)
{
    struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLOUT | EPOLLONESHOT,
                              .data.ptr = s };

    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
}

void loop_unwatch(struct loop *l, int fd)
{
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* Else 1.0 takes what MHD_add_connection gives it later, and accept.c must know at once. */
#if MHD_VERSION >= 0x00097707
#define ONE_THREAD MHD_USE_NO_THREAD_SAFETY
#else
#define ONE_THREAD 0
#endif

/* ---- the daemon's callbacks ---- */

static void connection_changed(void *arg, struct MHD_Connection *conn, void **context,
                               enum MHD_ConnectionNotificationCode what)
{
    struct loop *l = arg;

    (void)conn;
    l->progress = true;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = accept_taken(l);
    } else {
        accept_closed(l, *context);
        *context = NULL;
    }
}

/* Paths and queries are taken apart before they are decoded, so that %2F survives. */
static size_t leave_escaped(void *arg, struct MHD_Connection *conn, char *text)
{
    (void)arg;
    (void)conn;
    return strlen(text);
}

static void daemon_log(void *arg, const char *format, va_list ap)
{
    char text[512];
    size_t len;

    (void)arg;
    vsnprintf(text, sizeof text, format, ap);
    len = strlen(text);
    while (len && text[len - 1] == '\n')
        text[--len] = 0;
    LOG_DEBUG("http", "library", LOG_S("text", text));
}

/* Without a timeout of the library's: it would count the time in which a request waits for
 * the disk. connection.h and request.h keep the limits. */
static struct MHD_Daemon *start_daemon(struct loop *l)
{
    const struct config *c = l->broker->config;
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
            MHD_USE_ERROR_LOG | ONE_THREAD,
        0, NULL, NULL, request_handle, l, MHD_OPTION_EXTERNAL_LOGGER, daemon_log, NULL,
        MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)c->max_connections + 64, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)c->connection_memory_bytes, MHD_OPTION_NOTIFY_COMPLETED, request_completed,
        l, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, l,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_END);
}

/* ---- the thread ---- */

static void on_daemon(struct source *s, uint32_t events)
{
    (void)s;
    (void)events; /* run_daemon comes after every wakeup */
}

static void on_mail(struct source *s, uint32_t events)
{
    struct loop *l = (struct loop *)((char *)s - offsetof(struct loop, mail_source));

    (void)events;
    if (mailbox_drain(&l->mailbox))
        l->progress = true;
}

static void move_line(struct ledger *ledger)
{
    struct ledger_figures f;

    ledger_read(ledger, &f);
    if (f.waiting)
        ledger_tick(ledger);
}

static void on_tick(struct timer *t)
{
    struct loop *l = (struct loop *)((char *)t - offsetof(struct loop, tick));

    move_line(l->broker->publish);
    move_line(l->broker->read);
    hold_tick(l);
    request_check_bodies(l);
    accept_tick(l);
    mercure_hub_tick(l);
    refusal_tick(l);
    linger_tick(&l->linger, l->now_ms);
    if (l->now_ms - l->checked_ms >= CONNECTION_CHECK_MS) {
        l->checked_ms = l->now_ms;
        connection_check(l);
    }
    if (l->index == 0)
        broker_watch(l->broker);
    (void)!timers_set(&l->timers, &l->tick,
                      l->now_ms + (l->linger.count || l->refusals.count ? LINGER_TICK_MS
                                                                        : TICK_MS));
}

static int wait_ms(struct loop *l)
{
    int64_t ms = timers_next(&l->timers, l->now_ms);
    MHD_UNSIGNED_LONG_LONG daemon_ms;

    if (l->progress)
        return 0;
    if (l->held)
        return 1;
    if (MHD_get_timeout(l->daemon, &daemon_ms) == MHD_YES &&
        (ms < 0 || (int64_t)daemon_ms < ms))
        ms = (int64_t)daemon_ms;
    return ms < 0 || ms > 1000 ? 1000 : (int)ms;
}

static void wait_for_events(struct loop *l)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, wait_ms(l));

    l->now_ms = clock_mono_ms();
    sse_stream_turn_begins(l);
    for (int i = 0; i < n; i++) {
        struct source *s = events[i].data.ptr;

        s->ready(s, events[i].events);
    }
    if (timers_fire(&l->timers, l->now_ms))
        l->progress = true;
}

static void run_daemon(struct loop *l)
{
    MHD_UNSIGNED_LONG_LONG ms;
    int runs = 0;

    do {
        l->progress = false;
        MHD_run(l->daemon);
        if (!l->held && MHD_get_timeout(l->daemon, &ms) == MHD_YES && ms == 0)
            l->progress = true;
    } while (l->progress && ++runs < RUNS_IN_A_ROW);
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;

    while (!l->stopping || atomic_load(&l->mailbox.owed)) {
        wait_for_events(l);
        run_daemon(l);
        sse_stream_turn(l);
    }
    mailbox_drain(&l->mailbox); /* the last letters were posted before `owed` fell */
    run_daemon(l);
    MHD_stop_daemon(l->daemon);
    sse_stream_bury(l);
    return NULL;
}

/* ---- start, drain, stop ---- */

enum err loop_add_source(struct loop *l, int fd, struct source *s,
                         void (*ready)(struct source *s, uint32_t events))
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

    s->ready = ready;
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? ERR_IO : ERR_OK;
}

static enum err set_up(struct loop *l)
{
    const union MHD_DaemonInfo *info;
    enum err e = mailbox_init(&l->mailbox);

    if (!e)
        e = fetch_open(&l->fetch, l->broker->ops, l->broker->store);
    if (e)
        return e;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->nobody_fd = takeover_nobody();
    l->daemon = start_daemon(l);
    if (l->epoll_fd < 0 || l->nobody_fd < 0 || !l->daemon) {
        LOG_ERROR("loop", "daemon_failed", LOG_S("error", strerror(errno)));
        return ERR_IO;
    }
    info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    e = loop_add_source(l, info->epoll_fd, &l->daemon_source, on_daemon);
    if (!e)
        e = loop_add_source(l, l->mailbox.fd, &l->mail_source, on_mail);
    if (!e)
        e = accept_start(l);
    l->tick.fire = on_tick;
    if (!e)
        e = timers_set(&l->timers, &l->tick, l->now_ms + TICK_MS);
    return e;
}

enum err loop_start(struct loop *l, struct server *server, struct broker *b,
                    unsigned index, int listen_fd)
{
    char name[16];
    enum err e;

    l->server = server;
    l->broker = b;
    l->index = index;
    l->listen_fd = listen_fd;
    l->streams_turn_us = STREAMS_TURN_US;
    l->now_ms = clock_mono_ms();
    e = set_up(l);
    if (e)
        return e;
    waiters_join(b->waiters, index, &l->mailbox, wait_woken, l);
    if (pthread_create(&l->thread, NULL, loop_main, l))
        return ERR_NO_MEMORY;
    snprintf(name, sizeof name, "sluice-http-%u", index);
    pthread_setname_np(l->thread, name);
    return ERR_OK;
}

static void open_drain(struct letter *letter)
{
    struct loop *l = (struct loop *)((char *)letter - offsetof(struct loop, drain_letter));

    accept_stop(l);
    wait_drain(l);
}

void loop_drain(struct loop *l)
{
    l->drain_letter.open = open_drain;
    mailbox_post(&l->mailbox, &l->drain_letter);
}

static void open_stop(struct letter *letter)
{
    struct loop *l = (struct loop *)((char *)letter - offsetof(struct loop, stop_letter));

    wait_cut_all(l);
    l->stopping = true;
}

void loop_stop(struct loop *l)
{
    l->stop_letter.open = open_stop;
    mailbox_post(&l->mailbox, &l->stop_letter);
    pthread_join(l->thread, NULL);
    waiters_part(l->broker->waiters, l->index);
    accept_stop(l);
    refusal_fini(l);
    linger_fini(&l->linger);
    mercure_hub_free(l);
    timers_fini(&l->timers);
    fetch_close(&l->fetch);
    mailbox_fini(&l->mailbox);
    close(l->epoll_fd);
    close(l->nobody_fd);
}
