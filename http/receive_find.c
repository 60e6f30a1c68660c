#include "receive_find.h"

#include "base/clock.h"
#include "receive_answer.h"
#include "subscription.h"

#define STEP          256u /* messages between two looks at the clock */
#define TURN_US       4000 /* of a loop's turn */
#define PASS_MESSAGES 1000u /* so many are looked through again after a restart, or by others */

/* Something may be leased. `wanted`: of what is new, as far as was looked; 0: all of it. */
static void count_open(const struct request *r, const struct sub_state *sub,
                       uint64_t wanted, struct receive_prospect *p)
{
    const struct topic_state *t = &r->loop->fetch.topic;
    uint64_t open = sub->settings.max_in_flight - sub->in[DELIVERY_LEASED];
    uint64_t ahead = t->next_offset - sub->next;
    uint64_t ready = sub->in[DELIVERY_READY];

    ahead = ahead < t->live ? ahead : t->live;
    p->open = ready + ahead < open ? ready + ahead : open;
    p->share = !wanted || ready + wanted > p->open ? p->open : ready + wanted;
}

/* ---- what a filter lets through ---- */

static bool has_time(struct loop *l)
{
    int64_t now_us = clock_mono_us();

    if (l->scans_turn_ms != l->now_ms) {
        l->scans_turn_ms = l->now_ms;
        l->scans_until_us = now_us + TURN_US;
    }
    return now_us < l->scans_until_us;
}

/* Where to begin: what this request has seen holds as long as the subscription and its filter
 * are the same. */
static uint64_t begin(struct request *r, const struct sub_state *sub)
{
    const struct broker *b = r->loop->broker;
    uint64_t mark = subscription_mark(b->ops, b->store, sub);

    if (r->read.scan.mark != mark)
        r->read.scan = (struct receive_scan){ .mark = mark,
                                         .end = r->loop->fetch.topic.next_offset };
    return r->read.scan.seen > sub->next ? r->read.scan.seen : sub->next;
}

static enum err scan(struct request *r, const struct sub_state *sub,
                     const struct filter *filter, bool last, struct store_entry *m,
                     bool *pass)
{
    uint64_t at = begin(r, sub);
    enum err e;

    *pass = last && at > sub->next; /* an empty answer leaves no lag behind */
    if (last && at >= r->read.scan.end)
        return ERR_NOT_FOUND;
    do {
        e = fetch_matching(&r->loop->fetch, filter, STEP, &at, m);
    } while (e == ERR_BUSY && has_time(r->loop));
    if (e && e != ERR_BUSY && e != ERR_NOT_FOUND)
        return e;
    r->read.scan.seen = at;
    *pass = e == ERR_BUSY || (e && at > sub->next + (last ? 0 : PASS_MESSAGES));
    return e ? ERR_NOT_FOUND : ERR_OK;
}

/* From `first` on, which is one, and not far ahead: for those who are parked. */
static uint64_t count_wanted(struct request *r, const struct filter *filter, uint64_t first)
{
    uint64_t count = 1, at = first + 1;
    struct store_entry m;

    if (r->phase != REQUEST_PARKED)
        return count;
    for (; at < first + STEP && !fetch_matching(&r->loop->fetch, filter, STEP, &at, &m); at++)
        count++;
    return count;
}

/* ---- new, or again ---- */

/* One that is delayed is set aside by the job, which needs hardly any room for it. */
static enum err find_new(struct request *r, const struct sub_state *sub, bool last,
                         struct receive_prospect *p)
{
    struct fetch *f = &r->loop->fetch;
    struct filter filter;
    struct store_entry m;
    enum err e;

    if (!filter_read(&sub->settings, &filter))
        return ERR_CORRUPT;
    f->positioned = false;
    e = filter.count ? scan(r, sub, &filter, last, &m, &p->pass)
                     : fetch_next(f, sub->next, &m);
    if (e)
        return e;
    if (m.record.deliver_ms <= f->now_ms)
        p->room = receive_answer_room(&m.record);
    count_open(r, sub, filter.count ? count_wanted(r, &filter, m.offset) : 0, p);
    return ERR_OK;
}

/* It may be gone from the log: the job sees to that, and needs hardly any room for it. */
static enum err find_ready(struct request *r, const struct sub_state *sub,
                           struct receive_prospect *p)
{
    bool filtered = sub_extra(&sub->settings, SUB_FILTER).len;
    struct fetch *f = &r->loop->fetch;
    struct store_entry m;
    uint64_t offset;
    enum err e = f->ops->subs->read_ready(f->reader, sub, &offset);

    f->positioned = false;
    if (!e)
        e = fetch_next(f, offset, &m);
    if (!e)
        p->room = receive_answer_room(&m.record);
    count_open(r, sub, filtered, p);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err receive_find(struct request *r, const struct sub_state *sub, bool last,
                      struct receive_prospect *out)
{
    *out = (struct receive_prospect){ 0 };
    if (!r->loop->fetch.topic.id)
        return ERR_NOT_FOUND;
    if (sub->in[DELIVERY_READY] && subscription_may_give(sub, false))
        return find_ready(r, sub, out);
    return subscription_may_give(sub, true) ? find_new(r, sub, last, out) : ERR_NOT_FOUND;
}
