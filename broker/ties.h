/*
 * ties - leases that are tied to an open connection: which of them are still out.
 *
 * A connection that holds leases has to know when the last of them is settled, and what is left
 * to give back when its client vanishes. Whoever settles leases tells it here, by the leases
 * themselves: so a settle costs one look for each lease that it names, however many others are
 * held, and nobody has to look into the store.
 *
 *   ties_book --> ties_enter --settled, extended, void--> `told`, on the holder's loop
 *                     '--> ties_leave: what is still open is the holder's to give back
 *
 * What all ties take is booked first, and never more than the limit.
 *
 * Units:    bytes; milliseconds of wall clock.
 * Threads:  any; `told` runs on the loop of the tie's home.
 * Owner:    a tie is its holder's. It stays until ties_leave says that no letter is on its way,
 *           or until `told` has run.
 */
#ifndef SLUICE_TIES_H
#define SLUICE_TIES_H

#include "lease.h"
#include "mailbox.h"

#include <stddef.h>

struct settle;
struct tie;
struct ties;

struct tied_lease {
    struct lease lease;
    int64_t due_ms;
    struct tie *of; /* NULL: settled, or over */
    struct tied_lease *next;
};

struct tie { /* the leases of one connection */
    struct letter letter; /* first; all up to `count` but the links: the holder's */
    struct mailbox *home;
    /* `over`: none of its leases is open any more. */
    void (*told)(struct tie *t, bool over);
    struct bytes subscription; /* its name, lent while the tie is in */
    struct ties *in;
    struct tie *next, **link;
    unsigned count, open;
    bool posted;
    struct tied_lease leases[];
};

static inline size_t tie_bytes(unsigned count)
{
    return sizeof(struct tie) + count * sizeof(struct tied_lease);
}

/* All ties together take at most `limit_bytes`. NULL: no memory. */
struct ties *ties_new(size_t limit_bytes);
void ties_free(struct ties *ts); /* NULL is fine; nobody may be in */

/* As much as there is, up to `most`; 0: not even `least`. */
size_t ties_book(struct ties *ts, size_t least, size_t most);
void ties_give_back(struct ties *ts, size_t bytes);

/* All of its leases are open from here on; home, told, subscription, count and for each lease
 * `lease` and due_ms are set. */
void ties_enter(struct ties *ts, struct tie *t);

/* From here on it is the holder's alone: t->open leases, those with `of`, are to be given back.
 * False: a letter is on its way, and `told` runs once more. */
bool ties_leave(struct ties *ts, struct tie *t);

/* Closes those that are over. False: none is open any more; else *due_ms is when the last ends. */
bool ties_expire(struct ties *ts, struct tie *t, int64_t now_ms, int64_t *due_ms);

/* The job is done: what it has settled or extended is told to who holds it. */
void ties_settled(struct ties *ts, const struct settle *c);

/* All leases of this subscription are void. */
void ties_void(struct ties *ts, struct bytes subscription);

#endif
