#include "publish_once.h"

#include "metrics.h"
#include "publish_delay.h"

/* Two rows with the key, and what they share their pages with. */
#define RECEIPT_BYTES 128u
/* Keys come in no order: each is on a page of its own. A turn's memory is counted as twice
 * the cost of its jobs. */
#define RECEIPT_PAGE_BYTES (4096u / 2)

static bool is_asked_for(const struct publish *p)
{
    return p->once.key.len != 0;
}

size_t publish_once_cost(const struct publish *p)
{
    return is_asked_for(p) ? 2 * (p->once.key.len + RECEIPT_BYTES) + RECEIPT_PAGE_BYTES : 0;
}

enum err publish_replay(struct publish *p, const struct receipt *r)
{
    if (memcmp(p->once.print, r->print, sizeof r->print) != 0) {
        p->refusal = PUBLISH_KEY_REUSED;
        return ERR_EXISTS;
    }
    p->first_offset = r->first_offset;
    p->count = r->count;
    p->time_ms = r->time_ms;
    p->expires_ms = r->expires_ms;
    p->ttl_ms = r->ttl_ms;
    p->deliver_ms = publish_deliver_ms(&p->one.delay, r->time_ms); /* as it was: same print */
    p->replayed = true;
    metric_add(METRIC_REPLAYS, 1);
    return ERR_OK;
}

enum err publish_once_look(struct publish *p, struct turn *t)
{
    struct store_topic *topic;
    struct receipt r;
    enum err e;

    if (!is_asked_for(p))
        return ERR_NOT_FOUND;
    e = t->ops->topic_find(t->store, p->topic, &topic);
    if (!e)
        e = t->ops->receipts->find(t->store, topic, p->once.key, &r);
    if (e)
        return e == ERR_NOT_FOUND ? e : turn_spoil(t, e);
    return r.until_ms > t->now_ms ? publish_replay(p, &r) : ERR_NOT_FOUND;
}

enum err publish_once_room(struct publish *p, struct turn *t)
{
    uint64_t count;
    enum err e;

    if (!is_asked_for(p) || !p->once.max_keys)
        return ERR_OK;
    e = t->ops->receipts->count(t->store, &count);
    if (e)
        return e;
    if (count < p->once.max_keys)
        return ERR_OK;
    p->refusal = PUBLISH_KEYS_FULL;
    return ERR_FULL;
}

enum err publish_once_keep(struct publish *p, struct turn *t, struct store_topic *topic)
{
    struct receipt r = { .first_offset = p->first_offset,
                         .count = p->count,
                         .time_ms = p->time_ms,
                         .expires_ms = p->expires_ms,
                         .ttl_ms = p->ttl_ms,
                         .until_ms = t->now_ms + (int64_t)p->once.window_ms };
    enum err e;

    if (!is_asked_for(p))
        return ERR_OK;
    memcpy(r.print, p->once.print, sizeof r.print);
    e = t->ops->receipts->put(t->store, topic, p->once.key, &r);
    if (!e)
        turn_due(t, r.until_ms);
    return e;
}
