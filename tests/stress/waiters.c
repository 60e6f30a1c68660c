/*
 * Readers that park while a writer commits. The writer goes on when every reader has heard
 * of its last commit, so a single lost wakeup stops the program, and the alarm ends it.
 */
#include "stress.h"

#include "waiters.h"

#include <poll.h>
#include <sched.h>

#define LOOPS 3
#define TOPICS 4
#define COMMITS 20000

static struct waiters *waiters;
static _Atomic unsigned committed[TOPICS]; /* what a reader would find in the store */
static _Atomic bool over;

struct loop {
    pthread_t thread;
    unsigned index, seed;
    struct mailbox box;
    _Atomic unsigned seen[TOPICS];
    bool parked[TOPICS];
    unsigned long woken, found_at_once;
};

static unsigned slot_of(unsigned topic)
{
    char name = (char)('a' + topic);

    return waiters_slot(bytes_of(&name, 1));
}

/* True when there was news. */
static bool look(struct loop *l, unsigned topic)
{
    unsigned now = atomic_load(&committed[topic]);
    bool news = now != atomic_load(&l->seen[topic]);

    atomic_store(&l->seen[topic], now);
    return news;
}

static void look_and_leave(struct loop *l, unsigned topic)
{
    if (!l->parked[topic] || !look(l, topic))
        return;
    waiters_leave(waiters, l->index, slot_of(topic));
    l->parked[topic] = false;
}

static void woken(void *arg, unsigned slot)
{
    struct loop *l = arg;

    for (unsigned i = 0; i < TOPICS; i++)
        if (slot == WAITERS_ALL || slot == slot_of(i))
            look_and_leave(l, i);
    l->woken++;
}

/* As request.c does it: counts itself in, then looks a last time. */
static void park(struct loop *l, unsigned topic)
{
    waiters_park(waiters, l->index, slot_of(topic));
    l->parked[topic] = true;
    if (look(l, topic)) {
        waiters_leave(waiters, l->index, slot_of(topic));
        l->parked[topic] = false;
        l->found_at_once++;
    }
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    struct pollfd p = { .fd = l->box.fd, .events = POLLIN };

    while (!atomic_load(&over)) {
        bool all = true;

        for (unsigned i = 0; i < TOPICS; i++) {
            if (!l->parked[i])
                park(l, i);
            all = all && l->parked[i];
        }
        if (all)
            poll(&p, 1, -1); /* the end is a letter as well */
        mailbox_drain(&l->box);
        for (unsigned i = stress_any(&l->seed, 50); i; i--)
            sched_yield();
    }
    for (unsigned i = 0; i < TOPICS; i++)
        if (l->parked[i])
            waiters_leave(waiters, l->index, slot_of(i));
    return NULL;
}

static void all_have_heard(struct loop *loops, unsigned topic)
{
    for (unsigned i = 0; i < LOOPS; i++)
        while (atomic_load(&loops[i].seen[topic]) != atomic_load(&committed[topic]))
            sched_yield();
}

static void commit(struct loop *loops, unsigned *seed)
{
    unsigned changed = 1 + stress_any(seed, (1u << TOPICS) - 1);

    for (unsigned i = 0; i < TOPICS; i++)
        if (changed >> i & 1)
            atomic_fetch_add(&committed[i], 1);
    for (unsigned i = 0; i < TOPICS; i++)
        if (changed >> i & 1)
            waiters_wake(waiters, slot_of(i));
    waiters_flush(waiters);
    for (unsigned i = 0; i < TOPICS; i++)
        all_have_heard(loops, i);
}

static void ignore(struct letter *l)
{
    (void)l;
}

int main(void)
{
    static struct loop loops[LOOPS];
    static struct letter last[LOOPS];
    unsigned long woken_times = 0, at_once = 0;
    unsigned seed = 1;

    stress_begin();
    waiters = waiters_new(LOOPS);
    for (unsigned i = 0; i < LOOPS; i++) {
        loops[i].index = loops[i].seed = i;
        MUST(mailbox_init(&loops[i].box) == ERR_OK);
        waiters_join(waiters, i, &loops[i].box, woken, &loops[i]);
        MUST(!pthread_create(&loops[i].thread, NULL, loop_main, &loops[i]));
    }
    for (unsigned i = 0; i < COMMITS; i++)
        commit(loops, &seed);
    atomic_store(&over, true);
    for (unsigned i = 0; i < LOOPS; i++) {
        last[i].open = ignore;
        mailbox_post(&loops[i].box, &last[i]);
        pthread_join(loops[i].thread, NULL);
        waiters_part(waiters, i);
        mailbox_fini(&loops[i].box);
        woken_times += loops[i].woken;
        at_once += loops[i].found_at_once;
    }
    waiters_free(waiters);
    printf("waiters: %d commits heard by %d loops; woken %lu times, found at once %lu\n",
           COMMITS, LOOPS, woken_times, at_once);
    return 0;
}
