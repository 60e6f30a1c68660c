/*
 * publish_delay - messages that subscriptions are not to hand out before their time.
 *
 * A delay is said of one message, or of a batch for all that say nothing. It is counted from
 * the turn that stores the message. Such a message is in the log at once, with its offset: only
 * subscriptions wait (delivery.h). One whose time has come already is like any other.
 *
 * Units:    milliseconds of wall clock.
 * Threads:  publish_delay_check: the writer, inside a job's run. The others: any.
 */
#ifndef SLUICE_PUBLISH_DELAY_H
#define SLUICE_PUBLISH_DELAY_H

#include "publish.h"

#define PUBLISH_DELAY_MAX_MS ((uint64_t)30 * 24 * 3600 * 1000)

/* What counts for the message `m` of p. */
static inline const struct packed_delay *publish_delay_of(const struct publish *p,
                                                          const struct packed_message *m)
{
    return m->delay.kind ? &m->delay : &p->one.delay;
}

/* When a message that is stored now may be handed out. 0: at once. */
int64_t publish_deliver_ms(const struct packed_delay *d, int64_t now_ms);

/* May a message wait so that lives for ttl_ms, UINT64_MAX: for ever? PUBLISH_FINE, or why not;
 * *late is filled in, but for its index. */
enum publish_refusal publish_delay_refusal(const struct packed_delay *d, uint64_t ttl_ms,
                                           int64_t now_ms, struct publish_late *late);

/* ERR_BAD_INPUT: a message waits longer than it may, or until it has expired; p->refusal and
 * p->late say which. Nothing was changed. Other errors are the store's. */
MUST_CHECK enum err publish_delay_check(struct publish *p, struct turn *t);

#endif
