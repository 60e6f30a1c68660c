#include "response.h"

#include "base/text.h"
#include "request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DETAIL_MAX 700

static const struct {
    unsigned status;
    bool retryable;
    const char *code, *title;
} problems[] = {
#define X(id, status, retryable, code, title)                                          \
    [PROBLEM_##id] = { status, retryable, code, title },
    PROBLEMS_TABLE(X)
#undef X
};

/* ---- giving an answer ---- */

static void give(struct request *r, unsigned status, struct MHD_Response *response)
{
    if (!response) {
        r->kill = true; /* no memory even for an answer: the connection is closed */
        return;
    }
    if (r->reply.response) {
        MHD_destroy_response(response);
        return;
    }
    r->reply = (struct reply){ .status = status, .response = response };
}

static void add(struct MHD_Response *response, const char *name, const char *value)
{
    if (response && value)
        (void)MHD_add_response_header(response, name, value);
}

static void give_buffer(struct request *r, unsigned status, const char *content_type,
                        struct bytes text, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(text.len, (void *)(uintptr_t)text.data, mode);

    add(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    give(r, status, response);
}

void reply_text(struct request *r, unsigned status, const char *content_type,
                struct bytes text)
{
    give_buffer(r, status, content_type, text, MHD_RESPMEM_MUST_COPY);
}

void reply_static(struct request *r, unsigned status, const char *content_type,
                  struct bytes text)
{
    give_buffer(r, status, content_type, text, MHD_RESPMEM_PERSISTENT);
}

void reply_empty(struct request *r, unsigned status)
{
    give(r, status, MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT));
}

void reply_callback(struct request *r, unsigned status, uint64_t size, size_t piece,
                    MHD_ContentReaderCallback read, MHD_ContentReaderFreeCallback done,
                    void *arg)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(size, piece, read, arg, done);

    if (!response)
        done(arg);
    give(r, status, response);
}

struct reply_share {
    unsigned requests; /* that hold it */
};

bool reply_share(struct request *from, struct request *to)
{
    if (!from->reply.response || to->reply.response)
        return false;
    if (!from->reply.share) {
        from->reply.share = malloc(sizeof *from->reply.share);
        if (!from->reply.share)
            return false;
        from->reply.share->requests = 1;
    }
    from->reply.share->requests++;
    to->reply = from->reply;
    return true;
}

void reply_fini(struct request *r)
{
    struct reply_share *share = r->reply.share;
    struct MHD_Response *response = r->reply.response;

    r->reply.response = NULL;
    r->reply.share = NULL;
    if (share && --share->requests)
        return;
    free(share);
    if (response)
        MHD_destroy_response(response);
}

void reply_header(struct request *r, const char *name, const char *value)
{
    add(r->reply.response, name, value);
}

struct paid { /* a body and the grant that pays for it */
    struct grant grant;
    char *data;
};

static void paid_free(void *arg)
{
    struct paid *p = arg;

    free(p->data);
    ledger_release(&p->grant);
    free(p);
}

void reply_out(struct request *r, unsigned status, const char *content_type, struct out *o,
               struct grant *paid)
{
    struct MHD_Response *response = NULL;
    struct paid *p = malloc(sizeof *p);
    size_t len = 0;
    char *data = out_take(o, &len);

    if (!p) {
        free(data);
        ledger_release(paid);
    } else {
        *p = (struct paid){ *paid, data };
        *paid = (struct grant){ 0 };
        response = MHD_create_response_from_buffer_with_free_callback_cls(
            len, data ? data : "", paid_free, p);
        if (!response)
            paid_free(p);
    }
    add(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    give(r, status, response);
}

/* ---- problems ---- */

static void write_problem(struct out *o, const struct problem_view *v)
{
    out_text(o, "{\"type\":\"about:blank\",\"title\":");
    out_str(o, bytes_str(v->title));
    out_text(o, ",\"status\":");
    out_u64(o, v->status);
    out_text(o, ",\"detail\":");
    out_str(o, bytes_str(v->detail));
    out_text(o, ",\"code\":");
    out_str(o, bytes_str(v->code));
    out_text(o, v->retryable ? ",\"retryable\":true" : ",\"retryable\":false");
    if (v->member) {
        out_text(o, ",\"");
        out_text(o, v->member);
        out_text(o, "\":");
        out_u64(o, v->value);
    }
    out_text(o, ",\"request_id\":\"");
    out_text(o, v->request_id);
    out_text(o, "\"}\n");
}

const struct dialect dialect_native = { .content_type = "application/problem+json",
                                        .write = write_problem };

static unsigned status_in(const struct dialect *d, enum problem p)
{
    unsigned status = d->status ? d->status(p) : 0;

    return status ? status : problems[p].status;
}

/* In seconds; 0: waiting does not help, or nobody knows how long. */
static uint64_t retry_after(const struct problem_view *v)
{
    if (v->member && !strcmp(v->member, "retry_after"))
        return v->value;
    return v->status == 429 || v->status == 503 ? 1 : v->status == 507 ? 10 : 0;
}

static void add_retry_after(struct request *r, const struct problem_view *v)
{
    uint64_t seconds = retry_after(v);
    char text[TEXT_NUMBER_ROOM];

    text[text_put_u64(text, seconds)] = '\0';
    if (seconds)
        reply_header(r, MHD_HTTP_HEADER_RETRY_AFTER, text);
}

static void give_problem(struct request *r, enum problem p, const char *member,
                         uint64_t value, const char *format, va_list ap)
{
    const struct dialect *d = r->dialect ? r->dialect : &dialect_native;
    char detail[DETAIL_MAX], text[DETAIL_MAX * 6 + 512], id[40];
    struct problem_view v = { problems[p].title, detail, problems[p].code,
                              status_in(d, p), problems[p].retryable, member, value, id };
    struct out o;

    if (r->reply.response)
        return;
    vsnprintf(detail, sizeof detail, format, ap);
    request_id(r, id);
    out_init_in(&o, text, sizeof text);
    d->write(&o, &v);
    reply_text(r, v.status, d->content_type, bytes_of(o.data, o.len));
    request_keep_problem(r, bytes_of(o.data, o.len));
    add_retry_after(r, &v);
}

void reply_problem(struct request *r, enum problem p, const char *detail, ...)
{
    va_list ap;

    va_start(ap, detail);
    give_problem(r, p, NULL, 0, detail, ap);
    va_end(ap);
}

void reply_problem_with(struct request *r, enum problem p, const char *member,
                        uint64_t value, const char *detail, ...)
{
    va_list ap;

    va_start(ap, detail);
    give_problem(r, p, member, value, detail, ap);
    va_end(ap);
}

void reply_store_error(struct request *r, enum err e)
{
    switch (e) {
    case ERR_FULL:
        reply_problem(r, PROBLEM_STORE_FULL,
                      "The store is full (map_size, or the disk). Nothing of this request "
                      "was stored. Space comes back as messages expire or are purged.");
        break;
    case ERR_NOT_FOUND:
        reply_problem(r, PROBLEM_TOPIC_NOT_FOUND, "There is no topic of this name.");
        break;
    case ERR_CLOSED:
        reply_problem(r, PROBLEM_DRAINING, "The broker is shutting down.");
        break;
    case ERR_NO_MEMORY:
        reply_problem(r, PROBLEM_INTERNAL, "The allocator refused memory.");
        break;
    default:
        reply_problem(r, PROBLEM_STORE_FAILED,
                      "The store could not do this (%s); the broker's log says why. "
                      "Nothing of this request was stored.",
                      err_name(e));
    }
}

void reply_read_buffer_full(struct request *r)
{
    reply_problem(r, PROBLEM_READ_BUFFER_FULL,
                  "The read buffer (read_buffer) has no room for one more answer just now: "
                  "slower readers hold it.");
}

/* ---- an answer past the library ---- */

struct raw {
    struct out *o;
};

static enum MHD_Result raw_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct out *o = ((struct raw *)arg)->o;

    (void)kind;
    out_text(o, name);
    out_text(o, ": ");
    out_text(o, value);
    out_text(o, "\r\n");
    return MHD_YES;
}

/* The status line and the headers that all of them have. */
static void raw_start(struct out *o, unsigned status, size_t length)
{
    out_text(o, "HTTP/1.1 ");
    out_u64(o, status);
    out_text(o, " ");
    out_text(o, MHD_get_reason_phrase_for(status));
    out_text(o, "\r\nConnection: close\r\nContent-Length: ");
    out_u64(o, length);
    out_text(o, "\r\n");
}

size_t reply_raw(struct request *r, char *buf, size_t size)
{
    struct out o;
    struct raw raw = { &o };

    out_init_in(&o, buf, size);
    raw_start(&o, r->reply.status, r->problem.len);
    MHD_get_response_headers(r->reply.response, raw_header, &raw);
    out_text(&o, "\r\n");
    out_raw(&o, r->problem);
    reply_fini(r);
    return o.full ? 0 : o.len;
}

size_t problem_raw(enum problem p, const char *request_id, const char *detail, char *buf,
                   size_t size)
{
    struct problem_view v = { problems[p].title, detail, problems[p].code,
                              problems[p].status, problems[p].retryable, NULL, 0,
                              request_id };
    char text[1024];
    struct out body, o;

    out_init_in(&body, text, sizeof text);
    write_problem(&body, &v);
    out_init_in(&o, buf, size);
    raw_start(&o, v.status, body.len);
    out_text(&o, "Content-Type: application/problem+json\r\n");
    if (retry_after(&v)) {
        out_text(&o, "Retry-After: ");
        out_u64(&o, retry_after(&v));
        out_text(&o, "\r\n");
    }
    out_text(&o, "\r\n");
    out_raw(&o, bytes_of(body.data, body.len));
    return o.full || body.full ? 0 : o.len;
}
