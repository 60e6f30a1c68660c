#include "subscription.h"

#include "siphash.h"

bool subscription_may_give(const struct sub_state *sub, bool fresh)
{
    return sub->in[DELIVERY_LEASED] < sub->settings.max_in_flight &&
           (!fresh || subscription_set_aside(sub) < SUBSCRIPTION_HELD_MAX);
}

uint64_t subscription_mark(const struct store_ops *ops, struct store *store,
                           const struct sub_state *sub)
{
    struct bytes filter = sub_extra(&sub->settings, SUB_FILTER);
    uint8_t secret[STORE_SECRET_LEN], text[8 + STORE_SUB_EXTRA_MAX];

    ops->subs->secret(store, secret);
    put_be64(text, sub->id);
    if (filter.len)
        memcpy(text + 8, filter.data, filter.len);
    return siphash(secret, bytes_of(text, 8 + filter.len)) | 1;
}

static struct bytes name_of(const struct sub_state *sub)
{
    return bytes_of(sub->name, sub->name_len);
}

static bool same_settings(const struct sub_settings *a, const struct sub_settings *b)
{
    return a->lease_ms == b->lease_ms && a->max_deliveries == b->max_deliveries &&
           a->max_in_flight == b->max_in_flight && a->ordering == b->ordering &&
           a->backoffs == b->backoffs &&
           !memcmp(a->backoff_ms, b->backoff_ms, a->backoffs * sizeof *a->backoff_ms) &&
           bytes_eq(bytes_of(a->topic, a->topic_len), bytes_of(b->topic, b->topic_len)) &&
           bytes_eq(bytes_of(a->dead_letter, a->dead_letter_len),
                    bytes_of(b->dead_letter, b->dead_letter_len)) &&
           sub_extras_equal(a, b);
}

/* Made on first use, as by a publish. Refused: nothing was changed. */
static enum err find_topic(struct subscription_change *c, struct turn *t, struct bytes name,
                           struct store_topic **topic)
{
    static const struct topic_settings defaults;
    const struct quota_need nothing = { 0 };
    enum err e = t->ops->topic_find(t->store, name, topic);

    if (e != ERR_NOT_FOUND)
        return e ? turn_spoil(t, e) : e;
    if (!c->auto_create)
        return e;
    e = quota_new_topic(t, name, &nothing, &c->quota);
    if (e)
        return e;
    e = t->ops->topic_create(t->store, name, &defaults, t->now_ms, topic);
    return e ? turn_spoil(t, e) : e;
}

/* No further than the log: what is published next is never passed over. */
static uint64_t place(const struct subscription_change *c, uint64_t end)
{
    if (c->start == START_EARLIEST)
        return 0;
    return c->start == START_OFFSET && c->offset < end ? c->offset : end;
}

/* The dead letter topic is made when the first message goes there. */
static enum err check_dead_letter(struct subscription_change *c, struct turn *t)
{
    struct bytes name = subscription_dead_letter(&c->sub);
    struct store_topic *topic;
    enum err e = ERR_OK;

    if (name.len && !c->auto_create)
        e = t->ops->topic_find(t->store, name, &topic);
    c->no_dead_letter = e == ERR_NOT_FOUND;
    return e && e != ERR_NOT_FOUND ? turn_spoil(t, e) : e;
}

static enum err make(struct subscription_change *c, struct turn *t)
{
    struct store_topic *topic;
    enum err e = check_dead_letter(c, t);

    if (!e)
        e = find_topic(c, t, subscription_topic(&c->sub), &topic);
    c->no_topic = e == ERR_NOT_FOUND && !c->no_dead_letter;
    if (e)
        return e;
    c->sub.next = place(c, t->ops->topic_state(topic)->next_offset);
    c->sub.created_ms = t->now_ms;
    e = t->ops->subs->create(t->store, &c->sub);
    c->created = !e;
    return e ? turn_spoil(t, e) : e;
}

static enum err put(struct subscription_change *c, struct turn *t)
{
    struct sub_state before;
    uint64_t count;
    enum err e = t->ops->subs->find(t->store, name_of(&c->sub), &before);

    if (!e) {
        e = same_settings(&before.settings, &c->sub.settings) ? ERR_OK : ERR_EXISTS;
        c->sub = before;
        return e;
    }
    if (e == ERR_NOT_FOUND)
        e = t->ops->subs->count(t->store, &count);
    if (e)
        return turn_spoil(t, e);
    c->full = c->max_subscriptions && count >= c->max_subscriptions;
    if (c->full)
        return ERR_FULL;
    e = t->ops->room(t->store, 8192);
    return e ? e : make(c, t);
}

/* ---- changes of one that is there ---- */

static bool may_change(const struct subscription_change *c, const struct sub_settings *now)
{
    const struct sub_settings *to = &c->sub.settings;

    return (!(c->set & SUBSCRIPTION_SET_TOPIC) ||
            bytes_eq(subscription_topic(&c->sub), bytes_of(now->topic, now->topic_len))) &&
           (!(c->set & SUBSCRIPTION_SET_ORDERING) || to->ordering == now->ordering);
}

static void merge(struct sub_settings *now, const struct sub_settings *to, unsigned set)
{
    if (set & SUBSCRIPTION_SET_LEASE)
        now->lease_ms = to->lease_ms;
    if (set & SUBSCRIPTION_SET_MAX_DELIVERIES)
        now->max_deliveries = to->max_deliveries;
    if (set & SUBSCRIPTION_SET_MAX_IN_FLIGHT)
        now->max_in_flight = to->max_in_flight;
    if (set & SUBSCRIPTION_SET_BACKOFF) {
        now->backoffs = to->backoffs;
        memcpy(now->backoff_ms, to->backoff_ms, sizeof now->backoff_ms);
    }
    if (set & SUBSCRIPTION_SET_DEAD_LETTER) {
        now->dead_letter_len = to->dead_letter_len;
        memcpy(now->dead_letter, to->dead_letter, sizeof now->dead_letter);
    }
    /* It has room: what is set fitted into settings of this size. */
    if (set & SUBSCRIPTION_SET_FILTER)
        (void)!sub_extra_set(now, SUB_FILTER, sub_extra(to, SUB_FILTER));
    if (set & SUBSCRIPTION_SET_PUSH)
        (void)!sub_extra_set(now, SUB_PUSH_URL, sub_extra(to, SUB_PUSH_URL));
}

static enum err patch(struct subscription_change *c, struct turn *t, struct sub_state *now)
{
    enum err e = ERR_EXISTS;

    if (may_change(c, &now->settings)) {
        merge(&now->settings, &c->sub.settings, c->set);
        e = bytes_eq(subscription_topic(now), subscription_dead_letter(now)) ? ERR_BAD_INPUT
                                                                             : ERR_OK;
    }
    c->sub = *now;
    if (!e)
        e = check_dead_letter(c, t);
    if (!e)
        e = t->ops->room(t->store, 8192);
    if (e)
        return e;
    e = t->ops->subs->save(t->store, now);
    return e ? turn_spoil(t, e) : e;
}

static enum err seek(struct subscription_change *c, struct turn *t)
{
    struct store_topic *topic;
    uint64_t end = c->sub.next;
    enum err e = t->ops->topic_find(t->store, subscription_topic(&c->sub), &topic);

    if (!e)
        end = t->ops->topic_state(topic)->next_offset;
    else if (e != ERR_NOT_FOUND)
        return turn_spoil(t, e);
    c->sub.next = place(c, end);
    e = t->ops->subs->renew(t->store, &c->sub);
    if (!e)
        e = t->ops->subs->save(t->store, &c->sub);
    return e ? turn_spoil(t, e) : e;
}

static enum err change_run(struct job *j, struct turn *t)
{
    struct subscription_change *c = (struct subscription_change *)j;
    struct sub_state now;
    enum err e;

    if (c->kind == SUBSCRIPTION_PUT)
        return put(c, t);
    e = t->ops->subs->find(t->store, name_of(&c->sub), &now);
    if (e)
        return e == ERR_NOT_FOUND ? e : turn_spoil(t, e);
    if (c->kind == SUBSCRIPTION_PATCH) {
        e = patch(c, t, &now);
        if (!e)
            turn_wake_subscription(t, name_of(&now));
        return e;
    }
    c->sub = now;
    if (c->kind == SUBSCRIPTION_SEEK)
        e = seek(c, t);
    else if ((e = t->ops->subs->remove(t->store, &c->sub)))
        return turn_spoil(t, e);
    turn_trash(t);
    turn_wake_subscription(t, name_of(&c->sub));
    return e;
}

static void change_done(struct job *j, enum err e)
{
    struct subscription_change *c = (struct subscription_change *)j;

    c->outcome = e;
    if (!e && c->ties && (c->kind == SUBSCRIPTION_SEEK || c->kind == SUBSCRIPTION_DELETE))
        ties_void(c->ties, name_of(&c->sub));
    if (c->after)
        c->after(c->word);
}

void subscription_submit(struct writer *w, struct subscription_change *c)
{
    c->job.run = change_run;
    c->job.done = change_done;
    c->job.cost = 8192;
    writer_submit(w, &c->job);
}
