#include "mercure/subscribe.h"

#include "base/clock.h"
#include "base/log.h"
#include "mercure/auth.h"
#include "mercure/hub.h"
#include "metrics.h"
#include "server.h"
#include "url.h"

#include <stdlib.h>
#include <strings.h>

#define TOPICS_MAX 1000
#define EARLIEST   "earliest"

#define COMPLAIN_EVERY_MS 60000

/* ---- the query ---- */

struct query {
    unsigned topics, exact; /* how many there are */
    size_t text;            /* bytes that they take */
    const char *bad;        /* a parameter that is not known */
    struct bytes *to_topics, *to_exact; /* NULL: counted only */
    char *to;
    bool undecoded; /* a value is not percent-encoded as it must be */
};

static bool is_exact(const char *name)
{
    return !strcmp(name, "match") || !strcmp(name, "match_exact");
}

static void take_value(struct query *q, bool exact, const char *value)
{
    struct bytes in = bytes_str(value ? value : "");
    size_t len = 0;

    q->text += in.len;
    if (q->to) {
        q->undecoded |= !url_decode_query(in, q->to, &len);
        (exact ? q->to_exact : q->to_topics)[exact ? q->exact : q->topics] =
            bytes_of(q->to, len);
        q->to += in.len;
    }
    *(exact ? &q->exact : &q->topics) += 1;
}

/* Of Mercure 1.0 the exact matcher is known; what else would match is not to be ignored. */
static enum MHD_Result next_parameter(void *arg, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    struct query *q = arg;

    (void)kind;
    if (!strcmp(name, "topic"))
        take_value(q, false, value);
    else if (is_exact(name))
        take_value(q, true, value);
    else if (!strncasecmp(name, "match", 5))
        q->bad = name;
    return MHD_YES;
}

static void walk_query(struct request *r, struct query *q)
{
    (void)MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, next_parameter, q);
}

/* False: a problem was given. */
static bool count_topics(struct request *r, struct query *q)
{
    walk_query(r, q);
    if (q->bad)
        reply_problem(r, PROBLEM_BAD_PARAMETER,
                      "Parameter \"%s\" is not supported: this hub knows topic=, match= and "
                      "match_exact=.",
                      q->bad);
    else if (!q->topics && !q->exact)
        reply_problem(r, PROBLEM_BAD_PARAMETER, "Missing \"topic\" parameter.");
    else if (q->topics + q->exact > TOPICS_MAX)
        reply_problem(r, PROBLEM_BAD_PARAMETER, "More than %d \"topic\" parameters.",
                      TOPICS_MAX);
    else
        return true;
    return false;
}

/* Memory for what the query says, in one piece: it is as long as the head was, at most. */
static void *decode(struct request *r, struct query *q)
{
    size_t views = (q->topics + q->exact) * sizeof(struct bytes);
    struct bytes *memory = malloc(views + q->text + 1);

    if (!memory) {
        reply_store_error(r, ERR_NO_MEMORY);
        return NULL;
    }
    *q = (struct query){ .to_topics = memory,
                         .to_exact = memory + q->topics,
                         .to = (char *)memory + views };
    walk_query(r, q);
    if (!q->undecoded)
        return memory;
    reply_problem(r, PROBLEM_BAD_PARAMETER, "A \"topic\" parameter has a %% that two "
                                            "hexadecimal digits do not follow.");
    free(memory);
    return NULL;
}

/* ---- what it wants ---- */

struct full { /* what there is no room for */
    const char *event, *what, *hint;
    size_t bytes, most;
};

/* The client is told each time, the operator now and then. */
static void refuse_full(struct request *r, const struct full *f)
{
    struct mercure_sets *sets = mercure_hub_sets(mercure_hub_of(r->loop));
    int64_t now = r->loop->now_ms;

    metric_add(METRIC_MERCURE_REFUSED, 1);
    reply_problem(r, PROBLEM_READ_BUFFER_FULL,
                  "There is no room for %s: at most a quarter of read_buffer is kept for "
                  "that. Try again later.",
                  f->what);
    if (sets->complained_ms && now - sets->complained_ms < COMPLAIN_EVERY_MS)
        return;
    sets->complained_ms = now;
    LOG_WARN("mercure", f->event, LOG_I("bytes", (int64_t)f->bytes),
             LOG_I("most", (int64_t)f->most), LOG_S("hint", f->hint));
}

static bool join(struct request *r, const struct mercure_wish *wish,
                 struct mercure_subscriber *s)
{
    struct mercure_hub *h = mercure_hub_of(r->loop);
    struct mercure_sets *sets = h ? mercure_hub_sets(h) : NULL;
    enum err e = h ? mercure_sets_join(sets, wish, &s->set) : ERR_NO_MEMORY;

    if (e == ERR_BUSY)
        refuse_full(r, &(struct full){
                           "sets_full", "what subscribers ask for",
                           "subscribers may share templates, or read_buffer be larger",
                           sets->bytes, sets->most });
    else if (e == ERR_TOO_BIG)
        reply_problem(r, PROBLEM_BAD_PARAMETER,
                      "More than %u bytes of templates, in \"topic\" or in the token.",
                      MERCURE_TEMPLATES_MAX);
    else if (e)
        reply_store_error(r, e);
    return !e;
}

static void refuse_entry(struct request *r, struct mercure_registry *all)
{
    struct mercure_registry_figures f;

    mercure_registry_read(all, &f);
    refuse_full(r, &(struct full){ "list_full", "the list of active subscriptions",
                                   "tokens may have smaller payloads, or read_buffer be larger",
                                   f.bytes, f.most });
}

/* Topics that are told of, into memory of the call's; NULL: a problem was given. A selector that is
 * longer than any topic matches nothing, and would be told of nevertheless. */
static struct bytes *told_topics(struct request *r, const struct mercure_set *set)
{
    struct bytes *topics = calloc(set->topics, sizeof *topics);

    if (!topics)
        reply_store_error(r, ERR_NO_MEMORY);
    for (unsigned i = 0; topics && i < set->topics; i++) {
        topics[i] = mercure_set_topic(set, i);
        if (topics[i].len <= CONFIG_KEY_MAX_BYTES)
            continue;
        reply_problem(r, PROBLEM_BAD_PARAMETER,
                      "A \"topic\" parameter has more than %d bytes: no topic has.",
                      CONFIG_KEY_MAX_BYTES);
        free(topics);
        topics = NULL;
    }
    return topics;
}

/* What others are told of it, where they are. False: a problem was given. */
static bool make_entry(struct request *r, const struct mercure_claims *claims,
                       struct mercure_subscriber *s)
{
    struct mercure_registry *all = r->loop->server->registry;
    struct bytes *topics = all ? told_topics(r, s->set) : NULL;
    enum err e;

    if (!topics)
        return !all;
    e = mercure_entry_new(all, topics, s->set->topics,
                          claims ? claims->payload : bytes_of("", 0), &s->entry);
    free(topics);
    if (e == ERR_BUSY)
        refuse_entry(r, all);
    else if (e)
        reply_store_error(r, e);
    return !e;
}

/* claims: NULL for who has no token. */
static bool find_set(struct request *r, struct query *q, const struct mercure_claims *claims,
                     struct mercure_subscriber *s)
{
    void *memory = count_topics(r, q) ? decode(r, q) : NULL;
    struct mercure_wish wish = { .topics = q->to_topics,
                                 .topic_count = q->topics,
                                 .exact = q->to_exact,
                                 .exact_count = q->exact,
                                 .claims = claims ? claims->subscribe : NULL,
                                 .claim_count = claims ? (unsigned)claims->subscribe_count : 0 };
    bool found = memory && join(r, &wish, s);

    free(memory);
    if (!found || make_entry(r, claims, s))
        return found;
    mercure_set_leave(s->set);
    return false;
}

/* ---- where it starts ---- */

struct resume {
    char asked[RECORD_ID_MAX + 1]; /* decoded; empty: nothing was asked */
    char before[RECORD_ID_MAX + 1]; /* the event before the first that is sent */
};

/* In any case: event-source-polyfill sends lastEventId, or Last-Event-Id. It puts its own behind
 * what the page's address has, so the last one counts. */
static enum MHD_Result next_last_id(void *arg, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    static const char *const names[] = { "lastEventID", "last_event_id", "Last-Event-ID" };
    const char **found = arg;

    (void)kind;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(name, names[i]))
            *found = value ? value : "";
    return MHD_YES;
}

/* The header comes before the query. One that is longer than any id was never given. */
static void read_last_id(struct request *r, struct resume *at)
{
    const char *header = request_header(r, "Last-Event-ID"), *query = NULL;
    struct bytes in;
    char *text;
    size_t len = 0;

    (void)MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, next_last_id, &query);
    in = bytes_str(header ? header : query ? query : "");
    text = malloc(in.len + 1);
    if (!text || (!header && !url_decode_query(in, text, &len))) {
        len = 1; /* something was asked that cannot be found */
        memcpy(at->asked, "#", 1);
    } else {
        if (header)
            memcpy(text, in.data, len = in.len);
        if (len > RECORD_ID_MAX)
            len = RECORD_ID_MAX, text[0] = '#'; /* which no id begins with */
        memcpy(at->asked, text, len);
    }
    at->asked[len] = 0;
    free(text);
}

/* With a snapshot open. ERR_NOT_FOUND: the id of an update that this subscriber may not see is as
 * unknown to it as one that was never given. */
static enum err find_event(struct request *r, const struct mercure_subscriber *s,
                           const char *id, uint64_t *offset)
{
    struct fetch *f = &r->loop->fetch;
    enum err e = fetch_find_id(f, bytes_str(id), offset);
    struct mercure_update u;
    struct store_entry m;

    if (e)
        return e;
    f->positioned = false;
    e = fetch_next(f, *offset, &m);
    if (!e && (m.offset != *offset || mercure_update_of(&m.record, &u) ||
               !mercure_set_may_see(s->set, &u)))
        e = ERR_NOT_FOUND;
    return e;
}

/* With a snapshot open. */
static enum err go_behind(struct request *r, struct mercure_subscriber *s, struct resume *at)
{
    uint64_t offset = 0;
    enum err e = ERR_NOT_FOUND;

    if (strcmp(at->asked, EARLIEST) != 0)
        e = find_event(r, s, at->asked, &offset);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    s->stream.offset = offset + 1;
    strcpy(at->before, at->asked);
    return ERR_OK;
}

static enum err settle_start(struct request *r, struct mercure_subscriber *s,
                             struct resume *at)
{
    struct fetch *f = &r->loop->fetch;
    enum err e = fetch_begin(f, bytes_str(r->loop->broker->config->mercure_topic));

    strcpy(at->before, EARLIEST);
    s->stream.offset = 0;
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (at->asked[0])
        e = go_behind(r, s, at);
    else
        s->stream.offset = f->topic.next_offset;
    fetch_end(f);
    return e;
}

/* ---- how long it stays ---- */

/* A fifth of it is spread, so that not all come back at once; and the end comes a little early, so
 * that the client sees a clean one. 0: no end. */
static int64_t life_ms(const struct request *r, uint64_t ms)
{
    uint64_t early = r->loop->broker->config->mercure_dispatch_timeout_ms;

    ms -= sse_stream_spread(r, ms / 5);
    return (int64_t)(ms - (early < ms / 2 ? early : ms / 2));
}

static void set_end(const struct request *r, struct mercure_subscriber *s,
                    const struct mercure_claims *claims)
{
    uint64_t most = r->loop->broker->config->mercure_write_timeout_ms;
    int64_t life = most ? life_ms(r, most) : INT64_MAX / 4, left;

    if (claims && claims->expires_ms != INT64_MAX) {
        left = claims->expires_ms - clock_wall_ms();
        left = life_ms(r, left > 1 ? (uint64_t)left : 1);
        life = left < life ? left : life;
    }
    s->stream.ends_ms = r->loop->now_ms + life;
}

/* ---- the answer ---- */

static void add_headers(struct request *r, const struct resume *at)
{
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL,
                 "private, no-cache, no-store, must-revalidate, max-age=0");
    reply_header(r, "Pragma", "no-cache");
    reply_header(r, "Expire", "0"); /* as the reference hub spells it */
    if (at->asked[0])
        reply_header(r, "Last-Event-ID", at->before);
}

static void subscribe(struct request *r, const struct mercure_claims *claims)
{
    struct mercure_subscriber *s = calloc(1, sizeof *s);
    struct resume at = { 0 };
    struct query q = { 0 };
    enum err e;

    if (!s) {
        reply_store_error(r, ERR_NO_MEMORY);
        return;
    }
    s->stream.feed = &mercure_feed;
    if (!find_set(r, &q, claims, s)) {
        free(s);
        return;
    }
    read_last_id(r, &at);
    e = settle_start(r, s, &at);
    if (e) {
        reply_store_error(r, e);
        mercure_feed.free(&s->stream);
        return;
    }
    set_end(r, s, claims);
    sse_stream_open(r, &s->stream);
    add_headers(r, &at);
}

void mercure_subscribe_finish(struct request *r)
{
    struct mercure_claims *claims;

    if (!mercure_authorize(r, MERCURE_SUBSCRIBER, &claims))
        return;
    subscribe(r, claims);
    free(claims);
}
