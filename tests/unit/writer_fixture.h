/*
 * writer_fixture - a running writer over a real store that fails when asked to, and the
 * mailbox of one loop, which is the test itself.
 *
 * Nothing here depends on how fast the writer is: `hold` keeps it inside a turn while jobs
 * are queued, so that the next turn takes all of them, and `deliver` waits for letters.
 */
#ifndef SLUICE_WRITER_FIXTURE_H
#define SLUICE_WRITER_FIXTURE_H

#include "base/clock.h"
#include "faulty_store.h"
#include "publish.h"
#include "store_fixture.h"

#include <poll.h>
#include <semaphore.h>

#define NOW 1000000 /* the wall clock in these stories, unless one moves it */

static struct writer *writer;
static struct waiters *waiters;
static struct mailbox loop_mail;
static struct ledger *ledger;
static struct places *places;
static unsigned letters; /* that came */

static void start_writer_with(uint64_t max_topics)
{
    struct writer_options o = { .ops = faulty_store(),
                                .store = store,
                                .waiters = waiters,
                                .max_topics = max_topics,
                                .places = places,
                                .turn_bytes = 1 << 20 };

    OK(writer_start(&o, &writer));
}

static void start_writer(void)
{
    start_writer_with(0);
}

static void given_a_writer(void)
{
    clock_fake_wall_ms(NOW);
    given_an_empty_store();
    OK(mailbox_init(&loop_mail));
    waiters = waiters_new(1);
    ledger = ledger_new(64 << 20);
    places = places_new();
    start_writer();
}

/* In the story itself, because a failure in a suite's .fini would go unnoticed. */
static void then_everything_is_given_back(void)
{
    if (writer)
        writer_stop(writer);
    writer = NULL;
    nothing_is_lost();
    ledger_free(ledger); /* aborts when a byte is still out */
    waiters_free(waiters);
    places_free(places);
    mailbox_fini(&loop_mail);
    then_it_is_gone();
}

static void remove_data_dir(void)
{
    nftw(data_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Waits for `count` more letters than were waited for so far; some may have come with the
 * ones before. */
static void deliver(unsigned count)
{
    struct pollfd p = { .fd = loop_mail.fd, .events = POLLIN };
    static unsigned expected;

    expected += count;
    while (letters < expected) {
        poll(&p, 1, -1);
        mailbox_drain(&loop_mail);
    }
}

/* ---- jobs that say what they do ---- */

struct test_job {
    struct job job; /* first */
    enum err (*act)(struct test_job *j, struct turn *t);
    const char *topic, *body;
    enum err outcome;
    unsigned runs;
    uint64_t offset;
};

static enum err run_test_job(struct job *j, struct turn *t)
{
    ((struct test_job *)j)->runs++;
    return ((struct test_job *)j)->act((struct test_job *)j, t);
}

static void test_job_done(struct job *j, enum err e)
{
    ((struct test_job *)j)->outcome = e;
}

static void test_job_home(struct letter *l)
{
    (void)l;
    letters++;
}

static void submit(struct test_job *j, enum err (*act)(struct test_job *, struct turn *))
{
    j->act = act;
    j->job = (struct job){ .letter.open = test_job_home,
                           .home = &loop_mail,
                           .run = run_test_job,
                           .done = test_job_done };
    writer_submit(writer, &j->job);
}

static enum err do_nothing(struct test_job *j, struct turn *t)
{
    (void)j;
    (void)t;
    return ERR_OK;
}

/* A whole turn of the writer has passed, with its sweep. */
UNUSED static void a_turn_passes(void)
{
    struct test_job j = { 0 };

    submit(&j, do_nothing);
    deliver(1);
}

/* ---- holding the writer inside a turn ---- */

static struct test_job gate;
static sem_t inside, open_gate;

static enum err stand_still(struct test_job *j, struct turn *t)
{
    (void)j;
    (void)t;
    sem_post(&inside);
    while (sem_wait(&open_gate))
        ;
    return ERR_OK;
}

/* What is submitted from here on goes into one turn. */
UNUSED static void hold_the_writer(void)
{
    sem_init(&inside, 0, 0);
    sem_init(&open_gate, 0, 0);
    submit(&gate, stand_still);
    while (sem_wait(&inside))
        ;
}

UNUSED static void let_it_go(void)
{
    sem_post(&open_gate);
    deliver(1);
}

/* ---- publishing ---- */

static void publish_home(struct letter *l)
{
    (void)l;
    letters++;
}

/* A message with its bytes paid; the caller sets what else it wants, and sends it. */
UNUSED static struct publish *message(const char *topic_name, const char *body)
{
    struct publish *p = calloc(1, sizeof *p);
    size_t len = strlen(body);

    OK(ledger_reserve(ledger, len + PUBLISH_OVERHEAD, &p->grant));
    p->meta = (uint8_t *)strdup(topic_name);
    p->topic = bytes_str((char *)p->meta);
    p->body = (uint8_t *)strdup(body);
    p->body_len = len;
    p->one.body = bytes_of(p->body, len);
    p->auto_create = true;
    p->writer = writer;
    p->job.home = &loop_mail;
    p->job.letter.open = publish_home;
    return p;
}

/* Sends it and waits; frees it. */
UNUSED static enum err sent(struct publish *p, struct publish *result)
{
    enum err e;

    publish_submit(p, NULL);
    deliver(1);
    e = p->outcome;
    if (result)
        *result = *p;
    publish_free(p);
    return e;
}

UNUSED static void given_topic(const char *name, struct topic_settings s)
{
    struct store_topic *t;

    writer_stop(writer); /* one writer at a time: for a moment it is the test */
    OK(ops->begin(store));
    OK(ops->topic_create(store, bytes_str(name), &s, NOW, &t));
    OK(ops->commit(store));
    start_writer();
}

/* Packs messages with these bodies, "a b c", into a batch. */
UNUSED static struct publish *batch(const char *topic_name, const char *bodies)
{
    struct publish *p = message(topic_name, bodies);
    size_t n = 0;

    free(p->body);
    p->body = malloc(4 * strlen(bodies) + 4);
    p->batch = true;
    for (; *bodies; bodies += strspn(bodies, " ")) {
        size_t len = strcspn(bodies, " ");

        p->body[n++] = (uint8_t)(len + 2);
        p->body[n++] = PACKED_BODY;
        p->body[n++] = (uint8_t)len;
        memcpy(p->body + n, bodies, len);
        n += len;
        bodies += len;
        p->count++;
        p->total_bytes += len;
    }
    p->body_len = n;
    return p;
}

/* Turns until nothing waits in the trash; each takes a bounded step. */
UNUSED static void the_trash_is_emptied(void)
{
    unsigned turns = 0;

    while (stats().trash && ++turns < 1000)
        a_turn_passes();
    cr_assert(turns < 1000);
}

#endif
