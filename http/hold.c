/*
 * Invariants:
 *  1. A request is OUTSIDE, in its loop's list for its slot, or has booked, or neither;
 *     never both.
 *  2. What is booked is given back once, whatever becomes of the request.
 *  3. Bookings are made before the snapshot is opened that says what is there (places.h).
 */
#include "hold.h"

#include "base/clock.h"
#include "metrics.h"
#include "quotas.h"
#include "server.h"
#include "wait.h"

#define LOOKS_IN_A_TICK 512u

/* One who makes publishers wait: the topic itself, or a namespace. */
struct holder {
    uint16_t prefix_len; /* 0: the topic */
    uint16_t slot;
    uint64_t max_bytes, max_messages, max_age_ms;
    uint64_t bytes, messages; /* what is there */
    uint64_t age_ms;          /* of the oldest */
};

struct view { /* of one snapshot */
    struct bytes topic;
    struct holder of[1 + STORE_NAMESPACE_DEPTH];
    unsigned count;
    bool drops; /* the topic makes place by itself */
};

/* ---- what is there ---- */

static enum err look_at_topic(struct fetch *f, struct view *v)
{
    struct store_entry oldest;
    struct topic_state t;
    struct holder *h = &v->of[0];
    enum err e = f->ops->read_topic(f->reader, v->topic, &t);

    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    v->drops = t.settings.overflow == STORE_OVERFLOW_DROP_OLDEST;
    if (t.settings.overflow != STORE_OVERFLOW_HOLD)
        return ERR_OK;
    v->count = 1;
    *h = (struct holder){ .slot = (uint16_t)waiters_slot(v->topic),
                          .max_bytes = t.settings.max_bytes,
                          .max_messages = t.settings.max_messages,
                          .max_age_ms = t.settings.max_age_ms,
                          .bytes = t.live_bytes,
                          .messages = t.live };
    if (!h->max_age_ms)
        return ERR_OK;
    e = f->ops->read_seek(f->reader, t.id, 0, &oldest);
    if (!e && oldest.record.time_ms < f->now_ms)
        h->age_ms = (uint64_t)(f->now_ms - oldest.record.time_ms);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static bool look_at_namespace(void *arg, const struct namespace_state *n)
{
    struct view *v = arg;

    if (n->settings.overflow != STORE_OVERFLOW_HOLD || n->prefix_len > v->topic.len ||
        memcmp(n->prefix, v->topic.data, n->prefix_len) != 0)
        return true;
    v->of[v->count++] = (struct holder){
        .prefix_len = n->prefix_len,
        .slot = (uint16_t)waiters_slot(bytes_of(n->prefix, n->prefix_len)),
        .max_bytes = n->settings.max_bytes,
        .max_messages = n->settings.max_messages,
        .bytes = n->live_bytes,
        .messages = n->live
    };
    return v->count < 1 + STORE_NAMESPACE_DEPTH;
}

static enum err look(struct request *r, struct view *v)
{
    struct fetch *f = &r->loop->fetch;
    enum err e;

    *v = (struct view){ .topic = request_topic(r) };
    f->now_ms = clock_wall_ms();
    e = f->ops->read_begin(f->reader, f->now_ms);
    if (e)
        return e;
    e = look_at_topic(f, v);
    if (!e && !v->drops)
        e = f->ops->read_namespaces(f->reader, look_at_namespace, v);
    f->ops->read_end(f->reader);
    return e;
}

/* ---- booking ---- */

static struct places *places_of(struct request *r)
{
    return r->loop->broker->places;
}

/* A batch is at least one message, and its text is longer than what it brings. Longer than
 * `limit` is 413 soon. */
static struct places_booked need_of(const struct request *r)
{
    const struct body *b = &r->body;
    uint64_t bytes = b->declared == BODY_UNKNOWN ? 1 : b->declared;

    return (struct places_booked){ .bytes = bytes < b->limit ? bytes : b->limit,
                                   .messages = 1 };
}

static void book(struct request *r, const struct view *v,
                 struct places_booked total[1 + STORE_NAMESPACE_DEPTH])
{
    struct booking *b = &r->booking;

    b->need = need_of(r);
    for (unsigned i = 0; i < v->count; i++) {
        b->slots[i] = v->of[i].slot;
        total[i] = places_book(places_of(r), b->slots[i], b->need);
    }
    b->count = (uint8_t)v->count;
}

void hold_give_back(struct request *r)
{
    struct booking *b = &r->booking;

    while (b->count)
        places_give_back(places_of(r), b->slots[--b->count], b->need);
}

static bool is_full(uint64_t max, uint64_t have, uint64_t others, uint64_t need)
{
    return max && have + others + need > max;
}

/* How many bytes to wait for. What is more than the whole limit does not wait for nothing:
 * the writer will tell it so. Unless it is a batch, which may turn out to be less: that
 * comes in when nothing else is there. */
static uint64_t bytes_to_wait_for(const struct request *r, uint64_t max)
{
    uint64_t bytes = r->booking.need.bytes;

    if (bytes <= max)
        return bytes;
    return r->body.kind == BODY_STREAM ? 0 : max;
}

static void why_not(const struct request *r, const struct holder *h,
                    struct places_booked total, struct quota_refusal *why)
{
    struct places_booked need = r->booking.need;
    uint64_t bytes = bytes_to_wait_for(r, h->max_bytes);

    *why = (struct quota_refusal){ .prefix_len = h->prefix_len,
                                   .overflow = STORE_OVERFLOW_HOLD };
    if (bytes && is_full(h->max_bytes, h->bytes, total.bytes - need.bytes, bytes)) {
        why->limit = QUOTA_BYTES;
        why->value = h->max_bytes;
    } else if (is_full(h->max_messages, h->messages, total.messages - need.messages,
                       need.messages)) {
        why->limit = QUOTA_MESSAGES;
        why->value = h->max_messages;
    } else if (h->max_age_ms && h->age_ms > h->max_age_ms) {
        why->limit = QUOTA_AGE;
        why->value = h->max_age_ms;
    }
}

/* True: it may go on. False: *why. A store that cannot be read will say so to the writer. */
static bool take_place(struct request *r, struct quota_refusal *why)
{
    struct places_booked total[1 + STORE_NAMESPACE_DEPTH];
    struct view before, now;

    if (look(r, &before) || !before.count)
        return true;
    book(r, &before, total);
    if (look(r, &now) || now.count != before.count)
        return true; /* its settings changed in this moment: the writer will see */
    for (unsigned i = 0; i < now.count; i++) {
        why_not(r, &now.of[i], total[i], why);
        if (why->limit != QUOTA_NONE) {
            hold_give_back(r);
            return false;
        }
    }
    return true;
}

/* ---- outside ---- */

static void stand(struct request *r)
{
    struct loop *l = r->loop;

    r->phase = REQUEST_OUTSIDE;
    r->in_headers = true;
    l->outside_count++;
    request_list_add(&l->outside[r->slot], r);
    metric_add(METRIC_PUBLISHERS_OUTSIDE, 1);
    r->outside_until_ms = l->now_ms + (int64_t)r->body.wait_ms + 1;
    wait_suspend(r, r->outside_until_ms);
}

static void leave(struct request *r)
{
    struct loop *l = r->loop;
    int64_t left_ms = r->outside_until_ms - 1 - l->now_ms;

    l->outside_count--;
    request_list_remove(r);
    metric_add(METRIC_PUBLISHERS_OUTSIDE, -1);
    timers_clear(&l->timers, &r->timer);
    r->phase = REQUEST_HEADERS;
    r->body.wait_ms = left_ms > 0 ? (uint64_t)left_ms : 0;
}

static bool same_topic(const struct request *a, const struct request *b)
{
    return bytes_eq(request_topic(a), request_topic(b));
}

static bool others_wait(const struct request *r)
{
    const struct request *other = r->loop->outside[r->slot].first;

    while (other && !same_topic(other, r))
        other = other->next;
    return other != NULL;
}

static void refuse(struct request *r, const struct quota_refusal *why)
{
    metric_add(METRIC_QUOTA_REFUSED, 1);
    quotas_refuse(r, request_topic(r), why);
}

bool hold_keeps_out(struct request *r)
{
    struct quota_refusal why;

    if (r->body.ledger != r->loop->broker->publish || once_is_known(r->once))
        return false;
    r->slot = (uint16_t)waiters_slot(request_topic(r));
    if (!places_marked(places_of(r), r->slot))
        return false;
    if (r->body.wait_ms && others_wait(r)) {
        stand(r); /* behind the others */
        return true;
    }
    if (take_place(r, &why))
        return false;
    if (r->body.wait_ms)
        stand(r);
    else
        refuse(r, &why);
    return true;
}

/* It may have to stand in the ledger's line now, where it stays suspended. */
static void go_on(struct request *r)
{
    leave(r);
    request_admit(r);
    if (r->phase != REQUEST_WAITING)
        wait_resume(r);
}

/* The one who has waited longest is the list's last. */
static struct request *longest(const struct request_list *list)
{
    struct request *r = list->first;

    while (r && r->next)
        r = r->next;
    return r;
}

/* Where the first of a topic does not fit, those behind it wait on. Returns how often it
 * looked. */
static unsigned look_through(const struct request_list *list)
{
    struct request *r = longest(list), *next;
    const struct request *refused = NULL;
    struct quota_refusal why;
    unsigned looks = 0;

    for (; r && looks < LOOKS_IN_A_TICK; r = next) {
        next = r->prev;
        if (refused && same_topic(refused, r))
            continue;
        looks++;
        if (take_place(r, &why))
            go_on(r);
        else
            refused = r;
    }
    return looks;
}

void hold_tick(struct loop *l)
{
    unsigned looks = 0;

    if (!l->outside_count)
        return;
    for (unsigned i = 0; i < LOOP_PARK_BUCKETS && looks < LOOKS_IN_A_TICK; i++) {
        looks += look_through(&l->outside[l->outside_next]);
        l->outside_next = (l->outside_next + 1) % LOOP_PARK_BUCKETS;
    }
}

void hold_time_over(struct request *r)
{
    struct quota_refusal why;

    if (take_place(r, &why)) {
        go_on(r);
        return;
    }
    leave(r);
    refuse(r, &why);
    wait_resume(r);
}

void hold_cut(struct request *r)
{
    leave(r);
    wait_resume(r); /* to be closed, as r->kill says */
}

void hold_drain(struct loop *l)
{
    struct request *r;

    for (unsigned i = 0; i < LOOP_PARK_BUCKETS; i++)
        while ((r = l->outside[i].first)) {
            leave(r);
            reply_problem(r, PROBLEM_DRAINING,
                          "The broker is shutting down and takes no new messages.");
            wait_resume(r);
        }
}
