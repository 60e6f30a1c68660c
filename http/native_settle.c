#include "native_settle.h"

#include "base/text.h"
#include "caller.h"
#include "errand.h"
#include "read_query.h"
#include "settle.h"
#include "span.h"

#define LEASES_MAX   1000u
#define BODY_MAX     (48u << 10)
#define DELAY_MAX_MS (7ull * 24 * 3600 * 1000)

/* A lease is 41 bytes of the body; kept it is 40, and at most 50 in the answer. What is no lease
 * may be shorter, and pays more. */
#define BODY_FACTOR  4
#define RESULT_BYTES 50u
#define ANSWER_BYTES 128u /* beside them */

struct reading { /* of a body */
    struct request *r;
    enum settle_kind kind;
    struct bytes leases; /* the array */
    unsigned count;
    bool has_leases, has_delay;
    uint64_t delay_ms;
};

/* ---- the answer ---- */

static const char *code_of(enum settle_result result)
{
    switch (result) {
    case SETTLE_UNKNOWN:
        return "lease_unknown";
    case SETTLE_EXPIRED:
        return "lease_expired";
    case SETTLE_FENCED:
        return "lease_fenced";
    case SETTLE_DONE:
        break;
    }
    return NULL;
}

static void put_result(struct out *o, const struct settle_item *i)
{
    const char *code = code_of(i->result);

    out_text(o, code ? "{\"status\":409,\"code\":\"" : "{\"status\":200");
    if (code) {
        out_text(o, code);
        out_text(o, "\"");
    }
    out_text(o, "}");
}

static void put_results(struct out *o, const struct settle *c)
{
    out_text(o, ",\"results\":[");
    for (unsigned i = 0; i < c->count; i++) {
        if (i)
            out_text(o, ",");
        put_result(o, &c->items[i]);
    }
    out_text(o, "]");
}

static void reply_settled(struct request *r, struct settle *c)
{
    bool all = c->settled == c->count;
    struct grant paid = { 0 };
    struct out o;

    out_init(&o, c->job.grant.bytes - settle_bytes(c->count));
    out_text(&o, "{\"settled\":");
    out_u64(&o, c->settled);
    if (c->kind == SETTLE_EXTEND) {
        out_text(&o, ",\"lease_expires\":");
        out_time(&o, c->until_ms);
    }
    if (!all)
        put_results(&o, c);
    out_text(&o, "}\n");
    if (o.full) {
        out_fini(&o);
        reply_store_error(r, ERR_NO_MEMORY);
        return;
    }
    out_trim(&o);
    ledger_split(&c->job.grant, o.cap, &paid);
    reply_out(r, all ? MHD_HTTP_OK : MHD_HTTP_MULTI_STATUS, "application/json", &o, &paid);
}

static void reply_lost(struct request *r, const struct settle *c)
{
    unsigned of[SETTLE_FENCED + 1] = { 0 };

    for (unsigned i = 0; i < c->count; i++)
        of[c->items[i].result]++;
    reply_problem(r, PROBLEM_LEASE_LOST,
                  "No lease was settled: %u expired, %u fenced (settled before, or handed "
                  "out again), %u unknown.",
                  of[SETTLE_EXPIRED], of[SETTLE_FENCED], of[SETTLE_UNKNOWN]);
}

static void answer(void *arg, struct job *j)
{
    struct request *r = arg;
    struct settle *c = (struct settle *)j;

    if (c->outcome == ERR_NOT_FOUND)
        reply_problem(r, PROBLEM_SUBSCRIPTION_NOT_FOUND,
                      "There is no subscription of this name.");
    else if (c->outcome)
        reply_store_error(r, c->outcome);
    else if (!c->settled)
        reply_lost(r, c);
    else
        reply_settled(r, c);
}

/* ---- the body ---- */

static const char *read_duration(struct bytes raw, enum span_kind kind, uint64_t most,
                                 uint64_t *ms)
{
    bool ok = kind == SPAN_NUMBER && text_parse_duration(raw, ms);

    if (kind == SPAN_STRING && raw.len > 2)
        ok = text_parse_duration(bytes_of((const char *)raw.data + 1, raw.len - 2), ms);
    return ok && *ms <= most ? NULL : "a duration is not of its form, or too long";
}

/* Also proves that it holds texts only. */
static const char *count_leases(struct bytes at, unsigned *count)
{
    struct bytes raw;
    enum span_kind kind;
    bool more;
    const char *why = span_open(&at, '[', &more);

    while (!why && more) {
        why = span_value(&at, &raw, &kind);
        if (!why && kind != SPAN_STRING)
            why = "a lease is a string";
        if (!why)
            why = span_more(&at, ']', &more);
        ++*count;
    }
    return why;
}

static const char *read_member(struct reading *b, struct bytes name, struct bytes raw,
                               enum span_kind kind)
{
    if (span_string_is(name, "leases") && kind == SPAN_ARRAY && !b->has_leases) {
        b->has_leases = true;
        b->leases = raw;
        return count_leases(raw, &b->count);
    }
    if (b->kind == SETTLE_NACK && span_string_is(name, "delay")) {
        b->has_delay = true;
        return read_duration(raw, kind, DELAY_MAX_MS, &b->delay_ms);
    }
    if (b->kind == SETTLE_EXTEND && span_string_is(name, "lease")) {
        b->has_delay = true;
        return read_duration(raw, kind, READ_QUERY_LEASE_MAX_MS, &b->delay_ms);
    }
    return "there is a member that it does not have, or not of this kind";
}

static const char *read_body(struct reading *b)
{
    struct bytes at = bytes_of(b->r->body.data, b->r->body.len), name, raw;
    enum span_kind kind;
    bool more;
    const char *why = span_open(&at, '{', &more);

    while (!why && more) {
        why = span_member(&at, &name, &raw, &kind, &more);
        if (!why)
            why = read_member(b, name, raw, kind);
    }
    if (!why)
        why = span_end(&at);
    return why;
}

/* Precondition: count_leases has proved the array. */
static void read_leases(const struct reading *b, struct settle *c)
{
    struct bytes at = b->leases, raw;
    uint8_t secret[STORE_SECRET_LEN];
    enum span_kind kind;
    bool more;
    const char *why = span_open(&at, '[', &more);

    b->r->loop->fetch.ops->subs->secret(b->r->loop->broker->store, secret);
    for (unsigned i = 0; !why && more; i++) {
        struct settle_item *item = &c->items[i];

        why = span_value(&at, &raw, &kind);
        if (!why)
            why = span_more(&at, ']', &more);
        if (!lease_read(secret, bytes_of((const char *)raw.data + 1, raw.len - 2),
                        &item->lease))
            item->result = SETTLE_UNKNOWN;
    }
}

/* For the body, the job and its answer. Nobody waits here: who holds something must not. */
static bool pay(const struct reading *b)
{
    struct grant *paid = &b->r->body.room.grant, more = { 0 };
    size_t all = b->r->body.len + settle_bytes(b->count) + b->count * RESULT_BYTES +
                 ANSWER_BYTES;

    if (paid->bytes >= all)
        return true;
    if (ledger_reserve(b->r->loop->broker->json, all - paid->bytes, &more))
        return false;
    ledger_merge(paid, &more);
    return true;
}

static void submit(const struct reading *b)
{
    struct request *r = b->r;
    struct settle *c;

    if (!pay(b)) {
        reply_problem(r, PROBLEM_BUSY, "Other requests use the memory kept for changes. "
                                       "Try again.");
        return;
    }
    c = settle_new(b->count, &r->body.room.grant);
    if (!c) {
        reply_store_error(r, ERR_NO_MEMORY);
        return;
    }
    read_leases(b, c);
    c->kind = b->kind;
    c->has_delay = b->has_delay;
    c->delay_ms = b->delay_ms;
    memcpy(c->name, r->topic, r->topic_len);
    c->name_len = (uint8_t)r->topic_len;
    ledger_merge(&c->job.grant, &r->body.room.grant);
    body_fini(&r->body);
    c->ties = r->loop->broker->ties;
    c->job.flow = caller_flow(r);
    errand_hold(r, &c->job, answer);
    settle_submit(r->loop->broker->writer, c);
}

static void finish(struct request *r, enum settle_kind kind)
{
    struct reading b = { .r = r, .kind = kind };
    const char *why = read_body(&b);

    if (why)
        reply_problem(r, PROBLEM_BAD_JSON,
                      "The body must be an object such as {\"leases\":[\"...\"]}%s: %s.",
                      kind == SETTLE_NACK     ? ", with \"delay\":\"5s\" or without"
                      : kind == SETTLE_EXTEND ? ", with \"lease\":\"30s\" or without"
                                              : "",
                      why);
    else if (b.count < 1 || b.count > LEASES_MAX)
        reply_problem(r, PROBLEM_BAD_JSON, "\"leases\" must hold 1 to %u leases.",
                      LEASES_MAX);
    else
        submit(&b);
}

void settle_start(struct request *r)
{
    /* In a shutdown, too: what is acked now is not done twice. */
    request_expect_body(r, BODY_WHOLE, BODY_MAX, r->loop->broker->json, 4096, BODY_FACTOR);
}

void settle_ack_finish(struct request *r)
{
    finish(r, SETTLE_ACK);
}

void settle_nack_finish(struct request *r)
{
    finish(r, SETTLE_NACK);
}

void settle_extend_finish(struct request *r)
{
    finish(r, SETTLE_EXTEND);
}

void settle_reject_finish(struct request *r)
{
    finish(r, SETTLE_REJECT);
}
