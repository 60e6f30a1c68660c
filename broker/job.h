/*
 * job - something for the writer to do in a transaction, and chains of such.
 *
 * Threads:  made on an HTTP loop, run on the writer's thread.
 * Owner:    see writer.h. A job is in one chain or backlog at a time. It is paid for by itself,
 *           because it may live longer than the request that it is for.
 */
#ifndef SLUICE_JOB_H
#define SLUICE_JOB_H

#include "base/err.h"
#include "fair.h"
#include "ledger.h"
#include "mailbox.h"

struct turn;

struct job {
    struct letter letter; /* posted home after `done`; letter.open is the submitter's */
    struct mailbox *home; /* NULL: nobody waits, `done` frees the job */
    void *arg;          /* the submitter's, who sets it NULL when it goes first; */
    struct grant grant; /* pays for the job, and for what its submitter makes of it */
    void (*answer)(void *arg, struct job *j); /* the submitter's, see http/errand.h */
    struct job *next;     /* the writer's */
    size_t cost;          /* bytes it may add to the transaction */
    struct fair_flow flow;  /* whose it is; jobs of one flow run in the order they came */
    unsigned weight;        /* of its topic; 0 counts as 1 */
    struct fair_item place; /* the writer's */

    /* ERR_BUSY: commit what was done and run me again in the next turn. ERR_OK, or a
     * refusal with nothing changed. A job that changed something and cannot go on calls
     * turn_spoil first: the whole transaction is then given up. */
    enum err (*run)(struct job *j, struct turn *t);
    void (*done)(struct job *j, enum err e);
};

/* All zero, `bytes` long, with a struct job in front; *from pays for it, which may pay for more.
 * NULL: it does not pay for so much, or there is no memory. */
void *job_new(size_t bytes, struct grant *from);

/* Gives back what pays for it as well. NULL is fine. */
void job_free(struct job *j);

struct job_chain { /* first in, first out; job_chain_init before use */
    struct job *first, **last;
};

static inline void job_chain_init(struct job_chain *c)
{
    c->first = NULL;
    c->last = &c->first;
}

static inline void job_chain_add(struct job_chain *c, struct job *j)
{
    j->next = NULL;
    *c->last = j;
    c->last = &j->next;
}

static inline struct job *job_chain_take(struct job_chain *c)
{
    struct job *j = c->first;

    if (j && !(c->first = j->next))
        c->last = &c->first;
    return j;
}

/* All of `from` behind `to`. */
static inline void job_chain_splice(struct job_chain *to, struct job_chain *from)
{
    if (!from->first)
        return;
    *to->last = from->first;
    to->last = from->last;
    job_chain_init(from);
}

#endif
