#include "linger.h"
#include "metrics.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct lingering lingering;
static int ours, client;

static void given_a_connection(void)
{
    int pair[2];

    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
    ours = pair[0];
    client = pair[1];
    fcntl(client, F_SETFL, O_NONBLOCK);
}

/* As the library does it: we are told, then the descriptor is closed. */
static void answered_early(int64_t now_ms)
{
    cr_assert(eq(int, (int)write(ours, "413", 3), 3));
    linger_take(&lingering, ours, now_ms);
    close(ours);
}

TestSuite(linger, .init = given_a_connection, .timeout = 20);

Test(linger, the_client_reads_its_answer_although_it_still_sends)
{
    char answer[8];

    answered_early(0);
    cr_assert(eq(int, (int)send(client, "more", 4, MSG_NOSIGNAL), 4));
    linger_tick(&lingering, 10);
    cr_assert(eq(int, (int)send(client, "and more", 8, MSG_NOSIGNAL), 8));
    cr_assert(eq(int, (int)read(client, answer, sizeof answer), 3));
    cr_assert(eq(int, (int)read(client, answer, sizeof answer), 0)); /* and its end */
    linger_fini(&lingering);
}

Test(linger, ends_when_the_client_closes)
{
    answered_early(0);
    linger_tick(&lingering, 10);
    cr_assert(eq(uint, lingering.count, 1));
    close(client);
    linger_tick(&lingering, 20);
    cr_assert(eq(uint, lingering.count, 0));
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_LINGERING), 0));
}

Test(linger, ends_when_its_time_is_over)
{
    answered_early(100);
    linger_tick(&lingering, 100 + LINGER_MS - 1);
    cr_assert(eq(uint, lingering.count, 1));
    linger_tick(&lingering, 100 + LINGER_MS);
    cr_assert(eq(uint, lingering.count, 0));
    cr_assert(eq(int, (int)send(client, "x", 1, MSG_NOSIGNAL), -1));
}

Test(linger, ends_when_the_client_never_stops_sending)
{
    static char much[64 << 10];
    size_t sent = 0;

    answered_early(0);
    for (;;) {
        ssize_t n = send(client, much, sizeof much, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            sent += (size_t)n;
            continue;
        }
        if (!lingering.count)
            break;
        linger_tick(&lingering, 10);
    }
    cr_assert(sent >= LINGER_BYTES);
    cr_assert(sent <= LINGER_BYTES + (8u << 20));
}

Test(linger, has_room_for_so_many_and_closes_the_others_at_once)
{
    for (int i = 0; i < LINGER_MAX + 5; i++) {
        int pair[2];

        cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
        linger_take(&lingering, pair[0], 0);
        close(pair[0]);
    }
    cr_assert(eq(uint, lingering.count, LINGER_MAX));
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_LINGERING), LINGER_MAX));
    linger_fini(&lingering);
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS_LINGERING), 0));
}

Test(linger, keeps_half_of_its_room_from_those_who_are_not_let_in)
{
    for (int i = 0; i < LINGER_MAX; i++) {
        int pair[2];

        cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
        linger_keep(&lingering, pair[0], 0);
    }
    cr_assert(eq(uint, lingering.count, LINGER_MAX / 2));
    answered_early(0);
    cr_assert(eq(uint, lingering.count, LINGER_MAX / 2 + 1));
    linger_fini(&lingering);
}

Test(linger, reads_the_request_of_one_it_cannot_keep_so_that_the_answer_arrives)
{
    char answer[8];

    lingering.count = LINGER_MAX / 2; /* no room */
    cr_assert(eq(int, (int)send(client, "GET", 3, MSG_NOSIGNAL), 3));
    cr_assert(eq(int, (int)write(ours, "503", 3), 3));
    linger_keep(&lingering, ours, 0);
    cr_assert(eq(int, (int)read(client, answer, sizeof answer), 3));
    cr_assert(eq(int, (int)read(client, answer, sizeof answer), 0)); /* no reset */
    cr_assert(eq(uint, lingering.count, LINGER_MAX / 2));
}
