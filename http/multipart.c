#include "multipart.h"

#include "attribute.h"
#include "base/text.h"
#include "event.h"

#include <assert.h>
#include <stdio.h>
#include <sys/random.h>

void multipart_draw(char boundary[MULTIPART_BOUNDARY + 1])
{
    unsigned char drawn[MULTIPART_BOUNDARY / 2];

    if (getrandom(drawn, sizeof drawn, 0) != sizeof drawn)
        assert(!"getrandom gives 256 bytes without ever being interrupted");
    for (size_t i = 0; i < sizeof drawn; i++)
        snprintf(boundary + 2 * i, 3, "%02x", drawn[i]);
}

/* A value with control characters is no header's, and is left out as in a raw answer. */
static bool is_value(struct bytes value)
{
    const unsigned char *v = value.data;

    for (size_t i = 0; i < value.len; i++)
        if (v[i] < 0x20 || v[i] == 0x7f)
            return false;
    return true;
}

static void put(struct out *o, const char *name, struct bytes value)
{
    if (!value.len || !is_value(value))
        return;
    out_text(o, name);
    out_text(o, ": ");
    out_raw(o, value);
    out_text(o, "\r\n");
}

static void put_number(struct out *o, const char *name, uint64_t value)
{
    char text[TEXT_NUMBER_ROOM];

    put(o, name, bytes_of(text, text_put_u64(text, value)));
}

static void put_time(struct out *o, const char *name, int64_t ms)
{
    char text[TEXT_TIME_LEN + 1];

    text_format_time(text, ms);
    put(o, name, bytes_of(text, TEXT_TIME_LEN));
}

/* By CloudEvents' HTTP binding: ce-id */
static void put_event(struct out *o, struct bytes name, struct bytes value)
{
    char text[8192]; /* a longer one is left out, as in a raw answer */
    size_t len = event_encoded_len(value);

    if (len > sizeof text)
        return;
    event_encode(value, text);
    out_raw(o, name);
    out_text(o, ": ");
    out_raw(o, bytes_of(text, len));
    out_text(o, "\r\n");
}

static void put_names(struct out *o, uint64_t offset, const struct record *r)
{
    struct bytes attributes = r->attributes, name, value;
    char header[ATTRIBUTE_HEADER_ROOM];
    bool event = event_is(attributes);

    put_number(o, "Message-Offset", offset);
    put_time(o, "Message-Time", r->time_ms);
    if (r->expires_ms)
        put_time(o, "Message-Expires-At", r->expires_ms);
    if (r->deliver_ms)
        put_time(o, "Deliver-At", r->deliver_ms);
    put(o, "Message-Id", r->id);
    put(o, "Message-Key", r->key);
    while (attribute_next(&attributes, &name, &value))
        if (event && event_has_prefix(name))
            put_event(o, name, value);
        else if (attribute_header(name, header))
            put(o, header, value);
}

/* The body's own header is that of the message. */
static void put_link(struct out *o, const struct record *r, const char *href)
{
    out_text(o, "Content-Type: message/external-body; access-type=URL; size=");
    out_u64(o, record_size(r));
    out_text(o, "; URL=\"");
    out_text(o, href);
    out_text(o, "\"\r\n");
}

void multipart_part(struct out *o, const char *boundary, uint64_t offset,
                    const struct record *r, const char *href)
{
    struct bytes type = r->content_type.len && is_value(r->content_type)
                            ? r->content_type
                            : bytes_str("application/octet-stream");

    out_text(o, "--");
    out_text(o, boundary);
    out_text(o, "\r\n");
    if (r->blob_id) {
        assert(href);
        put_link(o, r, href);
    } else {
        put(o, "Content-Type", type);
        put_number(o, "Content-Length", r->body.len);
    }
    put_names(o, offset, r);
    out_text(o, "\r\n");
    if (r->blob_id) {
        put(o, "Content-Type", type);
        out_text(o, "\r\n");
    } else {
        out_raw(o, r->body);
    }
    out_text(o, "\r\n");
}

void multipart_end(struct out *o, const char *boundary)
{
    out_text(o, "--");
    out_text(o, boundary);
    out_text(o, "--\r\n");
}
