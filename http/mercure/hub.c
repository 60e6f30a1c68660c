#include "mercure/hub_internal.h"

#include "server.h"

#include <stdlib.h>

#define FROM(ptr, type, field) ((type *)((char *)(ptr)-offsetof(type, field)))

/* ---- views of the log ---- */

struct round { /* what is for anybody; marks who wants it */
    struct sse_view view; /* first */
    struct mercure_hub *hub;
    unsigned index;
    bool hit;
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

static bool anybody_wants(struct sse_view *v, unsigned index, uint64_t from,
                          const struct store_entry *m)
{
    struct round *round = (struct round *)v;
    struct mercure_sets *sets = &round->hub->sets;
    uint64_t before = sets->work;
    struct mercure_update u;

    (void)from;
    if (mercure_update_of(&m->record, &u))
        return false;
    round->index = index;
    round->hit = false;
    mercure_sets_match(sets, &u, mark, round);
    mercure_view_worked(v, sets->work - before);
    return round->hit;
}

size_t mercure_view_most(const struct record *r)
{
    struct mercure_update u;

    return mercure_update_of(r, &u) ? 0 : mercure_event_most(&u);
}

void mercure_view_put(struct out *o, const struct record *r)
{
    struct mercure_update u;

    if (!mercure_update_of(r, &u))
        mercure_put_event(o, &u);
}

void mercure_view_worked(struct sse_view *v, uint64_t work)
{
    v->work -= work < v->work ? (unsigned)work : v->work;
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
                                     .most = mercure_view_most,
                                     .put = mercure_view_put },
                           .hub = h };
    struct sse_want want = { .loop = h->loop,
                             .topic = mercure_hub_topic(h),
                             .offset = h->head,
                             .slot = (uint16_t)h->slot,
                             .view = &round.view };
    enum err e;

    do {
        h->rounds++;
        h->hit = NULL;
        round.view.work = MERCURE_WORK;
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
        if (mercure_subscriber_of(r)->live && sse_stream_is_idle(r->stream))
            sse_stream_due(r); /* else it is in the middle of a heartbeat, or of the log */
        falls_behind(mercure_subscriber_of(r), h->slice->first);
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

/* ---- its life ---- */

struct mercure_hub *mercure_hub_of(struct loop *l)
{
    uint64_t secret[2] = { l->server->start_id, ~l->server->start_id };
    struct ledger_figures f;
    uint64_t share; /* for what subscribers want, on all loops */

    if (l->hub)
        return l->hub;
    l->hub = calloc(1, sizeof *l->hub);
    if (!l->hub)
        return NULL;
    ledger_read(l->broker->read, &f);
    share = limits_read_share(f.limit, l->broker->config->inline_max_bytes);
    l->hub->loop = l;
    l->hub->slot = waiters_slot(mercure_hub_topic(l->hub));
    mercure_announce_init(&l->hub->announcer, l);
    mercure_sets_init(&l->hub->sets, l->broker->read, share / l->broker->config->loops,
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
