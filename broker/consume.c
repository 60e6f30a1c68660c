#include "consume.h"

#define SKIP_STEP 1000u /* messages past their time, looked at in one turn */

static struct bytes name_of(const struct consume *c)
{
    return bytes_of(c->name, c->name_len);
}

/* A refusal: nothing was changed. */
static enum err subscribe(struct consume *c, struct turn *t, struct store_topic *topic,
                          uint64_t *next)
{
    uint64_t count;
    enum err e = t->ops->cursors(t->store, &count);

    if (e)
        return turn_spoil(t, e);
    c->full = count >= c->max_cursors;
    if (c->full)
        return ERR_FULL;
    e = t->ops->room(t->store, 4096);
    if (e)
        return e;
    *next = c->earliest ? 0 : t->ops->topic_state(topic)->next_offset;
    e = t->ops->cursor_create(t->store, topic, name_of(c), *next, t->now_ms);
    c->full = e == ERR_FULL;
    return e && e != ERR_FULL ? turn_spoil(t, e) : e;
}

static enum err move(struct consume *c, struct turn *t, struct store_topic *topic,
                     uint64_t next)
{
    enum err e = t->ops->cursor_move(t->store, topic, name_of(c), next);

    return e ? turn_spoil(t, e) : ERR_OK;
}

static enum err take(struct consume *c, struct turn *t, struct store_topic *topic)
{
    struct cursor_state at;
    struct store_entry m;
    enum err e = t->ops->cursor_find(t->store, topic, name_of(c), &at);

    if (e == ERR_NOT_FOUND)
        e = subscribe(c, t, topic, &at.next);
    else if (e)
        turn_spoil(t, e);
    if (e)
        return e;
    e = t->ops->log_first(t->store, topic, at.next, t->now_ms, SKIP_STEP, &m);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_BUSY)
        return (e = move(c, t, topic, m.offset)) ? e : ERR_BUSY;
    if (e)
        return turn_spoil(t, e);
    c->small = CONSUME_COST + c->room(&m.record) > c->job.grant.bytes;
    if (c->small)
        return ERR_OK;
    c->taken = true;
    c->offset = m.offset;
    return move(c, t, topic, m.offset + 1);
}

static enum err consume_run(struct job *j, struct turn *t)
{
    struct consume *c = (struct consume *)j;
    struct store_topic *topic;
    enum err e;

    e = t->ops->topic_find(t->store, bytes_of(c->topic, c->topic_len), &topic);
    if (e)
        return e == ERR_NOT_FOUND ? e : turn_spoil(t, e);
    if (c->kind == CONSUME_TAKE)
        return take(c, t, topic);
    e = t->ops->cursor_delete(t->store, topic, name_of(c));
    return e && e != ERR_NOT_FOUND ? turn_spoil(t, e) : e;
}

static void consume_done(struct job *j, enum err e)
{
    struct consume *c = (struct consume *)j;

    c->outcome = e;
    c->taken &= !e;
}

void consume_submit(struct writer *w, struct consume *c)
{
    c->job.run = consume_run;
    c->job.done = consume_done;
    c->job.cost = 4096;
    writer_submit(w, &c->job);
}
