#include "native_topics.h"

#include "base/clock.h"
#include "base/text.h"
#include "errand.h"
#include "listing.h"
#include "mercure/discover.h"
#include "quotas.h"
#include "topic_json.h"
#include "url.h"

#define BODY_MAX (16u << 10)
/* cJSON takes 64 bytes and an allocator's slack for each value; "1," is two bytes. */
#define JSON_FACTOR 48
#define LIST_MAX 1000
#define LIST_DEFAULT 100
#define LIST_BYTES (1u << 20)
#define TOPIC_TEXT_MAX (STORE_TOPIC_NAME_MAX * 6 + 768)

void topic_body_start(struct request *r)
{
    if (r->loop->broker->draining)
        reply_store_error(r, ERR_CLOSED);
    else
        request_expect_body(r, BODY_WHOLE, BODY_MAX, r->loop->broker->json, 4096,
                            JSON_FACTOR);
}

/* ---- answers ---- */

/* Needs the topic's snapshot to be open. */
static enum err write_topic(struct fetch *f, struct out *o)
{
    struct store_entry m;
    uint64_t earliest;
    int64_t oldest_ms = 0;
    enum err e = fetch_earliest(f, &earliest);

    if (!e && !fetch_next(f, earliest, &m))
        oldest_ms = m.record.time_ms;
    if (!e)
        topic_json_write(o, &f->topic, earliest, oldest_ms);
    return e;
}

static void reply_topic(struct request *r, unsigned status)
{
    char text[TOPIC_TEXT_MAX];
    struct out o;
    enum err e = fetch_begin(&r->loop->fetch, request_topic(r));

    if (e) {
        reply_store_error(r, e);
        return;
    }
    out_init_in(&o, text, sizeof text);
    e = write_topic(&r->loop->fetch, &o);
    fetch_end(&r->loop->fetch);
    out_text(&o, "\n");
    if (e)
        reply_store_error(r, e);
    else
        reply_text(r, status, "application/json", bytes_of(o.data, o.len));
}

void topic_get_finish(struct request *r)
{
    reply_topic(r, MHD_HTTP_OK);
    mercure_discover(r);
}

/* ---- changes ---- */

static void reply_purged(struct request *r, const struct topic_change *c)
{
    char text[TOPIC_TEXT_MAX];
    struct out o;

    out_init_in(&o, text, sizeof text);
    out_text(&o, "{\"topic\":");
    out_str(&o, bytes_of(c->name, c->name_len));
    out_text(&o, ",\"removed\":");
    out_u64(&o, c->removed);
    out_text(&o, "}\n");
    reply_text(r, MHD_HTTP_OK, "application/json", bytes_of(o.data, o.len));
}

static void answer(void *arg, struct job *j)
{
    struct request *r = arg;
    const struct topic_change *c = (struct topic_change *)j;

    if (c->outcome == ERR_EXISTS)
        reply_problem(r, PROBLEM_TOPIC_EXISTS,
                      "The topic exists with other settings; PATCH changes them.");
    else if (c->outcome == ERR_FULL && c->quota.limit)
        quotas_refuse(r, bytes_of(c->name, c->name_len), &c->quota);
    else if (c->outcome)
        reply_store_error(r, c->outcome);
    else if (c->kind == TOPIC_DELETE)
        reply_empty(r, MHD_HTTP_NO_CONTENT);
    else if (c->kind == TOPIC_PURGE)
        reply_purged(r, c);
    else
        reply_topic(r, c->created ? MHD_HTTP_CREATED : MHD_HTTP_OK);
}

static struct topic_change *change_new(struct request *r, enum topic_change_kind kind)
{
    struct topic_change *c = errand_new(r, sizeof *c);

    if (!c)
        return NULL;
    c->kind = kind;
    memcpy(c->name, r->topic, r->topic_len);
    c->name_len = r->topic_len;
    return c;
}

static void submit(struct request *r, struct topic_change *c)
{
    errand_hold(r, &c->job, answer);
    topic_change_submit(r->loop->broker->writer, c);
}

static void change_settings(struct request *r, enum topic_change_kind kind)
{
    struct topic_change *c = change_new(r, kind);

    if (!c)
        return;
    if (topic_json_settings(r, c))
        submit(r, c);
    else
        job_free(&c->job);
}

void topic_put_finish(struct request *r)
{
    change_settings(r, TOPIC_PUT);
}

void topic_patch_finish(struct request *r)
{
    change_settings(r, TOPIC_PATCH);
}

void topic_delete_finish(struct request *r)
{
    struct topic_change *c = change_new(r, TOPIC_DELETE);

    if (c)
        submit(r, c);
}

static enum err offset_at(struct request *r, int64_t time_ms, uint64_t *offset)
{
    struct fetch_from from = { FETCH_TIME, time_ms > 0 ? (uint64_t)time_ms : 0 };
    enum err e = fetch_begin(&r->loop->fetch, request_topic(r));

    if (e)
        return e;
    e = fetch_resolve(&r->loop->fetch, from, offset);
    fetch_end(&r->loop->fetch);
    return e;
}

void topic_purge_finish(struct request *r)
{
    struct topic_change *c = change_new(r, TOPIC_PURGE);
    int64_t time_ms;
    enum err e = ERR_OK;

    if (!c)
        return;
    if (!topic_json_purge(r, c, &time_ms)) {
        job_free(&c->job);
        return;
    }
    if (time_ms >= 0)
        e = offset_at(r, time_ms, &c->before_offset);
    if (e) {
        reply_store_error(r, e);
        job_free(&c->job);
        return;
    }
    submit(r, c);
}

/* ---- the list ---- */

struct topic_list {
    struct listing page;
    uint64_t limit;
    struct topic_state last;
    struct loop *loop;
};

/* The store's snapshot is open; oldest and earliest of each topic would need a seek each,
 * which the reader of a list of topics can afford. */
static bool list_one(void *arg, const struct topic_state *t)
{
    struct topic_list *l = arg;
    struct fetch *f = &l->loop->fetch;

    if (l->page.count == l->limit ||
        l->page.out.len + 2 * TOPIC_TEXT_MAX > l->page.out.limit) {
        l->page.more = true;
        return false;
    }
    listing_item(&l->page);
    f->topic = *t;
    (void)!write_topic(f, &l->page.out);
    l->last = *t;
    return true;
}

bool topic_query_name(struct request *r, const char *name, char out[URL_NAME_MAX + 1],
                      struct bytes *value)
{
    const char *raw = request_query(r, name);
    size_t len = 0;

    *value = bytes_of(out, 0);
    if (!raw)
        return true;
    if (strlen(raw) > URL_NAME_MAX * 3)
        return false;
    char decoded[URL_NAME_MAX * 3 + 1];

    if (!url_decode_query(bytes_str(raw), decoded, &len) || len > URL_NAME_MAX)
        return false;
    memcpy(out, decoded, len);
    value->len = len;
    return true;
}

static void list(struct request *r, struct bytes prefix, struct bytes after, uint64_t limit)
{
    struct fetch *f = &r->loop->fetch;
    struct topic_list l = { .limit = limit, .loop = r->loop };
    size_t most = ((size_t)limit + 2) * TOPIC_TEXT_MAX;
    enum err e;

    if (!listing_begin(r, &l.page, "topics", most < LIST_BYTES ? most : LIST_BYTES))
        return;
    f->now_ms = clock_wall_ms();
    e = f->ops->read_begin(f->reader, f->now_ms);
    if (!e) {
        e = f->ops->read_topics(f->reader, prefix, after, list_one, &l);
        f->ops->read_end(f->reader);
    }
    listing_end(r, &l.page, e, bytes_of(l.last.name, l.last.name_len));
}

void topic_list_finish(struct request *r)
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
