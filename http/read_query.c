#include "read_query.h"

#include "base/clock.h"
#include "base/text.h"
#include "url.h"

#include <strings.h>

#define VALUE_MAX 64
#define LAST_MAX 10000 /* from=-N walks back over N messages */
#define LIMIT_MAX 1000
#define LIMIT_DEFAULT 100
#define RECEIVE_DEFAULT 10
#define MAX_BYTES_DEFAULT (256u << 10)
#define MAX_BYTES_MAX (16u << 20)

struct value { /* a decoded query value; not to be copied, bytes points into text */
    char text[VALUE_MAX];
    struct bytes bytes;
    bool there, too_long;
};

static void get(struct request *r, const char *name, struct value *v)
{
    const char *raw = request_query(r, name);
    size_t len = 0;

    *v = (struct value){ .there = raw != NULL };
    if (!raw)
        return;
    v->too_long = strlen(raw) >= sizeof v->text ||
                  !url_decode_query(bytes_str(raw), v->text, &len);
    v->bytes = bytes_of(v->text, v->too_long ? 0 : len);
    v->text[v->bytes.len] = 0;
}

static bool wrong(struct request *r, const char *name, const char *expected)
{
    reply_problem(r, PROBLEM_BAD_PARAMETER, "%s must be %s.", name, expected);
    return false;
}

bool read_query_from(struct bytes t, struct fetch_from *from)
{
    const char *s = t.data;
    int64_t time_ms;
    uint64_t n;

    if (bytes_eq(t, bytes_str("earliest")))
        *from = (struct fetch_from){ FETCH_EARLIEST, 0 };
    else if (bytes_eq(t, bytes_str("latest")))
        *from = (struct fetch_from){ FETCH_LATEST, 0 };
    else if (text_parse_u64(t, 0, INT64_MAX, &n))
        *from = (struct fetch_from){ FETCH_OFFSET, n };
    else if (t.len && s[0] == '-' &&
             text_parse_u64(bytes_of(s + 1, t.len - 1), 1, LAST_MAX, &n))
        *from = (struct fetch_from){ FETCH_LAST, n };
    else if (text_parse_time(t, &time_ms))
        *from = (struct fetch_from){ FETCH_TIME, time_ms > 0 ? (uint64_t)time_ms : 0 };
    else if (text_parse_duration(t, &n))
        *from = (struct fetch_from){ FETCH_TIME,
                                     (uint64_t)clock_wall_ms() > n
                                         ? (uint64_t)clock_wall_ms() - n
                                         : 0 };
    else
        return false;
    return true;
}

static bool read_from(struct request *r)
{
    struct value v;

    get(r, "from", &v);
    if (v.there && !read_query_from(v.bytes, &r->read.from))
        return wrong(r, "from",
                     "an offset, earliest, latest, -N (the last N messages, at most "
                     "10000), an RFC 3339 time such as 2026-01-02T03:04:05Z, or a duration "
                     "ago such as 10m");
    return true;
}

static bool read_sizes(struct request *r, uint64_t limit)
{
    struct value v;
    uint64_t n = limit;

    get(r, "limit", &v);
    if (v.there && !text_parse_u64(v.bytes, 1, LIMIT_MAX, &n))
        return wrong(r, "limit", "a whole number from 1 to 1000");
    r->read.limit = (uint16_t)n;
    get(r, "max_bytes", &v);
    n = MAX_BYTES_DEFAULT;
    if (v.there && (!text_parse_size(v.bytes, &n) || n < 1))
        return wrong(r, "max_bytes", "a size from 1 byte, such as 65536 or 64KiB");
    r->read.max_bytes = n > MAX_BYTES_MAX ? MAX_BYTES_MAX : n;
    return true;
}

static bool read_strict(struct request *r)
{
    struct value v;

    get(r, "strict", &v);
    if (v.there && !bytes_eq(v.bytes, bytes_str("1")) &&
        !bytes_eq(v.bytes, bytes_str("0")))
        return wrong(r, "strict", "0 or 1");
    r->read.strict = v.there && v.text[0] == '1';
    return true;
}

static bool read_wait(struct request *r)
{
    uint64_t most = r->loop->broker->config->read_wait_max_ms, ms = 0;
    struct value v;

    get(r, "wait", &v);
    if (v.there && !text_parse_duration(v.bytes, &ms))
        return wrong(r, "wait", "a number of seconds, or a duration such as 500ms or 20s");
    if (ms > most)
        ms = most;
    r->read.until_ms = ms ? r->loop->now_ms + (int64_t)ms + 1 : 0;
    return true;
}

/* Where an event stream goes on, as a browser says it by itself, or a client that cannot set
 * headers in the query. */
static bool read_last_event(struct request *r)
{
    const char *header = request_header(r, "Last-Event-ID");
    struct value v;
    uint64_t id;

    get(r, "lastEventId", &v);
    if ((!header || !*header) && !v.bytes.len && !v.too_long)
        return true;
    if (!text_parse_u64(header && *header ? bytes_str(header) : v.bytes, 0, INT64_MAX - 1,
                        &id))
        return wrong(r, "Last-Event-ID", "the id of an event of this topic, an offset");
    r->read.from = (struct fetch_from){ FETCH_OFFSET, id + 1 };
    r->read.resumes = true;
    return true;
}

static bool read_stream(struct request *r)
{
    struct value v;

    if (r->read.form != READ_SSE)
        return true;
    get(r, "envelope", &v);
    if (v.there && !bytes_eq(v.bytes, bytes_str("1")) &&
        !bytes_eq(v.bytes, bytes_str("0")))
        return wrong(r, "envelope", "0 or 1");
    r->read.envelope = v.there && v.text[0] == '1';
    return read_last_event(r);
}

static enum read_form form_of(struct request *r)
{
    const char *accept = request_header(r, MHD_HTTP_HEADER_ACCEPT);

    if (!accept)
        return READ_JSON;
    if (strcasestr(accept, "text/event-stream"))
        return READ_SSE;
    if (strcasestr(accept, "application/x-ndjson") ||
        strcasestr(accept, "application/ndjson"))
        return READ_NDJSON;
    if (strcasestr(accept, "application/octet-stream"))
        return READ_RAW;
    if (strcasestr(accept, "multipart/mixed"))
        return READ_MULTIPART;
    if (strcasestr(accept, "application/cloudevents-batch+json"))
        return READ_EVENTS;
    return READ_JSON;
}

bool read_query_parse(struct request *r)
{
    r->read = (struct read_query){ .from = { FETCH_EARLIEST, 0 } };
    r->read.form = form_of(r);
    return read_from(r) && read_sizes(r, LIMIT_DEFAULT) && read_strict(r) && read_wait(r) &&
           read_stream(r);
}

bool read_query_receive(struct request *r, uint64_t *lease_ms)
{
    struct value v;

    *lease_ms = 0;
    r->read = (struct read_query){ 0 };
    get(r, "lease", &v);
    if (v.there && (!text_parse_duration(v.bytes, lease_ms) || !*lease_ms ||
                    *lease_ms > READ_QUERY_LEASE_MAX_MS))
        return wrong(r, "lease", "a duration up to 12h, such as 30s");
    return read_sizes(r, RECEIVE_DEFAULT) && read_wait(r);
}
