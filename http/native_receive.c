#include "native_receive.h"

#include "caller.h"
#include "held_answer.h"
#include "line.h"
#include "prefer.h"
#include "read_query.h"
#include "receive.h"
#include "receive_answer.h"
#include "receive_find.h"
#include "settle.h"
#include "subscription.h"
#include "wait.h"

#include <stdlib.h>

#define PAGE_BYTES    (256u << 10) /* of an answer, if it is not one large message */
#define OVERHEAD_BYTES 256u /* of the library, and of what keeps the answer */
#define ENVELOPE_BYTES RECEIVE_ANSWER_ENVELOPE_BYTES
#define USUAL_BYTES    RECEIVE_ANSWER_USUAL_BYTES
#define BODY_MAX       1024

/* r->topic is the topic's name, for those who wake us; the subscription's is behind its
 * closing 0, once r->read.resolved says so. */
static struct bytes subscription(const struct request *r)
{
    return bytes_str(r->topic + r->topic_len + 1);
}

/* How long a lease is asked for, 0: as the subscription says. It waits with the request. */
static uint64_t *lease_ms(struct request *r)
{
    return &r->read.offset;
}

static bool time_is_over(const struct request *r)
{
    return r->loop->broker->draining || !r->read.until_ms ||
           r->read.until_ms <= r->loop->now_ms;
}

static void no_subscription(struct request *r)
{
    reply_problem(r, PROBLEM_SUBSCRIPTION_NOT_FOUND,
                  "There is no subscription of this name.");
}

/* ---- the answer ---- */

/* What a job for so many messages needs beside their room: itself, the answer's frame, and the
 * head of the one that takes back those that are gone; each of these leaves the room of one. And
 * what is booked for leases that are held. */
static size_t beside(unsigned limit, size_t booked)
{
    return ENVELOPE_BYTES + OVERHEAD_BYTES + receive_bytes(limit) + settle_bytes(0) + booked;
}

/* Nobody will ever see the first `count` of its leases. What was to pay for their part of the
 * answer pays for this. */
static void take_back(struct loop *l, struct receive *c, unsigned count)
{
    struct settle *s = count ? settle_new(count, &c->job.grant) : NULL;

    if (!s)
        return; /* no memory: they will be over by themselves */
    s->kind = SETTLE_TAKE_BACK;
    memcpy(s->name, c->name, c->name_len);
    s->name_len = c->name_len;
    for (unsigned i = 0; i < count; i++)
        s->items[i].lease = c->got[i];
    settle_submit(l->broker->writer, s);
}

static void park(struct request *r)
{
    wait_park_receiver(r, subscription(r));
}

static void try_again(struct request *r)
{
    if (!receive_look(r, time_is_over(r)))
        park(r);
}

/* Who may stand in line again holds nothing but its job. */
static void try_again_without(struct request *r, struct receive *c)
{
    ledger_shrink(&c->job.grant, receive_bytes(c->limit));
    ties_give_back(r->loop->broker->ties, c->booked);
    c->booked = 0;
    try_again(r);
}

static enum err reply(struct request *r, struct receive *c, unsigned gone, struct out *o)
{
    struct grant paid = { 0 };

    if (c->booked)
        return held_answer_reply(r, c, gone, o);
    ledger_split(&c->job.grant, o->cap + OVERHEAD_BYTES, &paid);
    reply_out(r, MHD_HTTP_OK, "application/json", o, &paid);
    return ERR_OK;
}

static void give(struct request *r, struct receive *c)
{
    struct out o;
    unsigned count = 0, gone = 0;
    enum err e;

    out_init(&o, c->job.grant.bytes - beside(c->limit, c->booked) + ENVELOPE_BYTES);
    e = receive_answer_write(r, &o, c, &count, &gone);
    out_trim(&o);
    if (!e && count)
        e = reply(r, c, gone, &o);
    if (e || !count)
        out_fini(&o);
    if (e)
        reply_store_error(r, e);
    take_back(r->loop, c, e ? c->count : gone);
    if (!e && !count)
        try_again_without(r, c);
}

/* ---- to the writer and back ---- */

static void forget(struct job *j)
{
    j->arg = NULL;
}

static void answer(struct request *r, struct receive *c)
{
    request_answered(r);
    if (c->outcome == ERR_NOT_FOUND)
        no_subscription(r);
    else if (c->outcome)
        reply_store_error(r, c->outcome);
    else if (c->count)
        give(r, c);
    else
        try_again_without(r, c);
}

/* Of those who were woken together one was let go for each message: now one more may be. */
static void pass_on(struct loop *l, struct bytes name)
{
    if (!l->broker->draining)
        waiters_pass_on(l->broker->waiters, l->index, waiters_subscription_slot(name));
}

static void came_home(struct letter *l)
{
    struct receive *c = (struct receive *)l;
    struct loop *loop =
        (struct loop *)((char *)c->job.home - offsetof(struct loop, mailbox));

    if (c->job.arg)
        answer(c->job.arg, c);
    else if (!c->limit) /* it alone was looking through the log */
        pass_on(loop, bytes_of(c->name, c->name_len));
    else
        take_back(loop, c, c->count);
    ties_give_back(loop->broker->ties, c->booked);
    job_free(&c->job);
}

/* Parked or in line it is no more. `limit` 0: for nothing but to pass over what was seen. */
static void submit(struct request *r, unsigned limit, size_t booked, struct grant grant)
{
    struct bytes name = subscription(r);
    struct receive *c = receive_new(limit, &grant);

    if (!c) {
        ledger_release(&grant);
        ties_give_back(r->loop->broker->ties, booked);
        reply_store_error(r, ERR_NO_MEMORY);
        receive_missed(r);
        return;
    }
    c->job.arg = r;
    memcpy(c->name, name.data, name.len);
    c->name_len = (uint8_t)name.len;
    c->lease_ms = *lease_ms(r);
    c->max_bytes = r->read.max_bytes;
    c->booked = booked;
    ledger_merge(&c->job.grant, &grant);
    c->room = c->job.grant.bytes - beside(limit, booked);
    c->room_of = receive_answer_room;
    c->mark = r->read.scan.mark;
    c->seen = r->read.scan.seen;
    c->job.home = &r->loop->mailbox;
    c->job.flow = caller_flow(r);
    c->job.letter.open = came_home;
    if (r->phase == REQUEST_PARKED)
        wait_unpark(r);
    request_hold(r, &c->job, forget);
    wait_resume(r);
    receive_submit(r->loop->broker->writer, c);
}

/* ---- is there a message? ---- */

/* Of a thousand who wait only so many are let go in a round of waking as there are messages:
 * the others stay, without a look. When another subscription takes the place of this one the
 * count begins anew, and more are let go than need be. */
static struct loop_share *share_of(struct request *r)
{
    uint64_t hash = receivers_hash(subscription(r));
    struct loop_share *s = &r->loop->shares[hash & (LOOP_SHARES - 1)];

    if (s->hash != hash || s->round != r->loop->rounds)
        *s = (struct loop_share){ hash, r->loop->rounds, UINT64_MAX };
    return s;
}

/* Tells those who are woken in the same round. */
static void share_out(struct request *r, uint64_t open)
{
    struct loop_share *share;

    if (r->phase != REQUEST_PARKED)
        return;
    share = share_of(r);
    if (share->left == UINT64_MAX)
        share->left = open;
}

/* For so many, if they are about as large as the first, or as the topic's are on average. If
 * not, fewer are leased. */
static size_t likely(const struct request *r, const struct fetch *f, uint64_t count,
                     size_t room)
{
    const struct topic_state *t = &f->topic;
    uint64_t bytes = t->live ? t->live_bytes / t->live * count : 0, all;

    if (bytes > r->read.max_bytes)
        bytes = r->read.max_bytes;
    all = count * USUAL_BYTES + bytes + bytes / 2;
    if (all < count * (room + room / 4))
        all = count * (room + room / 4);
    if (all > PAGE_BYTES)
        all = PAGE_BYTES;
    return all < room ? room : (size_t)all;
}

static void send_empty(struct request *r)
{
    reply_text(r, MHD_HTTP_OK, "application/json", bytes_str("{\"messages\":[]}\n"));
}

/* Takes the topic's name from the subscription, for which it may wait then. */
static bool name_topic(struct request *r, const struct sub_state *sub)
{
    struct bytes topic = subscription_topic(sub);
    char *both;

    if (r->read.resolved && bytes_eq(topic, request_topic(r)))
        return true;
    both = malloc(topic.len + sub->name_len + 2u);
    if (!both) {
        reply_store_error(r, ERR_NO_MEMORY);
        return false;
    }
    memcpy(both, topic.data, topic.len);
    both[topic.len] = 0;
    memcpy(both + topic.len + 1, sub->name, sub->name_len);
    both[topic.len + 1 + sub->name_len] = 0;
    free(r->topic);
    r->topic = both;
    r->topic_len = (uint16_t)topic.len;
    r->read.resolved = true;
    return true;
}

/* The leases of its answer will be held: room for some of them, at least. */
static bool book(struct request *r, unsigned *limit, size_t *booked)
{
    *booked = 0;
    if (!r->read.tied)
        return true;
    *limit = held_answer_book(r, *limit, booked);
    if (!*limit)
        reply_problem(r, PROBLEM_READ_BUFFER_FULL,
                      "Leases that are tied to connections take all of read_buffer that is "
                      "kept for them. Ask again, or without lease=connection.");
    return *limit;
}

/* Something is there. */
static void lease_some(struct request *r, const struct sub_state *sub,
                       const struct receive_prospect *p)
{
    unsigned limit = p->open < r->read.limit ? (unsigned)p->open : r->read.limit;
    size_t booked, most, least;
    struct grant grant = { 0 };
    struct ledger_figures read;

    share_out(r, p->share);
    if (!name_topic(r, sub) || !book(r, &limit, &booked))
        return;
    least = p->room + beside(limit, booked);
    most = likely(r, &r->loop->fetch, limit, p->room) + beside(limit, booked);
    ledger_read(r->loop->broker->read, &read);
    if (line_for_answer(r, most < read.limit ? most : read.limit, least, &grant))
        submit(r, limit, booked, grant);
    else
        ties_give_back(r->loop->broker->ties, booked);
}

/* One of those who wait looks through the log, the others stay meanwhile. */
static void pass_over(struct request *r, const struct sub_state *sub)
{
    struct grant grant = { 0 };

    share_out(r, 0);
    if (name_topic(r, sub) && line_for_answer(r, beside(0, 0), beside(0, 0), &grant))
        submit(r, 0, 0, grant);
}

static bool look(struct request *r, struct bytes name, bool last)
{
    struct fetch *f = &r->loop->fetch;
    bool draining = r->loop->broker->draining;
    struct receive_prospect found = { 0 };
    struct sub_state sub;
    enum err e = fetch_begin_subscription(f, name, &sub);

    if (e == ERR_NOT_FOUND) {
        no_subscription(r);
        return true;
    }
    if (!e)
        e = receive_find(r, &sub, last, &found);
    fetch_end(f);
    if (found.pass && !draining)
        pass_over(r, &sub);
    else if (e == ERR_NOT_FOUND && !last)
        return !name_topic(r, &sub);
    else if (e == ERR_NOT_FOUND || (!e && draining))
        send_empty(r);
    else if (e)
        reply_store_error(r, e);
    else
        lease_some(r, &sub, &found);
    return true;
}

bool receive_look(struct request *r, bool last)
{
    struct loop_share *share = share_of(r);
    bool woken = r->phase == REQUEST_PARKED && !last;

    if (!woken)
        return look(r, subscription(r), last);
    if (!share->left)
        return false;
    if (!look(r, subscription(r), false)) {
        share->left = 0;
        return false;
    }
    if (share->left)
        share->left--;
    return true;
}

void receive_missed(struct request *r)
{
    pass_on(r->loop, subscription(r));
}

/* ---- in ---- */

void receive_start(struct request *r)
{
    if (r->loop->broker->draining)
        reply_store_error(r, ERR_CLOSED);
    else
        request_expect_body(r, BODY_WHOLE, BODY_MAX, r->loop->broker->json, 1024, 1);
}

void receive_finish(struct request *r)
{
    body_fini(&r->body); /* none is wanted; who waits holds nothing */
    if (!read_query_receive(r, lease_ms(r)))
        return;
    r->read.tied = prefer_is(r, "lease", "connection");
    r->read.scan = (struct receive_scan){ 0 };
    r->answer.again = try_again;
    if (!look(r, request_topic(r), !r->read.until_ms || r->loop->broker->draining) &&
        !r->reply.response)
        park(r);
}
