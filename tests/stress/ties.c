/*
 * Holders that come, are told, and leave, while others settle, extend and void what they hold. Each
 * holder ends when all of its leases are settled, or leaves before; a letter that is lost, or comes
 * twice, or to one who has gone, stops the program or is seen by a sanitizer.
 */
#include "stress.h"

#include "settle.h"
#include "ties.h"

#include <poll.h>

#define LOOPS    2
#define SETTLERS 2
#define LEASES   4
#define ROUNDS   1500
#define OFFSETS  64 /* of all leases: a few are always out */

static struct ties *all;
static _Atomic bool over;

struct holder {
    struct loop *loop;
    bool left;   /* frees itself when its letter comes */
    struct tie tie; /* last */
};

struct loop {
    pthread_t thread;
    struct mailbox box;
    unsigned seed, index;
    struct holder *holds;
    unsigned long ended, left_early, looked;
};

/* ---- a holder ---- */

static void leave(struct loop *l)
{
    struct holder *h = l->holds;

    l->holds = NULL;
    h->left = true;
    if (ties_leave(all, &h->tie))
        free(h);
}

static void told(struct tie *t, bool is_over)
{
    struct holder *h = (struct holder *)((char *)t - offsetof(struct holder, tie));
    struct loop *l = h->loop;
    int64_t due;

    if (h->left) {
        free(h);
    } else if (is_over) {
        l->ended++;
        leave(l);
    } else {
        l->looked++;
        if (!ties_expire(all, &h->tie, 0, &due))
            leave(l);
    }
}

static void hold(struct loop *l, unsigned round)
{
    struct holder *h = calloc(1, offsetof(struct holder, tie) + tie_bytes(LEASES));

    MUST(h);
    h->loop = l;
    h->tie.home = &l->box;
    h->tie.told = told;
    h->tie.subscription = bytes_str(l->index ? "a" : "b");
    h->tie.count = LEASES;
    for (unsigned i = 0; i < LEASES; i++)
        h->tie.leases[i] = (struct tied_lease){
            .lease = { l->index, (round * LEASES + i) % OFFSETS, round * LEASES / OFFSETS + 1 },
            .due_ms = 1000
        };
    l->holds = h;
    MUST(ties_book(all, 1000, 1000) == 1000);
    ties_enter(all, &h->tie);
}

/* One round: until it is told of the end, or goes by itself. */
static void stay(struct loop *l)
{
    unsigned patience = stress_any(&l->seed, 12);
    struct pollfd p = { .fd = l->box.fd, .events = POLLIN };

    while (l->holds && patience--) {
        poll(&p, 1, 1);
        mailbox_drain(&l->box);
    }
    if (l->holds) {
        l->left_early++;
        leave(l);
    }
    ties_give_back(all, 1000);
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;

    for (unsigned round = 0; round < ROUNDS; round++) {
        hold(l, round);
        stay(l);
    }
    while (atomic_load(&l->box.owed))
        mailbox_drain(&l->box);
    mailbox_drain(&l->box);
    return NULL;
}

/* ---- those who settle ---- */

static void fill(struct settle *c, unsigned *seed)
{
    static const enum settle_kind kinds[] = { SETTLE_ACK, SETTLE_NACK, SETTLE_EXTEND };

    c->kind = kinds[stress_any(seed, 3)];
    c->until_ms = 500 + stress_any(seed, 1000);
    for (unsigned i = 0; i < c->count; i++)
        c->items[i] = (struct settle_item){
            .lease = { stress_any(seed, LOOPS), stress_any(seed, OFFSETS),
                       1 + stress_any(seed, ROUNDS * LEASES / OFFSETS + 1) },
            .result = SETTLE_DONE
        };
}

/* What is out now is guessed from what the holders do: they count up together. */
static void *settler_main(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct settle *c = calloc(1, settle_bytes(OFFSETS));

    MUST(c);
    c->count = OFFSETS;
    while (!atomic_load(&over)) {
        fill(c, &seed);
        for (uint32_t n = 1; n <= ROUNDS * LEASES / OFFSETS + 1; n++) {
            for (unsigned i = 0; i < c->count; i++)
                c->items[i].lease.deliveries = n;
            ties_settled(all, c);
        }
        if (!stress_any(&seed, 4))
            ties_void(all, bytes_str(stress_any(&seed, 2) ? "a" : "b"));
    }
    free(c);
    return NULL;
}

int main(void)
{
    struct loop loops[LOOPS];
    pthread_t settlers[SETTLERS];

    stress_begin();
    all = ties_new(1000 * LOOPS);
    MUST(all);
    for (unsigned i = 0; i < LOOPS; i++) {
        loops[i] = (struct loop){ .seed = i, .index = i };
        MUST(!mailbox_init(&loops[i].box));
        MUST(!pthread_create(&loops[i].thread, NULL, loop_main, &loops[i]));
    }
    for (uintptr_t i = 0; i < SETTLERS; i++)
        MUST(!pthread_create(&settlers[i], NULL, settler_main, (void *)(i + 7)));
    for (unsigned i = 0; i < LOOPS; i++)
        pthread_join(loops[i].thread, NULL);
    atomic_store(&over, true);
    for (unsigned i = 0; i < SETTLERS; i++)
        pthread_join(settlers[i], NULL);
    for (unsigned i = 0; i < LOOPS; i++) {
        printf("loop %u: %lu ended, %lu left before, %lu looked\n", i, loops[i].ended,
               loops[i].left_early, loops[i].looked);
        mailbox_fini(&loops[i].box);
    }
    ties_free(all);
    return 0;
}
