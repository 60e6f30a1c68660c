#include "push/pusher.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define SCAN_STEP 1000u  /* subscriptions looked at under one snapshot */
#define POLL_MS   60000

/* ---- who is to be looked at ---- */

void pusher_due(struct push *p, struct push_target *t)
{
    if (t->is_due)
        return;
    t->is_due = true;
    t->due_next = NULL;
    *p->due_last = t;
    p->due_last = &t->due_next;
}

static void pause_over(struct timer *timer)
{
    struct push_target *t =
        (struct push_target *)((char *)timer - offsetof(struct push_target, pause));

    pusher_due(t->push, t);
}

void pusher_due_at(struct push *p, struct push_target *t, int64_t at_ms)
{
    t->pause.fire = pause_over;
    if (t->gone || timers_set(&p->timers, &t->pause, at_ms))
        pusher_due(p, t);
}

/* Each once: who finds no place for its message stays due, until another one ends. */
static void look_at_due(struct push *p)
{
    struct push_target *first = p->due_first, *next;

    p->due_first = NULL;
    p->due_last = &p->due_first;
    for (; first; first = next) {
        next = first->due_next;
        first->is_due = false;
        if (!deliver_look(p, first))
            pusher_due(p, first);
        else
            pusher_reap(p, first);
    }
}

/* ---- targets ---- */

static void unpark(struct push *p, struct push_target *t)
{
    for (int i = 0; i < 2 && t->parked; i++)
        waiters_leave(p->broker->waiters, (unsigned)p->broker->config->loops, t->slots[i]);
    t->parked = false;
}

bool pusher_park(struct push *p, struct push_target *t, struct bytes topic)
{
    uint16_t of_topic = (uint16_t)waiters_slot(topic);

    if (t->parked && t->slots[0] == of_topic)
        return false;
    unpark(p, t);
    t->slots[0] = of_topic;
    t->slots[1] = (uint16_t)waiters_subscription_slot(push_target_name(t));
    for (int i = 0; i < 2; i++)
        waiters_park(p->broker->waiters, (unsigned)p->broker->config->loops, t->slots[i]);
    t->parked = true;
    return true;
}

void pusher_forget(struct push *p, struct push_target *t)
{
    t->gone = true;
    unpark(p, t);
    timers_clear(&p->timers, &t->pause);
}

void pusher_reap(struct push *p, struct push_target *t)
{
    if (t->gone && !t->is_due && !t->busy)
        push_targets_remove(&p->targets, t);
}

struct news {
    struct push *push;
    unsigned slot;
};

static void tell(void *arg, struct push_target *t)
{
    const struct news *n = arg;

    if (n->slot == WAITERS_ALL || t->slots[0] == n->slot || t->slots[1] == n->slot)
        pusher_due(n->push, t);
}

void pusher_woken(void *arg, unsigned slot)
{
    struct news n = { arg, slot };

    push_targets_each(&n.push->targets, tell, &n);
}

/* ---- those that are there at the start ---- */

struct scan { /* one step */
    struct push *push;
    unsigned seen, left_out;
    bool more;
    struct sub_state last;
};

static bool see(void *arg, const struct sub_state *sub)
{
    struct scan *s = arg;

    s->more = s->seen++ == SCAN_STEP;
    if (s->more)
        return false;
    s->last = *sub;
    if (sub_extra(&sub->settings, SUB_PUSH_URL).len)
        s->left_out += !pusher_meet(s->push, bytes_of(sub->name, sub->name_len));
    return true;
}

bool pusher_meet(struct push *p, struct bytes name)
{
    struct push_target *t = push_targets_find(&p->targets, name);

    if (!t && p->targets.count < p->broker->config->max_push_subscriptions)
        t = push_targets_add(&p->targets, name, p);
    if (!t)
        return false;
    t->gone = false; /* it came back before it was freed */
    t->pace = (struct push_pace){ 0 }; /* perhaps it has another URL */
    pusher_due(p, t);
    return true;
}

/* A subscription that is made meanwhile comes as a note, too. */
static void scan(struct push *p)
{
    struct fetch *f = &p->client.fetch;
    struct scan s = { .push = p, .more = true };
    enum err e = ERR_OK;

    while (s.more && !e) {
        struct bytes after = bytes_of(s.last.name, s.last.name_len);

        s.more = false;
        s.seen = 0;
        e = fetch_begin_snapshot(f);
        if (!e)
            e = f->ops->subs->list(f->reader, bytes_of("", 0), after, see, &s);
        fetch_end(f);
    }
    if (e)
        LOG_ERROR("push", "scan_failed", LOG_S("error", err_name(e)));
    if (s.left_out)
        LOG_WARN("push", "left_out", LOG_I("subscriptions", s.left_out),
                 LOG_I("max_push_subscriptions", p->broker->config->max_push_subscriptions));
}

/* ---- the thread ---- */

static void collect(struct push *p)
{
    const struct push_library *lib = &p->client.lib;
    struct CURLMsg *m;
    int left, running;

    (void)lib->curl_multi_perform(p->client.multi, &running);
    while ((m = lib->curl_multi_info_read(p->client.multi, &left))) {
        CURLcode code = m->data.result; /* *m goes with the transfer */
        char *transfer = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        (void)lib->curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &transfer);
        deliver_done((struct push_delivery *)(transfer - offsetof(struct push_delivery,
                                                                  transfer)),
                     code);
    }
}

static void wait_for_events(struct push *p)
{
    struct curl_waitfd mail = { .fd = p->mailbox.fd, .events = CURL_WAIT_POLLIN };
    int64_t ms = timers_next(&p->timers, p->now_ms);

    if (ms < 0 || ms > POLL_MS)
        ms = POLL_MS;
    (void)p->client.lib.curl_multi_poll(p->client.multi, &mail, 1, (int)ms, NULL);
    p->now_ms = clock_mono_ms();
    mailbox_drain(&p->mailbox);
    timers_fire(&p->timers, p->now_ms);
}

static void cut_all(struct push *p)
{
    for (struct push_delivery *d = p->deliveries, *next; d; d = next) {
        next = d->next;
        deliver_leave(d);
    }
    for (struct push_delivery *d = p->deliveries, *next; d && p->stopping; d = next) {
        next = d->next;
        deliver_cut(d);
    }
}

static void forget_all(void *arg, struct push_target *t)
{
    pusher_forget(arg, t);
}

void *pusher_main(void *arg)
{
    struct push *p = arg;
    bool was_draining = false, was_stopping = false;

    p->now_ms = clock_mono_ms();
    scan(p);
    look_at_due(p);
    while (!p->stopping || atomic_load(&p->mailbox.owed) || p->deliveries) {
        wait_for_events(p);
        if (p->draining != was_draining || p->stopping != was_stopping)
            cut_all(p);
        was_draining = p->draining;
        was_stopping = p->stopping;
        collect(p);
        look_at_due(p);
    }
    mailbox_drain(&p->mailbox); /* the last letters were posted before `owed` fell */
    push_targets_each(&p->targets, forget_all, p);
    return NULL;
}
