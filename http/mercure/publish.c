#include "mercure/publish.h"

#include "base/clock.h"
#include "broker.h"
#include "mercure/auth.h"
#include "mercure/check.h"
#include "mercure/uuid.h"
#include "publish_door.h"

#include <stdlib.h>
#include <strings.h>

#define FORM "application/x-www-form-urlencoded"

/* Of a publish's meta, beside texts that came with the form: those that did not. */
#define META_FRAME (STORE_TOPIC_NAME_MAX + MERCURE_URN_LEN + MERCURE_ATTRIBUTES_FRAME)

void mercure_take_topic(struct request *r, const struct route *route,
                        const struct route_names *names)
{
    const char *topic = r->loop->broker->config->mercure_topic;

    (void)route;
    (void)names;
    r->topic = strdup(topic);
    r->topic_len = (uint16_t)strlen(topic);
    if (!r->topic)
        reply_store_error(r, ERR_NO_MEMORY);
}

/* ---- answers ---- */

static void answer(struct request *r, struct publish *p)
{
    reply_text(r, MHD_HTTP_OK, MERCURE_CONTENT_TYPE, p->one.id);
    door_say_durability(r);
}

static void came_home(struct letter *l)
{
    door_came_home(l, answer);
}

/* ---- in ---- */

static bool is_form(struct request *r)
{
    const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);

    return type && strcspn(type, "; \t") == strlen(FORM) &&
           !strncasecmp(type, FORM, strlen(FORM));
}

static uint64_t most(const struct config *c, size_t overhead)
{
    uint64_t form = mercure_form_most(c), buffer = c->publish_buffer_bytes - overhead;

    return form < buffer ? form : buffer;
}

void mercure_publish_start(struct request *r)
{
    struct broker *b = r->loop->broker;
    size_t overhead = PUBLISH_OVERHEAD + META_FRAME;
    struct mercure_claims *claims = NULL;

    if (!mercure_authorize(r, MERCURE_PUBLISHER, &claims))
        return;
    free(claims); /* not kept for as long as the body takes to come */
    if (!door_opens_to_hub(r))
        return;
    if (!is_form(r))
        reply_problem(r, PROBLEM_BAD_REQUEST, "The body must be " FORM);
    else
        request_expect_body(r, BODY_WHOLE, most(b->config, overhead), b->publish,
                            overhead, 1);
}

/* ---- the publish ---- */

static uint8_t *put(uint8_t *to, struct bytes *view)
{
    if (view->len)
        memcpy(to, view->data, view->len);
    view->data = to;
    return to + view->len;
}

/* All but the first. */
static struct bytes join(const struct mercure_form *f, char *room)
{
    char *to = room;

    for (size_t i = 1; i < f->topic_count; i++) {
        if (i > 1)
            *to++ = '\n';
        memcpy(to, f->topics[i].data, f->topics[i].len);
        to += f->topics[i].len;
    }
    return bytes_of(room, (size_t)(to - room));
}

enum err mercure_publish_name(struct publish *p, const struct config *c,
                              const struct mercure_update *u)
{
    struct bytes log = bytes_str(c->mercure_topic);
    size_t attributes = mercure_update_attributes_len(u);
    uint8_t *to = malloc(log.len + u->id.len + u->topic.len + attributes);

    p->meta = to;
    if (!to)
        return ERR_NO_MEMORY;
    p->topic = log;
    p->one = (struct packed_message){
        .id = u->id, .key = u->topic, .content_type = bytes_str(MERCURE_CONTENT_TYPE)};
    to = put(to, &p->topic);
    to = put(to, &p->one.id);
    to = put(to, &p->one.key);
    p->one.attributes = bytes_of(to, mercure_update_attributes_put(u, to));
    p->one.has_ttl = c->mercure_ttl_ms != 0;
    p->one.ttl_ms = c->mercure_ttl_ms;
    p->auto_create = true; /* the hub's log is the hub's to make */
    return ERR_OK;
}

/* The data to the front of its memory: what the encoding took, and the fields around
 * it, is given back before the update stands in the writer's line. */
static void keep_data(struct publish *p, struct bytes data)
{
    size_t names =
        p->topic.len + p->one.id.len + p->one.key.len + p->one.attributes.len;
    size_t cost = PUBLISH_OVERHEAD + names + data.len;
    uint8_t *body;

    if (data.len)
        memmove(p->body, data.data, data.len);
    body = realloc(p->body, data.len ? data.len : 1);
    p->body = body ? body : p->body;
    p->body_len = data.len;
    p->one.body = bytes_of(p->body, data.len);
    if (p->grant.bytes > cost)
        ledger_shrink(&p->grant, cost);
}

static enum err make(struct request *r, struct publish *p, const struct mercure_form *f,
                     uint64_t retry)
{
    char joined[MERCURE_TOPICS_MAX + MERCURE_MOST_TOPICS], urn[MERCURE_URN_LEN + 1];
    struct mercure_update u = {.id = f->id,
                               .topic = f->topics[0],
                               .alternates = join(f, joined),
                               .type = f->type,
                               .retry = retry,
                               .is_private = f->is_private};
    enum err e = u.id.len ? ERR_OK : mercure_uuid_v7(urn, clock_wall_ms());

    if (!e && !u.id.len)
        u.id = bytes_str(urn);
    return e ? e : mercure_publish_name(p, r->loop->broker->config, &u);
}

/* A reply was given, or p has been submitted (true). */
static bool send_in(struct request *r, struct publish *p, struct mercure_claims *claims)
{
    struct mercure_form f;
    uint64_t retry;
    enum err e;

    if (mercure_form_read(p->body, p->body_len, &f)) {
        reply_problem(r, PROBLEM_BAD_REQUEST,
                      "Bad Request: a %% is not followed by two "
                      "hexadecimal digits");
        return false;
    }
    if (!mercure_check_form(r, &f, claims, &retry))
        return false;
    e = make(r, p, &f, retry);
    if (e) {
        reply_store_error(r, e);
        return false;
    }
    keep_data(p, f.data);
    door_submit(r, p, came_home);
    return true;
}

void mercure_publish_finish(struct request *r)
{
    struct mercure_claims *claims = NULL;
    struct publish *p;

    if (!mercure_authorize(r, MERCURE_PUBLISHER, &claims))
        return; /* its token has run out since */
    p = calloc(1, sizeof *p);
    if (p)
        door_take_body(r, p);
    else
        reply_store_error(r, ERR_NO_MEMORY);
    if (p && !send_in(r, p, claims))
        publish_free(p);
    free(claims);
}
