#include "broker.h"
#include "cli.h"
#include "heap.h"
#include "server.h"

#include "base/log.h"

#include <signal.h>
#include <stdlib.h>

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* What cannot be read changes nothing. */
static void reload(struct broker *b)
{
    static struct config fresh;
    static char error[CONFIG_ERROR_SIZE];

    if (cli_reload(&fresh, error)) {
        LOG_ERROR("main", "reload_refused", LOG_S("error", error));
        return;
    }
    tune_reload(b->tune, &fresh);
    LOG_INFO("main", "reloaded", LOG_S("file", fresh.file));
}

/* Meanwhile main, which serves nobody, looks after the heap. */
static int wait_for_stop(const sigset_t *signals, struct broker *b)
{
    const struct timespec pause = { .tv_sec = HEAP_LOOK_MS / 1000 };
    struct heap_sight first;
    struct heap heap;
    int number;

    heap_sight_now(&first);
    heap_count_used(&first);
    heap_init(&heap, b->limits->memory_bytes, &first);
    for (;;) {
        number = sigtimedwait(signals, NULL, &pause);
        if (number == SIGHUP)
            reload(b);
        else if (number < 0)
            heap_look(&heap);
        else
            return number;
    }
}

static void drain(struct server *s, const struct config *c, int signal_number)
{
    LOG_INFO("main", "draining", LOG_S("signal", signal_number == SIGTERM ? "SIGTERM" : "SIGINT"),
             LOG_I("timeout_ms", c->drain_timeout_ms));
    server_drain(s, (int64_t)c->drain_timeout_ms);
}

static int serve(struct config *c, struct limits *limits)
{
    struct broker *broker = NULL;
    struct server *server = NULL;
    sigset_t signals;
    enum err e;

    heap_set_up();
    block_signals(&signals);
    e = broker_open(c, limits, &broker);
    if (e)
        goto out;
    e = server_start(broker, &server);
    if (e)
        goto out;
    drain(server, c, wait_for_stop(&signals, broker));
out:
    server_stop(server);
    broker_close(broker);
    if (!e)
        LOG_INFO("main", "stopped");
    return e ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv, char **envp)
{
    return cli_main(argc, argv, envp, serve);
}
