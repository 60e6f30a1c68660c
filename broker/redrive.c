#include "redrive.h"

#include "dead_letter.h"
#include "subscription.h"

#include <stdlib.h>

#define STEPS_MAX 500u /* messages looked at in one turn */

struct moving { /* one run */
    struct redrive *c;
    struct turn *t;
    struct sub_state sub;
    struct store_topic *from, *to;
    bool moved; /* something, in this turn */
};

static bool has_prefix(struct bytes name)
{
    size_t len = strlen(DEAD_LETTER_PREFIX);

    return name.len > len && memcmp(name.data, DEAD_LETTER_PREFIX, len) == 0;
}

/* Did this subscription put it there, whole? */
static bool is_ours(const struct moving *m, const struct record *r)
{
    struct bytes list = r->attributes, name, value;
    bool topic = false, sub = false, part = false;

    while (attribute_next(&list, &name, &value)) {
        if (bytes_eq(name, bytes_str(DEAD_LETTER_TOPIC)))
            topic = bytes_eq(value, subscription_topic(&m->sub));
        else if (bytes_eq(name, bytes_str(DEAD_LETTER_SUB)))
            sub = bytes_eq(value, bytes_of(m->sub.name, m->sub.name_len));
        part |= bytes_eq(name, bytes_str(DEAD_LETTER_SIZE));
    }
    return topic && sub && !part && !r->blob_id;
}

static struct bytes copy(uint8_t **at, struct bytes b)
{
    struct bytes out = bytes_of(*at, b.len);

    if (b.len)
        memcpy(*at, b.data, b.len);
    *at += b.len;
    return out;
}

static struct bytes copy_attributes(uint8_t **at, struct bytes list)
{
    uint8_t *start = *at;
    struct bytes name, value;

    while (attribute_next(&list, &name, &value))
        if (!has_prefix(name))
            *at += attribute_put(*at, name, value);
    return bytes_of(start, (size_t)(*at - start));
}

/* Refused: ERR_FULL, and nothing was changed. */
static enum err append_copy(struct moving *m, const struct record *from)
{
    struct quota_need need = { .bytes = from->body.len, .messages = 1 };
    size_t len = from->body.len + from->id.len + from->key.len + from->content_type.len +
                 from->attributes.len;
    uint8_t *buffer = malloc(len + 1), *at = buffer;
    struct record r = { 0 };
    enum err e = buffer ? m->t->ops->room(m->t->store, len + 1024) : ERR_FULL;

    if (!e) {
        r.body = copy(&at, from->body);
        r.id = copy(&at, from->id);
        r.key = copy(&at, from->key);
        r.content_type = copy(&at, from->content_type);
        r.attributes = copy_attributes(&at, from->attributes);
        e = quota_admit(m->t, m->to, &need, &m->c->quota);
    }
    if (!e)
        e = dead_letter_store(m->t, m->to, &r);
    free(buffer);
    return e;
}

static enum err move(struct moving *m, const struct store_entry *entry)
{
    uint64_t offset = entry->offset;
    enum err e = dead_letter_turn_is_full(m->t, entry->record.body.len)
                     ? ERR_BUSY
                     : append_copy(m, &entry->record);

    if (e)
        return e;
    e = m->t->ops->remove_one(m->t->store, m->from, offset);
    if (e)
        return turn_spoil(m->t, e);
    m->moved = true;
    m->c->moved++;
    return ERR_OK;
}

/* ERR_NOT_FOUND: that was the last. */
static enum err step(struct moving *m)
{
    struct redrive *c = m->c;
    struct store_entry entry;
    enum err e = m->t->ops->log_first(m->t->store, m->from, c->at, m->t->now_ms, STEPS_MAX,
                                      &entry);

    if (e && e != ERR_NOT_FOUND && e != ERR_BUSY)
        return turn_spoil(m->t, e);
    if (e == ERR_BUSY)
        c->at = entry.offset;
    if (e)
        return e;
    e = is_ours(m, &entry.record) ? move(m, &entry) : ERR_OK;
    if (!e)
        c->at = entry.offset + 1;
    return e;
}

static enum err run(struct moving *m)
{
    struct redrive *c = m->c;
    enum err e = ERR_OK;

    for (unsigned i = 0; !e && c->moved < c->limit; i++)
        e = i < STEPS_MAX ? step(m) : ERR_BUSY;
    if (m->moved)
        turn_wake(m->t, subscription_topic(&m->sub));
    if (e == ERR_NOT_FOUND || (e == ERR_FULL && c->moved))
        return ERR_OK;
    return e;
}

static enum err find_topics(struct moving *m)
{
    const struct store_ops *ops = m->t->ops;
    enum err e;

    if (!m->sub.settings.dead_letter_len)
        return ERR_BAD_INPUT;
    e = ops->topic_find(m->t->store, subscription_topic(&m->sub), &m->to);
    m->c->no_topic = e == ERR_NOT_FOUND;
    if (!e)
        e = ops->topic_find(m->t->store, subscription_dead_letter(&m->sub), &m->from);
    return e && e != ERR_NOT_FOUND ? turn_spoil(m->t, e) : e;
}

static enum err redrive_run(struct job *j, struct turn *t)
{
    struct redrive *c = (struct redrive *)j;
    struct moving m = { .c = c, .t = t };
    enum err e = t->ops->subs->find(t->store, bytes_of(c->name, c->name_len), &m.sub);

    if (e)
        return e == ERR_NOT_FOUND ? e : turn_spoil(t, e);
    e = find_topics(&m);
    if (e == ERR_NOT_FOUND && !c->no_topic)
        return ERR_OK; /* nothing was ever given up */
    return e ? e : run(&m);
}

static void redrive_done(struct job *j, enum err e)
{
    ((struct redrive *)j)->outcome = e;
}

void redrive_submit(struct writer *w, struct redrive *c)
{
    c->job.run = redrive_run;
    c->job.done = redrive_done;
    c->job.cost = 4096 + 256 * (size_t)(c->limit < STEPS_MAX ? c->limit : STEPS_MAX);
    writer_submit(w, &c->job);
}
