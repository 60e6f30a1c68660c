#include "push/pusher.h"

#include "base/clock.h"
#include "metrics.h"
#include "receive.h"
#include "subscription.h"

#include <stdlib.h>

#define LEASE_MORE_MS  10000u /* than a transfer may take: for the writer, before and after */
#define TRANSFER_LEAST_MS 1000
#define FLOW_CALLER    0x70757368u /* all that is pushed is one caller */
#define PASS_MESSAGES  1000u /* that a filter is against, in a step */
#define STORE_PAUSE_MS 1000        /* after an error of the store, which is logged */

#define FROM(ptr, type, field) ((type *)((char *)(ptr)-offsetof(type, field)))

static const struct config *config_of(const struct push *p)
{
    return p->broker->config;
}

/* ---- the end of one ---- */

static void finish(struct push_delivery *d)
{
    struct push *p = d->push;
    struct push_target *t = d->target;

    push_transfer_end(&d->transfer);
    ledger_release(&d->grant);
    *d->link = d->next;
    if (d->next)
        d->next->link = d->link;
    p->doubtful -= d->doubtful;
    atomic_fetch_sub(&p->busy, 1);
    metric_add(METRIC_PUSH_IN_FLIGHT, -1);
    t->busy--;
    free(d);
    pusher_reap(p, t);
}

void deliver_done(struct push_delivery *d, CURLcode code)
{
    struct push *p = d->push;
    struct push_target *t = d->target;
    struct push_outcome o;

    push_transfer_outcome(&d->transfer, code, &o);
    if (push_outcome_taken(&o))
        settle_taken(d);
    else
        settle_refused(d, &o);
    pusher_due(p, t);
    finish(d);
}

static void give_back(struct push_delivery *d)
{
    settle_back(d);
    finish(d);
}

void deliver_cut(struct push_delivery *d)
{
    if (d->stage == PUSH_SENDING)
        give_back(d);
}

/* ---- leased: to be sent ---- */

/* ERR_NOT_FOUND: the message, the subscription or its URL went meanwhile. */
static enum err begin(struct push_delivery *d, int64_t until_ms)
{
    struct push *p = d->push;
    struct fetch *f = &p->client.fetch;
    int64_t left_ms = until_ms - clock_wall_ms() - LEASE_MORE_MS / 2;
    struct store_entry m;
    struct sub_state sub;
    uint64_t ms;
    enum err e = fetch_begin_subscription(f, push_target_name(d->target), &sub);

    if (!e && (!f->topic.id || sub.id != d->lease.sub_id ||
               !sub_extra(&sub.settings, SUB_PUSH_URL).len || left_ms < TRANSFER_LEAST_MS))
        e = ERR_NOT_FOUND;
    f->positioned = false;
    if (!e)
        e = fetch_next(f, d->lease.offset, &m);
    if (!e && m.offset != d->lease.offset)
        e = ERR_NOT_FOUND;
    if (!e) {
        ms = push_transfer_ms(config_of(p), record_size(&m.record));
        e = push_transfer_begin(&d->transfer, &p->client, &sub, &m, d->lease.deliveries,
                                ms < (uint64_t)left_ms ? ms : (uint64_t)left_ms);
    }
    fetch_end(f);
    return e;
}

static void leased(struct push_delivery *d, const struct receive *c)
{
    struct push *p = d->push;
    struct push_target *t = d->target;
    enum err e = ERR_CLOSED;

    d->lease = c->got[0];
    t->small_room = 0;
    d->stage = PUSH_SENDING;
    if (!p->draining && !p->stopping)
        e = begin(d, c->until_ms);
    if (!e)
        return;
    if (e == ERR_NO_MEMORY || e == ERR_IO)
        pusher_due_at(p, t, p->now_ms + STORE_PAUSE_MS);
    give_back(d);
}

static void came_home(struct letter *l)
{
    struct receive *c = (struct receive *)l;
    struct push_delivery *d = c->job.arg;
    struct push *p = d->push;
    struct push_target *t = d->target;

    p->now_ms = clock_mono_ms();
    t->asking = false;
    if (c->outcome && c->outcome != ERR_NOT_FOUND)
        pusher_due_at(p, t, p->now_ms + STORE_PAUSE_MS);
    else
        pusher_due(p, t); /* there may be more, or it is not there any more */
    if (c->small)
        t->small_room = d->room.bytes;
    if (c->count)
        leased(d, c);
    else
        finish(d);
    job_free(&c->job);
}

/* ---- granted: to be leased ---- */

static void lease(struct push_delivery *d)
{
    struct push *p = d->push;
    struct push_target *t = d->target;
    struct receive *c;

    d->stage = PUSH_LEASING;
    d->grant = d->room.grant;
    d->room.grant = (struct grant){ 0 };
    c = p->draining || p->stopping ? NULL : receive_new(1, &d->grant);
    if (!c) {
        t->asking = false;
        pusher_due_at(p, t, p->now_ms + STORE_PAUSE_MS);
        finish(d);
        return;
    }
    c->job.arg = d;
    memcpy(c->name, t->name, t->name_len);
    c->name_len = t->name_len;
    c->lease_ms = d->lease_ms;
    c->max_bytes = UINT64_MAX;
    c->room = d->grant.bytes;
    c->room_of = push_transfer_room;
    c->job.home = &p->mailbox;
    c->job.flow = d->room.flow;
    c->job.letter.open = came_home;
    receive_submit(p->broker->writer, c);
}

static void open_room(struct letter *l)
{
    struct push_delivery *d = FROM(l, struct push_delivery, room_letter);

    d->push->now_ms = clock_mono_ms();
    lease(d);
}

/* Whichever thread gave room back. */
static void granted(struct ledger_waiter *w)
{
    struct push_delivery *d = FROM(w, struct push_delivery, room);
    struct mailbox *home = &d->push->mailbox;

    mailbox_post(home, &d->room_letter); /* d may be gone from here on */
    atomic_fetch_sub(&home->owed, 1);
}

void deliver_leave(struct push_delivery *d)
{
    struct push *p = d->push;

    if (d->stage != PUSH_IN_LINE || !ledger_leave(p->broker->read, &d->room))
        return; /* else its letter is on the way */
    atomic_fetch_sub(&p->mailbox.owed, 1);
    d->target->asking = false;
    finish(d);
}

/* ---- is there a message? ---- */

static struct push_delivery *delivery_new(struct push *p, struct push_target *t)
{
    struct push_delivery *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    *d = (struct push_delivery){ .push = p,
                                 .target = t,
                                 .doubtful = push_pace_doubtful(&t->pace),
                                 .next = p->deliveries,
                                 .link = &p->deliveries };
    if (d->next)
        d->next->link = &d->next;
    p->deliveries = d;
    p->doubtful += d->doubtful;
    atomic_fetch_add(&p->busy, 1);
    metric_add(METRIC_PUSH_IN_FLIGHT, 1);
    t->busy++;
    t->asking = true;
    return d;
}

static void ask(struct push *p, struct push_target *t, const struct store_entry *m)
{
    struct push_delivery *d = delivery_new(p, t);
    size_t bytes = receive_bytes(1) + push_transfer_room(&m->record);
    enum err e;

    if (!d) {
        pusher_due_at(p, t, p->now_ms + STORE_PAUSE_MS);
        return;
    }
    d->lease_ms = push_transfer_ms(config_of(p), record_size(&m->record)) + LEASE_MORE_MS;
    d->room_letter.open = open_room;
    d->room.granted = granted;
    d->room.bytes = bytes > 2 * t->small_room ? bytes : 2 * t->small_room;
    d->room.flow = (struct fair_flow){ FLOW_CALLER, t->slots[0] };
    atomic_fetch_add(&p->mailbox.owed, 1); /* before it may be granted */
    e = ledger_wait(p->broker->read, &d->room);
    if (e == ERR_BUSY)
        return;
    atomic_fetch_sub(&p->mailbox.owed, 1);
    if (!e) {
        lease(d);
        return;
    }
    t->asking = false; /* limits_read_least does not let it come to this */
    pusher_due_at(p, t, p->now_ms + PUSH_PAUSE_MOST_MS);
    finish(d);
}

/* What a filter is against is passed over by the job, when it is much, or when something behind it
 * is wanted; so little is looked at again, and not written down. */
static enum err next_new(struct fetch *f, const struct sub_state *sub, struct store_entry *m)
{
    uint64_t at = sub->next;
    struct filter filter;
    enum err e;

    if (!filter_read(&sub->settings, &filter))
        return ERR_CORRUPT;
    if (!filter.count)
        return fetch_next(f, at, m);
    e = fetch_matching(f, &filter, PASS_MESSAGES, &at, m);
    return e == ERR_BUSY ? ERR_OK : e;
}

/* What may be handed out next. ERR_NOT_FOUND: nothing now. A message that is READY may be
 * gone from the log: the job sees to that, and needs hardly any room for it. */
static enum err next_of(struct fetch *f, const struct sub_state *sub, struct store_entry *m)
{
    bool ready = sub->in[DELIVERY_READY] && subscription_may_give(sub, false);
    uint64_t offset;
    enum err e;

    *m = (struct store_entry){ 0 };
    if (!f->topic.id || (!ready && !subscription_may_give(sub, true)))
        return ERR_NOT_FOUND;
    f->positioned = false;
    if (!ready)
        return next_new(f, sub, m);
    e = f->ops->subs->read_ready(f->reader, sub, &offset);
    if (!e)
        e = fetch_next(f, offset, m);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* With the snapshot open; ERR_NOT_FOUND: it is not to be pushed any more. */
static enum err find(struct push *p, struct push_target *t, struct sub_state *sub)
{
    struct fetch *f = &p->client.fetch;
    enum err e;

    do {
        fetch_end(f);
        e = fetch_begin_subscription(f, push_target_name(t), sub);
        if (!e && !sub_extra(&sub->settings, SUB_PUSH_URL).len)
            e = ERR_NOT_FOUND;
    } while (!e && pusher_park(p, t, subscription_topic(sub)));
    return e;
}

static void look(struct push *p, struct push_target *t)
{
    struct fetch *f = &p->client.fetch;
    struct sub_state sub;
    struct store_entry m;
    enum err e = find(p, t, &sub);

    if (e == ERR_NOT_FOUND) {
        fetch_end(f);
        pusher_forget(p, t);
        return;
    }
    if (!e)
        e = next_of(f, &sub, &m);
    if (!e)
        ask(p, t, &m);
    else if (e != ERR_NOT_FOUND)
        pusher_due_at(p, t, p->now_ms + STORE_PAUSE_MS);
    fetch_end(f);
}

bool deliver_look(struct push *p, struct push_target *t)
{
    unsigned most = (unsigned)config_of(p)->push_connections;
    unsigned room = push_pace_room(&t->pace, (unsigned)config_of(p)->push_concurrency,
                                   p->now_ms);

    if (p->draining || t->gone || t->asking)
        return true;
    if (t->pace.until_ms > p->now_ms)
        pusher_due_at(p, t, t->pace.until_ms);
    if (t->busy >= room)
        return true;
    if (atomic_load(&p->busy) >= most ||
        (push_pace_doubtful(&t->pace) && p->doubtful >= (most + 1) / 2))
        return false;
    look(p, t);
    return true;
}
