#include "errand.h"

#define BESIDE 64 /* of the allocator */

static void refuse(struct request *r)
{
    reply_problem(r, PROBLEM_BUSY, "Other requests use the memory kept for changes. Try again.");
}

void *errand_new(struct request *r, size_t bytes)
{
    struct grant *body = &r->body.room.grant, mine = { 0 };
    struct job *j;

    if (body->from == r->loop->broker->json && body->bytes >= bytes + BESIDE) {
        ledger_split(body, bytes + BESIDE, &mine);
    } else if (ledger_reserve(r->loop->broker->json, bytes + BESIDE, &mine)) {
        refuse(r);
        return NULL;
    }
    j = job_new(bytes, &mine);
    if (j)
        ledger_merge(&j->grant, &mine);
    else
        reply_store_error(r, ERR_NO_MEMORY);
    ledger_release(&mine);
    return j;
}

static void came_home(struct letter *l)
{
    struct job *j = (struct job *)l;

    if (j->arg) {
        request_answered(j->arg);
        j->answer(j->arg, j);
    }
    job_free(j);
}

static void forget(struct job *j)
{
    j->arg = NULL;
}

void errand_hold(struct request *r, struct job *j, void (*answer)(void *request, struct job *j))
{
    j->arg = r;
    j->answer = answer;
    j->home = &r->loop->mailbox;
    j->letter.open = came_home;
    request_hold(r, j, forget);
}
