/*
 * Invariants:
 *  1. A job is in `queue`, in `backlog`, in `turn`, in `again`, or gone home; never in two of them.
 *  2. No letter leaves before the commit that decides it.
 *  3. Between begin and commit or abort the thread waits for nothing but the disk.
 */
#include "writer.h"

#include "backlog.h"
#include "base/clock.h"
#include "base/log.h"
#include "delivery.h"
#include "metrics.h"
#include "sweep.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* Measured with one job for each of 100,000 topics: log, topic's row, and parents. */
#define JOB_PAGE_BYTES (12u << 10)
#define PAUSE_MS 100 /* after a failed turn, so that a full disk is not a busy loop */
#define WAKES_MAX 1024u
#define HOMES_MAX 256u

struct mailing { /* letters for one loop, posted together */
    struct mailbox *home;
    struct letter *first, *last;
    unsigned count;
};

struct writer {
    struct writer_options o; /* set once */
    pthread_t thread;
    _Atomic bool healthy;
    _Atomic size_t pages_bytes; /* see writer_pages_bytes */

    pthread_mutex_t lock;
    pthread_cond_t work;
    struct job_chain queue; /* as they come */
    bool idle, stop, trash_released;

    /* Writer thread only. */
    struct backlog backlog; /* those that did not fit into a turn */
    struct job_chain turn, again;
    enum err spoiled;
    struct sweep sweep;
    size_t turn_pages_bytes; /* of this turn's jobs */
    int64_t last_sync_ms;
    int64_t pause_until_ms; /* after a failure: no turn without jobs before; monotonic */
    bool sweep_alone; /* the last sweep failed: publishers must not fail with the next */
    unsigned wakes[WAKES_MAX], wake_count;
    bool wake_all, unsynced;
    struct mailing mailings[HOMES_MAX];
    unsigned mailing_count;
};

static void wake_slot(struct writer *w, unsigned slot)
{
    if (w->wake_count && w->wakes[w->wake_count - 1] == slot)
        return;
    if (w->wake_count < WAKES_MAX)
        w->wakes[w->wake_count++] = slot;
    else
        w->wake_all = true;
}

void turn_wake(struct turn *t, struct bytes topic)
{
    wake_slot(t->writer, waiters_slot(topic));
}

void turn_wake_subscription(struct turn *t, struct bytes name)
{
    wake_slot(t->writer, waiters_subscription_slot(name));
}

void turn_due(struct turn *t, int64_t due_ms)
{
    struct writer *w = t->writer;

    if (!w->sweep.next_due_ms || due_ms < w->sweep.next_due_ms)
        w->sweep.next_due_ms = due_ms;
}

void turn_trash(struct turn *t)
{
    t->writer->sweep.trash = true;
}

enum err turn_spoil(struct turn *t, enum err e)
{
    return t->writer->spoiled = e;
}

/* ---- what leaves after the commit ---- */

static void deliver(struct writer *w, struct job *j)
{
    struct mailing *d = w->mailings, *end = d + w->mailing_count;

    while (d < end && d->home != j->home)
        d++;
    if (d == end) {
        assert(w->mailing_count < HOMES_MAX); /* one home a loop; config bounds loops */
        w->mailing_count++;
        *d = (struct mailing){ .home = j->home };
    }
    j->letter.next = NULL;
    if (d->first)
        d->last->next = &j->letter;
    else
        d->first = &j->letter;
    d->last = &j->letter;
    d->count++;
}

static void finish(struct writer *w, struct job *j, enum err e)
{
    struct mailbox *home = j->home;

    metric_add(METRIC_JOBS_QUEUED, -1);
    j->done(j, e); /* frees a job without a home */
    if (home)
        deliver(w, j);
}

static void send_letters(struct writer *w)
{
    for (unsigned i = 0; i < w->mailing_count; i++) {
        struct mailing *d = &w->mailings[i];

        mailbox_post_chain(d->home, d->first, d->last);
        atomic_fetch_sub(&d->home->owed, d->count);
    }
    w->mailing_count = 0;
}

static void wake_readers(struct writer *w)
{
    if (w->wake_all)
        for (unsigned slot = 0; slot < WAITERS_SLOTS; slot++)
            waiters_wake(w->o.waiters, slot);
    else
        for (unsigned i = 0; i < w->wake_count; i++)
            waiters_wake(w->o.waiters, w->wakes[i]);
    waiters_flush(w->o.waiters);
}

/* ---- a turn ---- */

static void note_pages(struct writer *w, const struct turn *t)
{
    size_t bytes = w->turn_pages_bytes + sweep_pages_bytes(&w->sweep) +
                   2 * (size_t)t->copied_bytes + t->aside.bytes;

    if (bytes > atomic_load(&w->pages_bytes))
        atomic_store(&w->pages_bytes, bytes);
}

size_t writer_pages_bytes(struct writer *w)
{
    return atomic_load(&w->pages_bytes);
}

/* Those that did not finish their turn, and of those that wait what fits beside. */
static void take_jobs(struct writer *w)
{
    size_t most = w->o.page_bytes / 2 / JOB_PAGE_BYTES;
    struct job_chain arrived;
    struct backlog_taken taken;

    job_chain_init(&arrived);
    job_chain_splice(&w->turn, &w->again);
    pthread_mutex_lock(&w->lock);
    job_chain_splice(&arrived, &w->queue);
    pthread_mutex_unlock(&w->lock);
    taken = backlog_take(&w->backlog, &arrived, &w->turn, most, w->o.turn_bytes);
    w->turn_pages_bytes = 2 * taken.bytes + taken.jobs * JOB_PAGE_BYTES;
}

/* Runs the jobs; those that are through stay in the turn with their outcome to come. */
static void run_jobs(struct writer *w, struct turn *t)
{
    struct job_chain waiting = w->turn;
    struct job *j;

    if (!waiting.first)
        return;
    job_chain_init(&w->turn);
    while ((j = job_chain_take(&waiting))) {
        enum err e = j->run(j, t);

        if (w->spoiled) {
            job_chain_add(&w->turn, j);
            job_chain_splice(&w->turn, &waiting);
            return;
        }
        if (e == ERR_BUSY)
            job_chain_add(&w->again, j);
        else if (e)
            finish(w, j, e); /* its letter still waits for the turn's end */
        else
            job_chain_add(&w->turn, j);
    }
}

static void finish_all(struct writer *w, enum err e)
{
    struct job *j;

    while ((j = job_chain_take(&w->turn)))
        finish(w, j, e);
    if (e)
        while ((j = job_chain_take(&w->again)))
            finish(w, j, e);
}

static enum err commit(struct writer *w, struct turn *t, int64_t started_us)
{
    enum err e = w->o.ops->commit(w->o.store);

    if (e) {
        metric_add(METRIC_COMMITS_FAILED, 1);
        return e;
    }
    metric_add(METRIC_COMMITS, 1);
    metric_add(METRIC_COMMIT_MESSAGES, (int64_t)t->messages);
    metric_add(METRIC_COMMIT_BYTES, (int64_t)t->bytes);
    delivery_count(&t->deliveries);
    metric_observe_us(HISTOGRAM_COMMIT, clock_mono_us() - started_us);
    w->unsynced = w->o.relaxed;
    return ERR_OK;
}

/* The trash first: its step wants a transaction in which nothing was taken out yet. */
static enum err sweep_and_run(struct writer *w, struct turn *t)
{
    bool busy = w->turn.first != NULL, sweeps = !(busy && w->sweep_alone);
    enum err e;

    if (w->sweep.unties)
        return sweep_untie(&w->sweep, t);
    e = sweeps ? sweep_trash(&w->sweep) : ERR_OK;
    if (!e)
        run_jobs(w, t);
    if (w->spoiled)
        return w->spoiled;
    busy = w->turn.first || w->again.first;
    if (!e && !(busy && w->sweep_alone)) {
        sweeps = true;
        e = sweep_deliveries(&w->sweep, t, busy);
        if (!e)
            e = sweep_expire(&w->sweep, t->now_ms, t->messages, busy);
    }
    if (sweeps)
        w->sweep_alone = e != ERR_OK;
    return e;
}

static enum err transaction(struct writer *w, struct turn *t)
{
    int64_t started_us = clock_mono_us();
    enum err e = w->o.ops->begin(w->o.store);

    if (e)
        return e;
    e = sweep_and_run(w, t);
    if (e) {
        w->o.ops->abort(w->o.store);
        metric_add(METRIC_COMMITS_FAILED, 1);
        return e;
    }
    return commit(w, t, started_us);
}

static void take_turn(struct writer *w)
{
    struct turn t = { .ops = w->o.ops,
                      .store = w->o.store,
                      .now_ms = clock_wall_ms(),
                      .writer = w,
                      .config = w->o.config,
                      .aside.max = w->o.page_bytes / 4,
                      .rate = w->o.rate,
                      .max_topics = w->o.max_topics,
                      .places = w->o.places,
                      .weights = w->o.weights };
    enum err e;

    w->spoiled = ERR_OK;
    w->wake_all = false;
    w->wake_count = 0;
    w->turn_pages_bytes = 0;
    if (!w->sweep.unties &&
        (!w->sweep_alone || w->again.first || clock_mono_ms() < w->pause_until_ms))
        take_jobs(w);
    e = transaction(w, &t);
    note_pages(w, &t);
    if (e) {
        LOG_WARN("writer", "turn_failed", LOG_S("error", err_name(e)));
        w->sweep.unties = false; /* those leases end by themselves, then */
        sweep_look_again(&w->sweep);
        w->pause_until_ms = clock_mono_ms() + PAUSE_MS;
    }
    atomic_store(&w->healthy, !e || e == ERR_FULL);
    finish_all(w, e);
    if (!e)
        wake_readers(w);
    send_letters(w);
}

/* ---- the thread ---- */

static bool something_due(const struct writer *w)
{
    if (w->again.first)
        return true;
    if (w->pause_until_ms && clock_mono_ms() < w->pause_until_ms)
        return false;
    return sweep_due(&w->sweep);
}

/* How long to sleep when no job comes; -1: for good. */
static int64_t sleep_ms(const struct writer *w)
{
    int64_t ms = sweep_sleep_ms(&w->sweep, 1000);

    if (w->pause_until_ms > clock_mono_ms())
        return PAUSE_MS;
    return ms < 0 && w->unsynced ? 1000 : ms;
}

static void wait_for_work(struct writer *w)
{
    int64_t ms = sleep_ms(w);
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    w->idle = true;
    if (ms < 0)
        pthread_cond_wait(&w->work, &w->lock);
    else
        pthread_cond_timedwait(&w->work, &w->lock, &until);
    w->idle = false;
}

static void background_sync(struct writer *w)
{
    int64_t now = clock_mono_ms();

    if (!w->unsynced || now - w->last_sync_ms < 1000)
        return;
    if (w->o.ops->sync(w->o.store) == ERR_OK)
        w->unsynced = false;
    w->last_sync_ms = now;
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    bool stopping = false, work;

    while (w->sweep.unties) /* before anything new may be tied */
        take_turn(w);
    while (!stopping) {
        pthread_mutex_lock(&w->lock);
        if (!w->queue.first && !w->backlog.waiting && !w->stop && !something_due(w))
            wait_for_work(w);
        w->sweep.trash |= w->trash_released;
        w->trash_released = false;
        work = w->queue.first || w->backlog.waiting || w->again.first;
        stopping = w->stop && !work;
        pthread_mutex_unlock(&w->lock);
        if (work || (!stopping && something_due(w)))
            take_turn(w);
        background_sync(w);
    }
    if (w->unsynced)
        (void)!w->o.ops->sync(w->o.store);
    return NULL;
}

static enum err first_look(struct writer *w)
{
    enum err e = w->o.ops->begin(w->o.store);

    if (e)
        return e;
    sweep_look_first(&w->sweep);
    w->o.ops->abort(w->o.store);
    return ERR_OK;
}

enum err writer_start(const struct writer_options *o, struct writer **out)
{
    struct writer *w = calloc(1, sizeof *w);
    pthread_condattr_t attr;
    enum err e;

    if (!w)
        return ERR_NO_MEMORY;
    w->o = *o;
    if (w->o.page_bytes < WRITER_PAGES_LEAST)
        w->o.page_bytes = WRITER_PAGES_LEAST;
    sweep_init(&w->sweep, o->ops, o->store, w->o.page_bytes);
    w->healthy = true;
    job_chain_init(&w->queue);
    job_chain_init(&w->turn);
    job_chain_init(&w->again);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->work, &attr);
    pthread_condattr_destroy(&attr);
    e = backlog_init(&w->backlog);
    if (!e)
        e = first_look(w);
    if (!e && pthread_create(&w->thread, NULL, writer_main, w))
        e = ERR_NO_MEMORY;
    if (e) {
        backlog_fini(&w->backlog);
        free(w);
        return e;
    }
    pthread_setname_np(w->thread, "sluice-writer");
    *out = w;
    return ERR_OK;
}

void writer_stop(struct writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    backlog_fini(&w->backlog);
    free(w);
}

/* With the lock held. True: the thread sleeps, and the caller signals it. */
static bool wakes_it(struct writer *w)
{
    bool wake = w->idle;

    w->idle = false;
    return wake;
}

void writer_submit(struct writer *w, struct job *j)
{
    bool wake;

    if (j->home)
        atomic_fetch_add(&j->home->owed, 1);
    metric_add(METRIC_JOBS_QUEUED, 1);
    pthread_mutex_lock(&w->lock);
    job_chain_add(&w->queue, j);
    wake = wakes_it(w);
    pthread_mutex_unlock(&w->lock);
    if (wake)
        pthread_cond_signal(&w->work);
}

void writer_trash_released(struct writer *w)
{
    bool wake;

    pthread_mutex_lock(&w->lock);
    w->trash_released = true;
    wake = wakes_it(w);
    pthread_mutex_unlock(&w->lock);
    if (wake)
        pthread_cond_signal(&w->work);
}

bool writer_healthy(struct writer *w)
{
    return atomic_load(&w->healthy);
}
