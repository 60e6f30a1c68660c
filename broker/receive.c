#include "receive.h"

#include "delivery.h"
#include "filter.h"
#include "subscription.h"

/* Messages passed over in one turn: gone, held, too early, or filtered out. */
#define STEPS_MAX 1000u

struct pick { /* one run */
    struct receive *c;
    struct turn *t;
    struct sub_state sub;
    struct store_topic *topic;
    struct filter filter; /* of sub */
    unsigned steps;
    bool turn_is_full;
    uint64_t bytes;
    bool changed; /* sub, beside its deliveries */
};

/* False: there is no room for this one, and the job is full. */
static bool fits(struct pick *p, const struct record *r)
{
    struct receive *c = p->c;
    size_t need = c->room_of(r);
    uint64_t size = r->blob_id ? 0 : r->body.len;

    if (need > c->room || (c->count && p->bytes + size > c->max_bytes)) {
        c->small = !c->count;
        c->more = true;
        return false;
    }
    return true;
}

static enum err give(struct pick *p, const struct store_entry *m,
                     const struct delivery *before)
{
    struct receive *c = p->c;
    struct delivery d;
    enum err e;

    c->room -= c->room_of(&m->record);
    p->bytes += m->record.blob_id ? 0 : m->record.body.len;
    e = delivery_lease(p->t, &p->sub, m, before, c->until_ms, c->booked, &d);
    c->got[c->count++] = (struct lease){ p->sub.id, d.offset, d.deliveries };
    return e;
}

static bool goes_on(const struct pick *p, bool fresh)
{
    return p->c->count < p->c->limit && !p->c->more && p->steps < STEPS_MAX &&
           subscription_may_give(&p->sub, fresh);
}

static enum err expired(struct pick *p, const struct delivery *d)
{
    p->steps++;
    p->sub.counters.expired++;
    p->t->deliveries.expired++;
    return delivery_finish(p->t, &p->sub, d);
}

/* ERR_NOT_FOUND: no more of these. */
static enum err take_one_ready(struct pick *p)
{
    const struct store_subs_ops *subs = p->t->ops->subs;
    struct store_entry m;
    struct delivery d;
    uint64_t offset;
    enum err e = subs->first_ready(p->t->store, &p->sub, &offset);

    if (e == ERR_NOT_FOUND)
        return e;
    if (!e)
        e = subs->delivery_find(p->t->store, &p->sub, offset, &d);
    if (e)
        return turn_spoil(p->t, e);
    e = p->t->ops->log_first(p->t->store, p->topic, offset, p->t->now_ms, 1, &m);
    if (e == ERR_NOT_FOUND || e == ERR_BUSY || (!e && m.offset != offset))
        return expired(p, &d);
    if (e)
        return turn_spoil(p->t, e);
    return fits(p, &m.record) ? give(p, &m, &d) : ERR_OK;
}

static enum err take_one_new(struct pick *p)
{
    struct store_entry m;
    bool held;
    enum err e = p->t->ops->log_first(p->t->store, p->topic, p->sub.next, p->t->now_ms,
                                      STEPS_MAX, &m);

    if (e == ERR_BUSY) {
        p->steps = STEPS_MAX;
        p->sub.next = m.offset;
        p->changed = true;
        return ERR_OK;
    }
    if (e == ERR_NOT_FOUND) { /* whatever lay between is gone */
        uint64_t end = p->t->ops->topic_state(p->topic)->next_offset;

        p->changed |= p->sub.next < end;
        p->sub.next = p->sub.next < end ? end : p->sub.next;
        return e;
    }
    if (e)
        return turn_spoil(p->t, e);
    if (!filter_passes(&p->filter, m.record.attributes)) {
        p->steps++;
        p->sub.next = m.offset + 1;
        p->changed = true;
        return ERR_OK;
    }
    e = delivery_hold(p->t, &p->sub, &m, &held);
    if (e || (!held && !fits(p, &m.record)))
        return e;
    p->sub.next = m.offset + 1;
    p->changed = true;
    p->steps += held;
    return held ? ERR_OK : give(p, &m, NULL);
}

static enum err take(struct pick *p)
{
    enum err e = ERR_OK;

    while (!e && goes_on(p, false))
        e = take_one_ready(p);
    if (e == ERR_NOT_FOUND)
        e = ERR_OK;
    while (!e && goes_on(p, true))
        e = take_one_new(p);
    p->turn_is_full = e == ERR_BUSY;
    return e == ERR_NOT_FOUND || e == ERR_BUSY ? ERR_OK : e;
}

/* There is more, for those who were not woken because somebody else was: what may be leased
 * has changed since they were counted. */
static void wake_others(const struct pick *p)
{
    const struct topic_state *topic = p->t->ops->topic_state(p->topic);

    if ((p->sub.in[DELIVERY_READY] && subscription_may_give(&p->sub, false)) ||
        (p->sub.next < topic->next_offset && subscription_may_give(&p->sub, true)))
        turn_wake_subscription(p->t, bytes_of(p->sub.name, p->sub.name_len));
}

static enum err save(struct pick *p)
{
    enum err e = ERR_OK;
    bool again;

    if (p->changed || p->c->count || p->steps)
        e = p->t->ops->subs->save(p->t->store, &p->sub);
    if (e)
        return turn_spoil(p->t, e);
    if (p->c->count)
        wake_others(p);
    /* What it passed over stays passed over; the next turn goes on from there. Where a filter
     * is, the submitter looks ahead instead. */
    again = p->turn_is_full || (p->steps >= STEPS_MAX && !p->filter.count);
    return again && !p->c->count && !p->c->small ? ERR_BUSY : ERR_OK;
}

/* The log has grown at its end only, so what was seen there holds. */
static void pass(struct pick *p)
{
    const struct receive *c = p->c;
    uint64_t end = p->t->ops->topic_state(p->topic)->next_offset;

    if (!c->mark || c->seen <= p->sub.next || c->seen > end ||
        c->mark != subscription_mark(p->t->ops, p->t->store, &p->sub))
        return;
    p->sub.next = c->seen;
    p->changed = true;
}

static enum err receive_run(struct job *j, struct turn *t)
{
    struct receive *c = (struct receive *)j;
    struct pick p = { .c = c, .t = t };
    enum err e = t->ops->subs->find(t->store, bytes_of(c->name, c->name_len), &p.sub);

    if (e)
        return e == ERR_NOT_FOUND ? e : turn_spoil(t, e);
    e = t->ops->topic_find(t->store, subscription_topic(&p.sub), &p.topic);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : turn_spoil(t, e);
    e = t->ops->room(t->store, c->job.cost);
    if (e)
        return e;
    if (!filter_read(&p.sub.settings, &p.filter))
        return turn_spoil(t, ERR_CORRUPT);
    pass(&p);
    c->until_ms = t->now_ms +
                  (int64_t)(c->lease_ms ? c->lease_ms : p.sub.settings.lease_ms);
    e = take(&p);
    return e ? e : save(&p);
}

static void receive_done(struct job *j, enum err e)
{
    struct receive *c = (struct receive *)j;

    c->outcome = e;
    if (e)
        c->count = 0;
}

struct receive *receive_new(unsigned limit, struct grant *from)
{
    struct receive *c = job_new(receive_bytes(limit), from);

    if (c)
        c->limit = limit;
    return c;
}

void receive_submit(struct writer *w, struct receive *c)
{
    c->job.run = receive_run;
    c->job.done = receive_done;
    c->job.cost = 4096 + 256 * (size_t)c->limit;
    writer_submit(w, &c->job);
}
