#include "places.h"

#include "waiters.h"

#include <stdatomic.h>
#include <stdlib.h>

struct places {
    _Atomic bool marked[WAITERS_SLOTS];
    _Atomic uint64_t bytes[WAITERS_SLOTS], messages[WAITERS_SLOTS];
};

struct places *places_new(void)
{
    return calloc(1, sizeof(struct places));
}

void places_free(struct places *p)
{
    free(p);
}

void places_mark(struct places *p, struct bytes topic)
{
    if (p)
        atomic_store(&p->marked[waiters_slot(topic)], true);
}

bool places_marked(struct places *p, unsigned slot)
{
    return atomic_load(&p->marked[slot]);
}

struct places_booked places_book(struct places *p, unsigned slot,
                                 struct places_booked more)
{
    return (struct places_booked){
        .bytes = atomic_fetch_add(&p->bytes[slot], more.bytes) + more.bytes,
        .messages = atomic_fetch_add(&p->messages[slot], more.messages) + more.messages,
    };
}

void places_give_back(struct places *p, unsigned slot, struct places_booked less)
{
    atomic_fetch_sub(&p->bytes[slot], less.bytes);
    atomic_fetch_sub(&p->messages[slot], less.messages);
}
