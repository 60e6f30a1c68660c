/* What one subscriber is sent: its part of a slice, or the log up to where the hub is. */
#include "mercure/hub_internal.h"

#include "metrics.h"
#include "server.h"
#include "sse_event.h"

#include <stdlib.h>

struct behind { /* what is for one set */
    struct sse_view view; /* first */
    struct mercure_set *set;
    struct mercure_known *known;
};

static uint64_t next_for_set(struct sse_view *v, uint64_t offset)
{
    const struct behind *b = (const struct behind *)v;

    return mercure_known_next(b->known, b->set->number, offset);
}

static bool set_wants(struct sse_view *v, unsigned index, uint64_t from,
                      const struct store_entry *m)
{
    struct mercure_set *set = ((struct behind *)v)->set;
    uint64_t before = set->all->work;
    struct mercure_update u;
    bool wants;

    (void)index;
    wants = !mercure_update_of(&m->record, &u) && mercure_set_wants(set, &u);
    mercure_view_worked(v, set->all->work - before);
    mercure_known_learn(((struct behind *)v)->known, set->number, from, m->offset, wants);
    return wants;
}

/* ---- a subscriber ---- */

static void preface(const struct request *r, struct out *o)
{
    size_t begin = sse_chunk_begin(o);

    (void)r;
    out_text(o, ":\n");
    sse_chunk_end(o, begin);
}

/* Nobody has looked since the last subscriber left: all that there is, is behind, and a slice that
 * may be left of its time is not the newest. */
static void open_hub(struct mercure_hub *h)
{
    struct fetch *f = &h->loop->fetch;
    enum err e = fetch_begin(f, mercure_hub_topic(h));

    sse_block_drop(h->slice);
    h->slice = NULL;
    h->head = e ? 0 : f->topic.next_offset;
    h->news = e && e != ERR_NOT_FOUND; /* logged; it is tried again as news is */
    if (!e)
        fetch_end(f);
}

static void joins(struct request *r)
{
    struct mercure_hub *h = r->loop->hub;

    r->slot = (uint16_t)h->slot;
    r->stream->home = &mercure_subscriber_of(r)->set->streams;
    waiters_park(r->loop->broker->waiters, r->loop->index, r->slot);
    if (!h->subscribers++)
        open_hub(h);
    metric_add(METRIC_MERCURE_SUBSCRIBERS, 1);
    if (r->connection)
        r->connection->stall_ms = r->loop->broker->config->mercure_dispatch_timeout_ms;
    if (mercure_subscriber_of(r)->entry)
        mercure_announce_arrival(&h->announcer, mercure_subscriber_of(r)->entry);
}

static void leaves(struct request *r)
{
    struct mercure_subscriber *s = mercure_subscriber_of(r);

    if (s->entry)
        mercure_announce_departure(&r->loop->hub->announcer, s->entry);
    s->entry = NULL; /* the announcer's */
    waiters_leave(r->loop->broker->waiters, r->loop->index, r->slot);
    r->loop->hub->subscribers--;
    metric_add(METRIC_MERCURE_SUBSCRIBERS, -1);
}

/* The slice begins where it is, or before that, and some of it is for its set. */
static bool is_offered(const struct mercure_subscriber *s, const struct mercure_hub *h)
{
    return h->slice && s->set->slice == h->rounds && s->stream.offset >= h->slice->first;
}

static enum err take_offered(struct mercure_subscriber *s, struct mercure_hub *h)
{
    struct sse_block *b = h->slice;
    uint64_t chosen = s->set->hits;

    for (unsigned i = 0; i < b->count && b->marks[i].offset < s->stream.offset; i++)
        chosen &= ~((uint64_t)1 << i);
    s->stream.offset = b->next;
    if (chosen) {
        b->holders++;
        sse_stream_send(&s->stream, b, chosen);
    }
    return ERR_OK;
}

/* It has read all that there is up to `reached`: up to the hub, if that is not further on. */
static void moves_on(struct mercure_subscriber *s, const struct mercure_hub *h,
                     uint64_t reached)
{
    s->stream.offset = reached > s->stream.offset ? reached : h->head;
}

static enum err take_behind(struct request *r, size_t *room)
{
    struct mercure_subscriber *s = mercure_subscriber_of(r);
    struct mercure_hub *h = r->loop->hub;
    struct sse_block *b = NULL;
    struct behind behind = { .view = { .key = s->set->number,
                                       .until = h->head,
                                       .work = MERCURE_WORK / 2, /* there may be many */
                                       .next = next_for_set,
                                       .wants = set_wants,
                                       .most = mercure_view_most,
                                       .put = mercure_view_put },
                             .set = s->set,
                             .known = &h->known };
    struct sse_want want = { .loop = r->loop,
                             .topic = mercure_hub_topic(h),
                             .offset = s->stream.offset,
                             .slot = r->slot,
                             .view = &behind.view };
    enum err e;

    if (s->set->in_line)
        return ERR_BUSY;
    e = sse_block_take(&want, &r->answer.room.grant, &b);
    *room = want.ask;
    if (e == ERR_NOT_FOUND) {
        moves_on(s, h, want.reached);
        return ERR_OK;
    }
    if (!e)
        sse_stream_send(&s->stream, b, 0);
    return e;
}

static enum err take(struct request *r, size_t *room)
{
    struct mercure_subscriber *s = mercure_subscriber_of(r);
    struct mercure_hub *h = r->loop->hub;

    if (s->stream.offset >= h->head)
        s->live = true;
    if (s->live)
        return ERR_NOT_FOUND;
    return is_offered(s, h) ? take_offered(s, h) : take_behind(r, room);
}

static bool has_news(const struct request *r)
{
    return mercure_subscriber_of(r)->live && r->loop->hub->news;
}

static bool *line(const struct request *r)
{
    return &mercure_subscriber_of(r)->set->in_line;
}

static void line_moved(struct request *r)
{
    struct request *other = mercure_subscriber_of(r)->set->streams.first, *next;

    for (; other; other = next) {
        next = other->next;
        if (sse_stream_is_idle(other->stream) && !mercure_subscriber_of(other)->live)
            sse_stream_due(other);
    }
    r->loop->progress = true;
}

static void free_subscriber(struct sse_stream *stream)
{
    struct mercure_subscriber *s = (struct mercure_subscriber *)stream;

    mercure_set_leave(s->set);
    mercure_entry_free(s->entry); /* of one that never was live */
    free(s);
}

const struct sse_feed mercure_feed = {
    .preface = preface,
    .joins = joins,
    .leaves = leaves,
    .take = take,
    .has_news = has_news,
    .line = line,
    .line_moved = line_moved,
    .free = free_subscriber,
    .heartbeat_setting = offsetof(struct config, mercure_heartbeat_ms),
};
