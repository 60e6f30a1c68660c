#include "publish.h"

#include "base/clock.h"
#include "topic_change.h"
#include "metrics.h"
#include "publish_delay.h"
#include "publish_once.h"

#include <assert.h>
#include <stdlib.h>

#define ID_ROW_BYTES    32u /* of an id in the store's index, beside the id */
#define RECORD_OVERHEAD 96u /* keys, index and page slack of a message in the store */

uint64_t publish_ttl(uint64_t topic_ttl_ms, uint64_t default_ttl_ms, bool has_ttl,
                     uint64_t ttl_ms)
{
    uint64_t cap = topic_ttl_ms ? topic_ttl_ms : UINT64_MAX;

    if (has_ttl)
        return ttl_ms < cap ? ttl_ms : cap;
    if (topic_ttl_ms)
        return cap;
    return default_ttl_ms ? default_ttl_ms : UINT64_MAX;
}

static enum err refuse(struct publish *p, enum publish_refusal why, enum err e)
{
    p->refusal = why;
    if (why == PUBLISH_QUOTA)
        metric_add(METRIC_QUOTA_REFUSED, 1);
    return e;
}

static struct quota_need need_of(const struct publish *p)
{
    return (struct quota_need){ .bytes = p->total_bytes, .messages = p->count };
}

/* Compare-and-append: what the publisher saw last is still the topic's end. */
static enum err check_next(struct publish *p, struct turn *t)
{
    enum err e;

    if (!p->has_if_next)
        return ERR_OK;
    e = t->ops->topic_next_offset(t->store, p->topic, &p->next);
    if (e)
        return e;
    return p->next == p->if_next ? ERR_OK : refuse(p, PUBLISH_NEXT_DIFFERS, ERR_EXISTS);
}

static enum err find_topic(struct publish *p, struct turn *t, struct store_topic **topic)
{
    static const struct topic_settings defaults;
    struct quota_need need = need_of(p);
    enum err e = t->ops->topic_find(t->store, p->topic, topic);

    if (e != ERR_NOT_FOUND)
        return e;
    if (!p->auto_create)
        return refuse(p, PUBLISH_NO_TOPIC, ERR_NOT_FOUND);
    e = quota_new_topic(t, p->topic, &need, &p->quota);
    if (e)
        return refuse(p, PUBLISH_QUOTA, e);
    return t->ops->topic_create(t->store, p->topic, &defaults, t->now_ms, topic);
}

static enum err check_quota(struct publish *p, struct turn *t, struct store_topic *topic)
{
    struct quota_need need = need_of(p);
    enum err e = quota_admit(t, topic, &need, &p->quota);

    return e == ERR_FULL ? refuse(p, PUBLISH_QUOTA, e) : e;
}

int64_t publish_expiry(uint64_t ttl_ms, int64_t now_ms)
{
    return ttl_ms > (uint64_t)(INT64_MAX - now_ms) ? 0 : now_ms + (int64_t)ttl_ms;
}

static void lower(uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] |= 0x20;
}

/* The record's attribute list has no tags; it is written over the packed run, which is
 * longer and not needed any more. Names are kept in lower case, whichever door they came
 * by: as headers they know no case. */
static struct bytes untag(struct bytes run)
{
    uint8_t *start = (uint8_t *)(uintptr_t)run.data, *out = start;
    struct bytes name, value;

    while (packed_attribute(&run, &name, &value)) {
        out += varint_put(out, name.len);
        memmove(out, name.data, name.len);
        lower(out, name.len);
        out += name.len;
        out += varint_put(out, value.len);
        memmove(out, value.data, value.len);
        out += value.len;
    }
    return bytes_of(start, (size_t)(out - start));
}

static bool has_attribute(struct bytes list, struct bytes wanted)
{
    struct bytes name, value;

    while (attribute_next(&list, &name, &value))
        if (bytes_eq(name, wanted))
            return true;
    return false;
}

/* The batch's attributes behind the message's own, both without tags, in `room`. */
static struct bytes join(struct bytes own, struct bytes shared,
                         uint8_t room[PUBLISH_SHARED_MAX])
{
    struct bytes name, value;
    size_t len = own.len;

    if (!shared.len || own.len + shared.len > PUBLISH_SHARED_MAX)
        return own;
    if (!own.len)
        return shared;
    memcpy(room, own.data, own.len);
    while (attribute_next(&shared, &name, &value))
        if (!has_attribute(own, name))
            len += attribute_put(room + len, name, value);
    return bytes_of(room, len);
}

static enum err append_one(struct publish *p, struct turn *t, struct store_topic *topic,
                           const struct packed_message *m, struct bytes shared,
                           uint64_t *offset)
{
    uint8_t room[PUBLISH_SHARED_MAX];
    const struct packed_message *says = m->has_ttl ? m : &p->one; /* or the whole batch */
    uint64_t ttl_ms =
        publish_ttl(p->topic_ttl_ms, p->default_ttl_ms, says->has_ttl, says->ttl_ms);
    struct record r = { .time_ms = t->now_ms,
                        .expires_ms = publish_expiry(ttl_ms, t->now_ms),
                        .deliver_ms = publish_deliver_ms(publish_delay_of(p, m), t->now_ms),
                        .id = m->id,
                        .key = m->key,
                        .content_type = m->content_type,
                        .attributes = join(untag(m->attributes), shared, room),
                        .body = m->body,
                        .blob_id = p->blob_id,
                        .blob_size = p->blob_size };
    enum err e = t->ops->append(t->store, topic, &r, offset);

    if (e)
        return e;
    p->time_ms = r.time_ms;
    p->expires_ms = r.expires_ms;
    p->deliver_ms = r.deliver_ms;
    p->ttl_ms = ttl_ms;
    if (r.expires_ms)
        turn_due(t, r.expires_ms);
    return ERR_OK;
}

static enum err append_all(struct publish *p, struct turn *t, struct store_topic *topic)
{
    struct bytes at = { p->body, p->body_len };
    struct packed_message m;
    struct bytes shared = { 0 };
    uint64_t offset;
    enum err e;

    if (!p->batch)
        return append_one(p, t, topic, &p->one, shared, &p->first_offset);
    shared = untag(p->one.attributes);
    for (uint64_t i = 0; !(e = packed_next(&at, &m)); i++) {
        e = append_one(p, t, topic, &m, shared, &offset);
        if (e)
            return e;
        if (i == 0)
            p->first_offset = offset;
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err publish_run(struct job *j, struct turn *t)
{
    struct publish *p = (struct publish *)j;
    struct store_topic *topic;
    enum err e = publish_once_look(p, t);

    if (e != ERR_NOT_FOUND)
        return e;
    e = t->ops->room(t->store, p->job.cost);
    if (e)
        return refuse(p, PUBLISH_STORE_FULL, e);
    e = check_next(p, t);
    if (!e)
        e = publish_once_room(p, t);
    if (!e)
        e = publish_delay_check(p, t);
    if (!e)
        e = find_topic(p, t, &topic);
    if (e)
        return p->refusal ? e : turn_spoil(t, e);
    topic_settings_tell(t, p->topic, &t->ops->topic_state(topic)->settings);
    e = check_quota(p, t, topic);
    if (e)
        return e;
    p->topic_ttl_ms = quota_ttl(t, topic);
    e = append_all(p, t, topic);
    if (!e)
        e = publish_once_keep(p, t, topic);
    if (e)
        return turn_spoil(t, e);
    t->messages += p->count;
    if (!p->blob_id) /* else its chunks were counted as they came */
        t->bytes += p->total_bytes;
    turn_wake(t, p->topic);
    return ERR_OK;
}

static void publish_done(struct job *j, enum err e)
{
    struct publish *p = (struct publish *)j;

    p->outcome = e;
    if (e == ERR_FULL && !p->refusal)
        p->refusal = PUBLISH_STORE_FULL;
}

/* In the record, and in the index, whose pages may be half empty. The page of the index that
 * it changes is within the writer's JOB_PAGE_BYTES: messages with ids are all in one topic,
 * whose row and last page are changed once for all of them. */
static size_t id_cost(struct bytes id)
{
    return id.len ? id.len + 2 * (id.len + ID_ROW_BYTES) : 0;
}

/* What it may add to a transaction. A batch is packed with its keys and attributes. */
static size_t cost(const struct publish *p)
{
    const struct packed_message *m = &p->one;

    if (p->batch)
        return p->body_len + p->count * (RECORD_OVERHEAD + m->attributes.len) +
               publish_once_cost(p);
    return p->body_len + publish_once_cost(p) + RECORD_OVERHEAD + m->key.len + m->content_type.len +
           m->attributes.len + id_cost(m->id);
}

static void pay(struct rate_ticket *t, const struct publish *p)
{
    uint64_t paid = t->taken[RATE_MESSAGES];

    assert(t->from); /* else a door let it in that does not keep the limits */
    if (p->count > paid)
        rate_take(t, RATE_MESSAGES, p->count - paid, p->submitted_us);
}

void publish_submit(struct publish *p, struct rate_ticket *ticket)
{
    p->job.run = publish_run;
    p->job.done = publish_done;
    assert(p->one.id.len <= RECORD_ID_MAX); /* doors refuse a longer one */
    if (!p->batch)
        p->count = 1;
    p->job.cost = cost(p);
    if (!p->batch)
        p->total_bytes = p->blob_id ? p->blob_size : p->body_len;
    p->submitted_us = clock_mono_us();
    if (ticket)
        pay(ticket, p);
    writer_submit(p->writer, &p->job);
}

void publish_free(struct publish *p)
{
    if (!p)
        return;
    free(p->body);
    free(p->meta);
    ledger_release(&p->grant);
    free(p);
}
