#include "native_subscriptions.h"

#include "base/text.h"
#include "caller.h"
#include "errand.h"
#include "listing.h"
#include "native_topics.h"
#include "push/push.h"
#include "push/push.h"
#include "quotas.h"
#include "redrive.h"
#include "server.h"
#include "server.h"
#include "subscription_json.h"

#define LIST_MAX     1000
#define LIST_DEFAULT 100
#define LIST_BYTES   (1u << 20)

static void no_subscription(struct request *r)
{
    reply_problem(r, PROBLEM_SUBSCRIPTION_NOT_FOUND,
                  "There is no subscription of this name.");
}

/* ---- one as it is ---- */

/* Needs its topic's snapshot to be open. What is on its way and what is still in front: the
 * older of the two is the oldest that is not settled. */
static enum err read_figures(struct fetch *f, struct receivers *rs,
                             const struct sub_state *sub,
                             struct subscription_figures *out)
{
    struct store_entry m;
    enum err e = fetch_lag(f, sub, &out->lag);

    *out = (struct subscription_figures){
        .lag = out->lag,
        .waiters = receivers_count(rs, receivers_hash(bytes_of(sub->name, sub->name_len))),
    };
    if (e || !f->topic.id)
        return e;
    e = f->ops->subs->read_oldest(f->reader, sub, &out->oldest);
    if (e == ERR_NOT_FOUND)
        out->oldest = sub->next;
    else if (e)
        return e;
    f->positioned = false;
    e = fetch_next(f, out->oldest, &m);
    f->positioned = false;
    if (!e && (m.offset == out->oldest || m.offset >= sub->next)) {
        out->oldest = m.offset;
        out->oldest_ms = m.record.time_ms;
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static void reply_subscription(struct request *r, unsigned status)
{
    char text[SUBSCRIPTION_TEXT_MAX];
    struct subscription_figures figures = { 0 };
    struct sub_state sub;
    struct out o;
    enum err e = fetch_begin_subscription(&r->loop->fetch, request_topic(r), &sub);

    if (!e)
        e = read_figures(&r->loop->fetch, r->loop->broker->receivers, &sub, &figures);
    fetch_end(&r->loop->fetch);
    if (e == ERR_NOT_FOUND) {
        no_subscription(r);
        return;
    }
    if (e) {
        reply_store_error(r, e);
        return;
    }
    push_look(r->loop->server->push, request_topic(r), &figures.push);
    out_init_in(&o, text, sizeof text);
    subscription_json_write(&o, &sub, &figures);
    out_text(&o, "\n");
    reply_text(r, status, "application/json", bytes_of(o.data, o.len));
}

void subscription_get_finish(struct request *r)
{
    reply_subscription(r, MHD_HTTP_OK);
}

/* ---- changes ---- */

static void refuse(struct request *r, const struct subscription_change *c)
{
    if (c->outcome == ERR_EXISTS && c->kind == SUBSCRIPTION_PATCH)
        reply_problem(r, PROBLEM_SUBSCRIPTION_EXISTS,
                      "The topic and the ordering of a subscription stay as they are. Make "
                      "another subscription.");
    else if (c->outcome == ERR_BAD_INPUT)
        reply_problem(r, PROBLEM_BAD_SETTING,
                      "\"dead_letter\" must be another topic than the subscription's.");
    else if (c->outcome == ERR_EXISTS)
        reply_problem(r, PROBLEM_SUBSCRIPTION_EXISTS,
                      "The subscription exists with other settings. Delete it, or take "
                      "another name.");
    else if (c->outcome == ERR_NOT_FOUND && !c->no_topic && !c->no_dead_letter)
        no_subscription(r);
    else if (c->outcome == ERR_NOT_FOUND)
        reply_problem(r, PROBLEM_TOPIC_NOT_FOUND,
                      "There is no topic of the name that \"%s\" gives.",
                      c->no_dead_letter ? "dead_letter" : "topic");
    else if (c->full)
        reply_problem(r, PROBLEM_TOO_MANY_SUBSCRIPTIONS,
                      "There are %llu subscriptions, as many as there may be "
                      "(max_subscriptions). Delete one.",
                      (unsigned long long)c->max_subscriptions);
    else if (c->outcome == ERR_FULL && c->quota.limit)
        quotas_refuse(r, subscription_topic(&c->sub), &c->quota);
    else
        reply_store_error(r, c->outcome);
}

static void answer(void *arg, struct job *j)
{
    struct request *r = arg;
    const struct subscription_change *c = (struct subscription_change *)j;

    if (c->outcome)
        refuse(r, c);
    else if (c->kind == SUBSCRIPTION_DELETE)
        reply_empty(r, MHD_HTTP_NO_CONTENT);
    else
        reply_subscription(r, c->created ? MHD_HTTP_CREATED : MHD_HTTP_OK);
}

static struct subscription_change *change_new(struct request *r, enum subscription_kind kind)
{
    struct subscription_change *c = errand_new(r, sizeof *c);

    if (!c)
        return NULL;
    c->kind = kind;
    c->auto_create = r->loop->broker->config->auto_create;
    c->max_subscriptions = r->loop->broker->config->max_subscriptions;
    memcpy(c->sub.name, r->topic, r->topic_len);
    c->sub.name_len = (uint8_t)r->topic_len;
    return c;
}

static void refuse_push(struct request *r, enum err e)
{
    const struct config *c = r->loop->broker->config;

    if (e == ERR_FULL)
        reply_problem(r, PROBLEM_TOO_MANY_PUSH_SUBSCRIPTIONS,
                      "There are %llu subscriptions that are pushed, as many as there may be "
                      "(max_push_subscriptions).",
                      (unsigned long long)c->max_push_subscriptions);
    else if (e == ERR_TOO_BIG)
        reply_problem(r, PROBLEM_PUSH_UNAVAILABLE,
                      "push_connections is 0: in so little memory push is off until it is set. Each "
                      "of them takes 80KiB, and the first 1.25MiB more.");
    else if (e == ERR_UNSUPPORTED)
        reply_problem(r, PROBLEM_PUSH_UNAVAILABLE,
                      "The broker's machine has no libcurl, which push needs.");
    else
        reply_store_error(r, e);
}

/* One that gets a URL: push is told of what comes of it. False: it must not have one, and a
 * problem was given. */
static bool announce(struct request *r, struct subscription_change *c)
{
    struct push_note *note;
    enum err e;

    if (!sub_extra(&c->sub.settings, SUB_PUSH_URL).len)
        return true;
    e = push_announce(r->loop->server->push, request_topic(r), &note);
    if (e) {
        refuse_push(r, e);
        return false;
    }
    c->after = push_changed;
    c->word = note;
    return true;
}

static void submit(struct request *r, struct subscription_change *c)
{
    if (!announce(r, c)) {
        job_free(&c->job);
        return;
    }
    c->job.flow = caller_flow(r);
    c->ties = r->loop->broker->ties;
    errand_hold(r, &c->job, answer);
    subscription_submit(r->loop->broker->writer, c);
}

/* Times are looked up here: the log is searched by its readers. */
static enum err place(struct request *r, struct bytes topic, struct fetch_from from,
                      struct subscription_change *c)
{
    struct fetch *f = &r->loop->fetch;
    enum err e;

    c->start = from.kind == FETCH_EARLIEST ? START_EARLIEST
               : from.kind == FETCH_LATEST ? START_LATEST
                                           : START_OFFSET;
    c->offset = from.value;
    if (from.kind != FETCH_TIME)
        return ERR_OK;
    c->offset = 0;
    e = fetch_begin(f, topic);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e; /* it begins empty */
    e = fetch_resolve(f, from, &c->offset);
    fetch_end(f);
    return e;
}

static void submit_or_free(struct request *r, struct subscription_change *c, enum err e)
{
    if (!e && !r->reply.response) {
        submit(r, c);
        return;
    }
    if (e)
        reply_store_error(r, e);
    job_free(&c->job);
}

static void change_settings(struct request *r, enum subscription_kind kind)
{
    struct subscription_change *c = change_new(r, kind);
    struct fetch_from start;
    enum err e = ERR_OK;

    if (!c)
        return;
    if (subscription_json_settings(r, c, &start) && kind == SUBSCRIPTION_PUT)
        e = place(r, subscription_topic(&c->sub), start, c);
    submit_or_free(r, c, e);
}

void subscription_put_finish(struct request *r)
{
    change_settings(r, SUBSCRIPTION_PUT);
}

void subscription_patch_finish(struct request *r)
{
    change_settings(r, SUBSCRIPTION_PATCH);
}

void subscription_delete_finish(struct request *r)
{
    struct subscription_change *c = change_new(r, SUBSCRIPTION_DELETE);

    if (c)
        submit(r, c);
}

static enum err place_in_its_topic(struct request *r, struct fetch_from to,
                                   struct subscription_change *c)
{
    struct sub_state sub = { 0 };
    enum err e = ERR_OK;

    if (to.kind == FETCH_TIME) {
        e = fetch_begin_subscription(&r->loop->fetch, request_topic(r), &sub);
        fetch_end(&r->loop->fetch);
    }
    if (e == ERR_NOT_FOUND)
        no_subscription(r);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    return place(r, subscription_topic(&sub), to, c);
}

void subscription_seek_finish(struct request *r)
{
    struct subscription_change *c = change_new(r, SUBSCRIPTION_SEEK);
    struct fetch_from to;
    enum err e = ERR_OK;

    if (!c)
        return;
    if (subscription_json_seek(r, &to))
        e = place_in_its_topic(r, to, c);
    submit_or_free(r, c, e);
}

/* ---- dead letters, back ---- */

static void redrive_refused(struct request *r, const struct redrive *c)
{
    if (c->outcome == ERR_NOT_FOUND && !c->no_topic)
        no_subscription(r);
    else if (c->outcome == ERR_BAD_INPUT)
        reply_problem(r, PROBLEM_BAD_REQUEST, "The subscription has no dead_letter topic.");
    else if (c->outcome == ERR_FULL && c->quota.limit)
        quotas_refuse(r, request_topic(r), &c->quota);
    else
        reply_store_error(r, c->outcome);
}

static void redriven(void *arg, struct job *j)
{
    const struct redrive *c = (struct redrive *)j;
    char text[64];
    struct out o;

    if (c->outcome) {
        redrive_refused(arg, c);
        return;
    }
    out_init_in(&o, text, sizeof text);
    out_text(&o, "{\"redriven\":");
    out_u64(&o, c->moved);
    out_text(&o, "}\n");
    reply_text(arg, MHD_HTTP_OK, "application/json", bytes_of(o.data, o.len));
}

void subscription_redrive_finish(struct request *r)
{
    const char *limit = request_query(r, "limit");
    struct redrive *c;
    uint64_t n = LIST_DEFAULT;

    if (limit && !text_parse_u64(bytes_str(limit), 1, LIST_MAX, &n)) {
        reply_problem(r, PROBLEM_BAD_PARAMETER,
                      "limit must be a whole number from 1 to %d.", LIST_MAX);
        return;
    }
    c = errand_new(r, sizeof *c);
    if (!c)
        return;
    c->limit = (unsigned)n;
    memcpy(c->name, r->topic, r->topic_len);
    c->name_len = (uint8_t)r->topic_len;
    c->job.flow = caller_flow(r);
    errand_hold(r, &c->job, redriven);
    redrive_submit(r->loop->broker->writer, c);
}

/* ---- the list ---- */

struct page {
    struct listing list; /* first */
    uint64_t limit;
    struct sub_state last;
    struct fetch *f;
    struct receivers *receivers;
    struct push *push;
    enum err e;
};

static enum err read_item(struct fetch *f, struct receivers *rs,
                          const struct sub_state *sub, struct subscription_figures *out)
{
    enum err e = f->ops->read_topic(f->reader, subscription_topic(sub), &f->topic);

    if (e == ERR_NOT_FOUND)
        f->topic = (struct topic_state){ 0 };
    else if (e)
        return e;
    return read_figures(f, rs, sub, out);
}

/* The store's snapshot is open. */
static bool list_one(void *arg, const struct sub_state *sub)
{
    struct page *p = arg;
    struct out *o = &p->list.out;
    struct subscription_figures figures = { 0 };

    p->list.more =
        p->list.count == p->limit || o->len + subscription_json_room(sub) + 1024 > o->limit;
    if (p->list.more)
        return false;
    p->e = read_item(p->f, p->receivers, sub, &figures);
    if (p->e)
        return false;
    push_look(p->push, bytes_of(sub->name, sub->name_len), &figures.push);
    listing_item(&p->list);
    subscription_json_write(o, sub, &figures);
    p->last = *sub;
    return true;
}

static void list(struct request *r, struct bytes prefix, struct bytes after, uint64_t limit)
{
    struct fetch *f = &r->loop->fetch;
    struct page p = { .limit = limit,
                      .f = f,
                      .receivers = r->loop->broker->receivers,
                      .push = r->loop->server->push };
    size_t most = (size_t)limit * SUBSCRIPTION_TEXT_PLAIN + SUBSCRIPTION_TEXT_MAX + 2048;
    enum err e;

    if (!listing_begin(r, &p.list, "subscriptions", most < LIST_BYTES ? most : LIST_BYTES))
        return;
    e = fetch_begin_snapshot(f);
    if (!e) {
        e = f->ops->subs->list(f->reader, prefix, after, list_one, &p);
        fetch_end(f);
    }
    listing_end(r, &p.list, e ? e : p.e, bytes_of(p.last.name, p.last.name_len));
}

void subscription_list_finish(struct request *r)
{
    char prefix_text[URL_NAME_MAX + 1], after_text[URL_NAME_MAX + 1];
    const char *limit_text = request_query(r, "limit");
    uint64_t limit = LIST_DEFAULT;
    struct bytes prefix, after;

    if (!topic_query_name(r, "prefix", prefix_text, &prefix) ||
        !topic_query_name(r, "after", after_text, &after))
        reply_problem(r, PROBLEM_BAD_PARAMETER,
                      "prefix and after are percent-encoded names of at most %d bytes.",
                      URL_NAME_MAX);
    else if (limit_text && !text_parse_u64(bytes_str(limit_text), 1, LIST_MAX, &limit))
        reply_problem(r, PROBLEM_BAD_PARAMETER,
                      "limit must be a whole number from 1 to %d.", LIST_MAX);
    else
        list(r, prefix, after, limit);
}
