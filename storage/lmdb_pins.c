/*
 * Blobs that somebody reads. A pin keeps a blob's chunks although its record is taken out,
 * so that a slow reader gets all of it; it is in memory only.
 *
 *   1. trash_step frees nothing that was taken out in its own transaction. So a reader that
 *      pins a blob, then opens a snapshot, and finds the record in it, is safe: were a step
 *      at work on the blob that did not see the pin, an earlier commit would have taken the
 *      record out, and the snapshot would show that.
 *   2. Who unpins a blob that a step has left is told so, once, when no other pin keeps it.
 */
#include "lmdb_internal.h"

#include <assert.h>

static struct store_pin **slot_of(struct pins *p, uint64_t blob_id)
{
    return &p->first[blob_id % PIN_SLOTS]; /* ids are consecutive */
}

static void link_pin(struct store_pin **at, struct store_pin *pin)
{
    pin->next = *at;
    pin->link = at;
    if (pin->next)
        pin->next->link = &pin->next;
    *at = pin;
}

static void unlink_pin(struct store_pin *pin)
{
    *pin->link = pin->next;
    if (pin->next)
        pin->next->link = pin->link;
    pin->next = NULL;
    pin->link = NULL;
}

void lmdb_pins_init(struct pins *p)
{
    pthread_mutex_init(&p->lock, NULL);
}

void lmdb_pins_fini(struct pins *p)
{
    for (unsigned i = 0; i < PIN_SLOTS; i++)
        assert(!p->first[i]); /* a reader outlives the store */
    pthread_mutex_destroy(&p->lock);
}

void lmdb_blob_pin(struct store *s, struct store_pin *pin)
{
    struct pins *p = &s->pins;

    pin->left = false;
    pthread_mutex_lock(&p->lock);
    link_pin(slot_of(p, pin->blob_id), pin);
    pthread_mutex_unlock(&p->lock);
}

/* What the blob was left for passes on to its other pins. True: there is none. */
static bool is_last(struct pins *p, const struct store_pin *gone)
{
    bool last = true;

    for (struct store_pin *o = *slot_of(p, gone->blob_id); o; o = o->next)
        if (o->blob_id == gone->blob_id) {
            o->left |= gone->left;
            last = false;
        }
    return last;
}

bool lmdb_blob_unpin(struct store *s, struct store_pin *pin)
{
    struct pins *p = &s->pins;
    bool waits = false;

    pthread_mutex_lock(&p->lock);
    if (pin->link) {
        unlink_pin(pin);
        waits = is_last(p, pin) && pin->left;
    }
    pthread_mutex_unlock(&p->lock);
    return waits;
}

bool lmdb_pins_hold(struct store *s, uint64_t blob_id, int64_t now_ms, int64_t *until_ms)
{
    struct pins *p = &s->pins;
    struct store_pin *pin, *next;
    bool held = false;

    pthread_mutex_lock(&p->lock);
    for (pin = *slot_of(p, blob_id); pin; pin = next) {
        next = pin->next;
        if (pin->blob_id != blob_id)
            continue;
        if (pin->until_ms <= now_ms) {
            unlink_pin(pin);
            continue;
        }
        pin->left = held = true;
        if (!*until_ms || pin->until_ms < *until_ms)
            *until_ms = pin->until_ms;
    }
    pthread_mutex_unlock(&p->lock);
    return held;
}
