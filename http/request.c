#include "request.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "caller.h"
#include "line.h"
#include "held_answer.h"
#include "hold.h"
#include "metrics.h"
#include "rates.h"
#include "router.h"
#include "server.h"
#include "sse_stream.h"
#include "wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

/* A refused body up to this size is read and thrown away, so that the connection lives
 * on; a larger one is answered early and the connection closed. */
#define DISCARD_MAX 65536u


/* ---- small things ---- */

void request_id(const struct request *r, char out[40])
{
    snprintf(out, 40, "%08x-%x-%llx", (unsigned)r->loop->server->start_id, r->loop->index,
             (unsigned long long)r->id);
}

const char *request_header(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->conn, MHD_GET_ARGUMENT_KIND, name);
}

void request_keep_problem(struct request *r, struct bytes text)
{
    char *copy;

    if (r->phase != REQUEST_BODY || r->problem.data)
        return;
    copy = malloc(text.len);
    if (!copy)
        return;
    memcpy(copy, text.data, text.len);
    r->problem = bytes_of(copy, text.len);
}

/* ---- answers ---- */

static void count_status(unsigned status)
{
    metric_add(status < 300   ? METRIC_RESPONSES_2XX
               : status < 400 ? METRIC_RESPONSES_3XX
               : status < 500 ? METRIC_RESPONSES_4XX
                              : METRIC_RESPONSES_5XX,
               1);
}

/* What the answer has beside what its handler said. */
static void complete(struct request *r)
{
    if (r->reply.share)
        return;
    if (r->dialect && r->dialect->headers)
        r->dialect->headers(r);
    else if (r->cors) {
        reply_header(r, "Access-Control-Allow-Origin", "*");
        reply_header(r, "Access-Control-Expose-Headers", "*");
    }
}

static enum MHD_Result send_reply(struct request *r)
{
    enum MHD_Result sent;

    complete(r);
    rates_show(r);
    if (r->loop->broker->draining && !r->reply.share)
        reply_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    r->phase = REQUEST_REPLY;
    request_list_remove(r);
    wait_unwatch(r);
    connection_replies(r->loop, r->connection);
    sent = MHD_queue_response(r->conn, r->reply.status, r->reply.response);
    reply_fini(r);
    count_status(r->reply.status);
    return sent;
}

/* The connection is going to be closed although the client still sends. */
static void mark_early(struct request *r)
{
    if (r->connection)
        r->connection->early = true;
}

/* The library cannot take an answer in the middle of a body, so it goes to the socket
 * directly, and the connection is closed behind it. */
static void answer_past_library(struct request *r)
{
    char text[8192];
    size_t len;

    complete(r);
    len = reply_raw(r, text, sizeof text);
    if (len)
        (void)!send(request_socket(r), text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    count_status(r->reply.status);
    mark_early(r);
    r->kill = true;
}

/* ---- headers ---- */

void request_expect_body(struct request *r, enum body_kind kind, uint64_t limit,
                         struct ledger *ledger, size_t overhead, unsigned factor)
{
    struct body *b = &r->body;

    b->kind = kind;
    b->limit = limit;
    b->ledger = ledger;
    b->overhead = overhead;
    b->factor = factor;
    b->whole_max = (size_t)r->loop->broker->config->inline_max_bytes;
}

static void read_framing(struct request *r)
{
    const char *length = request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *coding = request_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    const char *expect = request_header(r, MHD_HTTP_HEADER_EXPECT);
    uint64_t n;

    if (coding)
        r->body.declared = BODY_UNKNOWN;
    else if (length && text_parse_u64(bytes_str(length), 0, UINT64_MAX - 1, &n))
        r->body.declared = n;
    r->expects_continue = expect && !strcasecmp(expect, "100-continue");
    r->cors = request_header(r, MHD_HTTP_HEADER_ORIGIN) != NULL;
}

static void too_large(struct request *r)
{
    char limit[TEXT_NUMBER_ROOM];

    text_format_size(limit, r->body.limit);
    reply_problem_with(r, PROBLEM_TOO_LARGE, "limit_bytes", r->body.limit,
                       "The body is larger than the %s this request may have.", limit);
}

static void begin_body(struct request *r)
{
    enum err e = body_open(r);

    r->phase = e ? REQUEST_DISCARD : REQUEST_BODY;
    if (e)
        reply_store_error(r, e);
    else
        rate_spend(&r->ticket);
    r->body.window_ms = r->loop->now_ms;
    request_list_add(&r->loop->receiving, r);
}

static enum MHD_Result refuse_body(struct request *r)
{
    struct body *b = &r->body;

    body_fini(b);
    hold_give_back(r);
    rate_give_back(&r->ticket);
    r->phase = REQUEST_DISCARD;
    b->window_ms = r->loop->now_ms;
    request_list_add(&r->loop->receiving, r);
    if (b->declared <= DISCARD_MAX && (!r->expects_continue || b->declared == 0))
        return MHD_YES; /* the answer comes when the body has passed by */
    mark_early(r);
    return send_reply(r);
}

/* After start, and again when the room was granted or the wait is over. */
static enum MHD_Result settle_headers(struct request *r)
{
    if (r->reply.response)
        return refuse_body(r);
    begin_body(r);
    if (r->reply.response)
        return refuse_body(r);
    return MHD_YES;
}

void request_admit(struct request *r)
{
    enum err e;

    if (!rates_admit(r))
        return;
    atomic_fetch_add(&r->loop->mailbox.owed, 1); /* before it may be granted */
    r->body.room.flow = caller_flow(r);
    r->body.room.weight = weights_of(&r->loop->broker->weights, r->body.room.flow.topic);
    e = body_admit(&r->body);
    if (e != ERR_BUSY)
        atomic_fetch_sub(&r->loop->mailbox.owed, 1);
    if (e == ERR_TOO_BIG)
        too_large(r);
    else if (e == ERR_BUSY)
        line_for_body(r);
}

static struct request *request_new(struct loop *l, struct MHD_Connection *conn)
{
    struct request *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->loop = l;
    r->conn = conn;
    r->connection =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    connection_busy(r->connection);
    r->id = l->next_request_id++;
    wait_init(r);
    metric_add(METRIC_REQUESTS, 1);
    metric_add(METRIC_REQUESTS_IN_FLIGHT, 1);
    return r;
}

static enum MHD_Result first_call(struct loop *l, struct MHD_Connection *conn,
                                  const char *url, const char *method,
                                  const char *version, void **context)
{
    struct request *r = request_new(l, conn);

    if (!r)
        return MHD_NO;
    *context = r;
    r->head = !strcmp(method, MHD_HTTP_METHOD_HEAD);
    r->http_1_0 = !strcmp(version, MHD_HTTP_VERSION_1_0);
    read_framing(r);
    router_match(r, method, url);
    if (!r->reply.response && r->route->start)
        r->route->start(r);
    if (!r->reply.response && !hold_keeps_out(r))
        request_admit(r);
    if (r->suspended)
        return MHD_YES;
    if (r->kill)
        return MHD_NO;
    return settle_headers(r);
}

static enum MHD_Result headers_again(struct request *r)
{
    r->in_headers = false;
    return settle_headers(r);
}

/* ---- the body ---- */

static enum MHD_Result discard(struct request *r, size_t *size)
{
    r->body.received += *size;
    r->body.window_bytes += *size;
    *size = 0;
    if (r->body.received > DISCARD_MAX && r->reply.response && r->problem.data) {
        answer_past_library(r);
        return MHD_NO;
    }
    if (r->body.received > DISCARD_MAX && !r->reply.response)
        return MHD_YES;
    return r->body.received > r->body.limit + DISCARD_MAX + LINGER_BYTES ? MHD_NO : MHD_YES;
}

static enum MHD_Result body_failed(struct request *r, enum err e)
{
    if (e == ERR_TOO_BIG)
        too_large(r);
    else
        reply_store_error(r, e);
    answer_past_library(r);
    return MHD_NO;
}

static enum MHD_Result body_call(struct request *r, const char *data, size_t *size)
{
    size_t taken;
    enum err e;

    if (r->phase == REQUEST_DISCARD || r->body.kind == BODY_NONE)
        return discard(r, size);
    e = body_take(r, data, *size, &taken);
    if (e)
        return body_failed(r, e);
    rates_received(r, taken);
    *size -= taken;
    if (*size)
        wait_suspend(r, 0); /* until a chunk of the upload is on disk */
    return MHD_YES;
}

void request_upload_moved(struct request *r)
{
    wait_resume(r); /* body_call or complete_call looks at what changed */
}

/* ---- the end of the body ---- */

static enum MHD_Result end_body(struct request *r)
{
    enum err e = body_end(&r->body);

    if (e == ERR_BUSY) {
        wait_suspend(r, 0);
        return MHD_YES;
    }
    request_list_remove(r);
    wait_unwatch(r);
    r->phase = REQUEST_REPLY;
    if (e)
        reply_store_error(r, e);
    else
        r->route->finish(r);
    if (r->reply.response)
        return send_reply(r);
    return r->kill ? MHD_NO : MHD_YES;
}

static enum MHD_Result complete_call(struct request *r)
{
    if (r->reply.response)
        return send_reply(r);
    if (r->phase == REQUEST_BODY)
        return end_body(r);
    return r->suspended ? MHD_YES : MHD_NO;
}

enum MHD_Result request_handle(void *loop, struct MHD_Connection *conn, const char *url,
                               const char *method, const char *version,
                               const char *upload_data, size_t *upload_size, void **context)
{
    struct loop *l = loop;
    struct request *r = *context;

    if (r && r->phase == REQUEST_HELD && !r->kill)
        return MHD_YES;
    l->progress = true;
    if (l->stopping || (r && r->kill))
        return MHD_NO;
    if (!r)
        return first_call(l, conn, url, method, version, context);
    if (r->in_headers)
        return headers_again(r);
    if (*upload_size)
        return body_call(r, upload_data, upload_size);
    return complete_call(r);
}

/* ---- held, parked ---- */

void request_hold(struct request *r, struct job *j, void (*forget)(struct job *j))
{
    r->phase = REQUEST_HELD;
    r->job = j;
    r->forget = forget;
    r->loop->held++;
}

void request_answered(struct request *r)
{
    r->job = NULL;
    r->phase = REQUEST_REPLY;
    r->loop->held--;
    r->loop->progress = true;
}

/* ---- the loop's rounds ---- */

static void cut_slow(struct request *r)
{
    reply_problem(r, PROBLEM_SLOW_BODY,
                  "The body came slower than min_body_rate (%llu bytes/s). Nothing was "
                  "stored.",
                  (unsigned long long)r->loop->broker->config->min_body_rate_bytes_s);
    metric_add(METRIC_SLOW_BODIES, 1);
    answer_past_library(r);
    shutdown(request_socket(r), SHUT_RD); /* the library notices, and ends the request */
}

/* Over windows, not over the whole body: a fast start must not buy a long stall. Where any
 * rate will do (min_body_rate = 0), nothing at all for idle_timeout will not. */
static bool is_slow(struct request *r)
{
    const struct config *c = r->loop->broker->config;
    int64_t ms = r->loop->now_ms - r->body.window_ms;

    if (!r->suspended && !r->kill) {
        if (!r->body.window_bytes && ms >= (int64_t)c->idle_timeout_ms)
            return true;
        if (ms < (int64_t)c->body_grace_ms)
            return false;
        if (r->body.window_bytes < c->min_body_rate_bytes_s * (uint64_t)ms / 1000)
            return true;
        if (!r->body.window_bytes)
            return false;
    } /* else we are the ones who make it wait */
    r->body.window_ms = r->loop->now_ms;
    r->body.window_bytes = 0;
    return false;
}

static void check_body(struct request *r)
{
    if (is_slow(r)) {
        if (r->phase == REQUEST_BODY)
            cut_slow(r);
        else
            shutdown(request_socket(r), SHUT_RDWR);
    } else if (!r->watched && !r->suspended) {
        wait_watch(r); /* most bodies are complete before the first look */
    }
}

void request_check_bodies(struct loop *l)
{
    struct request *r = l->receiving.first, *next;

    for (; r; r = next) {
        next = r->next;
        check_body(r);
    }
}

/* ---- the end ---- */

static void let_go(struct request *r)
{
    if (r->job) {
        r->loop->held--;
        r->forget(r->job);
    }
    sse_stream_free(r);
    held_answer_free(r);
    timers_clear(&r->loop->timers, &r->timer);
    request_list_remove(r);
    wait_unwatch(r);
    body_fini(&r->body);
    once_free(r);
    hold_give_back(r);
    rate_give_back(&r->ticket);
    ledger_release(&r->answer.room.grant);
    reply_fini(r);
    free((void *)(uintptr_t)r->problem.data);
    free(r->topic);
    free(r);
}

void request_gone(struct request *r, bool completed)
{
    if (!completed)
        metric_add(METRIC_REQUESTS_ABORTED, 1);
    metric_add(METRIC_REQUESTS_IN_FLIGHT, -1);
    let_go(r);
}

void request_completed(void *loop, struct MHD_Connection *conn, void **context,
                       enum MHD_RequestTerminationCode how)
{
    struct loop *l = loop;
    struct request *r = *context;

    (void)conn;
    l->progress = true;
    if (!r)
        return;
    *context = NULL;
    if (r->connection && r->connection->taken_over)
        return; /* it is its stream's now */
    connection_awaits(l, r->connection);
    request_gone(r, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}
