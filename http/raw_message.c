#include "raw_message.h"

#include "attribute.h"
#include "base/text.h"
#include "cacheable.h"
#include "download.h"
#include "event.h"
#include "etag.h"
#include "line.h"
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PIECE_BYTES (64u << 10)
#define HEADER_MAX 9000 /* name and value of one of our headers, with what escapes */
#define OTHER_HEADERS 1200u /* what the library adds, and what it notes of the request */

struct range { /* what part of the body is asked for */
    uint64_t first, len;
    bool partial;
};

/* ---- headers ---- */

static void add_text(struct request *r, const char *header, struct bytes value)
{
    char text[HEADER_MAX];

    if (!value.len || value.len >= sizeof text)
        return;
    memcpy(text, value.data, value.len);
    text[value.len] = 0;
    reply_header(r, header, text);
}

static void add_attribute(struct request *r, struct bytes name, struct bytes value)
{
    char header[ATTRIBUTE_HEADER_ROOM];

    if (attribute_header(name, header))
        add_text(r, header, value);
}

/* The library writes the head into what the request's own left of connection_memory, and closes
 * the connection where it does not fit. */
static size_t head_room(struct request *r)
{
    size_t all = (size_t)r->loop->broker->config->connection_memory_bytes;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t taken = OTHER_HEADERS + (info ? info->header_size : 0);

    return all > taken ? all - taken : 0;
}

/* By the HTTP binding: ce-id */
static void add_event_attribute(struct request *r, struct bytes name, struct bytes value)
{
    char header[160], text[HEADER_MAX];
    size_t len = event_encoded_len(value);

    if (name.len >= sizeof header || len >= sizeof text)
        return;
    memcpy(header, name.data, name.len);
    header[name.len] = 0;
    event_encode(value, text);
    text[len] = 0;
    reply_header(r, header, text);
}

/* As many as fit into the head; how many do not is said. */
static void add_attributes(struct request *r, struct bytes attributes, size_t room)
{
    bool event = event_is(attributes);
    struct bytes name, value;
    uint64_t omitted = 0;
    char number[24];

    while (attribute_next(&attributes, &name, &value)) {
        bool of_event = event && event_has_prefix(name);
        size_t len = sizeof "Message-: \r\n" + name.len +
                     (of_event ? event_encoded_len(value) : value.len);

        if (len > room) {
            omitted++;
            continue;
        }
        room -= len;
        if (of_event)
            add_event_attribute(r, name, value);
        else
            add_attribute(r, name, value);
    }
    if (!omitted)
        return;
    number[text_put_u64(number, omitted)] = 0;
    reply_header(r, "Attributes-Omitted", number);
}

/* A message is named by its offset, or it is the next one behind an offset. Which that is
 * changes only when it expires. False: asked for in another way. */
static bool is_cacheable(const struct request *r, const struct store_entry *m,
                         struct cacheable *c)
{
    *c = (struct cacheable){ .by_accept = true,
                             .expires_ms = CACHEABLE_NEVER };
    cacheable_tag(c, &r->loop->fetch.topic, 'r', m->offset, m->offset + 1, 1);
    cacheable_see(c, &m->record);
    return r->read.form != READ_RAW || r->read.from.kind == FETCH_OFFSET;
}

static void add_cache_headers(struct request *r, const struct store_entry *m)
{
    struct cacheable c;

    if (is_cacheable(r, m, &c))
        cacheable_headers(r, &c);
    else
        cacheable_not(r);
}

static void add_headers(struct request *r, const struct store_entry *m)
{
    size_t named = m->record.id.len + m->record.key.len + m->record.content_type.len;
    size_t room = head_room(r);
    char number[24], time[TEXT_TIME_LEN + 1];

    number[text_put_u64(number, m->offset)] = 0;
    reply_header(r, "Message-Offset", number);
    text_format_time(time, m->record.time_ms);
    reply_header(r, "Message-Time", time);
    if (m->record.expires_ms) {
        text_format_time(time, m->record.expires_ms);
        reply_header(r, "Message-Expires-At", time);
    }
    if (m->record.deliver_ms) {
        text_format_time(time, m->record.deliver_ms);
        reply_header(r, "Deliver-At", time);
    }
    add_text(r, "Message-Id", m->record.id);
    add_text(r, "Message-Key", m->record.key);
    if (m->record.content_type.len)
        add_text(r, MHD_HTTP_HEADER_CONTENT_TYPE, m->record.content_type);
    else
        reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    add_attributes(r, m->record.attributes, room > named ? room - named : 0);
    reply_header(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    /* A publisher says what it is: a browser that opens it must not run it as ours. */
    reply_header(r, "Content-Security-Policy", "sandbox");
    reply_header(r, "X-Content-Type-Options", "nosniff");
    add_cache_headers(r, m);
}

/* ---- Range ---- */

/* bytes=a-b, bytes=a-, bytes=-n. Anything else is ignored, as RFC 9110 allows. False: it
 * cannot be satisfied. */
static bool parse_range(const char *text, uint64_t size, struct range *out)
{
    struct bytes t = bytes_str(text + 6), first, last;
    const char *dash = memchr(t.data, '-', t.len);
    uint64_t a = 0, b = size ? size - 1 : 0;

    if (!dash || memchr(t.data, ',', t.len))
        return true;
    first = bytes_of(t.data, (size_t)(dash - (const char *)t.data));
    last = bytes_of(dash + 1, t.len - first.len - 1);
    if ((first.len && !text_parse_u64(first, 0, UINT64_MAX, &a)) ||
        (last.len && !text_parse_u64(last, 0, UINT64_MAX, &b)) || (!first.len && !last.len))
        return true;
    if (first.len && last.len && b < a)
        return true;
    if (!first.len) { /* the last b bytes */
        if (b == 0 || size == 0)
            return false;
        a = b < size ? size - b : 0;
        b = size - 1;
    }
    if (a >= size)
        return false;
    if (b >= size)
        b = size - 1;
    *out = (struct range){ a, b - a + 1, true };
    return true;
}

static bool read_range(struct request *r, uint64_t size, const char *tag, struct range *out)
{
    const char *text = request_header(r, MHD_HTTP_HEADER_RANGE);

    *out = (struct range){ 0, size, false };
    if (!text || strncasecmp(text, "bytes=", 6) != 0 || !etag_part_fits(r, tag))
        return true;
    return parse_range(text, size, out);
}

static void add_content_range(struct request *r, const struct range *range, uint64_t size)
{
    char text[80];

    if (!range->partial)
        return;
    snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)range->first,
             (unsigned long long)(range->first + range->len - 1),
             (unsigned long long)size);
    reply_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, text);
}

static void bad_range(struct request *r, uint64_t size)
{
    char text[40];

    reply_problem_with(r, PROBLEM_BAD_RANGE, "size", size,
                       "The message has %llu bytes; the range begins behind them.",
                       (unsigned long long)size);
    snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
    reply_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, text);
}

/* ---- bodies ---- */

struct stream { /* a body in chunks on its way out */
    struct loop *loop;
    struct grant grant; /* pays for a piece and for this */
    struct download download;
    uint64_t first;
};

static ssize_t next_piece(void *arg, uint64_t pos, char *buf, size_t max)
{
    struct stream *s = arg;
    size_t got = 0;
    enum err e = download_read(&s->download, s->first + pos, buf, max, &got);

    if (e || got == 0) /* gone, and download_grace is over: better cut than wrong */
        return MHD_CONTENT_READER_END_WITH_ERROR;
    s->loop->progress = true;
    return (ssize_t)got;
}

static void stream_free(void *arg)
{
    struct stream *s = arg;

    download_end(&s->download);
    ledger_release(&s->grant);
    free(s);
}

/* ERR_NOT_FOUND: nothing is answered, and the grant is still the caller's. */
static enum err reply_stream(struct request *r, unsigned status, struct store_entry *m,
                             const struct range *range, struct grant *grant)
{
    struct stream *s = malloc(sizeof *s);
    enum err e = s ? ERR_OK : ERR_NO_MEMORY;

    if (!e)
        e = download_start(&s->download, r->loop->broker, &r->loop->fetch, m);
    if (e) {
        free(s);
        return e;
    }
    s->loop = r->loop;
    s->grant = *grant;
    s->first = range->first;
    *grant = (struct grant){ 0 };
    reply_callback(r, status, range->len, PIECE_BYTES, next_piece, stream_free, s);
    return ERR_OK;
}

static void reply_copy(struct request *r, unsigned status, const struct store_entry *m,
                       const struct range *range, struct grant *grant)
{
    struct out o;

    out_init(&o, (size_t)range->len + 16);
    out_raw(&o, bytes_of((const char *)m->record.body.data + range->first,
                         (size_t)range->len));
    if (o.full) {
        out_fini(&o);
        ledger_release(grant);
        reply_store_error(r, ERR_NO_MEMORY);
        return;
    }
    reply_out(r, status, NULL, &o, grant);
}

/* True: answered with this message, or with the reason why not. */
static bool reply_body(struct request *r, struct store_entry *m, const struct range *range,
                       struct grant *grant)
{
    unsigned status = range->partial ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK;
    enum err e = ERR_OK;

    if (m->record.blob_id)
        e = reply_stream(r, status, m, range, grant);
    else
        reply_copy(r, status, m, range, grant);
    if (!e)
        return true;
    ledger_release(grant);
    if (e == ERR_NOT_FOUND && r->loop->fetch.open)
        return false;
    reply_store_error(r, e);
    return true;
}

static size_t room_of(const struct record *r, uint64_t len)
{
    return r->blob_id ? PIECE_BYTES + 1024 : (size_t)len + 256;
}

size_t raw_message_room(const struct record *r)
{
    return room_of(r, record_size(r));
}

/* True: answered, or in line; r->reply says what with. */
static bool reply_part(struct request *r, struct store_entry *m, const struct range *range,
                       void (*headers)(struct request *r, const struct store_entry *m))
{
    size_t room = room_of(&m->record, range->len);
    struct grant grant = { 0 };

    if (!line_for_answer(r, room, room, &grant))
        return true;
    ledger_shrink(&grant, room);
    if (!reply_body(r, m, range, &grant))
        return false;
    if (!r->reply.response || r->reply.status >= 300)
        return true;
    headers(r, m);
    metric_add(METRIC_DELIVERED_MESSAGES, 1);
    metric_add(METRIC_DELIVERED_BYTES, (int64_t)range->len);
    return true;
}

bool raw_message_whole(struct request *r, struct store_entry *m,
                       void (*headers)(struct request *r, const struct store_entry *m))
{
    struct range range = { 0, record_size(&m->record), false };

    return reply_part(r, m, &range, headers);
}

bool raw_message_reply(struct request *r, struct store_entry *m)
{
    uint64_t size = m ? record_size(&m->record) : 0;
    struct cacheable c;
    struct range range;

    if (!m) {
        reply_empty(r, MHD_HTTP_NO_CONTENT);
        cacheable_not(r);
        return true;
    }
    if (is_cacheable(r, m, &c) && cacheable_known(r, &c))
        return true;
    if (!read_range(r, size, c.tag, &range)) {
        bad_range(r, size);
        return true;
    }
    if (!reply_part(r, m, &range, add_headers))
        return false;
    if (r->reply.response && r->reply.status < 300)
        add_content_range(r, &range, size);
    return true;
}
