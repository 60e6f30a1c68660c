#include "native_read.h"

#include "base/clock.h"
#include "base/text.h"
#include "encode.h"
#include "location.h"
#include "metrics.h"
#include "raw_message.h"
#include "read_query.h"
#include "wait.h"

/* An answer is a page at most, or one message, however the client asks. Only the escapes of
 * its last message may go beyond: inline_max bytes are six times as long as \u0000. */
#define PAGE_BYTES (256u << 10)
#define ESCAPE_FACTOR 6
#define ENVELOPE_BYTES (24u << 10) /* key, attributes, numbers and names of one message */

static size_t page_limit(const struct request *r)
{
    return PAGE_BYTES + ESCAPE_FACTOR * (size_t)r->loop->broker->config->inline_max_bytes +
           ENVELOPE_BYTES;
}

struct page { /* an answer in the making */
    struct request *r;
    struct out out;
    struct grant grant;
    uint64_t next, earliest, skipped;
    uint64_t bytes; /* of bodies */
    unsigned count;
};

/* ---- messages ---- */

static void put_message(struct page *p, const struct store_entry *m)
{
    char href[LOCATION_ROOM];
    bool whole = !m->record.blob_id;

    if (!whole)
        message_location(request_topic(p->r), m->offset, href);
    if (p->r->read.form == READ_JSON && p->count)
        out_text(&p->out, ",");
    encode_message(&p->out, m->offset, &m->record, whole, whole ? NULL : href,
                   p->r->read.form == READ_NDJSON);
    if (p->r->read.form == READ_NDJSON)
        out_text(&p->out, "\n");
}

/* True while there is room for one more of this size. */
static bool goes_on(const struct page *p, const struct store_entry *m)
{
    uint64_t size = m->record.blob_id ? 0 : m->record.body.len;

    if (p->count == 0)
        return true;
    return p->count < p->r->read.limit && p->out.len + size < PAGE_BYTES &&
           p->bytes + size <= p->r->read.max_bytes;
}

static enum err put_messages(struct page *p)
{
    struct fetch *f = &p->r->loop->fetch;
    struct store_entry m;
    enum err e;

    f->positioned = false;
    while (!(e = fetch_next(f, p->next, &m)) && goes_on(p, &m)) {
        put_message(p, &m);
        p->next = m.offset + 1;
        p->bytes += m.record.blob_id ? 0 : m.record.body.len;
        p->count++;
        if (p->count == p->r->read.limit)
            break;
    }
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

static void send_page(struct page *p)
{
    bool json = p->r->read.form == READ_JSON;

    if (json)
        put_envelope_end(p);
    if (p->out.full) {
        out_fini(&p->out);
        ledger_release(&p->grant);
        reply_store_error(p->r, p->out.no_memory ? ERR_NO_MEMORY : ERR_CORRUPT);
        return;
    }
    out_trim(&p->out);
    ledger_shrink(&p->grant, p->out.cap + 256);
    metric_add(METRIC_DELIVERED_MESSAGES, p->count);
    metric_add(METRIC_DELIVERED_BYTES, (int64_t)p->bytes);
    reply_out(p->r, MHD_HTTP_OK, json ? "application/json" : "application/x-ndjson",
              &p->out, &p->grant);
}

static void build_page(struct request *r, uint64_t start, uint64_t earliest,
                       uint64_t skipped)
{
    struct page p = { .r = r, .next = start, .earliest = earliest, .skipped = skipped };
    enum err e = ledger_reserve(r->loop->broker->read, page_limit(r), &p.grant);

    if (e) {
        reply_read_buffer_full(r);
        return;
    }
    out_init(&p.out, page_limit(r) - 256);
    if (r->read.form == READ_JSON)
        out_text(&p.out, "{\"messages\":[");
    e = put_messages(&p);
    if (e) {
        out_fini(&p.out);
        ledger_release(&p.grant);
        reply_store_error(r, e);
        return;
    }
    send_page(&p);
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

/* With the snapshot open. False: nothing to answer yet; what was asked for stays as it
 * was, so that the answer tells in the end how much of it is gone. */
static bool answer(struct request *r, bool last)
{
    struct fetch *f = &r->loop->fetch;
    struct store_entry m;
    uint64_t start, earliest = 0, skipped = 0;
    enum err e = resolve(r);

    if (!e)
        e = fetch_earliest(f, &earliest);
    if (!e && r->read.offset < earliest && r->read.from.kind == FETCH_OFFSET) {
        if (r->read.strict) {
            gone(r, earliest);
            return true;
        }
        skipped = earliest - r->read.offset;
    }
    start = r->read.offset > earliest ? r->read.offset : earliest;
    f->positioned = false;
    if (!e)
        e = fetch_next(f, start, &m);
    if (e == ERR_NOT_FOUND && !last && r->read.until_ms)
        return false;
    if (e && e != ERR_NOT_FOUND)
        reply_store_error(r, e);
    else if (r->read.form == READ_RAW)
        return raw_message_reply(r, e ? NULL : &m) || answer(r, last);
    else
        build_page(r, start, earliest, skipped);
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
    else
        reply_empty(r, MHD_HTTP_NO_CONTENT);
    return true;
}

static bool look(struct request *r, bool last)
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

/* ---- one encoding for all who wait for the same ---- */

static bool same_question(const struct request *a, const struct request *b)
{
    return a->read.resolved && b->read.resolved && a->read.offset == b->read.offset &&
           a->read.from.kind == b->read.from.kind && a->read.strict == b->read.strict &&
           a->read.limit == b->read.limit && a->read.form == b->read.form &&
           a->read.max_bytes == b->read.max_bytes && a->head == b->head && !a->cors &&
           !b->cors && bytes_eq(request_topic(a), request_topic(b));
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
    r->loop->last_woken = r->read.resolved ? r : NULL;
    return true;
}

void read_log_finish(struct request *r)
{
    if (!read_query_parse(r))
        return;
    if (!look(r, !r->read.until_ms || r->loop->broker->draining) && !r->reply.response)
        wait_park(r);
}

/* ---- one message by its offset ---- */

static void no_message(struct request *r, uint64_t next)
{
    if (r->offset >= next)
        reply_problem_with(r, PROBLEM_MESSAGE_NOT_FOUND, "next", next,
                           "There is no message %llu yet; the next one will be %llu.",
                           (unsigned long long)r->offset, (unsigned long long)next);
    else
        reply_problem(r, PROBLEM_MESSAGE_GONE, "Message %llu has expired or was removed.",
                      (unsigned long long)r->offset);
}

void read_message_finish(struct request *r)
{
    struct fetch *f = &r->loop->fetch;
    struct store_entry m;
    enum err e = fetch_begin(f, request_topic(r));

    if (e) {
        reply_store_error(r, e);
        return;
    }
    e = fetch_next(f, r->offset, &m);
    if (e && e != ERR_NOT_FOUND)
        reply_store_error(r, e);
    else if (e || m.offset != r->offset)
        no_message(r, f->topic.next_offset);
    else if (!raw_message_reply(r, &m))
        no_message(r, f->topic.next_offset);
    fetch_end(f);
}
