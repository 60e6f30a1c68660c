#include "pulsar_consume.h"

#include "base/text.h"
#include "caller.h"
#include "consume.h"
#include "line.h"
#include "metrics.h"
#include "pulsar_json.h"
#include "pulsar_pack.h"
#include "raw_message.h"
#include "wait.h"

#include <stdio.h>
#include <strings.h>

#define BODY_MAX        4096
#define TIMEOUT_USUAL   3000
#define TIMEOUT_MOST    60000
#define CURSORS_MAX     10000 /* subscriptions of all topics */
#define HEADER_VALUE_MAX 9000

/* pulsar_take_subscription put it behind the topic's closing 0. */
static struct bytes subscription(const struct request *r)
{
    return bytes_str(r->topic + r->topic_len + 1);
}

static void no_topic(struct request *r)
{
    reply_problem(r, PROBLEM_TOPIC_NOT_FOUND, "Topic %s not found", r->topic);
}

static bool time_is_over(const struct request *r)
{
    return r->loop->broker->draining || !r->read.until_ms ||
           r->read.until_ms <= r->loop->now_ms;
}

/* ---- the message ---- */

static void add(struct request *r, const char *header, struct bytes value)
{
    char text[HEADER_VALUE_MAX];

    if (value.len >= sizeof text)
        return;
    memcpy(text, value.data, value.len);
    text[value.len] = 0;
    reply_header(r, header, text);
}

static void add_attribute(struct request *r, struct bytes name, struct bytes value)
{
    char header[160];

    if (bytes_eq(name, bytes_str(PULSAR_EVENT_TIME)))
        add(r, "X-Pulsar-Event-Time", value);
    else if (bytes_eq(name, bytes_str(PULSAR_SEQUENCE)))
        add(r, "X-Pulsar-Sequence-Id", value);
    else if (bytes_eq(name, bytes_str(PULSAR_PRODUCER)))
        add(r, "X-Pulsar-Producer-Name", value);
    else if (snprintf(header, sizeof header, "X-Pulsar-Property-%.*s", (int)name.len,
                      (const char *)name.data) < (int)sizeof header)
        add(r, header, value);
}

static void add_headers(struct request *r, const struct store_entry *m)
{
    struct bytes attributes = m->record.attributes, name, value;
    char text[40];

    snprintf(text, sizeof text, "0:%llu:-1", (unsigned long long)m->offset);
    reply_header(r, "X-Pulsar-Message-Id", text);
    snprintf(text, sizeof text, "%lld", (long long)m->record.time_ms);
    reply_header(r, "X-Pulsar-Publish-Time", text);
    if (m->record.key.len)
        add(r, "X-Pulsar-Partition-Key", m->record.key);
    if (m->record.content_type.len)
        add(r, MHD_HTTP_HEADER_CONTENT_TYPE, m->record.content_type);
    else
        reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    while (attribute_next(&attributes, &name, &value))
        add_attribute(r, name, value);
}

static void try_again(struct request *r)
{
    if (!pulsar_consume_look(r, time_is_over(r)))
        wait_park(r);
}

/* False: its time was over in this moment. */
static bool give(struct request *r, uint64_t offset)
{
    struct fetch *f = &r->loop->fetch;
    struct store_entry m;
    bool given = true;
    enum err e = fetch_begin(f, request_topic(r));

    if (!e)
        e = fetch_next(f, offset, &m);
    if (e == ERR_NOT_FOUND || (!e && m.offset != offset))
        given = false;
    else if (e)
        reply_store_error(r, e);
    else
        given = raw_message_whole(r, &m, add_headers);
    fetch_end(f);
    return given;
}

/* ---- to the writer and back ---- */

static void forget(struct job *j)
{
    j->arg = NULL;
}

static void refused(struct request *r, const struct consume *c)
{
    if (c->full)
        reply_problem(r, PROBLEM_STORE_FULL,
                      "There are too many subscriptions: a topic has at most %d, the broker "
                      "%d. Delete one.",
                      STORE_TOPIC_CURSORS_MAX, CURSORS_MAX);
    else if (c->outcome == ERR_NOT_FOUND && c->kind == CONSUME_DELETE)
        reply_problem(r, PROBLEM_TOPIC_NOT_FOUND, "Subscription not found");
    else if (c->outcome == ERR_NOT_FOUND)
        no_topic(r);
    else
        reply_store_error(r, c->outcome);
}

static void answer(struct request *r, struct consume *c)
{
    request_answered(r);
    if (c->outcome) {
        refused(r, c);
        return;
    }
    if (c->kind == CONSUME_DELETE) {
        reply_empty(r, MHD_HTTP_NO_CONTENT);
        return;
    }
    ledger_split(&c->job.grant, c->job.grant.bytes - sizeof *c, &r->answer.room.grant);
    if (!c->taken || !give(r, c->offset))
        try_again(r);
}

static void came_home(struct letter *l)
{
    struct consume *c = (struct consume *)l;

    if (c->taken)
        metric_add(c->job.arg ? METRIC_CONSUMED : METRIC_CONSUME_LOST, 1);
    if (c->job.arg)
        answer(c->job.arg, c);
    job_free(&c->job);
}

/* `grant` pays for CONSUME_COST at least. Parked or in line it is no more. */
static void submit(struct request *r, enum consume_kind kind, struct grant grant)
{
    struct bytes name = subscription(r);
    struct consume *c = job_new(sizeof *c, &grant);

    if (!c) {
        ledger_release(&grant);
        reply_store_error(r, ERR_NO_MEMORY);
        return;
    }
    c->job.arg = r;
    c->kind = kind;
    c->topic_len = r->topic_len;
    memcpy(c->topic, r->topic, r->topic_len);
    c->name_len = (uint16_t)name.len;
    memcpy(c->name, name.data, name.len);
    c->earliest = r->read.from.kind == FETCH_EARLIEST;
    c->max_cursors = CURSORS_MAX;
    ledger_merge(&c->job.grant, &grant);
    c->room = raw_message_room;
    c->job.home = &r->loop->mailbox;
    c->job.flow = caller_flow(r);
    c->job.letter.open = came_home;
    if (r->phase == REQUEST_PARKED)
        wait_unpark(r);
    request_hold(r, &c->job, forget);
    wait_resume(r);
    consume_submit(r->loop->broker->writer, c);
}

/* ---- is there a message? ---- */

/* What the next message's answer needs; 0 for a new subscription: the writer says `small` if a
 * message is there for it. ERR_NOT_FOUND: none yet. */
static enum err room_needed(struct fetch *f, struct bytes name, size_t *room)
{
    struct cursor_state at;
    struct store_entry m;
    enum err e = f->ops->read_cursor(f->reader, f->topic.id, name, &at);

    *room = 0;
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    f->positioned = false;
    e = fetch_next(f, at.next, &m);
    if (!e)
        *room = raw_message_room(&m.record);
    return e;
}

bool pulsar_consume_look(struct request *r, bool last)
{
    struct fetch *f = &r->loop->fetch;
    struct grant grant = { 0 };
    size_t room;
    enum err e = fetch_begin(f, request_topic(r));

    if (e == ERR_NOT_FOUND) {
        no_topic(r);
        return true;
    }
    if (!e)
        e = room_needed(f, subscription(r), &room);
    fetch_end(f);
    if (e == ERR_NOT_FOUND && !last)
        return false;
    if (e == ERR_NOT_FOUND || (!e && r->loop->broker->draining))
        reply_empty(r, MHD_HTTP_NO_CONTENT);
    else if (e)
        reply_store_error(r, e);
    else if (line_for_answer(r, CONSUME_COST + room, CONSUME_COST + room, &grant))
        submit(r, CONSUME_TAKE, grant);
    return true;
}

/* ---- in ---- */

/* NULL, or what is wrong. */
static const char *read_timeout(struct request *r, int64_t *ms)
{
    struct pulsar_member m = { "timeoutMillis" };
    struct bytes at = bytes_of(r->body.data, r->body.len);
    const char *why;

    *ms = TIMEOUT_USUAL;
    if (!r->body.len)
        return NULL;
    why = pulsar_pick(&at, &m, 1);
    if (!why)
        why = span_end(&at);
    if (!why && m.kind != SPAN_NULL && (!pulsar_integer(&m, ms) || *ms < 0))
        why = "timeoutMillis must be a whole number of milliseconds";
    return why;
}

static bool read_position(struct request *r)
{
    const char *text = request_query(r, "initialPosition");

    r->read.from.kind = FETCH_LATEST;
    if (text && !strcasecmp(text, "earliest"))
        r->read.from.kind = FETCH_EARLIEST;
    return !text || !strcasecmp(text, "earliest") || !strcasecmp(text, "latest");
}

void pulsar_consume_start(struct request *r)
{
    if (r->loop->broker->draining)
        reply_store_error(r, ERR_CLOSED);
    else
        request_expect_body(r, BODY_WHOLE, BODY_MAX, r->loop->broker->json, 1024, 1);
}

void pulsar_consume_finish(struct request *r)
{
    int64_t most = (int64_t)r->loop->broker->config->read_wait_max_ms, ms;
    const char *why = read_timeout(r, &ms);

    if (why)
        reply_problem(r, PROBLEM_BAD_JSON, "the body is not as expected: %s", why);
    else if (!read_position(r))
        reply_problem(r, PROBLEM_BAD_PARAMETER, "initialPosition is latest or earliest");
    body_fini(&r->body); /* who waits holds nothing */
    if (r->reply.response)
        return;
    most = most < TIMEOUT_MOST ? most : TIMEOUT_MOST;
    ms = ms < most ? ms : most;
    r->read.until_ms = ms ? r->loop->now_ms + ms : 0;
    r->answer.again = try_again;
    try_again(r);
}

void pulsar_unsubscribe_finish(struct request *r)
{
    struct grant grant = { 0 };

    if (r->loop->broker->draining)
        reply_store_error(r, ERR_CLOSED);
    else if (ledger_reserve(r->loop->broker->read, CONSUME_COST, &grant))
        reply_read_buffer_full(r);
    else
        submit(r, CONSUME_DELETE, grant);
}
