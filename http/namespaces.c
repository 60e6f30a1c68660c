#include "namespaces.h"

#include "base/clock.h"
#include "errand.h"
#include "listing.h"
#include "namespace_json.h"
#include "native_topics.h"
#include "url.h"

#define LIST_BYTES (64u << 10) /* of a page of the list */

/* ---- answers ---- */

static void not_found(struct request *r)
{
    reply_problem(r, PROBLEM_NAMESPACE_NOT_FOUND, "There is no namespace of this prefix.");
}

static void reply_state(struct request *r, unsigned status, const struct namespace_state *n)
{
    char text[NAMESPACE_TEXT_MAX + 1];
    struct out o;

    out_init_in(&o, text, sizeof text);
    namespace_json_write(&o, n);
    out_text(&o, "\n");
    reply_text(r, status, "application/json", bytes_of(o.data, o.len));
}

void namespace_get_finish(struct request *r)
{
    struct fetch *f = &r->loop->fetch;
    struct namespace_state n;
    enum err e = f->ops->read_begin(f->reader, clock_wall_ms());

    if (!e) {
        e = f->ops->read_namespace(f->reader, request_topic(r), &n);
        f->ops->read_end(f->reader);
    }
    if (e == ERR_NOT_FOUND)
        not_found(r);
    else if (e)
        reply_store_error(r, e);
    else
        reply_state(r, MHD_HTTP_OK, &n);
}

/* ---- changes ---- */

static void refused(struct request *r, enum err e)
{
    switch (e) {
    case ERR_NOT_FOUND:
        not_found(r);
        break;
    case ERR_EXISTS:
        reply_problem(r, PROBLEM_NAMESPACE_EXISTS,
                      "The namespace exists with other settings; PATCH changes them.");
        break;
    case ERR_BUSY:
        reply_problem_with(r, PROBLEM_TOO_MANY_NAMESPACES, "limit_namespaces",
                           STORE_NAMESPACES_MAX,
                           "There are %d namespaces, and there may be no more. Delete one.",
                           STORE_NAMESPACES_MAX);
        break;
    case ERR_TOO_BIG:
        reply_problem_with(r, PROBLEM_TOO_MANY_NAMESPACES, "limit_depth",
                           STORE_NAMESPACE_DEPTH,
                           "More than %d namespaces would hold the same topics. Delete one "
                           "whose prefix begins like this one's.",
                           STORE_NAMESPACE_DEPTH);
        break;
    default:
        reply_store_error(r, e);
    }
}

static void answer(void *arg, struct job *j)
{
    struct request *r = arg;
    const struct namespace_change *c = (struct namespace_change *)j;

    if (c->outcome)
        refused(r, c->outcome);
    else if (c->kind == NAMESPACE_DELETE)
        reply_empty(r, MHD_HTTP_NO_CONTENT);
    else
        reply_state(r, c->created ? MHD_HTTP_CREATED : MHD_HTTP_OK, &c->state);
}

static void change(struct request *r, enum namespace_change_kind kind)
{
    struct namespace_change *c = errand_new(r, sizeof *c);

    if (!c)
        return;
    c->kind = kind;
    memcpy(c->prefix, r->topic, r->topic_len);
    c->prefix_len = r->topic_len;
    if (kind != NAMESPACE_DELETE && !namespace_json_settings(r, c)) {
        job_free(&c->job);
        return;
    }
    errand_hold(r, &c->job, answer);
    namespace_change_submit(r->loop->broker->writer, c);
}

void namespace_put_finish(struct request *r)
{
    change(r, NAMESPACE_PUT);
}

void namespace_patch_finish(struct request *r)
{
    change(r, NAMESPACE_PATCH);
}

void namespace_delete_finish(struct request *r)
{
    change(r, NAMESPACE_DELETE);
}

/* ---- the list ---- */

struct namespace_list {
    struct listing page;
    struct bytes after;
    struct namespace_state last;
};

static bool is_after(const struct namespace_state *n, struct bytes after)
{
    size_t len = n->prefix_len < after.len ? n->prefix_len : after.len;
    int c = len ? memcmp(n->prefix, after.data, len) : 0;

    return c > 0 || (c == 0 && n->prefix_len > after.len);
}

static bool list_one(void *arg, const struct namespace_state *n)
{
    struct namespace_list *l = arg;

    if (!is_after(n, l->after))
        return true;
    if (l->page.out.len + 2 * NAMESPACE_TEXT_MAX > LIST_BYTES) {
        l->page.more = true;
        return false;
    }
    listing_item(&l->page);
    namespace_json_write(&l->page.out, n);
    l->last = *n;
    return true;
}

static void list(struct request *r, struct bytes after)
{
    struct fetch *f = &r->loop->fetch;
    struct namespace_list l = { .after = after };
    enum err e;

    if (!listing_begin(r, &l.page, "namespaces", LIST_BYTES))
        return;
    e = f->ops->read_begin(f->reader, clock_wall_ms());
    if (!e) {
        e = f->ops->read_namespaces(f->reader, list_one, &l);
        f->ops->read_end(f->reader);
    }
    listing_end(r, &l.page, e, bytes_of(l.last.prefix, l.last.prefix_len));
}

void namespace_list_finish(struct request *r)
{
    char text[URL_NAME_MAX + 1];
    struct bytes after;

    if (topic_query_name(r, "after", text, &after))
        list(r, after);
    else
        reply_problem(r, PROBLEM_BAD_PARAMETER,
                      "after is a percent-encoded prefix of at most %d bytes.",
                      URL_NAME_MAX);
}
