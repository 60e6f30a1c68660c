/*
 * push - messages of subscriptions that have a URL are POSTed to it.
 *
 * One thread does all of it, as one more consumer of each of these subscriptions: it leases
 * messages and settles them by the same jobs as receive and ack do, and keeps nothing that a
 * restart would lose. It is started when the first such subscription is there, at the
 * start or later.
 *
 *   (news) --> look --room--> lease --> POST --2xx--> ack
 *                ^                        '--else--> nack, after a while
 *                '------ and a pause, if the endpoint is down (pace.h) ------'
 *
 * Threads:  push_open, push_drain, push_close: main; the rest: any.
 */
#ifndef SLUICE_PUSH_H
#define SLUICE_PUSH_H

#include "broker.h"
#include "push/targets.h"

struct push;
struct push_note; /* word of one subscription that is about to change */

/* Starts the thread if it finds a subscription with a URL. */
MUST_CHECK enum err push_open(struct broker *b, struct push **out);

/*
 * Asked before a subscription gets a URL. ERR_FULL: there are as many as may be. ERR_TOO_BIG:
 * there is no memory for it: push_connections is 0.
 * ERR_UNSUPPORTED: libcurl is not installed. Other changes of a subscription need no word: they
 * wake those who wait for it.
 */
MUST_CHECK enum err push_announce(struct push *p, struct bytes name, struct push_note **note);

/* It got it, or did not: either way takes the note, a struct push_note, over. */
void push_changed(void *note);

/* How it fares. NULL is fine: nothing is pushed. */
void push_look(struct push *p, struct bytes name, struct push_view *out);

/* No more is sent; what is on its way may end. */
void push_drain(struct push *p);
/* Nothing is on its way. */
bool push_quiet(struct push *p);
/* Cuts what is still on its way and gives its leases back. NULL is fine. Every HTTP loop must
 * have ended. */
void push_close(struct push *p);

#endif
