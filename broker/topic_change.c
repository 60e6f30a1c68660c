#include "topic_change.h"

#include "base/clock.h"

#define PURGE_STEP 4000u /* bounds what one transaction changes; see SWEEP_IDLE */

static bool same_settings(const struct topic_settings *a, const struct topic_settings *b)
{
    return a->ttl_ms == b->ttl_ms && a->max_bytes == b->max_bytes &&
           a->overflow == b->overflow && a->max_messages == b->max_messages &&
           a->max_age_ms == b->max_age_ms && a->rate_messages == b->rate_messages &&
           a->rate_bytes == b->rate_bytes && a->weight == b->weight;
}

void topic_settings_tell(struct turn *t, struct bytes name, const struct topic_settings *s)
{
    const uint64_t own[RATE_UNITS] = { s->rate_messages, s->rate_bytes };

    rate_learn(t->rate, name, own, clock_mono_us());
    if (t->weights)
        weights_learn(t->weights, waiters_slot(name), s->weight);
}

static void tell_others(const struct topic_change *c, struct turn *t)
{
    struct bytes name = bytes_of(c->name, c->name_len);

    topic_settings_tell(t, name, &c->state.settings);
    if (c->state.settings.overflow == STORE_OVERFLOW_HOLD)
        places_mark(t->places, name);
}

static enum err put(struct topic_change *c, struct turn *t, struct bytes name)
{
    const struct quota_need nothing = { 0 };
    struct store_topic *topic;
    enum err e = t->ops->topic_find(t->store, name, &topic);

    if (e == ERR_NOT_FOUND) {
        e = t->ops->room(t->store, 4096);
        if (!e)
            e = quota_new_topic(t, name, &nothing, &c->quota);
        if (e)
            return e;
        c->created = true;
        e = t->ops->topic_create(t->store, name, &c->settings, t->now_ms, &topic);
        if (e)
            return turn_spoil(t, e);
    }
    if (e)
        return turn_spoil(t, e);
    c->state = *t->ops->topic_state(topic);
    tell_others(c, t);
    return same_settings(&c->state.settings, &c->settings) ? ERR_OK : ERR_EXISTS;
}

static void merge(struct topic_settings *s, const struct topic_settings *from,
                  unsigned set)
{
    if (set & TOPIC_SET_TTL)
        s->ttl_ms = from->ttl_ms;
    if (set & TOPIC_SET_MAX_BYTES)
        s->max_bytes = from->max_bytes;
    if (set & TOPIC_SET_OVERFLOW)
        s->overflow = from->overflow;
    if (set & TOPIC_SET_MAX_MESSAGES)
        s->max_messages = from->max_messages;
    if (set & TOPIC_SET_MAX_AGE)
        s->max_age_ms = from->max_age_ms;
    if (set & TOPIC_SET_RATE_MESSAGES)
        s->rate_messages = from->rate_messages;
    if (set & TOPIC_SET_RATE_BYTES)
        s->rate_bytes = from->rate_bytes;
    if (set & TOPIC_SET_WEIGHT)
        s->weight = from->weight;
}

static enum err patch(struct topic_change *c, struct turn *t, struct store_topic *topic)
{
    struct topic_settings s = t->ops->topic_state(topic)->settings;
    enum err e;

    merge(&s, &c->settings, c->set);
    e = t->ops->topic_configure(t->store, topic, &s);
    if (e)
        return turn_spoil(t, e);
    c->state = *t->ops->topic_state(topic);
    tell_others(c, t);
    return ERR_OK;
}

static enum err purge(struct topic_change *c, struct turn *t, struct store_topic *topic)
{
    struct store_step step;
    enum err e;

    if (c->before_offset == UINT64_MAX)
        c->before_offset = t->ops->topic_state(topic)->next_offset;
    e = t->ops->remove_step(t->store, topic, c->before_offset, PURGE_STEP, &step);
    if (e)
        return turn_spoil(t, e);
    turn_trash(t);
    c->removed += step.messages;
    c->state = *t->ops->topic_state(topic);
    return step.more ? ERR_BUSY : ERR_OK;
}

static enum err change_run(struct job *j, struct turn *t)
{
    struct topic_change *c = (struct topic_change *)j;
    struct bytes name = bytes_of(c->name, c->name_len);
    struct store_topic *topic;
    enum err e;

    if (c->kind == TOPIC_PUT)
        return put(c, t, name);
    e = t->ops->topic_find(t->store, name, &topic);
    if (e)
        return e == ERR_NOT_FOUND ? e : turn_spoil(t, e);
    if (c->kind == TOPIC_PATCH)
        return patch(c, t, topic);
    if (c->kind == TOPIC_PURGE)
        return purge(c, t, topic);
    e = t->ops->topic_delete(t->store, topic);
    turn_trash(t);
    return e ? turn_spoil(t, e) : ERR_OK;
}

static void change_done(struct job *j, enum err e)
{
    ((struct topic_change *)j)->outcome = e;
}

void topic_change_submit(struct writer *w, struct topic_change *c)
{
    c->job.run = change_run;
    c->job.done = change_done;
    c->job.cost = 4096;
    writer_submit(w, &c->job);
}
