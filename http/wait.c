/*
 * Invariants:
 *  1. A suspended request is watched, and in exactly one place that will resume it: a
 *     ledger's line (line.h), the list of those outside (hold.h), a list of parked readers or
 *     of streams (sse_stream.h), or an upload with a chunk on its way.
 *  2. A parked reader holds no grant, and is counted for its slot.
 */
#include "wait.h"

#include "held_answer.h"
#include "hold.h"
#include "line.h"
#include "metrics.h"
#include "router.h"
#include "server.h"
#include "sse_stream.h"

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

/* No longer counted for its slots. */
static void leave_slots(struct request *r)
{
    struct waiters *w = r->loop->broker->waiters;

    waiters_leave(w, r->loop->index, r->slot);
    if (!r->receiver_link)
        return;
    waiters_leave(w, r->loop->index, r->topic_slot);
    *r->receiver_link = r->receiver_next;
    if (r->receiver_next)
        r->receiver_next->receiver_link = r->receiver_link;
    r->receiver_next = NULL;
    r->receiver_link = NULL;
    receivers_leave(r->loop->broker->receivers, &r->receiver);
}

void wait_unpark(struct request *r)
{
    leave_slots(r);
    metric_add(METRIC_READERS_PARKED, -1);
    request_list_remove(r);
    r->phase = REQUEST_REPLY;
}

/* What it waited for is answered; or it stands in line for that, and is parked no more. */
static void looked(struct request *r)
{
    if (r->phase != REQUEST_PARKED)
        return;
    wait_unpark(r);
    wait_resume(r);
}

/* The client left while it was suspended, or the loop is told to end. */
static void cut(struct request *r)
{
    r->kill = true;
    if (r->phase == REQUEST_PARKED) {
        metric_add(METRIC_READERS_LEFT, 1);
        wait_unpark(r);
        wait_resume(r);
    } else if (r->phase == REQUEST_WAITING || r->phase == REQUEST_QUEUED) {
        line_cut(r);
    } else if (r->phase == REQUEST_OUTSIDE) {
        hold_cut(r);
    } else {
        wait_resume(r);
    }
}

void wait_aside(struct request *r)
{
    metric_add(METRIC_SUSPENSIONS, 1);
    r->suspended = true;
    MHD_suspend_connection(r->conn);
}

void wait_suspend(struct request *r, int64_t until_ms)
{
    if (!r->suspended) {
        wait_aside(r);
        wait_watch(r);
    }
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

static void time_over(struct timer *t)
{
    struct request *r = FROM(t, timer);

    if (r->phase == REQUEST_PARKED) {
        if (!r->route->look(r, true))
            r->kill = true;
        looked(r);
        r->loop->last_woken = NULL;
    } else if (r->phase == REQUEST_WAITING || r->phase == REQUEST_QUEUED) {
        line_time_over(r);
    } else if (r->phase == REQUEST_OUTSIDE) {
        hold_time_over(r);
    }
}

/* ---- parked ---- */

/* It is counted for its slots: a commit from here on wakes us; one just before is seen by
 * this look. */
static void look_and_park(struct request *r)
{
    ledger_release(&r->answer.room.grant); /* who waits for others holds nothing */
    r->answer.until_ms = 0;
    if (r->route->look(r, false) || r->reply.response) {
        leave_slots(r);
        r->loop->last_woken = NULL; /* it is gone when others are woken */
        return;
    }
    r->phase = REQUEST_PARKED;
    request_list_add(&r->loop->parked[r->slot], r);
    metric_add(METRIC_READERS_PARKED, 1);
    wait_suspend(r, r->read.until_ms);
}

static void enter_slot(struct request *r, unsigned slot)
{
    r->slot = (uint16_t)slot;
    waiters_park(r->loop->broker->waiters, r->loop->index, slot);
}

void wait_park(struct request *r)
{
    enter_slot(r, waiters_slot(request_topic(r)));
    look_and_park(r);
}

void wait_park_receiver(struct request *r, struct bytes subscription)
{
    unsigned slot = waiters_slot(request_topic(r));
    struct request **first = &r->loop->receivers[slot].first;

    enter_slot(r, waiters_subscription_slot(subscription));
    r->topic_slot = (uint16_t)slot;
    waiters_park(r->loop->broker->waiters, r->loop->index, slot);
    r->receiver_next = *first;
    r->receiver_link = first;
    if (*first)
        (*first)->receiver_link = &r->receiver_next;
    *first = r;
    receivers_join(r->loop->broker->receivers, &r->receiver, receivers_hash(subscription));
    look_and_park(r);
}

static void look_at(struct request_list *list, bool last)
{
    struct request *r = list->first, *next;

    for (; r; r = next) {
        next = r->next;
        if (r->route->look(r, last))
            looked(r);
    }
}

/* Also those who have just been looked at for another reason: a look more does no harm. One
 * of them may be on its way to being parked. */
static void look_at_receivers(struct request_list *list)
{
    struct request *r = list->first, *next;

    for (; r; r = next) {
        next = r->receiver_next;
        if (r->phase == REQUEST_PARKED && r->route->look(r, false))
            looked(r);
    }
}

/* Answers are shared among those woken at the same time only: one who asks later must not
 * get what was true before. */
void wait_woken(void *loop, unsigned slot)
{
    struct loop *l = loop;
    unsigned first = slot < LOOP_PARK_BUCKETS ? slot : 0;
    unsigned end = slot < LOOP_PARK_BUCKETS ? slot + 1 : LOOP_PARK_BUCKETS;

    l->rounds++;
    for (unsigned i = first; i < end; i++) {
        look_at(&l->parked[i], false);
        look_at_receivers(&l->receivers[i]);
    }
    l->last_woken = NULL;
    sse_stream_woken(l, first, end);
}

/* ---- all at once ---- */

void wait_drain(struct loop *l)
{
    hold_drain(l);
    line_drain(l);
    for (unsigned i = 0; i < LOOP_PARK_BUCKETS; i++)
        look_at(&l->parked[i], true);
    l->last_woken = NULL;
    sse_stream_drain(l);
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
    for (unsigned i = 0; i < LOOP_PARK_BUCKETS; i++) {
        cut_list(&l->outside[i]);
        cut_list(&l->queued[i]);
        cut_list(&l->parked[i]);
    }
    sse_stream_cut_all(l);
    held_answer_cut_all(l);
}

void wait_init(struct request *r)
{
    r->watch.ready = client_left;
    r->timer.fire = time_over;
    line_init(r);
}
