#include "broker.h"
#include "cli.h"
#include "server.h"

#include "base/log.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

/* The allocator is told to give memory back and not to spread: few arenas, and large
 * blocks mapped one by one, so that they return to the system when they are freed.
 * Measured in tests/scenarios. */
static void set_up_allocator(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    mallopt(M_TOP_PAD, 64 << 10);
}

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
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
    int signal_number = 0;
    enum err e;

    set_up_allocator();
    block_signals(&stop);
    e = broker_open(c, limits, &broker);
    if (e)
        goto out;
    e = server_start(broker, &server);
    if (e)
        goto out;
    sigwait(&stop, &signal_number);
    drain(server, c, signal_number);
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
