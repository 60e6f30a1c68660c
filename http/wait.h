/*
 * wait - how a request waits: suspended in the library, watched by its loop, resumed by
 * room, news, time, or its client leaving.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_WAIT_H
#define SLUICE_WAIT_H

#include "request.h"

/* Sets what runs when the request's watch, timer or letter does. */
void wait_init(struct request *r);

/* The connection's descriptor. */
int request_socket(const struct request *r);

/* A request is in one of its loop's lists, or in none. */
void request_list_add(struct request_list *list, struct request *r);
void request_list_remove(struct request *r);

/* Tells the loop's epoll set to say when the client leaves; once. */
void wait_watch(struct request *r);
void wait_unwatch(struct request *r);

/* Until wait_resume, or until `until_ms` (monotonic; 0: no such time). One that is suspended
 * already stays so, until then. */
void wait_suspend(struct request *r, int64_t until_ms);
void wait_resume(struct request *r);
/* Suspended, and not watched: for less than a turn of the loop. */
void wait_aside(struct request *r);

/* In a route's finish, or when its room came and nothing is there any more: waits for news
 * of its topic until r->read.until_ms. */
void wait_park(struct request *r);

/* The same for what a subscription of its topic gives, new or again. */
void wait_park_receiver(struct request *r, struct bytes subscription);

/* Out of the parked, without an answer; it stays suspended. */
void wait_unpark(struct request *r);

/* For the loop. News for the parked of this slot (waiters.h); a shutdown, which answers all
 * who wait; and the end, which closes their connections. */
void wait_woken(void *loop, unsigned slot);
void wait_drain(struct loop *l);
void wait_cut_all(struct loop *l);

#endif
