/*
 * Eight clients on one ledger: they reserve, wait in line, leave it, shrink, merge and
 * release. What is granted is counted a second time beside the ledger: it must never be
 * above the limit, everybody must be served, and at the end all of it is back.
 */
#include "stress.h"

#include "ledger.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define CLIENTS 8
#define ROUNDS 30000
#define LIMIT 1000

static struct ledger *ledger;
static _Atomic long out; /* bytes granted, as the clients count them */

struct client {
    struct ledger_waiter w; /* first */
    pthread_t thread;
    sem_t granted;
    unsigned seed, served, left, waited;
};

static void granted(struct ledger_waiter *w)
{
    sem_post(&((struct client *)w)->granted);
}

static void wait_until_granted(struct client *c)
{
    while (sem_wait(&c->granted))
        ;
}

/* False: it left the line again. */
static bool get(struct client *c)
{
    enum err e = ledger_wait(ledger, &c->w);

    MUST(e == ERR_OK || e == ERR_BUSY);
    if (!e)
        return true;
    c->waited++;
    if (stress_any(&c->seed, 4) == 0 && ledger_leave(ledger, &c->w)) {
        MUST(!c->w.grant.from);
        c->left++;
        return false;
    }
    wait_until_granted(c); /* it cannot leave, or does not want to */
    return true;
}

static void count(long bytes)
{
    long now = atomic_fetch_add(&out, bytes) + bytes;

    MUST(now >= 0 && now <= LIMIT);
}

/* Before the ledger hears of it, so that our count is never above the ledger's. */
static void give_back(struct client *c)
{
    struct grant *g = &c->w.grant;

    if (stress_any(&c->seed, 3) == 0 && g->bytes > 1) {
        count(-(long)(g->bytes - 1));
        ledger_shrink(g, 1);
    }
    count(-(long)g->bytes);
    ledger_release(g);
}

static void take_more(struct client *c)
{
    struct grant more = { 0 };

    if (ledger_reserve(ledger, 10, &more))
        return;
    count(10);
    ledger_merge(&c->w.grant, &more);
}

static void *client_main(void *arg)
{
    struct client *c = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        c->w.bytes = stress_any(&c->seed, 10) ? stress_any(&c->seed, 200) : LIMIT;
        if (!get(c))
            continue;
        MUST(c->w.grant.bytes == c->w.bytes);
        count((long)c->w.bytes);
        c->served++;
        if (stress_any(&c->seed, 4) == 0)
            take_more(c);
        if (stress_any(&c->seed, 16) == 0)
            ledger_tick(ledger);
        give_back(c);
    }
    return NULL;
}

int main(void)
{
    static struct client clients[CLIENTS];
    struct ledger_figures f;
    unsigned served = 0, left = 0, waited = 0;

    stress_begin();
    ledger = ledger_new(LIMIT);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i].seed = i + 1;
        clients[i].w.granted = granted;
        sem_init(&clients[i].granted, 0, 0);
        MUST(!pthread_create(&clients[i].thread, NULL, client_main, &clients[i]));
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        MUST(clients[i].served + clients[i].left == ROUNDS);
        served += clients[i].served;
        left += clients[i].left;
        waited += clients[i].waited;
    }
    ledger_read(ledger, &f);
    MUST(f.used == 0 && f.waiting == 0 && f.waiting_bytes == 0);
    MUST(f.high_water <= LIMIT && f.waited_total == waited);
    ledger_free(ledger);
    printf("ledger: %u served, %u stood in line, %u left it\n", served,
           waited, left);
    return 0;
}
