/*
 * Invariants:
 *  1. All below h->head has been offered to everybody who was live then. A live subscriber's
 *     offset may be old: it counts where it is higher than the slice's beginning.
 *  2. The slice is there from the beginning of its round to the beginning of the next, or to the
 *     end of the last. While it is, a set's hits are of it if its `slice` is the hub's.
 *  3. A subscriber of a set that is hit is behind from that moment on, at the slice's beginning
 *     or before it. If it can be told at once it is due, and gets its part of the slice; whoever
 *     misses that reads the log, like others who are behind.
 *  4. Who is behind reads up to h->head only, and is live there.
 *  5. The hub holds a grant while it stands in line, or just before its room is used.
 */
#include "mercure/hub.h"

#include "base/log.h"
#include "mercure/announce.h"
#include "metrics.h"
#include "server.h"
#include "sse_event.h"

#include <stdlib.h>

#define FROM(ptr, type, field) ((type *)((char *)(ptr)-offsetof(type, field)))

#define WORK 16384u /* for a slice: 512 messages that nobody wants, or a few milliseconds of matching */

struct mercure_hub {
    struct loop *loop;
    struct mercure_sets sets;
    uint64_t head; /* the next to be offered */
    uint64_t rounds;
    struct sse_block *slice; /* what is offered in this round */
    struct mercure_set *hit; /* those who want some of it */
    size_t subscribers;
    unsigned slot;
    bool news, in_line;
    struct ledger_waiter room; /* for the next slice */
    struct letter letter;
    struct mercure_announcer announcer;
};

static struct bytes topic_of(const struct loop *l)
{
    return bytes_str(l->broker->config->mercure_topic);
}

static struct mercure_subscriber *subscriber(const struct request *r)
{
    return (struct mercure_subscriber *)r->stream;
}

/* ---- views of the log ---- */

struct round { /* what is for anybody; marks who wants it */
    struct sse_view view; /* first */
    struct mercure_hub *hub;
    unsigned index;
    bool hit;
};

struct behind { /* what is for one set */
    struct sse_view view; /* first */
    struct mercure_set *set;
};

static void mark(void *arg, struct mercure_set *s)
{
    struct round *round = arg;
    struct mercure_hub *h = round->hub;

    if (s->slice != h->rounds) {
        s->slice = h->rounds;
        s->hits = 0;
        s->next_hit = h->hit;
        h->hit = s;
    }
    s->hits |= (uint64_t)1 << round->index;
    round->hit = true;
}

static void take_work(struct sse_view *v, uint64_t work)
{
    v->work -= work < v->work ? (unsigned)work : v->work;
}

static bool anybody_wants(struct sse_view *v, unsigned index, const struct record *r)
{
    struct round *round = (struct round *)v;
    struct mercure_sets *sets = &round->hub->sets;
    uint64_t before = sets->work;
    struct mercure_update u;

    if (mercure_update_of(r, &u))
        return false;
    round->index = index;
    round->hit = false;
    mercure_sets_match(sets, &u, mark, round);
    take_work(v, sets->work - before);
    return round->hit;
}

static bool set_wants(struct sse_view *v, unsigned index, const struct record *r)
{
    struct mercure_set *set = ((struct behind *)v)->set;
    uint64_t before = set->all->work;
    struct mercure_update u;
    bool wants;

    (void)index;
    wants = !mercure_update_of(r, &u) && mercure_set_wants(set, &u);
    take_work(v, set->all->work - before);
    return wants;
}

static size_t most(const struct record *r)
{
    struct mercure_update u;

    return mercure_update_of(r, &u) ? 0 : mercure_event_most(&u);
}

static void put(struct out *o, const struct record *r)
{
    struct mercure_update u;

    if (!mercure_update_of(r, &u))
        mercure_put_event(o, &u);
}

/* ---- a round ---- */

static void room_opened(struct letter *letter)
{
    struct mercure_hub *h = FROM(letter, struct mercure_hub, letter);

    h->in_line = false;
    h->loop->progress = true;
    if (!h->news || !h->subscribers)
        ledger_release(&h->room.grant); /* those who waited for it have left */
}

static void room_granted(struct ledger_waiter *w)
{
    struct mercure_hub *h = FROM(w, struct mercure_hub, room);
    struct mailbox *home = &h->loop->mailbox;

    mailbox_post(home, &h->letter);
    atomic_fetch_sub(&home->owed, 1);
}

/* ERR_OK: the room was there after all. */
static enum err stand(struct mercure_hub *h, size_t bytes)
{
    enum err e;

    h->room.bytes = bytes;
    h->room.granted = room_granted;
    h->letter.open = room_opened;
    atomic_fetch_add(&h->loop->mailbox.owed, 1); /* before it may be granted */
    e = ledger_wait(h->loop->broker->read, &h->room);
    if (e != ERR_BUSY)
        atomic_fetch_sub(&h->loop->mailbox.owed, 1);
    h->in_line = e == ERR_BUSY;
    return e;
}

static enum err take_slice(struct mercure_hub *h)
{
    struct round round = { .view = { .key = UINT64_MAX,
                                     .until = UINT64_MAX,
                                     .marks = true,
                                     .wants = anybody_wants,
                                     .most = most,
                                     .put = put },
                           .hub = h };
    struct sse_want want = { .loop = h->loop,
                             .topic = topic_of(h->loop),
                             .offset = h->head,
                             .slot = (uint16_t)h->slot,
                             .view = &round.view };
    enum err e;

    do {
        h->rounds++;
        h->hit = NULL;
        round.view.work = WORK;
        want.ask = 0;
        e = sse_block_take(&want, &h->room.grant, &h->slice);
    } while (e == ERR_BUSY && want.ask && !(e = stand(h, want.ask)));
    if (e == ERR_NOT_FOUND && want.reached > h->head) {
        h->head = want.reached;
        h->news = true;
    } else if (!e) {
        h->head = h->slice->next;
        h->news = true;
    }
    if (!h->in_line) /* else it is the ledger's to write to */
        ledger_release(&h->room.grant);
    return e;
}

static void falls_behind(struct mercure_subscriber *s, uint64_t slice)
{
    if (!s->live)
        return;
    s->live = false;
    if (s->stream.offset < slice)
        s->stream.offset = slice;
}

static void offer(struct mercure_hub *h, struct mercure_set *set)
{
    struct request *r, *next;

    for (r = set->streams.first; r; r = next) {
        next = r->next;
        if (subscriber(r)->live && sse_stream_is_idle(r->stream))
            sse_stream_due(r); /* else it is in the middle of a heartbeat, or of the log */
        falls_behind(subscriber(r), h->slice->first);
    }
}

static void each_set(struct mercure_hub *h, bool cut)
{
    for (unsigned i = 0; i < MERCURE_SET_BUCKETS; i++)
        for (struct mercure_set *s = h->sets.sets[i]; s; s = s->next_in_bucket)
            sse_stream_end_list(&s->streams, cut);
}

static void end_round(struct mercure_hub *h)
{
    if (h->slice)
        sse_block_drop(h->slice);
    h->slice = NULL;
    h->hit = NULL;
    if (!h->news && h->loop->broker->draining)
        each_set(h, false);
}

void mercure_hub_end_round(struct loop *l)
{
    if (l->hub)
        end_round(l->hub);
}

void mercure_hub_begin_round(struct loop *l)
{
    struct mercure_hub *h = l->hub;
    enum err e;

    if (!h || h->in_line || !h->news || !h->subscribers)
        return;
    end_round(h);
    h->news = false;
    e = take_slice(h);
    if (h->in_line)
        h->news = true;
    else if (e && e != ERR_NOT_FOUND)
        each_set(h, true); /* logged by the store; the clients come back */
    for (struct mercure_set *s = h->hit; s && !e; s = s->next_hit)
        offer(h, s);
}

void mercure_hub_woken(struct loop *l, unsigned first, unsigned end)
{
    if (l->hub && l->hub->slot >= first && l->hub->slot < end)
        l->hub->news = true;
}

bool mercure_hub_has_news(const struct loop *l)
{
    const struct mercure_hub *h = l->hub;

    return h && h->news && h->subscribers && !h->in_line;
}

/* ---- a subscriber ---- */

static void preface(const struct request *r, struct out *o)
{
    size_t begin = sse_chunk_begin(o);

    (void)r;
    out_text(o, ":\n");
    sse_chunk_end(o, begin);
}

/* Nobody has looked since the last subscriber left: all that there is, is behind. */
static void open_hub(struct mercure_hub *h)
{
    struct fetch *f = &h->loop->fetch;
    enum err e = fetch_begin(f, topic_of(h->loop));

    h->head = e ? 0 : f->topic.next_offset;
    h->news = e && e != ERR_NOT_FOUND; /* logged; it is tried again as news is */
    if (!e)
        fetch_end(f);
}

static void joins(struct request *r)
{
    struct mercure_hub *h = r->loop->hub;

    r->slot = (uint16_t)h->slot;
    r->stream->home = &subscriber(r)->set->streams;
    waiters_park(r->loop->broker->waiters, r->loop->index, r->slot);
    if (!h->subscribers++)
        open_hub(h);
    metric_add(METRIC_MERCURE_SUBSCRIBERS, 1);
    if (r->connection)
        r->connection->stall_ms = r->loop->broker->config->mercure_dispatch_timeout_ms;
    if (subscriber(r)->entry)
        mercure_announce_arrival(&h->announcer, subscriber(r)->entry);
}

static void leaves(struct request *r)
{
    struct mercure_subscriber *s = subscriber(r);

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
    struct mercure_subscriber *s = subscriber(r);
    struct mercure_hub *h = r->loop->hub;
    struct sse_block *b = NULL;
    struct behind behind = { .view = { .key = s->set->number,
                                       .until = h->head,
                                       .work = WORK / 2, /* there may be many */
                                       .wants = set_wants,
                                       .most = most,
                                       .put = put },
                             .set = s->set };
    struct sse_want want = { .loop = r->loop,
                             .topic = topic_of(r->loop),
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
    struct mercure_subscriber *s = subscriber(r);
    struct mercure_hub *h = r->loop->hub;

    if (s->stream.offset >= h->head)
        s->live = true;
    if (s->live)
        return ERR_NOT_FOUND;
    return is_offered(s, h) ? take_offered(s, h) : take_behind(r, room);
}

static bool has_news(const struct request *r)
{
    return subscriber(r)->live && r->loop->hub->news;
}

static bool *line(const struct request *r)
{
    return &subscriber(r)->set->in_line;
}

static void line_moved(struct request *r)
{
    struct request *other = subscriber(r)->set->streams.first, *next;

    for (; other; other = next) {
        next = other->next;
        if (sse_stream_is_idle(other->stream) && !subscriber(other)->live)
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

/* ---- its life ---- */

#define SHARE 4 /* of the read buffer, for what subscribers want */

struct mercure_hub *mercure_hub_of(struct loop *l)
{
    uint64_t secret[2] = { l->server->start_id, ~l->server->start_id };
    struct ledger_figures f;

    if (l->hub)
        return l->hub;
    l->hub = calloc(1, sizeof *l->hub);
    if (!l->hub)
        return NULL;
    ledger_read(l->broker->read, &f);
    l->hub->loop = l;
    l->hub->slot = waiters_slot(topic_of(l));
    mercure_announce_init(&l->hub->announcer, l);
    mercure_sets_init(&l->hub->sets, l->broker->read, f.limit / SHARE / l->broker->config->loops,
                      (const uint8_t *)secret);
    return l->hub;
}

struct mercure_sets *mercure_hub_sets(struct mercure_hub *h)
{
    return &h->sets;
}

void mercure_hub_free(struct loop *l)
{
    if (!l->hub)
        return;
    sse_block_drop(l->hub->slice);
    ledger_release(&l->hub->room.grant);
    mercure_announce_fini(&l->hub->announcer);
    free(l->hub);
    l->hub = NULL;
}

void mercure_hub_tick(struct loop *l)
{
    if (l->hub)
        mercure_announce_tick(&l->hub->announcer);
}

void mercure_hub_drain(struct loop *l)
{
    if (l->hub)
        each_set(l->hub, false);
}

void mercure_hub_cut_all(struct loop *l)
{
    struct mercure_hub *h = l->hub;

    if (!h)
        return;
    each_set(h, true);
    if (h->in_line && ledger_leave(l->broker->read, &h->room)) {
        atomic_fetch_sub(&l->mailbox.owed, 1);
        h->in_line = false;
    }
    sse_block_drop(h->slice);
    h->slice = NULL;
    mercure_announce_stop(&h->announcer);
}
