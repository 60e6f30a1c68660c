/*
 * waiters - tells HTTP loops that topics have new messages, and only those that wait.
 *
 * A loop counts itself in for a topic before it looks at the topic a last time and parks;
 * the writer looks at the counts after its commit. One of the two always sees the other,
 * so no wakeup is lost. Topics are told apart by a hash; two topics that share a slot
 * cost a look in vain, nothing else.
 *
 * Memory:   fixed, by the number of loops.
 * Threads:  waiters_wake and waiters_flush: the writer. The rest: the loop of that index.
 */
#ifndef SLUICE_WAITERS_H
#define SLUICE_WAITERS_H

#include "base/bytes.h"
#include "mailbox.h"

#define WAITERS_SLOTS 4096u /* a power of two */

struct waiters;

struct waiters *waiters_new(unsigned loops);
void waiters_free(struct waiters *w);

/* `woken` runs on the loop, once for each slot with news (WAITERS_ALL: look at all). */
#define WAITERS_ALL WAITERS_SLOTS
void waiters_join(struct waiters *w, unsigned loop, struct mailbox *home,
                  void (*woken)(void *arg, unsigned slot), void *arg);

/* When it returns the writer does not touch the loop's mailbox any more. Any thread. */
void waiters_part(struct waiters *w, unsigned loop);

unsigned waiters_slot(struct bytes topic);
/* Of those who wait for what a subscription gives again: others than its topic's. */
unsigned waiters_subscription_slot(struct bytes name);

void waiters_park(struct waiters *w, unsigned loop, unsigned slot);
void waiters_leave(struct waiters *w, unsigned loop, unsigned slot);

/* After a commit: the topic of this slot has news. Delivered by waiters_flush. */
void waiters_wake(struct waiters *w, unsigned slot);
void waiters_flush(struct waiters *w);

/* As if there were news for this loop: who was woken did not take what there is. Its own letter
 * brings them. */
void waiters_pass_on(struct waiters *w, unsigned loop, unsigned slot);

#endif
