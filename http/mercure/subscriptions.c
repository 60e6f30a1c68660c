#include "mercure/subscriptions.h"

#include "mercure/auth.h"
#include "mercure/last_event.h"
#include "mercure/collection.h"
#include "mercure/hub.h"
#include "server.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define BESIDE 256 /* of a response, beside its text */

/* ---- the registry ---- */

bool mercure_subscriptions_is_on(const struct config *c)
{
    return c->mercure_subscriptions;
}

static enum err end_of_log(struct broker *b, uint64_t *end)
{
    struct fetch f;
    enum err e = fetch_open(&f, b->ops, b->store);

    *end = 0;
    if (e)
        return e;
    e = fetch_begin(&f, bytes_str(b->config->mercure_topic));
    if (!e) {
        *end = f.topic.next_offset;
        fetch_end(&f);
    }
    fetch_close(&f);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err mercure_subscriptions_open(struct broker *b, struct mercure_registry **out)
{
    struct ledger_figures f;
    uint64_t secret[2], end;
    enum err e;

    if (!b->config->mercure_subscriptions)
        return ERR_OK;
    e = end_of_log(b, &end);
    if (e)
        return e;
    if (getrandom(secret, sizeof secret, 0) < 0)
        return ERR_IO;
    ledger_read(b->read, &f);
    *out = mercure_registry_new(b->read, limits_read_share(f.limit, b->config->inline_max_bytes),
                                end + 1, (uint8_t *)secret);
    return *out ? ERR_OK : ERR_NO_MEMORY;
}

bool mercure_subscriptions_told(struct mercure_registry *g)
{
    uint64_t next;

    return !g || mercure_registry_is_told(g, &next);
}

/* ---- what is asked for ---- */

void mercure_subscriptions_take(struct request *r, const struct route *route,
                                const struct route_names *names)
{
    size_t len = 0;

    (void)route;
    for (size_t i = 0; i < names->count; i++)
        len += names->name[i].len + 1;
    r->topic = len <= UINT16_MAX ? malloc(len + 1) : NULL;
    if (!r->topic) {
        reply_store_error(r, ERR_NO_MEMORY);
        return;
    }
    len = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (i)
            r->topic[len++] = '/';
        memcpy(r->topic + len, names->name[i].data, names->name[i].len);
        len += names->name[i].len;
    }
    r->topic[len] = '\0';
    r->topic_len = (uint16_t)len;
}

struct asked { /* owns its text */
    char *path;           /* as it was sent, without the query */
    struct bytes name[2]; /* decoded: topic, subscriber */
    unsigned names;
    struct out canonical; /* the path with all encoded as we do */
};

static void asked_free(struct asked *a)
{
    free(a->path);
    out_fini(&a->canonical);
}

/* False: a name is not well percent-encoded. */
static bool read_names(struct asked *a, struct bytes raw, char *room)
{
    while (raw.len) {
        const char *slash = memchr(raw.data, '/', raw.len);
        size_t len = slash ? (size_t)(slash - (const char *)raw.data) : raw.len, decoded;

        if (!url_decode_segment(bytes_of(raw.data, len), room, &decoded))
            return false;
        a->name[a->names++] = bytes_of(room, decoded);
        room += decoded;
        len += slash != NULL;
        raw = bytes_of((const char *)raw.data + len, raw.len - len);
    }
    return true;
}

/* False: a problem was given. */
static bool read_path(struct request *r, struct asked *a)
{
    struct bytes raw = request_topic(r);
    size_t head = sizeof MERCURE_SUBSCRIPTIONS - 1;

    *a = (struct asked){ .path = malloc(head + 2 * raw.len + 2) };
    out_init(&a->canonical, head + 3 * raw.len + 2);
    if (!a->path) {
        reply_store_error(r, ERR_NO_MEMORY);
        return false;
    }
    sprintf(a->path, MERCURE_SUBSCRIPTIONS "%s%s", raw.len ? "/" : "", r->topic);
    if (!read_names(a, raw, a->path + head + raw.len + 2)) {
        reply_problem(r, PROBLEM_BAD_REQUEST, "The path is not well percent-encoded.");
        return false;
    }
    mercure_put_subscriptions_url(&a->canonical, a->name, a->names);
    return true;
}

/* ---- who asks ---- */

/* What a token covers: a set without topics. False: a problem was given. */
static bool take_rights(struct request *r, const struct mercure_claims *claims,
                        struct mercure_set **out)
{
    struct mercure_wish wish = { .claims = claims->subscribe,
                                 .claim_count = (unsigned)claims->subscribe_count };
    struct mercure_hub *h = mercure_hub_of(r->loop);
    enum err e = h ? mercure_sets_join(mercure_hub_sets(h), &wish, out) : ERR_NO_MEMORY;

    if (e == ERR_BUSY)
        reply_read_buffer_full(r);
    else if (e == ERR_TOO_BIG)
        reply_problem(r, PROBLEM_BAD_REQUEST, "More than %u bytes of templates in the token.",
                      MERCURE_TEMPLATES_MAX);
    else if (e)
        reply_store_error(r, e);
    return !e;
}

static bool covers(const struct mercure_set *rights, struct bytes path)
{
    struct mercure_update u = { .topic = path, .is_private = true };

    return mercure_set_may_see(rights, &u);
}

/* As it was sent, or as everybody else would write it: they are the same resource. */
static bool may_read(struct request *r, const struct mercure_set *rights,
                     const struct asked *a)
{
    if (covers(rights, bytes_str(a->path)) ||
        covers(rights, bytes_of(a->canonical.data, a->canonical.len)))
        return true;
    reply_problem(r, PROBLEM_FORBIDDEN,
                  "Forbidden: the token's mercure.subscribe does not cover this URL's path");
    return false;
}

/* False: a problem was given. Who has no token has no rights here. */
static bool take_token(struct request *r, struct mercure_claims **out)
{
    if (!mercure_authorize(r, MERCURE_SUBSCRIBER, out))
        return false;
    if (*out)
        return true;
    reply_problem(r, PROBLEM_UNAUTHORIZED, "Unauthorized");
    reply_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    return false;
}

/* ---- one ---- */

struct one {
    struct out out;
    struct bytes last_id;
};

static void put_one(void *arg, const struct mercure_subscription *s)
{
    struct one *one = arg;

    mercure_put_subscription(&one->out, s, bytes_str(MERCURE_CONTEXT), one->last_id);
    out_text(&one->out, "\n");
}

static void reply_one(struct request *r, const struct asked *a,
                      const struct mercure_last_event *last)
{
    struct mercure_registry *all = r->loop->server->registry;
    struct one one = { .last_id = bytes_str(last->id) };
    size_t most = mercure_registry_begin(all).largest + sizeof MERCURE_CONTEXT +
                  out_str_len(one.last_id) + 32;
    struct grant paid = { 0 };
    bool found;

    if (ledger_reserve(r->loop->broker->read, most + BESIDE, &paid)) {
        reply_read_buffer_full(r);
        return;
    }
    out_init(&one.out, most);
    found = mercure_registry_find(all, a->name[0], a->name[1], put_one, &one);
    if (found && !one.out.full && !mercure_last_event_is_known(r, last)) {
        out_trim(&one.out);
        ledger_shrink(&paid, one.out.cap + BESIDE);
        reply_out(r, MHD_HTTP_OK, MERCURE_SUBSCRIPTIONS_TYPE, &one.out, &paid);
    } else if (!found) {
        reply_problem(r, PROBLEM_ROUTE_NOT_FOUND,
                      "There is no such active subscription");
    } else if (one.out.full) {
        reply_store_error(r, ERR_NO_MEMORY);
    } else {
        reply_empty(r, MHD_HTTP_NOT_MODIFIED);
    }
    out_fini(&one.out);
    ledger_release(&paid);
}

/* ---- the answer ---- */

static void reply(struct request *r, const struct asked *a,
                  const struct mercure_last_event *last)
{
    if (a->names == 2)
        reply_one(r, a, last);
    else if (mercure_last_event_is_known(r, last))
        reply_empty(r, MHD_HTTP_NOT_MODIFIED);
    else
        mercure_collection_reply(r, bytes_str(a->path), a->names ? &a->name[0] : NULL, last);
    if (r->reply.status == MHD_HTTP_OK || r->reply.status == MHD_HTTP_NOT_MODIFIED) {
        reply_header(r, MHD_HTTP_HEADER_ETAG, last->etag);
        reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "private, no-cache, must-revalidate");
        reply_header(r, "Link", "</.well-known/mercure>; rel=\"mercure\"");
    }
}

static void answer(struct request *r, const struct asked *a,
                   const struct mercure_claims *claims)
{
    struct mercure_last_event last;
    struct mercure_set *rights = NULL;
    enum err e;

    if (!take_rights(r, claims, &rights))
        return;
    if (may_read(r, rights, a)) {
        e = mercure_last_event_find(r, rights, &last);
        if (e)
            reply_store_error(r, e);
        else
            reply(r, a, &last);
    }
    mercure_set_leave(rights);
}

void mercure_subscriptions_finish(struct request *r)
{
    struct mercure_claims *claims;
    struct asked a;

    if (!take_token(r, &claims))
        return;
    if (read_path(r, &a))
        answer(r, &a, claims);
    asked_free(&a);
    free(claims);
}
