/*
 * publish_door - what every way in for messages shares, whatever its dialect: who may come
 * in, the bytes' way from the request to the publish, the writer and back, refusals.
 *
 *   start:   door_opens, then request_expect_body with the publish ledger
 *   finish:  door_take_body, the dialect's own parsing, door_submit
 *   answer:  door_came_home gives it; the dialect says what a stored publish looks like
 *
 * Threads:  the request's loop.
 * Owner:    a publish belongs to its door until door_submit, and is freed by
 *           door_came_home.
 */
#ifndef SLUICE_PUBLISH_DOOR_H
#define SLUICE_PUBLISH_DOOR_H

#include "publish.h"
#include "request.h"

/* Draining, Prefer: wait, and a topic that is the Mercure hub's own. False: a problem was given. */
bool door_opens(struct request *r);

/* The same for the one door that leads into the hub's log. */
bool door_opens_to_hub(struct request *r);

/* What the topic's next offset is, for who wanted another one. */
void door_next_differs(struct request *r, struct bytes topic, uint64_t next);

/* Says why a message cannot be delayed so; of a batch, also which. */
void door_refuse_delay(struct request *r, enum publish_refusal why,
                       const struct publish_late *late, bool batch);

/* The most messages one request may bring: each takes this much of a transaction's pages
 * beside its own bytes (see limits.h). */
size_t door_most_messages(const struct config *c);

/* The request's bytes become the publish's, with the grant that pays for them. */
void door_take_body(struct request *r, struct publish *p);

/* The request is held until `came_home` is called with the publish's letter. Of p, only
 * what it brings has to be filled in; auto_create, where it does not depend on the setting. */
void door_submit(struct request *r, struct publish *p, void (*came_home)(struct letter *l));

/* In place of door_submit for one whose Idempotency-Key is known, p->once.print made: gives
 * the answer of the first, or the problem. Frees p. */
void door_replay(struct request *r, struct publish *p,
                 void (*answer)(struct request *r, struct publish *p));

/* To be called by `came_home`: gives the answer, or the problem, unless the client has
 * gone; frees the publish. `answer` runs for a publish that is stored. */
void door_came_home(struct letter *l,
                    void (*answer)(struct request *r, struct publish *p));

/* Adds to an answer what "stored" means here: Durability. */
void door_say_durability(struct request *r);

#endif
