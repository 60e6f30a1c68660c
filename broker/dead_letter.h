/*
 * dead_letter - where messages go that a subscription has given up.
 *
 * A dead letter is a copy of the message in another topic, with attributes that say where
 * it came from, why, and how often it was handed out. A message in chunks is not copied: its
 * dead letter has no body, and says where the message is.
 *
 * Threads:  the writer, inside a turn.
 */
#ifndef SLUICE_DEAD_LETTER_H
#define SLUICE_DEAD_LETTER_H

#include "delivery.h"

/* Names of attributes. */
#define DEAD_LETTER_PREFIX "dead-letter-"
#define DEAD_LETTER_TOPIC  DEAD_LETTER_PREFIX "topic"
#define DEAD_LETTER_OFFSET DEAD_LETTER_PREFIX "offset"
#define DEAD_LETTER_SUB    DEAD_LETTER_PREFIX "subscription"
#define DEAD_LETTER_SIZE   DEAD_LETTER_PREFIX "size"

/* Of bodies that are copied in one turn, or one body. They are in no ledger, but in the turn's
 * changed pages: so at most half a batch, which the writer's line has room for twice. */
#define DEAD_LETTER_TURN_BYTES (1u << 20)

bool dead_letter_turn_is_full(const struct turn *t, uint64_t bytes);

/* ERR_OK; ERR_FULL: not now; ERR_BUSY: not in this turn. Nothing was changed then. Else the
 * turn is spoilt. */
MUST_CHECK enum err dead_letter_append(struct turn *t, const struct sub_state *sub,
                                       const struct store_entry *m,
                                       const struct delivery *d, enum dead_reason why);

/* Appends r to the topic, with the life that a message has there by default. An error has
 * spoilt the turn. */
MUST_CHECK enum err dead_letter_store(struct turn *t, struct store_topic *topic,
                                      struct record *r);

#endif
