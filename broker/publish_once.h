/*
 * publish_once - a publish under a key of its publisher's: sent again, it is answered again
 * and not stored again.
 *
 * With its messages the writer stores a receipt, in one transaction: what was answered, and a
 * fingerprint of what was published. Until the receipt's time is over a publish with the same
 * key and the same fingerprint is given that answer, whatever has become of its messages. One
 * with another fingerprint is refused.
 *
 * Threads:  publish_replay: any. The others: the writer, inside a job's run.
 */
#ifndef SLUICE_PUBLISH_ONCE_H
#define SLUICE_PUBLISH_ONCE_H

#include "publish.h"

/* Gives `p` the outcome that the receipt tells of. ERR_EXISTS: it is about another publish,
 * and p->refusal says so. */
MUST_CHECK enum err publish_replay(struct publish *p, const struct receipt *r);

/* ERR_OK: it was replayed. ERR_NOT_FOUND: it is the first of its key, or has none. Others are
 * refusals, or the store's. */
MUST_CHECK enum err publish_once_look(struct publish *p, struct turn *t);

/* Is there room for one more receipt? ERR_FULL: p->refusal says so. */
MUST_CHECK enum err publish_once_room(struct publish *p, struct turn *t);

/* It was appended: keeps its receipt. */
MUST_CHECK enum err publish_once_keep(struct publish *p, struct turn *t,
                                      struct store_topic *topic);

/* What its receipt may add to a transaction, in bytes. */
size_t publish_once_cost(const struct publish *p);

#endif
