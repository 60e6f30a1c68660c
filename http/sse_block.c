#include "sse_block.h"

#include "broker.h"
#include "location.h"
#include "sse_event.h"

#include <stdlib.h>

#define ALLOCATOR_BYTES 64u /* what the allocator takes beside two pieces of memory */

static struct sse_block **bucket_of(struct loop *l, unsigned slot)
{
    return &l->blocks[slot % LOOP_BLOCK_BUCKETS];
}

static struct sse_block *find(const struct sse_want *w)
{
    struct sse_block *b = *bucket_of(w->loop, w->slot);

    for (; b; b = b->next_in_bucket)
        if (b->first == w->offset && b->envelope == w->envelope &&
            bytes_eq(bytes_of(b->topic, b->topic_len), w->topic))
            return b;
    return NULL;
}

static void link_in(struct sse_block *b)
{
    struct sse_block **bucket = bucket_of(b->loop, b->slot);

    b->next_in_bucket = *bucket;
    if (*bucket)
        (*bucket)->prev = b;
    *bucket = b;
}

void sse_block_drop(struct sse_block *b)
{
    if (!b || --b->holders)
        return;
    *(b->prev ? &b->prev->next_in_bucket : bucket_of(b->loop, b->slot)) = b->next_in_bucket;
    if (b->next_in_bucket)
        b->next_in_bucket->prev = b->prev;
    free(b->data);
    ledger_release(&b->paid);
    free(b);
}

static size_t beside_data(const struct sse_want *w)
{
    return sizeof(struct sse_block) + w->topic.len + ALLOCATOR_BYTES;
}

static size_t most_of(const struct sse_want *w, const struct record *r)
{
    return sse_event_most(r, w->envelope) + SSE_SKIPPED_MOST;
}

/* Room for the first message, and for as many more as there may be in the topic. */
static size_t likely(const struct sse_want *w, size_t least)
{
    const struct topic_state *t = &w->loop->fetch.topic;
    uint64_t behind = t->next_offset - w->offset;
    uint64_t all = behind > 1 ? 2 * t->live_bytes + behind * 256 : 0;

    if (all > SSE_BLOCK_BYTES)
        all = SSE_BLOCK_BYTES;
    all += beside_data(w);
    return all > least ? (size_t)all : least;
}

/* ---- encoding ---- */

static void put(struct sse_block *b, struct out *o, const struct store_entry *m)
{
    char href[LOCATION_ROOM];

    if (m->record.blob_id)
        message_location(bytes_of(b->topic, b->topic_len), m->offset, href);
    if (m->offset > b->next)
        sse_put_skipped(o, b->next, m->offset);
    sse_put_event(o, m->offset, &m->record, m->record.blob_id ? href : NULL, b->envelope);
    b->next = m->offset + 1;
    b->bytes += m->record.blob_id ? 0 : m->record.body.len;
    b->count++;
}

/* From `m` on, what fits. */
static enum err fill(struct sse_block *b, struct out *o, struct store_entry *m)
{
    enum err e = ERR_OK;

    do
        put(b, o, m);
    while (!o->full && !(e = fetch_next(&b->loop->fetch, b->next, m)) &&
           o->len + sse_event_most(&m->record, b->envelope) + SSE_SKIPPED_MOST <= o->limit);
    if (o->full)
        return o->no_memory ? ERR_NO_MEMORY : ERR_CORRUPT;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static struct sse_block *block_new(const struct sse_want *w)
{
    struct sse_block *b = calloc(1, sizeof *b + w->topic.len);

    if (!b)
        return NULL;
    b->loop = w->loop;
    b->slot = w->slot;
    b->envelope = w->envelope;
    b->first = b->next = w->offset;
    b->topic_len = (uint16_t)w->topic.len;
    memcpy(b->topic, w->topic.data, w->topic.len);
    b->holders = 1;
    return b;
}

/* Takes *grant. */
static enum err build(struct sse_want *w, struct store_entry *m, struct grant *grant,
                      struct sse_block **out)
{
    struct sse_block *b = block_new(w);
    struct out o;
    enum err e = b ? ERR_OK : ERR_NO_MEMORY;

    out_init(&o, grant->bytes - beside_data(w));
    if (!e)
        e = fill(b, &o, m);
    if (e) {
        out_fini(&o);
        free(b);
        ledger_release(grant);
        return e;
    }
    out_trim(&o);
    ledger_shrink(grant, o.cap + beside_data(w));
    b->paid = *grant;
    *grant = (struct grant){ 0 };
    b->data = out_take(&o, &b->len);
    link_in(b);
    *out = b;
    return ERR_OK;
}

/* ---- room ---- */

static enum err take_room(struct sse_want *w, size_t least, struct grant *grant)
{
    if (grant->bytes >= least)
        return ERR_OK;
    ledger_release(grant);
    w->ask = likely(w, least);
    return ledger_reserve(w->loop->broker->read, w->ask, grant);
}

enum err sse_block_take(struct sse_want *w, struct grant *granted, struct sse_block **out)
{
    struct fetch *f = &w->loop->fetch;
    struct sse_block *b = find(w);
    struct store_entry m;
    enum err e;

    if (b) {
        b->holders++;
        *out = b;
        return ERR_OK;
    }
    e = fetch_begin(f, w->topic);
    if (e)
        return e;
    e = fetch_next(f, w->offset, &m);
    if (!e)
        e = take_room(w, most_of(w, &m.record) + beside_data(w), granted);
    if (!e)
        e = build(w, &m, granted, out);
    fetch_end(f);
    return e;
}
