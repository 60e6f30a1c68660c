#include "native_read.h"

#include "base/clock.h"
#include "base/text.h"
#include "cacheable.h"
#include "encode.h"
#include "event_json.h"
#include "line.h"
#include "location.h"
#include "mercure/discover.h"
#include "metrics.h"
#include "multipart.h"
#include "raw_message.h"
#include "read_query.h"
#include "sse_stream.h"
#include "wait.h"

#include <stdio.h>

/* An answer is a page at most, or one message, however the client asks. */
#define PAGE_BYTES (256u << 10)
#define ESCAPE_FACTOR 6      /* a byte is at most \u0000 */
#define USUAL_BYTES 1024u    /* of a message beside its body: time, type, names, attributes */
#define ENVELOPE_BYTES 256u  /* "next", "earliest" and so on */
#define OVERHEAD_BYTES 256u  /* of the library, and of what keeps the answer */

struct page { /* an answer in the making */
    struct request *r;
    struct out out;
    struct grant grant;
    uint64_t next, earliest, skipped;
    uint64_t bytes; /* of bodies */
    unsigned count;
    uint64_t first; /* offset where it begins */
    bool closed;    /* it ended before the log's end: what comes later is not in it */
    struct cacheable cache;
    char boundary[MULTIPART_BOUNDARY + 1]; /* READ_MULTIPART */
};

/* ---- how much room ---- */

static size_t room_in(const struct grant *g)
{
    return g->bytes - ENVELOPE_BYTES - OVERHEAD_BYTES;
}

/* Of a page with this message alone, at most. The body is read through for this, because the
 * worst there can be is six times what a text needs. */
static size_t least_page(const struct request *request, const struct store_entry *m)
{
    const struct record *r = &m->record;
    size_t body = r->blob_id ? LOCATION_ROOM : encode_body_most(r->body);
    size_t names = r->id.len + r->key.len + r->content_type.len + r->attributes.len;

    if (request->read.form == READ_EVENTS)
        return event_json_most(r) + LOCATION_ROOM + ENVELOPE_BYTES + OVERHEAD_BYTES;
    return body + ESCAPE_FACTOR * names + USUAL_BYTES + ENVELOPE_BYTES + OVERHEAD_BYTES;
}

/* Of the page that is asked for. A guess, with what is in the topic: a page that turns out
 * to be larger takes more room if there is some, or else ends (put_more). So a small read
 * does not ask for the room of the largest. */
static size_t likely_page(const struct request *r, size_t least)
{
    const struct topic_state *t = &r->loop->fetch.topic;
    uint64_t count = r->read.limit < t->live ? r->read.limit : t->live;
    uint64_t bytes = r->read.max_bytes < t->live_bytes ? r->read.max_bytes : t->live_bytes;
    uint64_t all = count > 1 ? ESCAPE_FACTOR * bytes + count * USUAL_BYTES : 0;

    if (all > PAGE_BYTES)
        all = PAGE_BYTES;
    all += ENVELOPE_BYTES + OVERHEAD_BYTES;
    return all > least ? (size_t)all : least;
}

/* Room for a whole page, if it is there without waiting: who holds a grant never waits. */
static bool more_room(struct page *p)
{
    struct grant more = { 0 };

    if (room_in(&p->grant) >= PAGE_BYTES ||
        ledger_reserve(p->r->loop->broker->read, PAGE_BYTES - room_in(&p->grant), &more))
        return false;
    ledger_merge(&p->grant, &more);
    out_set_limit(&p->out, room_in(&p->grant));
    return true;
}

/* ---- messages ---- */

static void put_message(struct page *p, const struct store_entry *m)
{
    char href[LOCATION_ROOM];
    bool whole = !m->record.blob_id;

    if (!whole)
        message_location(request_topic(p->r), m->offset, href);
    if (p->r->read.form == READ_MULTIPART) {
        multipart_part(&p->out, p->boundary, m->offset, &m->record, whole ? NULL : href);
        return;
    }
    if (p->r->read.form != READ_NDJSON && p->count)
        out_text(&p->out, ",");
    if (p->r->read.form == READ_EVENTS) {
        event_json_encode(&p->out, request_topic(p->r), m->offset, &m->record, href);
        return;
    }
    encode_message(&p->out, m->offset, &m->record, whole, whole ? NULL : href,
                   p->r->read.form == READ_NDJSON);
    if (p->r->read.form == READ_NDJSON)
        out_text(&p->out, "\n");
}

/* True while one more of this size may be in the page. */
static bool goes_on(const struct page *p, const struct store_entry *m)
{
    uint64_t size = m->record.blob_id ? 0 : m->record.body.len;

    if (p->count == 0)
        return true;
    return p->count < p->r->read.limit && p->out.len + size < PAGE_BYTES &&
           p->bytes + size <= p->r->read.max_bytes;
}

/* False: it does not fit any more, and the page ends before it. The first one fits always,
 * or something is wrong, as out.full says. */
static bool put_more(struct page *p, const struct store_entry *m)
{
    size_t before = p->out.len;

    for (;;) {
        put_message(p, m);
        if (!p->out.full || p->count == 0)
            return true;
        out_rewind(&p->out, before);
        if (!more_room(p))
            return false;
    }
}

static enum err put_messages(struct page *p)
{
    struct fetch *f = &p->r->loop->fetch;
    struct store_entry m;
    enum err e;

    f->positioned = false;
    while (!(e = fetch_next(f, p->next, &m)) && goes_on(p, &m) && put_more(p, &m)) {
        p->next = m.offset + 1;
        p->bytes += m.record.blob_id ? 0 : m.record.body.len;
        p->count++;
        cacheable_see(&p->cache, &m.record);
        if (p->count == p->r->read.limit)
            break;
    }
    p->closed = !e;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static void put_envelope_end(struct page *p)
{
    struct out *o = &p->out;

    out_text(o, "],\"next\":");
    out_u64(o, p->next);
    out_text(o, ",\"earliest\":");
    out_u64(o, p->earliest);
    out_text(o, ",\"end\":");
    out_u64(o, p->r->loop->fetch.topic.next_offset);
    if (p->skipped) {
        out_text(o, ",\"skipped\":");
        out_u64(o, p->skipped);
    }
    out_text(o, "}\n");
}

static void put_start(struct page *p)
{
    if (p->r->read.form == READ_JSON)
        out_text(&p->out, "{\"messages\":[");
    else if (p->r->read.form == READ_EVENTS)
        out_text(&p->out, "[");
    else if (p->r->read.form == READ_MULTIPART)
        multipart_draw(p->boundary);
}

static void put_end(struct page *p)
{
    if (p->r->read.form == READ_JSON)
        put_envelope_end(p);
    else if (p->r->read.form == READ_EVENTS)
        out_text(&p->out, "]\n");
    else if (p->r->read.form == READ_MULTIPART)
        multipart_end(&p->out, p->boundary);
}

static void add_type(struct page *p)
{
    static const char *const types[] = { [READ_JSON] = "application/json",
                                         [READ_NDJSON] = "application/x-ndjson",
                                         [READ_EVENTS] = "application/cloudevents-batch+json" };
    char text[64 + MULTIPART_BOUNDARY];

    if (p->r->read.form == READ_MULTIPART)
        snprintf(text, sizeof text, "multipart/mixed; boundary=%s", p->boundary);
    reply_header(p->r, MHD_HTTP_HEADER_CONTENT_TYPE,
                 p->r->read.form == READ_MULTIPART ? text : types[p->r->read.form]);
}

/* An array of events has no place to say it in. */
static void say_next(const struct page *p)
{
    char number[TEXT_NUMBER_ROOM];

    number[text_put_u64(number, p->next)] = 0;
    if (p->r->read.form == READ_EVENTS)
        reply_header(p->r, "Message-Next", number);
}

/* An offset says the same for ever; the end of the log, the first message that is left, or a
 * time ago does not. */
static bool is_cacheable(struct page *p)
{
    struct request *r = p->r;

    p->cache.weak = r->read.form != READ_NDJSON;
    p->cache.by_accept = true;
    cacheable_tag(&p->cache, &r->loop->fetch.topic, "jnme"[r->read.form], p->first, p->next,
                  p->count);
    return p->closed && !p->skipped && r->read.from.kind == FETCH_OFFSET;
}

/* The page is done, and not sent. */
static void drop_page(struct page *p)
{
    out_fini(&p->out);
    ledger_release(&p->grant);
}

static void send_page(struct page *p)
{
    bool cacheable = is_cacheable(p);

    if (cacheable && cacheable_known(p->r, &p->cache)) {
        drop_page(p);
        return;
    }
    out_set_limit(&p->out, p->out.limit + ENVELOPE_BYTES);
    put_end(p);
    if (p->out.full) {
        drop_page(p);
        reply_store_error(p->r, p->out.no_memory ? ERR_NO_MEMORY : ERR_CORRUPT);
        return;
    }
    out_trim(&p->out);
    ledger_shrink(&p->grant, p->out.cap + 256);
    metric_add(METRIC_DELIVERED_MESSAGES, p->count);
    metric_add(METRIC_DELIVERED_BYTES, (int64_t)p->bytes);
    reply_out(p->r, MHD_HTTP_OK, NULL, &p->out, &p->grant);
    add_type(p);
    say_next(p);
    if (cacheable)
        cacheable_headers(p->r, &p->cache);
    else
        cacheable_not(p->r);
}

/* As short as a problem, and as little charged. A multipart body has one part at least. */
static void send_empty_page(struct page *p)
{
    char text[ENVELOPE_BYTES];

    if (p->r->read.form == READ_MULTIPART) {
        reply_empty(p->r, MHD_HTTP_NO_CONTENT);
        cacheable_not(p->r);
        return;
    }
    out_init_in(&p->out, text, sizeof text);
    put_start(p);
    put_end(p);
    reply_text(p->r, MHD_HTTP_OK, NULL, bytes_of(text, p->out.len));
    add_type(p);
    say_next(p);
    cacheable_not(p->r);
}

/* Under the open snapshot, whose first message for this reader is `first`. */
static void build_page(struct page *p, const struct store_entry *first)
{
    struct request *r = p->r;
    size_t least = least_page(r, first);
    enum err e;

    if (!line_for_answer(r, likely_page(r, least), least, &p->grant))
        return;
    out_init(&p->out, room_in(&p->grant));
    put_start(p);
    e = put_messages(p);
    if (e) {
        drop_page(p);
        reply_store_error(r, e);
        return;
    }
    send_page(p);
}

/* ---- where to start, and whether there is anything ---- */

static void gone(struct request *r, uint64_t earliest)
{
    reply_problem_with(r, PROBLEM_MESSAGE_GONE, "earliest", earliest,
                       "Offset %llu is gone; the earliest message is %llu.",
                       (unsigned long long)r->read.offset, (unsigned long long)earliest);
}

static enum err resolve(struct request *r)
{
    enum err e = ERR_OK;

    if (!r->read.resolved)
        e = fetch_resolve(&r->loop->fetch, r->read.from, &r->read.offset);
    r->read.resolved = !e;
    return e;
}

/* With the snapshot open. True: answered, or in line for the room. False: nothing to answer
 * yet; what was asked for stays as it was, so that the answer tells in the end how much of
 * it is gone. */
static bool answer(struct request *r, bool last)
{
    struct fetch *f = &r->loop->fetch;
    struct store_entry m;
    struct page p = { .r = r, .cache.expires_ms = CACHEABLE_NEVER };
    enum err e = resolve(r);

    if (!e)
        e = fetch_earliest(f, &p.earliest);
    if (!e && r->read.offset < p.earliest && r->read.from.kind == FETCH_OFFSET) {
        if (r->read.strict) {
            gone(r, p.earliest);
            return true;
        }
        p.skipped = p.earliest - r->read.offset;
    }
    p.next = r->read.offset > p.earliest ? r->read.offset : p.earliest;
    p.first = p.next;
    f->positioned = false;
    if (!e)
        e = fetch_next(f, p.next, &m);
    if (e == ERR_NOT_FOUND && !last && r->read.until_ms)
        return false;
    if (e && e != ERR_NOT_FOUND)
        reply_store_error(r, e);
    else if (r->read.form == READ_RAW)
        return raw_message_reply(r, e ? NULL : &m) || answer(r, last);
    else if (e)
        send_empty_page(&p);
    else
        build_page(&p, &m);
    return true;
}

static bool answer_without_topic(struct request *r, bool last)
{
    bool may_come = r->read.until_ms && r->loop->broker->config->auto_create;

    if (may_come && !last) {
        if (r->read.from.kind == FETCH_LATEST)
            r->read.resolved = true; /* offset 0: whatever comes, comes after now */
        return false;
    }
    if (!may_come)
        reply_store_error(r, ERR_NOT_FOUND);
    else if (r->read.form == READ_JSON)
        reply_text(r, MHD_HTTP_OK, "application/json",
                   bytes_str("{\"messages\":[],\"next\":0,\"earliest\":0,\"end\":0}\n"));
    else if (r->read.form == READ_NDJSON)
        reply_text(r, MHD_HTTP_OK, "application/x-ndjson", bytes_of("", 0));
    else if (r->read.form == READ_EVENTS)
        reply_text(r, MHD_HTTP_OK, "application/cloudevents-batch+json", bytes_str("[]\n"));
    else
        reply_empty(r, MHD_HTTP_NO_CONTENT);
    if (may_come)
        cacheable_not(r);
    return true;
}

static bool look_now(struct request *r, bool last)
{
    enum err e = fetch_begin(&r->loop->fetch, request_topic(r));
    bool answered;

    if (e == ERR_NOT_FOUND)
        return answer_without_topic(r, last);
    if (e) {
        reply_store_error(r, e);
        return true;
    }
    answered = answer(r, last);
    fetch_end(&r->loop->fetch);
    return answered;
}

static bool look(struct request *r, bool last)
{
    if (!look_now(r, last))
        return false;
    mercure_discover(r);
    return true;
}

/* ---- one encoding for all who wait for the same ---- */

/* A part of a message, or what it may have already: that is not in r->read. */
static bool of_a_part(const struct request *r)
{
    return request_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH) ||
           (r->read.form == READ_RAW && request_header(r, MHD_HTTP_HEADER_RANGE));
}

static bool same_question(const struct request *a, const struct request *b)
{
    return a->read.resolved && b->read.resolved && a->read.offset == b->read.offset &&
           a->read.from.kind == b->read.from.kind && a->read.strict == b->read.strict &&
           a->read.limit == b->read.limit && a->read.form == b->read.form &&
           a->read.max_bytes == b->read.max_bytes && a->head == b->head && !a->cors &&
           !b->cors && bytes_eq(request_topic(a), request_topic(b)) && !of_a_part(a) &&
           !of_a_part(b);
}

bool read_log_look(struct request *r, bool last)
{
    struct request *before = r->loop->last_woken;

    if (last && r->loop->broker->draining)
        r->read.until_ms = r->loop->now_ms;
    /* A shutdown's answers say Connection: close, each for itself. */
    if (before && !r->loop->broker->draining && same_question(before, r) &&
        reply_share(before, r))
        return true;
    if (!look(r, last))
        return false;
    r->loop->last_woken = r->read.resolved && r->reply.response ? r : NULL;
    return true;
}

static void look_for_all(struct request *r)
{
    bool draining = r->loop->broker->draining;

    if (!look(r, draining || r->read.until_ms <= r->loop->now_ms))
        wait_park(r); /* what it was in line for is gone */
    else if (!draining && r->reply.response && r->reply.status == MHD_HTTP_OK)
        line_share(r, same_question);
}

void read_log_finish(struct request *r)
{
    if (!read_query_parse(r))
        return;
    if (r->read.form == READ_SSE) {
        sse_stream_reply(r);
        mercure_discover(r);
        return;
    }
    r->answer.again = look_for_all;
    if (!look(r, !r->read.until_ms || r->loop->broker->draining) && !r->reply.response)
        wait_park(r);
}
