#include "sse_event.h"

#include "base/text.h"
#include "base64.h"
#include "encode.h"
#include "location.h"
#include "sse_lines.h"

#define FRAME_MOST    96u   /* the chunk, id, event */
#define ENVELOPE_MOST 1024u /* of an object beside its texts */
#define ESCAPE_FACTOR 6     /* a byte is at most \u0000 */

/* ---- chunks ---- */

size_t sse_chunk_begin(struct out *o)
{
    size_t begin = o->len;

    out_text(o, "00000000\r\n");
    return begin;
}

void sse_chunk_end(struct out *o, size_t begin)
{
    static const char hex[] = "0123456789abcdef";
    size_t size = o->len - begin - SSE_CHUNK_HEAD;

    out_text(o, "\r\n");
    if (o->full)
        return;
    for (int i = 7; i >= 0; i--, size >>= 4)
        o->data[begin + (size_t)i] = hex[size & 15];
}

size_t sse_chunk_size(const char *head)
{
    size_t size = 0;

    for (int i = 0; i < 8; i++)
        size = size << 4 |
               (size_t)(head[i] <= '9' ? head[i] - '0' : head[i] - 'a' + 10);
    return size;
}

/* ---- lines ---- */

static void put_line(struct out *o, struct bytes line)
{
    out_text(o, line.len ? "data: " : "data:");
    out_raw(o, line);
    out_text(o, "\n");
}

static void put_lines(struct out *o, struct bytes text)
{
    struct bytes line;

    while (sse_next_line(&text, &line))
        put_line(o, line);
    put_line(o, line);
}

/* Exactly what put_lines writes. */
static size_t lines_len(struct bytes text)
{
    struct bytes line;
    size_t len = 0;

    while (sse_next_line(&text, &line))
        len += line.len + (line.len ? 7 : 6);
    return len + line.len + (line.len ? 7 : 6);
}

/* ---- events ---- */

static size_t begin_event(struct out *o, uint64_t id, const char *event)
{
    size_t begin = sse_chunk_begin(o);

    out_text(o, "id: ");
    out_u64(o, id);
    if (event) {
        out_text(o, "\nevent: ");
        out_text(o, event);
    }
    out_text(o, "\n");
    return begin;
}

static void end_event(struct out *o, size_t begin)
{
    out_text(o, "\n");
    sse_chunk_end(o, begin);
}

static void put_base64(struct out *o, struct bytes body)
{
    size_t at;

    out_text(o, "data: ");
    at = o->len;
    out_base64(o, body); /* in quotes, which are not wanted here */
    if (o->full)
        return;
    memmove(o->data + at, o->data + at + 1, o->len - at - 2);
    out_rewind(o, o->len - 2);
    out_text(o, "\n");
}

static void put_large(struct out *o, const struct record *r, const char *href)
{
    out_text(o, "data: {\"href\":");
    out_str(o, bytes_str(href));
    out_text(o, ",\"size\":");
    out_u64(o, record_size(r));
    out_text(o, ",\"content_type\":");
    out_str(o, r->content_type.len ? r->content_type
                                   : bytes_str("application/octet-stream"));
    out_text(o, "}\n");
}

static void put_object(struct out *o, uint64_t offset, const struct record *r,
                       const char *href)
{
    out_text(o, "data: ");
    encode_message(o, offset, r, !r->blob_id, href, true);
    out_text(o, "\n");
}

void sse_put_event(struct out *o, uint64_t offset, const struct record *r, const char *href,
                   bool envelope)
{
    bool text = envelope || (!r->blob_id && text_is_utf8(r->body));
    size_t begin = begin_event(o, offset, text ? NULL : r->blob_id ? "large" : "base64");

    if (envelope)
        put_object(o, offset, r, href);
    else if (r->blob_id)
        put_large(o, r, href);
    else if (text)
        put_lines(o, r->body);
    else
        put_base64(o, r->body);
    end_event(o, begin);
}

size_t sse_event_most(const struct record *r, bool envelope)
{
    size_t names = ESCAPE_FACTOR *
                   (r->id.len + r->key.len + r->content_type.len + r->attributes.len);

    if (r->blob_id)
        return FRAME_MOST + ENVELOPE_MOST + LOCATION_ROOM + names;
    if (envelope)
        return FRAME_MOST + ENVELOPE_MOST + encode_body_most(r->body) + names;
    return FRAME_MOST + (text_is_utf8(r->body) ? lines_len(r->body)
                                               : base64_len(r->body.len) + 16);
}

static void put_two(struct out *o, const char *first, uint64_t a, const char *second,
                    uint64_t b)
{
    out_text(o, "data: {\"");
    out_text(o, first);
    out_text(o, "\":");
    out_u64(o, a);
    out_text(o, ",\"");
    out_text(o, second);
    out_text(o, "\":");
    out_u64(o, b);
    out_text(o, "}\n");
}

void sse_put_skipped(struct out *o, uint64_t first, uint64_t next)
{
    size_t begin = begin_event(o, next - 1, "skipped");

    put_two(o, "skipped", next - first, "next", next);
    end_event(o, begin);
}

void sse_put_unknown(struct out *o, uint64_t id, uint64_t earliest)
{
    size_t begin = sse_chunk_begin(o);

    out_text(o, "event: unknown\n");
    put_two(o, "unknown", id, "earliest", earliest);
    end_event(o, begin);
}
