#include "addresses.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct addresses *three_each;

static void given_three_for_each_of_a_hundred(void)
{
    cr_assert(eq(int, addresses_open(100, 3, &three_each), ERR_OK));
}

static struct sockaddr_storage client(const char *text)
{
    struct sockaddr_storage s = { 0 };
    struct sockaddr_in *in = (struct sockaddr_in *)&s;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&s;

    s.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    if (s.ss_family == AF_INET)
        cr_assert(eq(int, inet_pton(AF_INET, text, &in->sin_addr), 1));
    else
        cr_assert(eq(int, inet_pton(AF_INET6, text, &in6->sin6_addr), 1));
    in->sin_port = (in_port_t)rand(); /* ports do not count */
    return s;
}

static enum err enter(const char *text, struct address_key *key)
{
    struct sockaddr_storage s = client(text);

    return addresses_enter(three_each, (struct sockaddr *)&s, key);
}

#define ENTERS(text)    cr_assert(eq(int, enter(text, &key), ERR_OK), text)
#define IS_STOPPED(text) cr_assert(eq(int, enter(text, &key), ERR_BUSY), text)

TestSuite(addresses, .init = given_three_for_each_of_a_hundred, .timeout = 30);

Test(addresses, lets_each_have_its_share_and_no_more)
{
    struct address_key key;

    ENTERS("10.0.0.1");
    ENTERS("10.0.0.1");
    ENTERS("10.0.0.1");
    IS_STOPPED("10.0.0.1");
    ENTERS("10.0.0.2");
    cr_assert(eq(u64, addresses_count(three_each), 2));
    addresses_free(three_each);
}

Test(addresses, lets_the_next_one_in_when_one_leaves)
{
    struct address_key key, first;

    cr_assert(eq(int, enter("10.0.0.1", &first), ERR_OK));
    ENTERS("10.0.0.1");
    ENTERS("10.0.0.1");
    addresses_leave(three_each, &first);
    ENTERS("10.0.0.1");
    IS_STOPPED("10.0.0.1");
    addresses_free(three_each);
}

Test(addresses, counts_who_leaves_twice_once)
{
    struct address_key key, first;

    cr_assert(eq(int, enter("10.0.0.1", &first), ERR_OK));
    ENTERS("10.0.0.1");
    ENTERS("10.0.0.1");
    addresses_leave(three_each, &first);
    addresses_leave(three_each, &first);
    ENTERS("10.0.0.1");
    IS_STOPPED("10.0.0.1");
    addresses_leave(three_each, &key); /* who was stopped has nothing to give back */
    IS_STOPPED("10.0.0.1");
    addresses_free(three_each);
}

Test(addresses, takes_the_first_half_of_an_ipv6_address)
{
    struct address_key key;

    ENTERS("2001:db8:1:2::1");
    ENTERS("2001:db8:1:2:ffff::2");
    ENTERS("2001:db8:1:2:3:4:5:6");
    IS_STOPPED("2001:db8:1:2::7");
    ENTERS("2001:db8:1:3::7");
    addresses_free(three_each);
}

Test(addresses, tells_neighbours_on_a_link_apart)
{
    struct address_key key;

    ENTERS("fe80::1");
    ENTERS("fe80::1");
    ENTERS("fe80::1");
    IS_STOPPED("fe80::1");
    ENTERS("fe80::2");
    addresses_free(three_each);
}

Test(addresses, takes_a_mapped_ipv4_address_for_what_it_is)
{
    struct address_key key;

    ENTERS("::ffff:10.0.0.1");
    ENTERS("10.0.0.1");
    ENTERS("::ffff:10.0.0.1");
    IS_STOPPED("10.0.0.1");
    ENTERS("::ffff:10.0.0.2");
    ENTERS("::1"); /* beside all mapped ones, by its first half */
    cr_assert(eq(u64, addresses_count(three_each), 3));
    addresses_free(three_each);
}

Test(addresses, counts_nothing_when_there_is_no_cap)
{
    struct addresses *none;
    struct sockaddr_storage s = client("10.0.0.1");
    struct address_key key;

    cr_assert(eq(int, addresses_open(100, 0, &none), ERR_OK));
    cr_assert(eq(ptr, none, NULL));
    for (int i = 0; i < 1000; i++)
        cr_assert(eq(int, addresses_enter(none, (struct sockaddr *)&s, &key), ERR_OK));
    addresses_leave(none, &key);
    addresses_free(none);
    addresses_free(three_each);
}

/* A plain array says what the table must say. As full as it may become, at random. */
Test(addresses, agrees_with_a_plain_count_however_clients_come_and_go)
{
    enum { HOSTS = 150, STEPS = 200000, MOST = 100 };
    static struct address_key keys[HOSTS][3];
    unsigned counts[HOSTS] = { 0 }, live = 0, hosts = 0;

    srand(7);
    for (int i = 0; i < STEPS; i++) {
        unsigned h = (unsigned)rand() % HOSTS;
        char text[32];

        snprintf(text, sizeof text, h % 2 ? "10.0.0.%u" : "2001:db8:0:%x::1", h);
        if (rand() % 20 < (i / 5000 % 2 ? 8 : 12)) {
            struct address_key key;
            enum err e;

            if (live == MOST)
                continue;
            e = enter(text, &key);
            cr_assert(eq(int, e, counts[h] == 3 ? ERR_BUSY : ERR_OK));
            if (e)
                continue;
            hosts += counts[h] == 0;
            keys[h][counts[h]++] = key;
            live++;
        } else if (counts[h]) {
            addresses_leave(three_each, &keys[h][--counts[h]]);
            hosts -= counts[h] == 0;
            live--;
        }
        cr_assert(eq(u64, addresses_count(three_each), hosts));
    }
    addresses_free(three_each);
}

/* Every connection an address of its own: the most entries there can be. */
Test(addresses, holds_as_many_addresses_as_there_may_be_connections)
{
    struct address_key keys[100];
    char text[32];

    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 100; i++) {
            snprintf(text, sizeof text, "10.%d.0.%d", round, i);
            cr_assert(eq(int, enter(text, &keys[i]), ERR_OK));
        }
        cr_assert(eq(u64, addresses_count(three_each), 100));
        for (int i = 0; i < 100; i++)
            addresses_leave(three_each, &keys[i * 37 % 100]);
        cr_assert(eq(u64, addresses_count(three_each), 0));
    }
    addresses_free(three_each);
}

static void *come_and_go(void *arg)
{
    const char *text = arg;
    struct address_key keys[4];
    uintptr_t most = 0;

    for (int i = 0; i < 20000; i++) {
        uintptr_t in = 0;

        for (int k = 0; k < 4; k++)
            if (enter(text, &keys[k]) == ERR_OK)
                in++;
        for (int k = 0; k < 4; k++)
            addresses_leave(three_each, &keys[k]);
        most = in > most ? in : most;
    }
    return (void *)most;
}

Test(addresses, loses_nobody_between_threads)
{
    static char texts[4][16] = { "10.0.0.1", "10.0.0.1", "10.0.0.2", "::1" };
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, come_and_go, texts[i]);
    for (int i = 0; i < 4; i++) {
        void *most;

        pthread_join(threads[i], &most);
        cr_assert(le(u64, (uintptr_t)most, 3));
    }
    cr_assert(eq(u64, addresses_count(three_each), 0));
    addresses_free(three_each);
}
