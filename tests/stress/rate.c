/*
 * Eight clients on one set of buckets, while a ninth changes the limits. The broker's bucket
 * is counted a second time beside it: what was admitted and not given back is what the
 * bucket holds, to within one request of each client.
 */
#include "stress.h"

#include "rate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define CLIENTS 8
#define ROUNDS 50000
#define PER_S 1000
#define STEP_US 10 /* of the time that all share, for each request */

static struct rate *rate;
static _Atomic int64_t now_us = 1000000;
static _Atomic uint64_t kept; /* messages admitted and not given back */
static atomic_bool over;

static void limit(uint64_t topic_per_s)
{
    struct rate_limits l = { .burst_us = 250000 };

    l.per_s[RATE_BROKER][RATE_MESSAGES] = PER_S;
    l.per_s[RATE_TOPIC][RATE_MESSAGES] = topic_per_s;
    l.per_s[RATE_CALLER][RATE_BYTES] = topic_per_s * 10;
    rate_set(rate, &l, atomic_load(&now_us));
}

static void request(unsigned *seed)
{
    const uint64_t cost[RATE_UNITS] = { 1, stress_any(seed, 100) };
    int64_t now = atomic_fetch_add(&now_us, STEP_US);
    struct rate_ticket t;
    struct rate_refusal why;
    char topic[16], caller[16];

    snprintf(topic, sizeof topic, "t%u", stress_any(seed, 20000));
    snprintf(caller, sizeof caller, "c%u", stress_any(seed, 20000));
    if (rate_admit(rate, &t, bytes_str(topic), bytes_str(caller), cost, now, &why)) {
        MUST(why.retry_s > 0 && why.per_s > 0);
        return;
    }
    if (stress_any(seed, 4) == 0) {
        rate_give_back(&t);
        return;
    }
    rate_spend(&t);
    rate_take(&t, RATE_MESSAGES, 1, now);
    rate_take(&t, RATE_BYTES, 10, now);
    atomic_fetch_add(&kept, 2);
}

static void *client(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < ROUNDS; i++)
        request(&seed);
    return NULL;
}

static void *operator(void *arg)
{
    struct rate_bucket b[RATE_SCOPES][RATE_UNITS];
    struct rate_ticket t = { .from = rate };

    (void)arg;
    for (uint64_t i = 0; !atomic_load(&over); i++) {
        limit(1 + i % 50);
        rate_look(&t, atomic_load(&now_us), b);
        MUST(b[RATE_BROKER][RATE_MESSAGES].left <= PER_S / 4);
        MUST(rate_refused(rate, RATE_BROKER) <= (uint64_t)CLIENTS * ROUNDS);
    }
    return NULL;
}

int main(void)
{
    pthread_t clients[CLIENTS], changes;
    double span_s = (double)CLIENTS * ROUNDS * STEP_US / 1e6;

    rate = rate_new(64 << 10);
    stress_begin();
    limit(10);
    pthread_create(&changes, NULL, operator, NULL);
    for (uintptr_t i = 0; i < CLIENTS; i++)
        pthread_create(&clients[i], NULL, client, (void *)(i + 1));
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    atomic_store(&over, true);
    pthread_join(changes, NULL);
    printf("%.1f s at %d/s: %llu kept\n", span_s, PER_S,
           (unsigned long long)atomic_load(&kept));
    MUST((double)atomic_load(&kept) <= PER_S * (span_s + 0.25) + 4 * CLIENTS);
    MUST((double)atomic_load(&kept) >= PER_S * span_s * 0.95);
    rate_free(rate);
    return 0;
}
