/*
 * pace - how fast messages are pushed to one endpoint, by how it did so far.
 *
 *   UNPROVEN --2xx--> FINE --no answer, or 5 refusals in a row--> FAILING --2xx--> FINE
 *
 * While it is unproven or failing one message is on its way at a time; each failure then is a
 * pause for all of the subscription: 1 s, then twice as long, 60 s at most. So an endpoint that
 * is down is asked once a minute, with one message, and not with all that wait: these keep
 * their deliveries. Five in a row, because an endpoint may refuse a message or two for good
 * and take all others.
 *
 * Units:    milliseconds, of the monotonic clock.
 * Pure. Threads: any.
 */
#ifndef SLUICE_PUSH_PACE_H
#define SLUICE_PUSH_PACE_H

#include "store.h"

#define PUSH_PAUSE_LEAST_MS 1000u
#define PUSH_PAUSE_MOST_MS  60000u
#define PUSH_PAUSE_BESIDE_MS 250u
#define PUSH_RETRY_AFTER_MOST_MS (3600u * 1000u) /* of what an endpoint may ask for */
#define PUSH_REFUSALS_MOST 5u /* in a row, before it counts as failing */

struct push_pace { /* all zero: unproven */
    bool proven;
    unsigned refusals; /* in a row */
    unsigned pauses;   /* since it last took a message */
    int64_t until_ms;  /* nothing goes out before; 0: now */
};

/* How many may be on their way together, now. */
unsigned push_pace_room(const struct push_pace *p, unsigned most, int64_t now_ms);

/* Is it one of those that may not take all connections? */
static inline bool push_pace_doubtful(const struct push_pace *p)
{
    return !p->proven || p->pauses;
}

void push_pace_taken(struct push_pace *p);

/* It answered, but not with 2xx. `retry_after_ms`: what it asked for; 0: nothing. */
void push_pace_refused(struct push_pace *p, uint64_t retry_after_ms, int64_t now_ms);

/* It could not be reached, or did not answer in time. */
void push_pace_silent(struct push_pace *p, int64_t now_ms);

/* When a message that was handed out so often comes again: by the subscription's backoff,
 * else after 1 s, 2 s, 4 s ... 60 s; not before what the endpoint asked for. */
uint64_t push_pace_retry_ms(const struct sub_settings *s, uint32_t deliveries,
                            uint64_t retry_after_ms);

#endif
