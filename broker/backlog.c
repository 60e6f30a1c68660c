#include "backlog.h"

/* What a job costs the disk beside its bytes, as a share in the line. */
#define JOB_COST 1024u

enum err backlog_init(struct backlog *b)
{
    b->line = fair_new();
    return b->line ? ERR_OK : ERR_NO_MEMORY;
}

void backlog_fini(struct backlog *b)
{
    fair_free(b->line);
    b->line = NULL;
}

static struct job *head(const struct backlog *b)
{
    struct fair_item *i = fair_first(b->line);

    return i ? (struct job *)((char *)i - offsetof(struct job, place)) : NULL;
}

static void stand_in_line(struct backlog *b, struct job_chain *arrived)
{
    struct job *j;

    while ((j = job_chain_take(arrived))) {
        fair_add(b->line, &j->place, j->flow, j->cost + JOB_COST, j->weight);
        b->waiting++;
    }
}

static bool fit(const struct job_chain *arrived, size_t jobs, size_t bytes,
                struct backlog_taken *all)
{
    *all = (struct backlog_taken){ 0 };
    for (const struct job *j = arrived->first; j; j = j->next) {
        all->jobs++;
        all->bytes += j->cost;
        if (all->jobs > jobs || all->bytes > bytes)
            return false;
    }
    return true;
}

struct backlog_taken backlog_take(struct backlog *b, struct job_chain *arrived,
                                  struct job_chain *turn, size_t jobs, size_t bytes)
{
    struct backlog_taken taken;
    struct job *j;

    if (!b->waiting && fit(arrived, jobs, bytes, &taken)) {
        job_chain_splice(turn, arrived);
        return taken;
    }
    stand_in_line(b, arrived);
    taken = (struct backlog_taken){ 0 };
    while ((j = head(b)) &&
           (taken.jobs == 0 || (taken.jobs < jobs && taken.bytes + j->cost <= bytes))) {
        fair_serve(b->line, &j->place);
        b->waiting--;
        taken.jobs++;
        taken.bytes += j->cost;
        job_chain_add(turn, j);
    }
    return taken;
}
