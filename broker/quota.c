#include "quota.h"

#define DROP_TURN 20000u /* messages dropped for one publish in one turn */

struct holders {
    const struct namespace_state *of[STORE_NAMESPACE_DEPTH];
    unsigned count;
};

static struct bytes name_of(const struct topic_state *s)
{
    return bytes_of(s->name, s->name_len);
}

static void find_holders(struct turn *t, struct store_topic *topic, struct bytes name,
                         struct holders *h)
{
    h->count = t->ops->namespaces_of(t->store, topic, name, h->of);
}

static bool passes(enum quota_limit limit, uint64_t max, uint64_t have, uint64_t more,
                   struct quota_refusal *why)
{
    if (!max || (more <= max && have <= max - more))
        return false;
    *why = (struct quota_refusal){ .limit = limit, .value = max, .never = more > max };
    return true;
}

/* `less` is what the topic itself would give up. */
static bool passes_holder(const struct namespace_state *n, const struct quota_need *need,
                          struct quota_need less, struct quota_refusal *why)
{
    if (n->counting ||
        !(passes(QUOTA_BYTES, n->settings.max_bytes, n->live_bytes - less.bytes,
                 need->bytes, why) ||
          passes(QUOTA_MESSAGES, n->settings.max_messages, n->live - less.messages,
                 need->messages, why)))
        return false;
    why->prefix_len = n->prefix_len;
    why->overflow = n->settings.overflow;
    return true;
}

static bool passes_holders(const struct holders *h, const struct quota_need *need,
                           struct quota_need less, struct quota_refusal *why)
{
    for (unsigned i = 0; i < h->count; i++)
        if (passes_holder(h->of[i], need, less, why))
            return true;
    return false;
}

static enum err check_age(struct turn *t, struct store_topic *topic, uint64_t max_ms,
                          struct quota_refusal *why)
{
    int64_t oldest_ms;
    enum err e = t->ops->topic_oldest(t->store, topic, &oldest_ms);

    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : turn_spoil(t, e);
    if (oldest_ms < t->now_ms && (uint64_t)(t->now_ms - oldest_ms) > max_ms)
        *why = (struct quota_refusal){ .limit = QUOTA_AGE, .value = max_ms };
    return ERR_OK;
}

/* why->limit is QUOTA_NONE where it fits. */
static enum err find_limit(struct turn *t, struct store_topic *topic,
                           const struct holders *h, const struct quota_need *need,
                           struct quota_refusal *why)
{
    const struct topic_state *s = t->ops->topic_state(topic);
    const struct topic_settings *set = &s->settings;
    struct quota_need nothing = { 0 };
    enum err e = ERR_OK;

    *why = (struct quota_refusal){ 0 };
    if (!passes(QUOTA_BYTES, set->max_bytes, s->live_bytes, need->bytes, why) &&
        !passes(QUOTA_MESSAGES, set->max_messages, s->live, need->messages, why) &&
        set->max_age_ms)
        e = check_age(t, topic, set->max_age_ms, why);
    if (why->limit != QUOTA_NONE)
        why->overflow = set->overflow;
    else if (!e)
        passes_holders(h, need, nothing, why);
    return e;
}

/* One by one, because only their sizes and times tell how many must go. ERR_BUSY: the next
 * turn goes on, so that one large message among many small ones does not hold up
 * everybody. */
static enum err drop_oldest(struct turn *t, struct store_topic *topic,
                            const struct holders *h, const struct quota_need *need,
                            struct quota_refusal *why)
{
    const struct topic_state *s = t->ops->topic_state(topic);
    struct store_step step;
    enum err e;

    turn_trash(t);
    for (unsigned n = 0; why->limit != QUOTA_NONE; n++) {
        if (n == DROP_TURN)
            return ERR_BUSY;
        e = t->ops->remove_step(t->store, topic, s->next_offset, 1, &step);
        if (!e && !step.messages)
            e = ERR_CORRUPT; /* bytes without a message */
        if (e)
            return turn_spoil(t, e);
        e = find_limit(t, topic, h, need, why);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* What cannot fit even then drops nothing, whichever limit is found first. */
static bool fits_when_empty(const struct topic_state *s, const struct holders *h,
                            const struct quota_need *need, struct quota_refusal *why)
{
    const struct quota_need all = { .bytes = s->live_bytes, .messages = s->live };

    if (!passes(QUOTA_BYTES, s->settings.max_bytes, 0, need->bytes, why) &&
        !passes(QUOTA_MESSAGES, s->settings.max_messages, 0, need->messages, why))
        return !passes_holders(h, need, all, why);
    why->overflow = s->settings.overflow;
    return false;
}

/* Whoever comes next waits at the door while it is full. */
static void mark(struct turn *t, struct bytes name, enum store_overflow overflow,
                 const struct holders *h)
{
    bool holds = overflow == STORE_OVERFLOW_HOLD;

    for (unsigned i = 0; i < h->count; i++)
        holds |= h->of[i]->settings.overflow == STORE_OVERFLOW_HOLD;
    if (holds)
        places_mark(t->places, name);
}

enum err quota_admit(struct turn *t, struct store_topic *topic,
                     const struct quota_need *need, struct quota_refusal *why)
{
    const struct topic_state *s = t->ops->topic_state(topic);
    struct holders h;
    enum err e;

    find_holders(t, topic, name_of(s), &h);
    mark(t, name_of(s), s->settings.overflow, &h);
    e = find_limit(t, topic, &h, need, why);
    if (e || why->limit == QUOTA_NONE)
        return e;
    if (s->settings.overflow == STORE_OVERFLOW_DROP_OLDEST &&
        fits_when_empty(s, &h, need, why))
        return drop_oldest(t, topic, &h, need, why);
    return ERR_FULL;
}

enum err quota_new_topic(struct turn *t, struct bytes name, const struct quota_need *need,
                         struct quota_refusal *why)
{
    struct quota_need nothing = { 0 };
    struct holders h;

    *why = (struct quota_refusal){ 0 };
    if (t->max_topics &&
        passes(QUOTA_TOPICS, t->max_topics, t->ops->topics(t->store), 1, why))
        return ERR_FULL;
    find_holders(t, NULL, name, &h);
    mark(t, name, STORE_OVERFLOW_REJECT, &h);
    for (unsigned i = 0; i < h.count; i++) {
        const struct namespace_state *n = h.of[i];

        if (n->counting ||
            !passes(QUOTA_TOPICS, n->settings.max_topics, n->topics, 1, why))
            continue;
        why->prefix_len = n->prefix_len;
        return ERR_FULL;
    }
    return need->messages && passes_holders(&h, need, nothing, why) ? ERR_FULL : ERR_OK;
}

static uint64_t ttl_of_holders(struct turn *t, struct store_topic *topic, struct bytes name)
{
    uint64_t ttl_ms = 0;
    struct holders h;

    find_holders(t, topic, name, &h);
    for (unsigned i = 0; i < h.count; i++)
        if (h.of[i]->settings.ttl_ms)
            ttl_ms = h.of[i]->settings.ttl_ms;
    return ttl_ms;
}

uint64_t quota_ttl(struct turn *t, struct store_topic *topic)
{
    const struct topic_state *s = t->ops->topic_state(topic);

    return s->settings.ttl_ms ? s->settings.ttl_ms : ttl_of_holders(t, topic, name_of(s));
}

uint64_t quota_new_topic_ttl(struct turn *t, struct bytes name)
{
    return ttl_of_holders(t, NULL, name);
}
