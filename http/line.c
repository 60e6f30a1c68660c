/*
 * Invariants:
 *  1. While it stands in line a request is owed a letter, which mailbox.owed counts: the
 *     loop does not end before. It is posted by room_granted, or is owed no more when
 *     leave() took the request out.
 *  2. A request that could not leave, because its room was granted in that moment, stays
 *     suspended until that letter: nothing else resumes it.
 *  3. Who holds a read grant does not stand in line: what it was granted goes back before it
 *     asks again, or parks. So a grant waits for its client only, whom write_timeout
 *     bounds, and every grant comes back without help from anybody in line.
 */
#include "line.h"

#include "base/text.h"
#include "caller.h"
#include "metrics.h"
#include "router.h"
#include "wait.h"

#define FROM(ptr, field) ((struct request *)((char *)(ptr)-offsetof(struct request, field)))

/* ---- in and out, of either ledger's line ---- */

/* True: it is out of the line, and owed nothing. */
static bool leave(struct request *r)
{
    struct ledger *l = r->body.ledger;
    struct ledger_waiter *w = &r->body.room;

    if (r->phase == REQUEST_QUEUED) {
        l = r->loop->broker->read;
        w = &r->answer.room;
    }
    if (!ledger_leave(l, w))
        return false;
    atomic_fetch_sub(&r->loop->mailbox.owed, 1);
    return true;
}

static void post(struct request *r)
{
    struct mailbox *home = &r->loop->mailbox;

    mailbox_post(home, &r->room_letter); /* r may be gone from here on */
    atomic_fetch_sub(&home->owed, 1);
}

static void body_granted(struct ledger_waiter *w)
{
    post(FROM(w, body.room));
}

static void answer_granted(struct ledger_waiter *w)
{
    post(FROM(w, answer.room));
}

static void refuse(struct request *r)
{
    bool reads = r->phase == REQUEST_QUEUED;
    const struct broker *b = r->loop->broker;
    char limit[TEXT_NUMBER_ROOM], wait[TEXT_NUMBER_ROOM];
    struct ledger_figures f;

    ledger_read(reads ? b->read : r->body.ledger, &f);
    text_format_size(limit, f.limit);
    text_format_duration(wait, reads ? b->config->read_buffer_wait_max_ms : r->body.wait_ms);
    if (b->draining)
        reply_problem(r, PROBLEM_DRAINING,
                      reads ? "The broker is shutting down."
                            : "The broker is shutting down and takes no new messages.");
    else if (reads)
        reply_problem(r, PROBLEM_READ_BUFFER_FULL,
                      "The read buffer (read_buffer = %s) had no room for this answer "
                      "within %s: slower readers hold it. Ask again, or for less.",
                      limit, wait);
    else if (r->body.ledger == b->json)
        reply_problem(r, PROBLEM_BUSY, "Other requests use the %s kept for JSON bodies.",
                      limit);
    else
        reply_problem(r, PROBLEM_BUFFER_FULL,
                      "The publish buffer (publish_buffer = %s) had no room for this "
                      "message within %s. Nothing was stored; try again.",
                      limit, wait);
}

/* Out of the line, without what it was to be answered with. */
static void missed(struct request *r)
{
    if (r->phase == REQUEST_QUEUED && r->route->missed)
        r->route->missed(r);
}

/* Out of the line with its answer. */
static void answered(struct request *r)
{
    if (r->phase == REQUEST_QUEUED) {
        request_list_remove(r);
        r->phase = REQUEST_REPLY;
    }
    wait_resume(r);
}

/* ---- publishers ---- */

void line_for_body(struct request *r)
{
    if (!r->body.wait_ms && leave(r)) {
        refuse(r);
        return;
    }
    r->phase = REQUEST_WAITING;
    r->in_headers = true;
    request_list_add(&r->loop->waiting, r);
    /* One more: the clock's millisecond is already under way. */
    wait_suspend(r, r->loop->now_ms + (int64_t)r->body.wait_ms + 1);
}

/* ---- readers ---- */

/* It is in the ledger's line already, and its room may be granted at any time. */
static void stand(struct request *r)
{
    const struct broker *b = r->loop->broker;
    bool impatient = !b->config->read_buffer_wait_max_ms || b->draining;

    if (r->phase == REQUEST_PARKED)
        wait_unpark(r);
    r->phase = REQUEST_QUEUED;
    r->slot = (uint16_t)waiters_slot(request_topic(r));
    request_list_add(&r->loop->queued[r->slot], r);
    if (impatient && leave(r)) {
        refuse(r);
        missed(r);
        answered(r);
        return;
    }
    if (!r->answer.until_ms)
        r->answer.until_ms =
            r->loop->now_ms + (int64_t)b->config->read_buffer_wait_max_ms + 1;
    wait_suspend(r, r->answer.until_ms);
}

bool line_for_answer(struct request *r, size_t bytes, size_t least, struct grant *out)
{
    struct ledger_waiter *w = &r->answer.room;
    enum err e = ERR_OK;

    if (w->grant.bytes < least) {
        ledger_release(&w->grant);
        w->bytes = bytes;
        w->flow = caller_flow(r);
        atomic_fetch_add(&r->loop->mailbox.owed, 1); /* before it may be granted */
        e = ledger_wait(r->loop->broker->read, w);
        if (e != ERR_BUSY)
            atomic_fetch_sub(&r->loop->mailbox.owed, 1);
    }
    if (e == ERR_BUSY)
        stand(r);
    else if (e)
        reply_read_buffer_full(r); /* limits_plan does not let it come to this */
    if (e)
        return false;
    *out = w->grant;
    w->grant = (struct grant){ 0 };
    return true;
}

/* The room has come. What it asked for may be gone by now, or have grown, or another one's
 * answer may have been given to it. */
static void look_again(struct request *r)
{
    if (r->kill)
        missed(r);
    request_list_remove(r);
    r->phase = REQUEST_REPLY;
    if (!r->kill && !r->reply.response)
        r->answer.again(r);
    if (r->phase == REQUEST_QUEUED)
        return; /* its grant is the ledger's to write to */
    ledger_release(&r->answer.room.grant);
    if (r->phase != REQUEST_PARKED)
        wait_resume(r);
}

void line_share(struct request *r,
                bool (*same)(const struct request *a, const struct request *b))
{
    struct request *to = r->loop->queued[r->slot].first, *next;

    for (; to; to = next) {
        next = to->next;
        if (to == r || to->reply.response || !same(r, to) || !reply_share(r, to))
            continue;
        if (leave(to))
            answered(to); /* else its letter is on the way, and resumes it */
    }
}

/* ---- either of them ---- */

static void open_room(struct letter *l)
{
    struct request *r = FROM(l, room_letter);

    if (r->phase == REQUEST_QUEUED)
        look_again(r);
    else
        wait_resume(r); /* headers_again goes on, whatever happened since */
}

void line_time_over(struct request *r)
{
    if (!leave(r))
        return;
    refuse(r);
    missed(r);
    answered(r);
}

void line_cut(struct request *r)
{
    if (!leave(r))
        return;
    missed(r);
    answered(r); /* to be closed, as r->kill says */
}

static void drain(struct request_list *list)
{
    struct request *r = list->first, *next;

    for (; r; r = next) {
        next = r->next;
        line_time_over(r);
    }
}

void line_drain(struct loop *l)
{
    drain(&l->waiting);
    for (unsigned i = 0; i < LOOP_PARK_BUCKETS; i++)
        drain(&l->queued[i]);
}

void line_init(struct request *r)
{
    r->room_letter.open = open_room;
    r->body.room.granted = body_granted;
    r->answer.room.granted = answer_granted;
}
