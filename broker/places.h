/*
 * places - topics that make their publishers wait while they are full (`overflow` is hold),
 * and what is already on its way to them.
 *
 * The writer marks such a topic when it meets it. From then on a loop looks, when headers
 * come, whether the topic has place, books what the message will take, and lets it in; or
 * makes it wait outside, where it holds nothing. So those who are let in at the same moment
 * do not pass the limit together.
 *
 * Topics, and prefixes of namespaces, are told apart by waiters_slot only. A mark that is
 * another's costs a look; a booking that is another's makes somebody wait a little longer
 * than need be, until it is given back.
 *
 * Units:    bytes of bodies; messages.
 * Threads:  any; atomics, nothing blocks.
 */
#ifndef SLUICE_PLACES_H
#define SLUICE_PLACES_H

#include "base/bytes.h"

#include <stdint.h>

struct places;

struct places_booked {
    uint64_t bytes, messages;
};

struct places *places_new(void);
void places_free(struct places *p);

/* Until the end of the process: that it holds no more costs a look. */
void places_mark(struct places *p, struct bytes topic);
bool places_marked(struct places *p, unsigned slot);

/* Returns what is booked now, this included. To be called before the snapshot is opened
 * that says what is there: then whatever is no longer booked is in the snapshot. */
struct places_booked places_book(struct places *p, unsigned slot,
                                 struct places_booked more);
/* Once the message is stored, or will not be. */
void places_give_back(struct places *p, unsigned slot, struct places_booked less);

#endif
