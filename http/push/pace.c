#include "push/pace.h"

#include "delivery.h"

/* 1 s, 2 s, 4 s ...: the n-th, from 1. */
static uint64_t doubled(unsigned n)
{
    uint64_t ms = n < 8 ? (uint64_t)PUSH_PAUSE_LEAST_MS << (n ? n - 1 : 0) : PUSH_PAUSE_MOST_MS;

    return ms < PUSH_PAUSE_MOST_MS ? ms : PUSH_PAUSE_MOST_MS;
}

unsigned push_pace_room(const struct push_pace *p, unsigned most, int64_t now_ms)
{
    if (p->until_ms > now_ms)
        return 0;
    return push_pace_doubtful(p) && most ? 1 : most;
}

void push_pace_taken(struct push_pace *p)
{
    *p = (struct push_pace){ .proven = true };
}

static void pause_until(struct push_pace *p, int64_t until_ms)
{
    if (p->until_ms < until_ms)
        p->until_ms = until_ms;
}

/* Several that were on their way together fail together: that is one failure. The pause is a
 * little longer than what the message waits, so that it is the same message that is tried. */
static void fail(struct push_pace *p, int64_t now_ms)
{
    if (p->until_ms <= now_ms)
        pause_until(p, now_ms + (int64_t)doubled(++p->pauses) + PUSH_PAUSE_BESIDE_MS);
}

void push_pace_refused(struct push_pace *p, uint64_t retry_after_ms, int64_t now_ms)
{
    if (++p->refusals >= PUSH_REFUSALS_MOST || p->pauses)
        fail(p, now_ms);
    if (retry_after_ms)
        pause_until(p, now_ms + (int64_t)retry_after_ms);
}

void push_pace_silent(struct push_pace *p, int64_t now_ms)
{
    p->refusals++;
    fail(p, now_ms);
}

uint64_t push_pace_retry_ms(const struct sub_settings *s, uint32_t deliveries,
                            uint64_t retry_after_ms)
{
    uint64_t ms = s->backoffs ? delivery_backoff_ms(s, deliveries) : doubled(deliveries);

    return ms > retry_after_ms ? ms : retry_after_ms;
}
