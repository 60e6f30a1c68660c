#include "publish_delay.h"

int64_t publish_deliver_ms(const struct packed_delay *d, int64_t now_ms)
{
    uint64_t now = now_ms > 0 ? (uint64_t)now_ms : 0, at = d->ms;

    if (d->kind == PACKED_NO_DELAY)
        return 0;
    if (d->kind == PACKED_DELAY_AFTER)
        at = d->ms > INT64_MAX - now ? INT64_MAX : now + d->ms;
    if (at > INT64_MAX)
        at = INT64_MAX;
    return at > now ? (int64_t)at : 0;
}

enum publish_refusal publish_delay_refusal(const struct packed_delay *d, uint64_t ttl_ms,
                                           int64_t now_ms, struct publish_late *late)
{
    late->deliver_ms = publish_deliver_ms(d, now_ms);
    late->expires_ms = publish_expiry(ttl_ms, now_ms);
    if (!late->deliver_ms)
        return PUBLISH_FINE;
    if ((uint64_t)(late->deliver_ms - now_ms) > PUBLISH_DELAY_MAX_MS)
        return PUBLISH_DELAY_TOO_LONG;
    return late->expires_ms && late->deliver_ms >= late->expires_ms ? PUBLISH_NEVER_DELIVERED
                                                                    : PUBLISH_FINE;
}

/* The ttl that its topic will give it; the topic need not be there yet. */
static enum err topic_ttl(struct publish *p, struct turn *t, uint64_t *ttl_ms)
{
    struct store_topic *topic;
    enum err e = t->ops->topic_find(t->store, p->topic, &topic);

    if (e && e != ERR_NOT_FOUND)
        return e;
    *ttl_ms = e ? quota_new_topic_ttl(t, p->topic) : quota_ttl(t, topic);
    return ERR_OK;
}

static enum err check_one(struct publish *p, struct turn *t, const struct packed_message *m,
                          uint64_t topic_ttl_ms)
{
    const struct packed_message *says = m->has_ttl ? m : &p->one;
    uint64_t ttl_ms =
        publish_ttl(topic_ttl_ms, p->default_ttl_ms, says->has_ttl, says->ttl_ms);

    p->refusal =
        publish_delay_refusal(publish_delay_of(p, m), ttl_ms, t->now_ms, &p->late);
    return p->refusal ? ERR_BAD_INPUT : ERR_OK;
}

static enum err check_batch(struct publish *p, struct turn *t, uint64_t topic_ttl_ms)
{
    struct bytes at = { p->body, p->body_len };
    struct packed_message m;
    enum err e;

    for (p->late.index = 0; !(e = packed_next(&at, &m)); p->late.index++)
        if ((e = check_one(p, t, &m, topic_ttl_ms)))
            return e;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err publish_delay_check(struct publish *p, struct turn *t)
{
    uint64_t topic_ttl_ms;
    enum err e;

    if (!p->one.delay.kind && !(p->batch && p->delayed))
        return ERR_OK;
    e = topic_ttl(p, t, &topic_ttl_ms);
    if (e)
        return e;
    return p->batch ? check_batch(p, t, topic_ttl_ms) : check_one(p, t, &p->one, topic_ttl_ms);
}
