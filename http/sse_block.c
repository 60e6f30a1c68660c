#include "sse_block.h"

#include "broker.h"
#include "location.h"
#include "sse_event.h"

#include <stdlib.h>

#define ALLOCATOR_BYTES 96u /* what the allocator takes beside three pieces of memory */

static uint64_t key_of(const struct sse_want *w)
{
    return w->view ? w->view->key : 0;
}

static struct sse_block **bucket_of(struct loop *l, unsigned slot, uint64_t first,
                                    uint64_t view)
{
    return &l->blocks[(slot + first * 31 + view * 17) % LOOP_BLOCK_BUCKETS];
}

static struct sse_block *find(const struct sse_want *w)
{
    struct sse_block *b = *bucket_of(w->loop, w->slot, w->offset, key_of(w));

    for (; b; b = b->next_in_bucket)
        if (b->first == w->offset && b->envelope == w->envelope && b->view == key_of(w) &&
            !b->marks && bytes_eq(bytes_of(b->topic, b->topic_len), w->topic))
            return b;
    return NULL;
}

static void link_in(struct sse_block *b)
{
    struct sse_block **bucket = bucket_of(b->loop, b->slot, b->first, b->view);

    b->next_in_bucket = *bucket;
    if (*bucket)
        (*bucket)->prev = b;
    *bucket = b;
}

void sse_block_drop(struct sse_block *b)
{
    struct sse_block **bucket;

    if (!b || --b->holders)
        return;
    bucket = bucket_of(b->loop, b->slot, b->first, b->view);
    *(b->prev ? &b->prev->next_in_bucket : bucket) = b->next_in_bucket;
    if (b->next_in_bucket)
        b->next_in_bucket->prev = b->prev;
    free(b->data);
    free(b->marks);
    ledger_release(&b->paid);
    free(b);
}

static size_t beside_data(const struct sse_want *w)
{
    return sizeof(struct sse_block) + w->topic.len + ALLOCATOR_BYTES +
           (w->view && w->view->marks ? SSE_MARKS * sizeof(struct sse_mark) : 0);
}

static size_t most_of(const struct sse_want *w, const struct record *r)
{
    if (w->view)
        return w->view->most(r);
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

static void put_plain(struct sse_block *b, struct out *o, const struct store_entry *m)
{
    char href[LOCATION_ROOM];

    if (m->record.blob_id)
        message_location(bytes_of(b->topic, b->topic_len), m->offset, href);
    if (m->offset > b->next)
        sse_put_skipped(o, b->next, m->offset);
    sse_put_event(o, m->offset, &m->record, m->record.blob_id ? href : NULL, b->envelope);
}

static void put(const struct sse_want *w, struct sse_block *b, struct out *o,
                const struct store_entry *m)
{
    uint64_t bytes = m->record.blob_id ? 0 : m->record.body.len;

    if (w->view)
        w->view->put(o, &m->record);
    else
        put_plain(b, o, m);
    if (b->marks)
        b->marks[b->count] = (struct sse_mark){ m->offset, bytes, o->len };
    b->next = m->offset + 1;
    b->bytes += bytes;
    b->count++;
}

static bool fits(const struct sse_want *w, const struct out *o, const struct record *r)
{
    return !o || o->len + most_of(w, r) <= o->limit;
}

/* False: it has done enough. */
static bool may_look(struct sse_view *v)
{
    if (!v)
        return true;
    if (!v->work)
        return false;
    v->work -= v->work < SSE_LOOK_WORK ? v->work : SSE_LOOK_WORK;
    return true;
}

/* What is known not to be wanted. */
static void pass_over(struct sse_want *w)
{
    uint64_t next = w->view->next(w->view, w->reached);

    if (next > w->view->until)
        next = w->view->until;
    if (next > w->reached) {
        w->reached = next;
        w->loop->fetch.positioned = false;
    }
}

/* The first at or after `offset` that is wanted, and fits. ERR_NOT_FOUND: w->reached. */
static enum err look(struct sse_want *w, uint64_t offset, unsigned index,
                     const struct out *o, struct store_entry *m)
{
    struct sse_view *v = w->view;
    enum err e;

    w->reached = offset;
    while (may_look(v)) {
        if (v && v->next)
            pass_over(w);
        e = fetch_next(&w->loop->fetch, w->reached, m);
        if (e)
            return e;
        if (v && m->offset >= v->until)
            break;
        if (!fits(w, o, &m->record))
            return ERR_NOT_FOUND;
        if (!v || v->wants(v, index, w->reached, m))
            return ERR_OK;
        w->reached = m->offset + 1;
    }
    return ERR_NOT_FOUND;
}

static bool is_full(const struct sse_want *w, const struct sse_block *b, const struct out *o)
{
    return o->full || (w->view && w->view->marks && b->count == SSE_MARKS);
}

/* From `m` on, what fits. */
static enum err fill(struct sse_want *w, struct sse_block *b, struct out *o,
                     struct store_entry *m)
{
    enum err e = ERR_OK;

    do
        put(w, b, o, m);
    while (!is_full(w, b, o) && !(e = look(w, b->next, b->count, o, m)));
    if (o->full)
        return o->no_memory ? ERR_NO_MEMORY : ERR_CORRUPT;
    if (e == ERR_NOT_FOUND)
        b->next = w->reached;
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
    b->view = key_of(w);
    b->first = b->next = w->offset;
    b->topic_len = (uint16_t)w->topic.len;
    memcpy(b->topic, w->topic.data, w->topic.len);
    b->holders = 1;
    if (!w->view || !w->view->marks)
        return b;
    b->marks = calloc(SSE_MARKS, sizeof *b->marks);
    if (b->marks)
        return b;
    free(b);
    return NULL;
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
        e = fill(w, b, &o, m);
    if (e) {
        out_fini(&o);
        if (b)
            free(b->marks);
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
    w->reached = w->offset;
    e = fetch_begin(f, w->topic);
    if (e)
        return e;
    e = look(w, w->offset, 0, NULL, &m);
    if (!e)
        e = take_room(w, most_of(w, &m.record) + beside_data(w), granted);
    if (!e)
        e = build(w, &m, granted, out);
    fetch_end(f);
    return e;
}
