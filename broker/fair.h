/*
 * fair - a line in which nobody's crowd pushes others back.
 *
 * Who waits belongs to a caller, and there to a topic. Callers share what is served
 * equally, by bytes; the topics of one caller share what that caller gets, by weight.
 * Sixty-four waiters of one caller move as fast as the one waiter of another. Within a topic
 * of a caller it is first come, first served.
 *
 * This is start-time fair queueing (Goyal, Vin, Cheng 1996) on two levels. A start is where
 * the last service of the same caller (or topic) ends, or the time of the line (of the
 * caller) if that is later; the lowest start is first. The time is the start of who was
 * served last. So it goes on with every byte served, and everybody's turn comes.
 *
 *      start = max(time, end of the last)      end = start + cost / weight
 *
 * Callers and topics are told apart by hashes in tables of fixed size: two that collide
 * have one share together. Memory is fixed, whatever clients send: about 100 KiB, and the
 * links in the waiter.
 *
 * Threads:  none of its own; the owner's lock guards it.
 * Owner:    an item belongs to the caller and must stay where it is while it is in line.
 */
#ifndef SLUICE_FAIR_H
#define SLUICE_FAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fair; /* opaque: its fields are in fair.c */

struct fair_flow { /* any good hashes */
    uint32_t caller, topic;
};

struct fair_node { /* of a pairing heap; all fields are fair.c's */
    uint64_t start, order;
    struct fair_node *child, *next, *prev; /* prev: the sibling before, or the parent */
};

struct fair_item { /* all zero: not in line */
    struct fair_node node; /* first */
    size_t cost;
    uint16_t caller;
    bool in_line;
};

struct fair *fair_new(void); /* NULL: no memory */
void fair_free(struct fair *f);

/* `cost` in bytes; `weight` of its topic, 1 is usual, 0 counts as 1. */
void fair_add(struct fair *f, struct fair_item *i, struct fair_flow of, size_t cost,
              unsigned weight);

/* Whose turn it is; NULL: nobody waits. */
struct fair_item *fair_first(const struct fair *f);

/* Out of the line: as served, which moves the line's time, or because it left. */
void fair_serve(struct fair *f, struct fair_item *i);
void fair_leave(struct fair *f, struct fair_item *i);

#endif
