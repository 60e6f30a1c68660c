/*
 * sink - the fastest that our HTTP library goes: a POST is read and answered, no more.
 *
 * The same shape as the broker's front (external epoll loops, SO_REUSEPORT, the same pool
 * size), but nothing is suspended, kept or stored. What the broker does in one run is
 * compared with what this does in the same run.
 *
 *   sink PORT [LOOPS [POOL_BYTES]]
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_LOOPS = 64 };

static volatile sig_atomic_t stopping;
static size_t pool_bytes = 8192;
static const char answer[] = "{\"topic\":\"sink\",\"offset\":1234567,"
                             "\"time\":\"2026-01-31T12:00:00.000Z\","
                             "\"expires_at\":\"2026-01-31T14:00:00.000Z\"}\n";

static void on_signal(int sig)
{
    (void)sig;
    stopping = 1;
}

static enum MHD_Result reply(struct MHD_Connection *c)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(
        sizeof answer - 1, (void *)answer, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result ok;

    MHD_add_response_header(r, "Content-Type", "application/json");
    MHD_add_response_header(r, "Location", "/v1/topics/sink/messages/1234567");
    MHD_add_response_header(r, "Durability", "none");
    ok = MHD_queue_response(c, MHD_HTTP_CREATED, r);
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version,
                                  const char *data, size_t *size, void **state)
{
    (void)arg, (void)url, (void)method, (void)version, (void)data;
    if (!*state) {
        *state = &pool_bytes; /* anything but NULL: seen before */
        return MHD_YES;
    }
    if (*size) {
        *size = 0;
        return MHD_YES;
    }
    return reply(c);
}

static int listen_on(unsigned port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4096) < 0) {
        perror("sink: listen");
        exit(1);
    }
    return fd;
}

static void run_ready(struct MHD_Daemon *d)
{
    MHD_UNSIGNED_LONG_LONG ms;

    do
        MHD_run(d);
    while (MHD_get_timeout(d, &ms) == MHD_YES && ms == 0);
}

static void *loop(void *arg)
{
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, NULL, MHD_OPTION_LISTEN_SOCKET,
        *(int *)arg, MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool_bytes, MHD_OPTION_END);

    if (!d) {
        fprintf(stderr, "sink: the daemon does not start\n");
        exit(1);
    }
    struct pollfd p = { MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, POLLIN, 0 };
    while (!stopping) {
        poll(&p, 1, 200);
        run_ready(d);
    }
    MHD_stop_daemon(d);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[MOST_LOOPS];
    int sockets[MOST_LOOPS];
    int loops = argc > 2 ? atoi(argv[2]) : 2;

    if (argc < 2 || loops < 1 || loops > MOST_LOOPS) {
        fprintf(stderr, "usage: sink PORT [LOOPS [POOL_BYTES]]\n");
        return 2;
    }
    if (argc > 3)
        pool_bytes = (size_t)atol(argv[3]);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < loops; i++) {
        sockets[i] = listen_on((unsigned)atoi(argv[1]));
        pthread_create(&threads[i], NULL, loop, &sockets[i]);
    }
    for (int i = 0; i < loops; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
