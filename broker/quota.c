#include "quota.h"

#define DROP_TURN 20000u /* messages dropped for one publish in one turn */

static bool passes(enum quota_limit limit, uint64_t max, uint64_t have, uint64_t more,
                   struct quota_refusal *why)
{
    if (!max || (more <= max && have <= max - more))
        return false;
    *why = (struct quota_refusal){ .limit = limit, .value = max, .never = more > max };
    return true;
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
                           const struct quota_need *need, struct quota_refusal *why)
{
    const struct topic_state *s = t->ops->topic_state(topic);
    const struct topic_settings *set = &s->settings;

    *why = (struct quota_refusal){ 0 };
    if (passes(QUOTA_BYTES, set->max_bytes, s->live_bytes, need->bytes, why) ||
        passes(QUOTA_MESSAGES, set->max_messages, s->live, need->messages, why) ||
        !set->max_age_ms)
        return ERR_OK;
    return check_age(t, topic, set->max_age_ms, why);
}

/* One by one, because only their sizes and times tell how many must go. ERR_BUSY: the next
 * turn goes on, so that one large message among many small ones does not hold up
 * everybody. */
static enum err drop_oldest(struct turn *t, struct store_topic *topic,
                            const struct quota_need *need, struct quota_refusal *why)
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
        e = find_limit(t, topic, need, why);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* What can never fit drops nothing, whichever limit is found first. */
static bool fits_when_empty(const struct topic_settings *set, const struct quota_need *need,
                            struct quota_refusal *why)
{
    return !passes(QUOTA_BYTES, set->max_bytes, 0, need->bytes, why) &&
           !passes(QUOTA_MESSAGES, set->max_messages, 0, need->messages, why);
}

enum err quota_admit(struct turn *t, struct store_topic *topic,
                     const struct quota_need *need, struct quota_refusal *why)
{
    const struct topic_settings *set = &t->ops->topic_state(topic)->settings;
    enum err e = find_limit(t, topic, need, why);

    if (e || why->limit == QUOTA_NONE)
        return e;
    if (set->overflow == STORE_OVERFLOW_DROP_OLDEST && fits_when_empty(set, need, why))
        return drop_oldest(t, topic, need, why);
    why->overflow = set->overflow;
    return ERR_FULL;
}
