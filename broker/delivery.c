/*
 * Invariants:
 *  1. With ordering by key, of each key only the lowest offset is not HELD.
 *  2. What is READY, HELD or WAITING is due when the message expires, or before that when it has
 *     waited; what is LEASED when that ends. So a subscription that nobody asks any more is
 *     emptied by the sweep as its messages expire. What is HELD and delayed is due at its time
 *     first; whoever lets it go before sees by that how long it is still to wait.
 *  3. What is HELD or WAITING are at most SUBSCRIPTION_HELD_MAX, and what max_in_flight lets
 *     out beside them: at the bound nothing new is taken from the log, and whatever leaves
 *     them wakes those who receive.
 */
#include "delivery.h"

#include "dead_letter.h"
#include "metrics.h"
#include "siphash.h"
#include "subscription.h"

#define GIVE_UP_AGAIN_MS 5000 /* when the dead letter topic had no place */
#define ROW_BYTES        150u /* of a delivery, and its entries */
#define PAGE_BYTES       4096u

/* ---- small things ---- */

static void wake(struct turn *t, const struct sub_state *sub)
{
    turn_wake_subscription(t, bytes_of(sub->name, sub->name_len));
}

/* One more may be handed out from now on. */
static void leaves(struct turn *t, const struct sub_state *sub, const struct delivery *d)
{
    if (d->state == DELIVERY_LEASED &&
        sub->in[DELIVERY_LEASED] >= sub->settings.max_in_flight)
        wake(t, sub);
    if ((d->state == DELIVERY_HELD || d->state == DELIVERY_WAITING) &&
        subscription_set_aside(sub) >= SUBSCRIPTION_HELD_MAX)
        wake(t, sub);
}

static enum err change(struct turn *t, struct sub_state *sub,
                       const struct delivery *before, const struct delivery *d)
{
    struct delivery now = *d;
    enum err e;

    if (before)
        leaves(t, sub, before);
    now.tied &= d->state == DELIVERY_LEASED;
    e = t->ops->subs->delivery_put(t->store, sub, before, &now);
    if (e)
        return turn_spoil(t, e);
    if (d->due_ms)
        turn_due(t, d->due_ms);
    if (d->state == DELIVERY_READY)
        wake(t, sub);
    return ERR_OK;
}

static enum err make_ready(struct turn *t, struct sub_state *sub, const struct delivery *d)
{
    struct delivery after = *d;

    after.state = DELIVERY_READY;
    after.due_ms = d->expires_ms;
    after.dying = 0;
    return change(t, sub, d, &after);
}

static uint64_t key_of(struct turn *t, const struct sub_state *sub, const struct record *r)
{
    uint8_t secret[STORE_SECRET_LEN];
    uint64_t hash;

    if (sub->settings.ordering != SUB_ORDER_KEY || !r->key.len)
        return 0;
    t->ops->subs->secret(t->store, secret);
    hash = siphash(secret, r->key);
    return hash ? hash : 1;
}

/* The message, if it is there and may be delivered. ERR_NOT_FOUND. */
static enum err message(struct turn *t, const struct sub_state *sub, uint64_t offset,
                        struct store_entry *m)
{
    struct store_topic *topic;
    enum err e = t->ops->topic_find(t->store, subscription_topic(sub), &topic);

    if (!e)
        e = t->ops->log_first(t->store, topic, offset, t->now_ms, 1, m);
    if (e == ERR_BUSY || (!e && m->offset != offset))
        e = ERR_NOT_FOUND;
    return e && e != ERR_NOT_FOUND ? turn_spoil(t, e) : e;
}

/* ---- out ---- */

enum err delivery_lease(struct turn *t, struct sub_state *sub, const struct store_entry *m,
                        const struct delivery *before, int64_t until_ms, bool tied,
                        struct delivery *d)
{
    *d = before ? *before
                : (struct delivery){ .offset = m->offset,
                                     .expires_ms = m->record.expires_ms,
                                     .key = key_of(t, sub, &m->record) };
    d->state = DELIVERY_LEASED;
    d->tied = tied;
    d->due_ms = until_ms;
    d->deliveries++;
    sub->counters.delivered++;
    sub->counters.redelivered += d->deliveries > 1;
    t->deliveries.leased++;
    t->deliveries.again += d->deliveries > 1;
    return change(t, sub, before, d);
}

/* Is one of its key on its way? */
static enum err is_behind(struct turn *t, const struct sub_state *sub, uint64_t key,
                          bool *behind)
{
    uint64_t first;
    enum err e = key ? t->ops->subs->first_of_key(t->store, sub, key, &first) : ERR_NOT_FOUND;

    *behind = !e;
    return e && e != ERR_NOT_FOUND ? turn_spoil(t, e) : ERR_OK;
}

/* Its row lies beside the one before it. Its key is on a page of its own, and so is where it is
 * due, unless that is where the one before is. */
static bool has_room(struct turn *t, const struct delivery *d)
{
    unsigned pages = (d->key != 0) + (d->due_ms != t->aside.due_ms);
    size_t bytes = ROW_BYTES + pages * (size_t)PAGE_BYTES;

    if (bytes > t->aside.max - t->aside.bytes)
        return false;
    t->aside.bytes += bytes;
    t->aside.due_ms = d->due_ms;
    return true;
}

enum err delivery_hold(struct turn *t, struct sub_state *sub, const struct store_entry *m,
                       bool *held)
{
    bool early = m->record.deliver_ms > t->now_ms, behind;
    struct delivery d = { .offset = m->offset,
                          .due_ms = early ? m->record.deliver_ms : m->record.expires_ms,
                          .expires_ms = m->record.expires_ms,
                          .key = key_of(t, sub, &m->record) };
    enum err e = is_behind(t, sub, d.key, &behind);

    *held = !e && (early || behind);
    if (!*held)
        return e;
    if (!has_room(t, &d))
        return ERR_BUSY;
    d.state = behind ? DELIVERY_HELD : DELIVERY_WAITING;
    return change(t, sub, NULL, &d);
}

/* ---- back ---- */

/* What was held is not any more: it is ready, or waits for its time. */
static enum err let_go(struct turn *t, struct sub_state *sub, const struct delivery *d)
{
    struct delivery after = *d;

    if (d->due_ms == d->expires_ms || d->due_ms <= t->now_ms)
        return make_ready(t, sub, d);
    after.state = DELIVERY_WAITING;
    return change(t, sub, d, &after);
}

static enum err next_of_key(struct turn *t, struct sub_state *sub, uint64_t key)
{
    struct delivery d;
    uint64_t offset;
    enum err e;

    if (!key)
        return ERR_OK;
    e = t->ops->subs->first_of_key(t->store, sub, key, &offset);
    if (!e)
        e = t->ops->subs->delivery_find(t->store, sub, offset, &d);
    else if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e)
        return turn_spoil(t, e);
    return d.state == DELIVERY_HELD ? let_go(t, sub, &d) : ERR_OK;
}

enum err delivery_finish(struct turn *t, struct sub_state *sub, const struct delivery *d)
{
    enum err e;

    leaves(t, sub, d);
    e = t->ops->subs->delivery_drop(t->store, sub, d);
    return e ? turn_spoil(t, e) : next_of_key(t, sub, d->key);
}

static enum err expired(struct turn *t, struct sub_state *sub, const struct delivery *d)
{
    sub->counters.expired++;
    t->deliveries.expired++;
    return delivery_finish(t, sub, d);
}

static enum err dead(struct turn *t, struct sub_state *sub, const struct delivery *d)
{
    sub->counters.dead++;
    t->deliveries.dead++;
    return delivery_finish(t, sub, d);
}

static enum err wait(struct turn *t, struct sub_state *sub, const struct delivery *d,
                     uint64_t delay_ms, enum dead_reason dying)
{
    struct delivery after = *d;

    after.state = DELIVERY_WAITING;
    after.due_ms = t->now_ms + (int64_t)delay_ms;
    if (d->expires_ms && d->expires_ms < after.due_ms)
        after.due_ms = d->expires_ms; /* then it goes, whatever it waits for */
    after.dying = (uint8_t)dying;
    return change(t, sub, d, &after);
}

enum err delivery_give_up(struct turn *t, struct sub_state *sub, const struct delivery *d,
                          enum dead_reason why)
{
    struct store_entry m;
    enum err e;

    if (!sub->settings.dead_letter_len)
        return dead(t, sub, d);
    e = message(t, sub, d->offset, &m);
    if (e)
        return e == ERR_NOT_FOUND ? expired(t, sub, d) : e;
    e = dead_letter_append(t, sub, &m, d, why);
    if (e == ERR_FULL)
        return wait(t, sub, d, GIVE_UP_AGAIN_MS, why);
    return e ? e : dead(t, sub, d);
}

uint64_t delivery_backoff_ms(const struct sub_settings *s, uint32_t deliveries)
{
    uint32_t i = deliveries ? deliveries - 1 : 0;

    if (!s->backoffs)
        return 0;
    return s->backoff_ms[i < s->backoffs ? i : s->backoffs - 1u];
}

enum err delivery_retry(struct turn *t, struct sub_state *sub, const struct delivery *d,
                        uint64_t delay_ms)
{
    uint32_t most = sub->settings.max_deliveries;

    if (most && d->deliveries >= most)
        return delivery_give_up(t, sub, d, DEAD_TRIED);
    return delay_ms ? wait(t, sub, d, delay_ms, 0) : make_ready(t, sub, d);
}

enum err delivery_take_back(struct turn *t, struct sub_state *sub, const struct delivery *d)
{
    struct delivery after = *d;

    after.state = DELIVERY_READY;
    after.due_ms = d->expires_ms;
    after.deliveries--;
    return change(t, sub, d, &after);
}

/* ---- what time does ---- */

/* It may be handed out now, as far as its own time goes. */
static enum err held_on(struct turn *t, struct sub_state *sub, const struct delivery *d)
{
    struct delivery after = *d;

    after.due_ms = d->expires_ms;
    return change(t, sub, d, &after);
}

static enum err time_over(struct turn *t, struct sub_state *sub, const struct delivery *d)
{
    struct store_entry m;
    enum err e = message(t, sub, d->offset, &m);

    if (e)
        return e == ERR_NOT_FOUND ? expired(t, sub, d) : e;
    switch (d->state) {
    case DELIVERY_LEASED:
        t->deliveries.lapsed++;
        return delivery_retry(t, sub, d,
                              delivery_backoff_ms(&sub->settings, d->deliveries));
    case DELIVERY_WAITING:
        return d->dying ? delivery_give_up(t, sub, d, d->dying) : make_ready(t, sub, d);
    case DELIVERY_HELD:
        if (d->due_ms != d->expires_ms)
            return held_on(t, sub, d);
        /* fall through */
    default: /* due when it expires, and that was looked at */
        return turn_spoil(t, ERR_CORRUPT);
    }
}

struct sweeping {
    struct sub_state sub;
    bool have; /* sub, to be saved */
};

static enum err save(struct turn *t, struct sweeping *s)
{
    enum err e = s->have ? t->ops->subs->save(t->store, &s->sub) : ERR_OK;

    s->have = false;
    return e;
}

/* Deliveries that were leased together are due together: the row is read once for them. */
static enum err load(struct turn *t, struct sweeping *s, uint64_t id)
{
    enum err e;

    if (s->have && s->sub.id == id)
        return ERR_OK;
    e = save(t, s);
    if (!e)
        e = t->ops->subs->find_id(t->store, id, &s->sub);
    s->have = !e;
    return e;
}

static enum err sweep_one(struct turn *t, struct sweeping *s, const struct store_due *due)
{
    struct delivery d;
    enum err e = load(t, s, due->sub_id);

    if (!e)
        e = t->ops->subs->delivery_find(t->store, &s->sub, due->offset, &d);
    if (e == ERR_NOT_FOUND)
        return t->ops->subs->drop_due(t->store, due);
    return e ? e : time_over(t, &s->sub, &d);
}

enum err delivery_sweep(struct turn *t, unsigned max)
{
    struct sweeping s = { .have = false };
    struct store_due due;
    enum err e = ERR_OK;

    while (max-- && !e && !(e = t->ops->subs->first_due(t->store, t->now_ms, &due)))
        e = sweep_one(t, &s, &due);
    if (e == ERR_NOT_FOUND || e == ERR_BUSY)
        e = ERR_OK; /* what is left is due in the next turn */
    if (!e)
        e = save(t, &s);
    return e ? turn_spoil(t, e) : ERR_OK;
}

/* ---- figures ---- */

void delivery_count(const struct turn_deliveries *d)
{
    metric_add(METRIC_SUB_LEASED, (int64_t)d->leased);
    metric_add(METRIC_SUB_AGAIN, (int64_t)d->again);
    metric_add(METRIC_SUB_ACKED, (int64_t)d->acked);
    metric_add(METRIC_SUB_LAPSED, (int64_t)d->lapsed);
    metric_add(METRIC_SUB_DEAD, (int64_t)d->dead);
    metric_add(METRIC_SUB_EXPIRED, (int64_t)d->expired);
    metric_add(METRIC_SUB_VANISHED, (int64_t)d->vanished);
}

/* ---- what was tied to a process that has ended ---- */

static enum err untie_one(struct turn *t, struct sweeping *s, const struct store_due *tied)
{
    struct delivery d;
    enum err e = load(t, s, tied->sub_id);

    if (!e)
        e = t->ops->subs->delivery_find(t->store, &s->sub, tied->offset, &d);
    if (e == ERR_NOT_FOUND)
        return t->ops->subs->drop_due(t->store, tied);
    if (!e)
        e = delivery_retry(t, &s->sub, &d, 0);
    t->deliveries.vanished += !e;
    return e;
}

enum err delivery_untie(struct turn *t, unsigned max)
{
    struct sweeping s = { .have = false };
    struct store_due tied;
    unsigned count = 0;
    enum err e = ERR_OK;

    while (count < max && !e && !(e = t->ops->subs->first_tied(t->store, &tied))) {
        e = untie_one(t, &s, &tied);
        count++;
    }
    if (e == ERR_BUSY || (e == ERR_NOT_FOUND && count))
        e = ERR_OK; /* what is left is given back in the next turn */
    if (!e)
        e = save(t, &s);
    return e && e != ERR_NOT_FOUND ? turn_spoil(t, e) : e;
}
