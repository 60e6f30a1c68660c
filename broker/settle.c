#include "settle.h"

#include "delivery.h"

/* Is the lease still the one that is out? */
static enum err find(struct turn *t, const struct sub_state *sub, struct settle_item *i,
                     struct delivery *d)
{
    enum err e = ERR_NOT_FOUND;

    if (i->lease.sub_id == sub->id)
        e = t->ops->subs->delivery_find(t->store, sub, i->lease.offset, d);
    if (e && e != ERR_NOT_FOUND)
        return turn_spoil(t, e);
    if (e || d->deliveries != i->lease.deliveries)
        i->result = SETTLE_FENCED;
    else if (d->state != DELIVERY_LEASED || d->due_ms <= t->now_ms)
        i->result = SETTLE_EXPIRED;
    else
        i->result = SETTLE_DONE;
    return ERR_OK;
}

static enum err extend(struct settle *c, struct turn *t, struct sub_state *sub,
                       const struct delivery *d)
{
    struct delivery after = *d;
    enum err e;

    after.due_ms = c->until_ms;
    e = t->ops->subs->delivery_put(t->store, sub, d, &after);
    turn_due(t, after.due_ms);
    return e ? turn_spoil(t, e) : e;
}

static enum err settle(struct settle *c, struct turn *t, struct sub_state *sub,
                       const struct delivery *d)
{
    enum err e;

    switch (c->kind) {
    case SETTLE_ACK:
        sub->counters.acked++;
        t->deliveries.acked++;
        return delivery_finish(t, sub, d);
    case SETTLE_NACK:
        return delivery_retry(t, sub, d,
                              c->has_delay
                                  ? c->delay_ms
                                  : delivery_backoff_ms(&sub->settings, d->deliveries));
    case SETTLE_EXTEND:
        return extend(c, t, sub, d);
    case SETTLE_REJECT:
        return delivery_give_up(t, sub, d, DEAD_REJECTED);
    case SETTLE_TAKE_BACK:
        return delivery_take_back(t, sub, d);
    case SETTLE_VANISHED:
        e = delivery_retry(t, sub, d, 0);
        t->deliveries.vanished += !e;
        return e;
    }
    return turn_spoil(t, ERR_UNSUPPORTED);
}

/* ERR_BUSY: to go on in the next turn. */
static enum err settle_all(struct settle *c, struct turn *t, struct sub_state *sub)
{
    struct delivery d;
    enum err e = ERR_OK;

    for (; c->at < c->count; c->at++) {
        struct settle_item *i = &c->items[c->at];

        if (i->result == SETTLE_UNKNOWN)
            continue;
        e = find(t, sub, i, &d);
        if (!e && i->result == SETTLE_DONE)
            e = settle(c, t, sub, &d);
        if (e)
            return e;
        c->settled += i->result == SETTLE_DONE;
    }
    return ERR_OK;
}

static enum err settle_run(struct job *j, struct turn *t)
{
    struct settle *c = (struct settle *)j;
    unsigned before = c->settled;
    struct sub_state sub;
    enum err e = t->ops->subs->find(t->store, bytes_of(c->name, c->name_len), &sub), saved;

    if (e)
        return e == ERR_NOT_FOUND ? e : turn_spoil(t, e);
    c->until_ms =
        t->now_ms + (int64_t)(c->has_delay ? c->delay_ms : sub.settings.lease_ms);
    e = settle_all(c, t, &sub);
    if (e && e != ERR_BUSY)
        return turn_spoil(t, e);
    saved = c->settled > before ? t->ops->subs->save(t->store, &sub) : ERR_OK;
    return saved ? turn_spoil(t, saved) : e;
}

static void settle_done(struct job *j, enum err e)
{
    struct settle *c = (struct settle *)j;

    c->outcome = e;
    if (c->ties)
        ties_settled(c->ties, c);
    if (!j->home)
        job_free(j);
}

struct settle *settle_new(unsigned count, struct grant *from)
{
    struct settle *c = job_new(settle_bytes(count), from);

    if (c)
        c->count = count;
    return c;
}

void settle_submit(struct writer *w, struct settle *c)
{
    c->job.run = settle_run;
    c->job.done = settle_done;
    c->job.cost = 4096 + 256 * (size_t)c->count;
    writer_submit(w, &c->job);
}
