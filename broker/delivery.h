/*
 * delivery - the policy of subscriptions: what may happen to a message that was handed out.
 *
 *   leased --ack--> finished
 *          --nack, its time is over--> waits, is ready --> leased again
 *          --the same, but tried often enough; reject--> given up: to the dead letter topic,
 *            in the transaction that finishes it
 *
 * With ordering by key a message is handed out only when the one before it of the same key
 * is finished: the others are held, and each that is finished makes the next one ready.
 *
 * A message that is not to be handed out before a time waits for it, as one that is tried again
 * does, and has been handed out 0 times. Those of its key behind it are held.
 *
 * What may give a message up, or set it aside, may say ERR_BUSY: this turn can copy no more dead
 * letters, or change no more pages; nothing was changed.
 *
 * Threads:  the writer, inside a job's run or between jobs. The caller saves *sub. All other
 *           errors have spoilt the turn.
 */
#ifndef SLUICE_DELIVERY_H
#define SLUICE_DELIVERY_H

#include "writer.h"

enum dead_reason { DEAD_TRIED = 1, DEAD_REJECTED };

/* A lease for the message `m`, up to `until_ms`. `before`: what was kept of it; NULL: it is
 * new. `tied`: no longer than its connection stays. *d is what is kept from now on. */
MUST_CHECK enum err delivery_lease(struct turn *t, struct sub_state *sub,
                                   const struct store_entry *m,
                                   const struct delivery *before, int64_t until_ms,
                                   bool tied, struct delivery *d);

/* A new message: must it wait, for its time or for another one of its key? Then it does from
 * now on. */
MUST_CHECK enum err delivery_hold(struct turn *t, struct sub_state *sub,
                                  const struct store_entry *m, bool *held);

/* Nothing more is kept of it; the next of its key is ready then. */
MUST_CHECK enum err delivery_finish(struct turn *t, struct sub_state *sub,
                                    const struct delivery *d);

/* To be handed out again `delay_ms` from now; or given up, when that was often enough. */
MUST_CHECK enum err delivery_retry(struct turn *t, struct sub_state *sub,
                                   const struct delivery *d, uint64_t delay_ms);

/* As if it had not been handed out this time: nobody has got it. */
MUST_CHECK enum err delivery_take_back(struct turn *t, struct sub_state *sub,
                                       const struct delivery *d);

MUST_CHECK enum err delivery_give_up(struct turn *t, struct sub_state *sub,
                                     const struct delivery *d, enum dead_reason why);

/* How long a message waits that was handed out so often and not acked. */
uint64_t delivery_backoff_ms(const struct sub_settings *s, uint32_t deliveries);

/* Before any job: gives back up to `max` leases that were tied to connections of a process that
 * has ended. ERR_NOT_FOUND: there are none. */
MUST_CHECK enum err delivery_untie(struct turn *t, unsigned max);

/* Between jobs: up to `max` deliveries whose time is over. */
MUST_CHECK enum err delivery_sweep(struct turn *t, unsigned max);

/* Adds what a turn has done to the metrics; it is committed. Any thread. */
void delivery_count(const struct turn_deliveries *d);

#endif
