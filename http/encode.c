#include "encode.h"
#include "base/text.h"
#include "span.h"

#include <assert.h>
#include <strings.h>

bool encode_type_is_json(struct bytes type)
{
    const char *t = type.data;
    const char *semicolon = type.len ? memchr(t, ';', type.len) : NULL;
    size_t len = semicolon ? (size_t)(semicolon - t) : type.len;

    while (len && (t[len - 1] == ' ' || t[len - 1] == '\t'))
        len--;
    if (len == strlen("application/json"))
        if (strncasecmp(t, "application/json", len) == 0)
            return true;
    return len > strlen("+json") && strncasecmp(t + len - 5, "+json", 5) == 0 &&
           memchr(t, '/', len);
}

static void put_attributes(struct out *o, struct bytes list)
{
    struct bytes name, value;
    bool any = false;

    while (attribute_next(&list, &name, &value)) {
        out_text(o, any ? "," : ",\"attributes\":{");
        out_str(o, name);
        out_text(o, ":");
        out_str(o, value);
        any = true;
    }
    if (any)
        out_text(o, "}");
}

/* A JSON text holds line breaks only between its tokens: in strings they are escaped.
 */
static void put_json(struct out *o, struct bytes body, bool one_line)
{
    size_t start = o->len;

    out_raw(o, body);
    if (!one_line || o->full)
        return;
    for (char *p = o->data + start, *end = o->data + o->len; p < end; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
}

static void put_body(struct out *o, const struct record *r, bool one_line)
{
    if (encode_type_is_json(r->content_type) && span_is_json(r->body)) {
        out_text(o, ",\"data\":");
        put_json(o, r->body, one_line);
    } else if (text_is_utf8(r->body)) {
        out_text(o, ",\"data\":");
        out_str(o, r->body);
    } else {
        out_text(o, ",\"data_base64\":");
        out_base64(o, r->body);
    }
}

size_t encode_body_most(struct bytes body)
{
    /* A JSON text is shorter as it is than in a string or in base64. */
    size_t len = out_utf8_len(body);

    return len ? len : out_base64_len(body.len);
}

static void put_link(struct out *o, const struct record *r, const char *href)
{
    out_text(o, ",\"href\":");
    out_str(o, bytes_str(href));
    out_text(o, ",\"size\":");
    out_u64(o, record_size(r));
}

void encode_message(struct out *o, uint64_t offset, const struct record *r,
                    bool inline_body, const char *href, bool one_line)
{
    out_text(o, "{\"offset\":");
    out_u64(o, offset);
    if (r->id.len) {
        out_text(o, ",\"id\":");
        out_str(o, r->id);
    }
    out_text(o, ",\"time\":");
    out_time(o, r->time_ms);
    if (r->expires_ms) {
        out_text(o, ",\"expires_at\":");
        out_time(o, r->expires_ms);
    }
    if (r->deliver_ms) {
        out_text(o, ",\"deliver_at\":");
        out_time(o, r->deliver_ms);
    }
    if (r->key.len) {
        out_text(o, ",\"key\":");
        out_str(o, r->key);
    }
    out_text(o, ",\"content_type\":");
    out_str(o, r->content_type.len ? r->content_type
                                   : bytes_str("application/octet-stream"));
    put_attributes(o, r->attributes);
    if (inline_body && !r->blob_id) {
        put_body(o, r, one_line);
    } else {
        assert(href);
        put_link(o, r, href);
    }
    out_text(o, "}");
}
