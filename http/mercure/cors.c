#include "mercure/cors.h"

#include "config_form.h"
#include "request.h"

#include <strings.h>

#define ORIGIN  "Access-Control-Allow-Origin"
/* What pages may read beside the body: where a stream begins, why there is none, when to come again. */
#define EXPOSED "Durability, ETag, Last-Event-ID, Link, Retry-After, WWW-Authenticate"
#define PREFLIGHT_VARY                                                                 \
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

/* ---- origins ---- */

/* The star of an entry stands for any text, none included. */
static bool matches(struct bytes entry, struct bytes origin)
{
    const char *e = entry.data, *o = origin.data, *star = memchr(e, '*', entry.len);
    size_t before = star ? (size_t)(star - e) : entry.len;
    size_t after = star ? entry.len - before - 1 : 0;

    if (star ? origin.len < before + after : origin.len != entry.len)
        return false;
    return !strncasecmp(e, o, before) &&
           !strncasecmp(e + entry.len - after, o + origin.len - after, after);
}

bool mercure_origin_allowed(const char *list, struct bytes origin)
{
    struct bytes entry;

    while (config_form_next_origin(&list, &entry))
        if (matches(entry, origin))
            return true;
    return false;
}

static bool any_page(const char *list)
{
    struct bytes entry;

    while (config_form_next_origin(&list, &entry))
        if (bytes_eq(entry, bytes_str("*")))
            return true;
    return false;
}

/* ---- headers ---- */

static const char *origins_of(const struct request *r)
{
    return r->loop->broker->config->mercure_cors_origins;
}

static const char *allowed_origin(const struct request *r)
{
    const char *origin = request_header(r, MHD_HTTP_HEADER_ORIGIN);

    return origin && mercure_origin_allowed(origins_of(r), bytes_str(origin)) ? origin : NULL;
}

static void let_in(struct request *r, const char *origin)
{
    reply_header(r, ORIGIN, any_page(origins_of(r)) ? "*" : origin);
    reply_header(r, "Access-Control-Allow-Credentials", "true");
}

void mercure_cors_headers(struct request *r)
{
    const char *origin = allowed_origin(r);

    if (!*origins_of(r) || !r->reply.response ||
        MHD_get_response_header(r->reply.response, MHD_HTTP_HEADER_VARY))
        return; /* off; or a preflight's answer, which has them */
    reply_header(r, MHD_HTTP_HEADER_VARY, "Origin");
    if (!origin)
        return;
    let_in(r, origin);
    reply_header(r, "Access-Control-Expose-Headers", EXPOSED);
}

/* ---- preflight ---- */

/* Is `name` one of these, in any case? */
static bool is_one_of(struct bytes name, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == name.len && !strncasecmp(*words, name.data, name.len))
            return true;
    return false;
}

static bool method_is_fine(const char *method)
{
    static const char *const methods[] = { "GET", "HEAD", "POST", NULL };

    return is_one_of(bytes_str(method), methods);
}

static bool headers_are_fine(const char *list)
{
    static const char *const names[] = { "authorization", "cache-control", "last-event-id",
                                         "prefer", NULL };

    for (;;) {
        size_t len;

        list += strspn(list, ", \t");
        len = strcspn(list, ", \t");
        if (!len)
            return true;
        if (!is_one_of(bytes_of(list, len), names))
            return false;
        list += len;
    }
}

void mercure_cors_preflight(struct request *r, const char *allow)
{
    const char *method = request_header(r, "Access-Control-Request-Method");
    const char *names = request_header(r, "Access-Control-Request-Headers");
    const char *origin = allowed_origin(r);

    (void)allow; /* the router says it in Allow */
    reply_empty(r, MHD_HTTP_NO_CONTENT);
    if (!method || !*origins_of(r))
        return;
    reply_header(r, MHD_HTTP_HEADER_VARY, PREFLIGHT_VARY);
    if (!origin || !method_is_fine(method) || (names && !headers_are_fine(names)))
        return;
    let_in(r, origin);
    reply_header(r, "Access-Control-Allow-Methods", method);
    reply_header(r, "Access-Control-Allow-Headers", names);
}
