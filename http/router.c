#include "router.h"

#include "base/text.h"
#include "url.h"

#include <stdlib.h>

static const char *const verbs[] = { "batch", "purge", NULL };
static const char *const subscription_verbs[] = { "receive", "ack",    "nack", "extend",
                                                  "reject",  "seek",   "redrive", NULL };

/* Not all for all paths: a topic may well be called jobs:ack. */
static const char *const *verbs_of(const char *url)
{
    static const char subscriptions[] = "/v1/subscriptions/";

    return strncmp(url, subscriptions, sizeof subscriptions - 1) ? verbs
                                                                 : subscription_verbs;
}

struct match {
    struct bytes topic, offset; /* still encoded */
    struct route_names names;
};

static bool match_segment(struct bytes pattern, struct bytes s, struct match *m)
{
    if (!pattern.len || *(const char *)pattern.data != '{')
        return bytes_eq(pattern, s);
    if (bytes_eq(pattern, bytes_str("{t}")))
        m->topic = s;
    else if (bytes_eq(pattern, bytes_str("{n}")))
        m->offset = s;
    m->names.name[m->names.count++] = s;
    return s.len > 0;
}

/* Segment i; the verb is put back where the route knows none. */
static struct bytes segment(const struct route *route, const struct url_path *p, size_t i)
{
    struct bytes s = p->segments[i];

    if (route->take && i + 1 == p->count && p->verb.len)
        s.len += 1 + p->verb.len;
    return s;
}

static bool match_verb(const struct route *route, const struct url_path *p)
{
    return route->take ||
           bytes_eq(p->verb, route->verb ? bytes_str(route->verb) : bytes_of("", 0));
}

static bool match_path(const struct route *route, const struct url_path *p,
                       struct match *m)
{
    const char *pattern = route->path;
    size_t i = 0;

    *m = (struct match){ 0 };
    if (!match_verb(route, p))
        return false;
    while (*pattern == '/') {
        size_t len = strcspn(++pattern, "/");

        if (i == p->count ||
            !match_segment(bytes_of(pattern, len), segment(route, p, i++), m))
            return false;
        pattern += len;
    }
    return i == p->count;
}

/* Also of paths that are no route's: in the manner of the routes that begin like them. */
static const struct dialect *dialect_of(const struct url_path *p)
{
    for (const struct route *route = routes; route->method; route++)
        if (bytes_eq(p->segments[0],
                     bytes_of(route->path + 1, strcspn(route->path + 1, "/"))))
            return route->dialect;
    return NULL;
}

static void bad_topic(struct request *r, const char *why)
{
    reply_problem(r, PROBLEM_BAD_TOPIC,
                  "%s. A topic name is 1 to %d bytes of UTF-8 without control characters, "
                  "as one percent-encoded path segment.",
                  why, STORE_TOPIC_NAME_MAX);
}

static void take_topic(struct request *r, struct bytes raw)
{
    const char *why = "The name is not well percent-encoded";
    size_t len = 0;

    r->topic = malloc(raw.len + 1);
    if (!r->topic) {
        reply_store_error(r, ERR_NO_MEMORY);
        return;
    }
    if (url_decode_segment(raw, r->topic, &len))
        why = url_name_wrong(bytes_of(r->topic, len));
    if (why) {
        bad_topic(r, why);
        return;
    }
    r->topic[len] = 0;
    r->topic_len = (uint16_t)len;
}

static void take(struct request *r, const struct route *route, const struct match *m)
{
    r->route = route;
    if (route->take) {
        route->take(r, route, &m->names);
        return;
    }
    if (m->topic.len)
        take_topic(r, m->topic);
    if (m->offset.len && !text_parse_u64(m->offset, 0, INT64_MAX, &r->offset))
        reply_problem(r, PROBLEM_ROUTE_NOT_FOUND,
                      "A message is addressed by its offset, a whole number.");
}

static bool method_fits(const struct request *r, const struct route *route,
                        const char *method)
{
    return !strcmp(route->method, method) || (r->head && !strcmp(route->method, "GET"));
}

struct allowed {
    char text[128];
    bool any;
};

static void allow(struct allowed *a, const char *method)
{
    if (strstr(a->text, method))
        return;
    if (a->any)
        strcat(a->text, ", ");
    strcat(a->text, method);
    if (!strcmp(method, "GET"))
        strcat(a->text, ", HEAD");
    a->any = true;
}

/* The path is known, this method is not. */
static void refuse_method(struct request *r, const char *method, struct allowed *a)
{
    strcat(a->text, ", OPTIONS");
    if (strcmp(method, MHD_HTTP_METHOD_OPTIONS)) {
        reply_problem(r, PROBLEM_METHOD_NOT_ALLOWED, "%.20s does not work here; %s do.",
                      method, a->text);
    } else if (r->dialect && r->dialect->preflight) {
        r->dialect->preflight(r, a->text);
    } else {
        reply_empty(r, MHD_HTTP_NO_CONTENT);
        reply_header(r, "Access-Control-Allow-Methods", a->text);
        reply_header(r, "Access-Control-Allow-Headers",
                     request_header(r, "Access-Control-Request-Headers"));
        reply_header(r, "Access-Control-Max-Age", "86400");
    }
    reply_header(r, MHD_HTTP_HEADER_ALLOW, a->text);
}

static bool is_on(const struct request *r, const struct route *route)
{
    return !route->is_on || route->is_on(r->loop->broker->config);
}

static const struct route *find(struct request *r, const char *method,
                                const struct url_path *p, struct match *m,
                                struct allowed *allowed)
{
    for (const struct route *route = routes; route->method; route++) {
        if (!match_path(route, p, m) || !is_on(r, route))
            continue;
        if (method_fits(r, route, method))
            return route;
        allow(allowed, route->method);
    }
    return NULL;
}

void router_match(struct request *r, const char *method, const char *url)
{
    const struct route *route = NULL;
    struct allowed allowed = { 0 };
    struct url_path p;
    struct match m;

    if (url_split(bytes_str(url), verbs_of(url), &p)) {
        r->dialect = dialect_of(&p);
        route = find(r, method, &p, &m, &allowed);
    }
    if (route)
        take(r, route, &m);
    else if (allowed.any)
        refuse_method(r, method, &allowed);
    else
        reply_problem(r, PROBLEM_ROUTE_NOT_FOUND,
                      "There is no route for this path; the routes are under /v1/topics, "
                      "/v1/subscriptions, /v1/namespaces, /v1/limits, /topics/persistent and "
                      "/topics/non-persistent (to produce and to consume as with Pulsar), "
                      "/healthz, /readyz, /metrics and /openapi.json.");
}
