#include "job.h"

#include <stdlib.h>

void *job_new(size_t bytes, struct grant *from)
{
    struct job *j = from->bytes >= bytes ? calloc(1, bytes) : NULL;

    if (j)
        ledger_split(from, bytes, &j->grant);
    return j;
}

void job_free(struct job *j)
{
    struct grant paid;

    if (!j)
        return;
    paid = j->grant;
    free(j);
    ledger_release(&paid);
}
