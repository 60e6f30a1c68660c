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
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Meanwhile main, which serves nobody, looks after the heap. */
static int wait_for_signal(const sigset_t *stop, uint64_t memory_bytes)
{
    const struct timespec pause = { .tv_sec = HEAP_LOOK_MS / 1000 };
    struct heap_sight first;
    struct heap heap;
    int signal_number;

    heap_sight_now(&first);
    heap_count_used(&first);
    heap_init(&heap, memory_bytes, &first);
    while ((signal_number = sigtimedwait(stop, NULL, &pause)) < 0)
        heap_look(&heap);
    return signal_number;
}

static void drain(struct server *s, const struct config *c, int signal_number)
{
    LOG_INFO("main", "draining", LOG_S("signal", signal_number == SIGTERM ? "SIGTERM" : "SIGINT"),
             LOG_I("timeout_ms", c->drain_timeout_ms));
    server_drain(s, (int64_t)c->drain_timeout_ms);
}

static int serve(const struct config *c, struct limits *limits)
{
    struct broker *broker = NULL;
    struct server *server = NULL;
    sigset_t stop;
    enum err e;

    heap_set_up();
    block_signals(&stop);
    e = broker_open(c, limits, &broker);
    if (e)
        goto out;
    e = server_start(broker, &server);
    if (e)
        goto out;
    drain(server, c, wait_for_signal(&stop, limits->memory_bytes));
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
