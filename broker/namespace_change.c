#include "namespace_change.h"

#define COUNT_STEP 4000u /* topics looked at in one turn */

static bool same_settings(const struct namespace_settings *a,
                          const struct namespace_settings *b)
{
    return a->ttl_ms == b->ttl_ms && a->max_bytes == b->max_bytes &&
           a->max_messages == b->max_messages && a->max_topics == b->max_topics &&
           a->overflow == b->overflow;
}

static struct bytes prefix_of(const struct namespace_change *c)
{
    return bytes_of(c->prefix, c->prefix_len);
}

/* Nothing was changed by an error that is the client's. */
static enum err create(struct namespace_change *c, struct turn *t,
                       struct store_namespace **n)
{
    enum err e = t->ops->room(t->store, 4096);

    if (e)
        return e;
    e = t->ops->namespace_create(t->store, prefix_of(c), &c->settings, t->now_ms, n);
    if (e == ERR_FULL) {
        c->no_more = true;
        return e;
    }
    if (e)
        return e == ERR_TOO_BIG ? e : turn_spoil(t, e);
    c->created = true;
    return ERR_OK;
}

/* Two that make the same one count together; who finds it complete is answered. */
static enum err put(struct namespace_change *c, struct turn *t)
{
    struct store_namespace *n;
    bool more;
    enum err e = t->ops->namespace_find(t->store, prefix_of(c), &n);

    if (e == ERR_NOT_FOUND)
        e = create(c, t, &n);
    if (e)
        return e;
    e = t->ops->namespace_count(t->store, n, COUNT_STEP, &more);
    if (e)
        return turn_spoil(t, e);
    if (more)
        return ERR_BUSY;
    c->state = *t->ops->namespace_state(n);
    return same_settings(&c->state.settings, &c->settings) ? ERR_OK : ERR_EXISTS;
}

static void merge(struct namespace_settings *s, const struct namespace_settings *from,
                  unsigned set)
{
    if (set & NAMESPACE_SET_TTL)
        s->ttl_ms = from->ttl_ms;
    if (set & NAMESPACE_SET_MAX_BYTES)
        s->max_bytes = from->max_bytes;
    if (set & NAMESPACE_SET_MAX_MESSAGES)
        s->max_messages = from->max_messages;
    if (set & NAMESPACE_SET_MAX_TOPICS)
        s->max_topics = from->max_topics;
    if (set & NAMESPACE_SET_OVERFLOW)
        s->overflow = from->overflow;
}

static enum err patch(struct namespace_change *c, struct turn *t, struct store_namespace *n)
{
    struct namespace_settings s = t->ops->namespace_state(n)->settings;
    enum err e;

    merge(&s, &c->settings, c->set);
    e = t->ops->namespace_configure(t->store, n, &s);
    if (e)
        return turn_spoil(t, e);
    c->state = *t->ops->namespace_state(n);
    return ERR_OK;
}

static enum err change_run(struct job *j, struct turn *t)
{
    struct namespace_change *c = (struct namespace_change *)j;
    struct store_namespace *n;
    enum err e;

    if (c->kind == NAMESPACE_PUT)
        return put(c, t);
    if (t->ops->namespace_find(t->store, prefix_of(c), &n) ||
        t->ops->namespace_state(n)->counting)
        return ERR_NOT_FOUND;
    if (c->kind == NAMESPACE_PATCH)
        return patch(c, t, n);
    e = t->ops->namespace_delete(t->store, n);
    return e ? turn_spoil(t, e) : ERR_OK;
}

static void change_done(struct job *j, enum err e)
{
    struct namespace_change *c = (struct namespace_change *)j;

    c->outcome = c->no_more ? ERR_BUSY : e;
}

void namespace_change_submit(struct writer *w, struct namespace_change *c)
{
    c->job.run = change_run;
    c->job.done = change_done;
    c->job.cost = 4096;
    writer_submit(w, &c->job);
}
