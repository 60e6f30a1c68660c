/*
 * writer - the one thread that changes the store.
 *
 * It takes all jobs that wait, runs them in one transaction, commits (one sync for all of
 * them), and then tells each its outcome. Between jobs it takes out what has expired and
 * frees what was deleted, in bounded steps, so that publishing never waits for a sweep.
 *
 *   queued -> run (inside the transaction) -> committed -> done -> letter home
 *                      |                         |
 *                      '-- refused: nothing of it is stored; the others go on
 *                                                '-- commit failed: all of the turn failed
 *
 * Threads:  writer_submit: any. run and done: the writer.
 * Owner:    a job belongs to the writer from writer_submit until `done` returns; with a
 *           home, then to its letter.
 */
#ifndef SLUICE_WRITER_H
#define SLUICE_WRITER_H

#include "base/err.h"
#include "job.h"
#include "mailbox.h"
#include "places.h"
#include "rate.h"
#include "store.h"
#include "waiters.h"
#include "weights.h"

struct config;
struct writer;

struct turn_deliveries { /* of subscriptions, in this turn */
    uint64_t leased, again; /* again: of these, not for the first time */
    uint64_t acked, lapsed, dead, expired;
    uint64_t vanished; /* given back because their connection had ended */
};

struct turn_aside { /* deliveries that were set aside in this turn, see delivery_hold */
    size_t bytes, max; /* of pages that they change; and at most */
    int64_t due_ms;    /* of the last one */
};

struct turn { /* what a job sees while it runs */
    const struct store_ops *ops;
    struct store *store;
    int64_t now_ms;       /* wall clock of the whole turn */
    struct writer *writer;
    struct rate *rate; /* to be told of topics' own rates; NULL: nobody limits */
    struct weights *weights; /* and weights; NULL: nobody asks */
    uint64_t max_topics; /* 0: no limit */
    struct places *places; /* to be told of topics that hold; NULL: nobody asks */
    const struct config *config; /* NULL: as with none of its settings given */
    uint64_t messages, bytes; /* appended in this turn */
    struct turn_deliveries deliveries;
    struct turn_aside aside;
    uint64_t copied_bytes; /* of bodies copied from topic to topic, see dead_letter.h */
};

struct writer_options {
    const struct store_ops *ops;
    struct store *store;
    struct waiters *waiters;
    const struct config *config; /* for jobs; NULL: they do without */
    struct rate *rate;       /* NULL: nobody limits */
    struct weights *weights; /* NULL: nobody asks */
    uint64_t max_topics; /* of the whole store; 0: no limit */
    struct places *places; /* NULL: nobody asks */
    size_t turn_bytes; /* job costs in one transaction; one job may exceed it alone */
    size_t page_bytes; /* pages that jobs and sweeps change beside that; WRITER_PAGES_LEAST */
    bool relaxed;      /* sync in the background, once a second */
};

MUST_CHECK enum err writer_start(const struct writer_options *o, struct writer **out);

/* What a turn works with at least: 40 jobs, and 500 records taken out. */
#define WRITER_PAGES_LEAST (1u << 20)

/* Any thread: memory of the store's changed pages in the largest turn so far. LMDB keeps
 * pages for the next transaction, so it does not fall. An estimate, from above: twice what
 * the turn's jobs cost and 12 KiB for each of them, 2 KiB for each record taken out by a
 * sweep, twice what was copied, and never more than the line's limit. */
size_t writer_pages_bytes(struct writer *w);

/* Finishes every job submitted so far, then ends the thread. */
void writer_stop(struct writer *w);

void writer_submit(struct writer *w, struct job *j);

/* Any thread: blob_unpin said that the trash holds something that may be freed now. */
void writer_trash_released(struct writer *w);

/* Inside run: readers of this topic are to be woken once the turn is committed. */
void turn_wake(struct turn *t, struct bytes topic);
/* Inside run: this subscription has something to give that is no news of its topic. */
void turn_wake_subscription(struct turn *t, struct bytes name);
/* Inside run: something becomes due at this time. */
void turn_due(struct turn *t, int64_t due_ms);
/* Inside run: there is something for store_trash_step. */
void turn_trash(struct turn *t);
/* Inside run: the transaction is half changed and must not be committed; all of the turn
 * fails with `e`. Returns e. */
enum err turn_spoil(struct turn *t, enum err e);

/* False after a commit failed for another reason than lack of room, until one succeeds. */
bool writer_healthy(struct writer *w);

#endif
