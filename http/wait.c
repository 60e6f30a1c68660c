/*
 * Invariants:
 *  1. A suspended request is watched, and in exactly one place that will resume it: the
 *     ledger's line, a list of parked readers, or an upload with a chunk on its way.
 *  2. A request that left the line after its grant was given waits for the letter with it.
 */
#include "wait.h"

#include "base/text.h"
#include "metrics.h"
#include "router.h"
#include "server.h"

#include <stdio.h>
#include <sys/socket.h>

#define FROM(ptr, field) ((struct request *)((char *)(ptr)-offsetof(struct request, field)))

int request_socket(const struct request *r)
{
    return MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

void request_list_remove(struct request *r)
{
    if (!r->list)
        return;
    *(r->prev ? &r->prev->next : &r->list->first) = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->prev = r->next = NULL;
    r->list = NULL;
}

void request_list_add(struct request_list *list, struct request *r)
{
    request_list_remove(r);
    r->next = list->first;
    if (r->next)
        r->next->prev = r;
    list->first = r;
    r->list = list;
}

/* ---- suspended and resumed ---- */

void wait_watch(struct request *r)
{
    loop_watch(r->loop, request_socket(r), &r->watch);
    r->watched = true;
}

void wait_unwatch(struct request *r)
{
    if (r->watched)
        loop_unwatch(r->loop, request_socket(r));
    r->watched = false;
}

void wait_resume(struct request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    timers_clear(&r->loop->timers, &r->timer);
    wait_unwatch(r);
    MHD_resume_connection(r->conn);
    r->loop->progress = true;
}

static void unpark(struct request *r)
{
    waiters_leave(r->loop->broker->waiters, r->loop->index, r->slot);
    metric_add(METRIC_READERS_PARKED, -1);
    request_list_remove(r);
    r->phase = REQUEST_REPLY;
    wait_resume(r);
}

/* While it stands in line it is owed a letter: the loop must not end before that. */
static bool leave_line(struct request *r)
{
    if (!ledger_leave(r->body.ledger, &r->body.room))
        return false;
    atomic_fetch_sub(&r->loop->mailbox.owed, 1);
    return true;
}

/* The client left while it was suspended, or the loop is told to end. */
static void cut(struct request *r)
{
    r->kill = true;
    if (r->phase == REQUEST_PARKED) {
        metric_add(METRIC_READERS_LEFT, 1);
        unpark(r);
    } else if (r->phase == REQUEST_WAITING) {
        if (leave_line(r))
            wait_resume(r); /* else its letter is on the way, and resumes it */
    } else {
        wait_resume(r);
    }
}

void wait_suspend(struct request *r, int64_t until_ms)
{
    metric_add(METRIC_SUSPENSIONS, 1);
    r->suspended = true;
    MHD_suspend_connection(r->conn);
    wait_watch(r);
    if (until_ms && timers_set(&r->loop->timers, &r->timer, until_ms))
        cut(r); /* better gone than waiting for ever */
}

/* The library misses an end that came together with the last bytes: it takes a short read
 * for "nothing more yet" and waits for an edge that has been. A resume makes it read. */
static void nudge(struct request *r)
{
    MHD_suspend_connection(r->conn);
    MHD_resume_connection(r->conn);
    r->loop->progress = true;
}

/* A client in the middle of its body may have sent the rest and closed its side only, so
 * the library reads to the end and sees for itself. One that waits is taken as gone. */
static void client_left(struct source *s, uint32_t events)
{
    struct request *r = FROM(s, watch);
    bool in_body = r->phase == REQUEST_BODY || r->phase == REQUEST_DISCARD;

    (void)events;
    if (!in_body)
        cut(r);
    else if (!r->suspended)
        nudge(r);
}

/* ---- waiting for room ---- */

static void no_room(struct request *r)
{
    char limit[TEXT_NUMBER_ROOM], wait[TEXT_NUMBER_ROOM];
    struct ledger_figures f;

    ledger_read(r->body.ledger, &f);
    text_format_size(limit, f.limit);
    text_format_duration(wait, r->body.wait_ms);
    if (r->loop->broker->draining)
        reply_problem(r, PROBLEM_DRAINING,
                      "The broker is shutting down and takes no new messages.");
    else if (r->body.ledger == r->loop->broker->json)
        reply_problem(r, PROBLEM_BUSY, "Other requests use the %s kept for JSON bodies.",
                      limit);
    else
        reply_problem(r, PROBLEM_BUFFER_FULL,
                      "The publish buffer (publish_buffer = %s) had no room for this "
                      "message within %s. Nothing was stored; try again.",
                      limit, wait);
}

static void time_over(struct timer *t)
{
    struct request *r = FROM(t, timer);

    if (r->phase == REQUEST_PARKED) {
        if (!r->route->look(r, true))
            r->kill = true;
        unpark(r);
        r->loop->last_woken = NULL;
    } else if (r->phase == REQUEST_WAITING && leave_line(r)) {
        no_room(r);
        wait_resume(r);
    }
}

static void open_room(struct letter *l)
{
    wait_resume(FROM(l, room_letter)); /* headers_again goes on, whatever happened since */
}

static void room_granted(struct ledger_waiter *w)
{
    struct request *r = FROM(w, body.room);
    struct mailbox *home = &r->loop->mailbox;

    mailbox_post(home, &r->room_letter); /* r may be gone from here on */
    atomic_fetch_sub(&home->owed, 1);
}

/* ---- in the ledger's line ---- */

void wait_for_room(struct request *r)
{
    if (!r->body.wait_ms && leave_line(r)) {
        no_room(r);
        return;
    }
    r->phase = REQUEST_WAITING;
    r->in_headers = true;
    request_list_add(&r->loop->waiting, r);
    /* One more: the clock's millisecond is already under way. */
    wait_suspend(r, r->loop->now_ms + (int64_t)r->body.wait_ms + 1);
}

/* ---- parked ---- */

void wait_park(struct request *r)
{
    unsigned slot = waiters_slot(request_topic(r));

    r->slot = (uint16_t)slot;
    waiters_park(r->loop->broker->waiters, r->loop->index, slot);
    /* A commit from here on wakes us; one just before is seen by this look. */
    if (r->route->look(r, false) || r->reply.response) {
        waiters_leave(r->loop->broker->waiters, r->loop->index, slot);
        r->loop->last_woken = NULL; /* it is gone when others are woken */
        return;
    }
    r->phase = REQUEST_PARKED;
    request_list_add(&r->loop->parked[slot], r);
    metric_add(METRIC_READERS_PARKED, 1);
    wait_suspend(r, r->read.until_ms);
}

static void look_at(struct request_list *list, bool last)
{
    struct request *r = list->first, *next;

    for (; r; r = next) {
        next = r->next;
        if (r->route->look(r, last))
            unpark(r);
    }
}

/* Answers are shared among those woken at the same time only: one who asks later must not
 * get what was true before. */
void wait_woken(void *loop, unsigned slot)
{
    struct loop *l = loop;
    unsigned first = slot < LOOP_PARK_BUCKETS ? slot : 0;
    unsigned end = slot < LOOP_PARK_BUCKETS ? slot + 1 : LOOP_PARK_BUCKETS;

    for (unsigned i = first; i < end; i++)
        look_at(&l->parked[i], false);
    l->last_woken = NULL;
}

/* ---- all at once ---- */

static void drain_waiting(struct loop *l)
{
    struct request *r = l->waiting.first, *next;

    for (; r; r = next) {
        next = r->next;
        if (leave_line(r)) {
            no_room(r);
            wait_resume(r);
        }
    }
}

void wait_drain(struct loop *l)
{
    drain_waiting(l);
    for (unsigned i = 0; i < LOOP_PARK_BUCKETS; i++)
        look_at(&l->parked[i], true);
    l->last_woken = NULL;
}

static void cut_list(struct request_list *list)
{
    struct request *r = list->first, *next;

    for (; r; r = next) {
        next = r->next;
        cut(r);
    }
}

void wait_cut_all(struct loop *l)
{
    cut_list(&l->receiving);
    cut_list(&l->waiting);
    for (unsigned i = 0; i < LOOP_PARK_BUCKETS; i++)
        cut_list(&l->parked[i]);
}

void wait_init(struct request *r)
{
    r->watch.ready = client_left;
    r->timer.fire = time_over;
    r->room_letter.open = open_room;
    r->body.room.granted = room_granted;
}
