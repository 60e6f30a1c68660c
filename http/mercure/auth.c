#include "mercure/auth.h"

#include "base/clock.h"
#include "base/log.h"
#include "mercure/cors.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define BEARER        "Bearer "
#define LEAST_HEADER  48 /* with BEARER */
#define LEAST_TOKEN   41
#define AUTHORIZATION "authorization"

struct found { /* in one place of the request */
    enum MHD_ValueKind kind;
    const char *name;
    unsigned count;
    const char *value; /* the first one */
};

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind, const char *name,
                            const char *value)
{
    struct found *f = arg;

    if (kind == MHD_HEADER_KIND ? strcasecmp(name, f->name) : strcmp(name, f->name))
        return MHD_YES;
    if (!f->count++)
        f->value = value ? value : "";
    return MHD_YES;
}

static struct found find(const struct request *r, enum MHD_ValueKind kind, const char *name)
{
    struct found f = { .kind = kind, .name = name };

    (void)MHD_get_connection_values(r->conn, kind, look, &f);
    return f;
}

/* ---- refusals ---- */

/* `why` is for the one who keeps the token: without it, from us, and of no more than 100
 * bytes. NULL: there was no token. */
static void refuse(struct request *r, enum mercure_role role, const char *why)
{
    char challenge[160] = "Bearer", id[40];

    request_id(r, id);
    LOG_DEBUG("mercure", "unauthorized",
              LOG_S("role", role == MERCURE_PUBLISHER ? "publisher" : "subscriber"),
              LOG_S("why", why ? why : "no token"), LOG_S("request_id", id));
    if (why)
        snprintf(challenge, sizeof challenge,
                 "Bearer error=\"invalid_token\", error_description=\"%s\"", why);
    reply_problem(r, PROBLEM_UNAUTHORIZED, "Unauthorized");
    reply_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, challenge);
}

static void refuse_without_key(struct request *r, enum mercure_role role)
{
    reply_problem(r, PROBLEM_UNAUTHORIZED,
                  "Unauthorized: the broker's setting %s is not there.",
                  mercure_key_setting(role));
    reply_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
}

/* ---- the three places ---- */

static const char *in_header(const struct found *f, struct bytes *token)
{
    size_t len = strlen(f->value);

    if (f->count != 1)
        return "more than one Authorization header";
    if (strncmp(f->value, BEARER, sizeof BEARER - 1) != 0)
        return "Authorization does not begin with Bearer and a blank";
    if (len < LEAST_HEADER)
        return "too short for a token";
    *token = bytes_of(f->value + sizeof BEARER - 1, len - (sizeof BEARER - 1));
    return NULL;
}

/* A token has nothing to encode, but a client may have done so. Into `room`, of at least
 * MERCURE_TOKEN_MAX bytes. */
static const char *in_query(const struct found *f, struct bytes *token, char *room)
{
    struct bytes raw = bytes_str(f->value);
    size_t len;

    if (f->count != 1)
        return "more than one authorization parameter";
    if (raw.len > MERCURE_TOKEN_MAX)
        return "too long for a token";
    if (!url_decode_query(raw, room, &len))
        return "the authorization parameter is not well percent-encoded";
    if (len < LEAST_TOKEN)
        return "too short for a token";
    *token = bytes_of(room, len);
    return NULL;
}

/* scheme://host:port of a URL, as an Origin header has it. Empty: it is none. */
static struct bytes origin_of(const char *url)
{
    const char *host = strstr(url, "://");

    if (!host)
        return bytes_of(url, 0);
    host += 3;
    return bytes_of(url, (size_t)(host - url) + strcspn(host, "/?#"));
}

/* A page of another site could have made the browser send the cookie. */
static const char *comes_from_a_page_that_may(const struct request *r)
{
    const char *origin = request_header(r, MHD_HTTP_HEADER_ORIGIN);
    const char *referer = request_header(r, MHD_HTTP_HEADER_REFERER);
    struct bytes page = bytes_of("", 0);

    if (origin && *origin)
        page = bytes_str(origin);
    else if (referer)
        page = origin_of(referer);
    if (!page.len)
        return "a cookie without Origin or Referer";
    if (!mercure_origin_allowed(r->loop->broker->config->mercure_publish_origins, page))
        return "a cookie from a page that mercure_publish_origins does not have";
    return NULL;
}

static const char *in_cookie(const struct request *r, const struct found *f,
                             enum mercure_role role, struct bytes *token)
{
    *token = bytes_str(f->value);
    return role == MERCURE_PUBLISHER ? comes_from_a_page_that_may(r) : NULL;
}

/* False: there is none anywhere. */
static bool find_token(const struct request *r, enum mercure_role role, struct bytes *token,
                       char *room, const char **why)
{
    const char *cookie = r->loop->broker->config->mercure_cookie_name;
    struct found header = find(r, MHD_HEADER_KIND, AUTHORIZATION);
    struct found query = find(r, MHD_GET_ARGUMENT_KIND, AUTHORIZATION);
    struct found jar = find(r, MHD_COOKIE_KIND, cookie);

    *why = NULL;
    if (header.count)
        *why = in_header(&header, token);
    else if (query.count)
        *why = in_query(&query, token, room);
    else if (jar.count)
        *why = in_cookie(r, &jar, role, token);
    else
        return false;
    return true;
}

/* ---- in all ---- */

static bool has_key(const struct request *r, enum mercure_role role)
{
    const struct config *c = r->loop->broker->config;

    return *(role == MERCURE_PUBLISHER ? c->mercure_publisher_jwt_key
                                       : c->mercure_subscriber_jwt_key);
}

static bool check(struct request *r, enum mercure_role role, struct bytes token,
                  struct mercure_claims **out)
{
    const char *why = NULL;
    enum err e = mercure_token_verify(r->loop->broker->config, role, token, clock_wall_ms(),
                                      out, &why);

    if (e == ERR_NO_MEMORY) {
        reply_store_error(r, e);
        return false;
    }
    if (!e && role == MERCURE_PUBLISHER && !(*out)->publish_count)
        why = "the token does not allow to publish";
    if (!why)
        return true;
    if (!e)
        free(*out);
    *out = NULL;
    refuse(r, role, why);
    return false;
}

bool mercure_authorize(struct request *r, enum mercure_role role, struct mercure_claims **out)
{
    bool anonymous = role == MERCURE_SUBSCRIBER && r->loop->broker->config->mercure_anonymous;
    char room[MERCURE_TOKEN_MAX];
    const char *why = NULL;
    struct bytes token;
    bool found = find_token(r, role, &token, room, &why);

    *out = NULL;
    if (!found && anonymous)
        return true;
    if (!has_key(r, role)) {
        refuse_without_key(r, role);
        return false;
    }
    if (!found || why) {
        refuse(r, role, why);
        return false;
    }
    return check(r, role, token, out);
}
