/*
 * backlog - which of the waiting jobs are in the writer's next transaction.
 *
 * While all that wait fit into one transaction they are taken as they came. Once they do
 * not, the line is fair to callers and to topics (fair.h): the job of a small publisher does
 * not stand behind all that a firehose has submitted.
 *
 * Threads:  the writer's.
 */
#ifndef SLUICE_BACKLOG_H
#define SLUICE_BACKLOG_H

#include "job.h"

struct backlog { /* all zero and backlog_init: empty */
    struct fair *line;
    size_t waiting;
};

struct backlog_taken {
    size_t jobs, bytes; /* bytes: of their costs */
};

MUST_CHECK enum err backlog_init(struct backlog *b);
void backlog_fini(struct backlog *b);

/* Takes over all of `arrived`, and adds to `turn` those whose turn it is: at most `jobs`
 * with costs of `bytes` together, and one at least when any wait. */
struct backlog_taken backlog_take(struct backlog *b, struct job_chain *arrived,
                                  struct job_chain *turn, size_t jobs, size_t bytes);

#endif
