#include "event_json.h"

#include "base/text.h"
#include "encode.h"
#include "event.h"
#include "span.h"
#include "url.h"

#include <string.h>

#define WRAPPER_BYTES 1200u /* its own attributes, the topic's name in them */
#define ESCAPE_FACTOR 6

static void put_text(struct out *o, const char *name, struct bytes value)
{
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":");
    out_str(o, value);
}

static void put_named(struct out *o, struct bytes name, struct bytes value)
{
    out_text(o, ",");
    out_str(o, name);
    out_text(o, ":");
    out_str(o, value);
}

/* ---- attributes ---- */

static struct bytes without_prefix(struct bytes name)
{
    return bytes_of((const char *)name.data + EVENT_PREFIX_LEN, name.len - EVENT_PREFIX_LEN);
}

static void put_event_attributes(struct out *o, struct bytes list)
{
    struct bytes name, value;

    while (attribute_next(&list, &name, &value))
        if (event_has_prefix(name) && !event_required(without_prefix(name)) &&
            !event_wrong(without_prefix(name), value))
            put_named(o, without_prefix(name), value);
}

static struct bytes find(struct bytes list, const char *wanted)
{
    struct bytes name, value;

    while (attribute_next(&list, &name, &value))
        if (bytes_eq(name, bytes_str(wanted)))
            return value;
    return bytes_of(NULL, 0);
}

static bool is_an_events(struct bytes list, struct bytes bare)
{
    struct bytes name, value;

    while (attribute_next(&list, &name, &value))
        if (event_has_prefix(name) && bytes_eq(without_prefix(name), bare))
            return true;
    return false;
}

static bool is_own(struct bytes name)
{
    static const char *const own[] = { "time",       "subject", "dataschema",
                                       "datacontenttype", "dataref", "partitionkey" };

    if (event_required(name))
        return true;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (bytes_eq(name, bytes_str(own[i])))
            return true;
    return false;
}

static void put_extensions(struct out *o, const struct record *r, bool event)
{
    struct bytes list = r->attributes, name, value;

    while (attribute_next(&list, &name, &value))
        if (!event_has_prefix(name) && !event_wrong(name, value) && !is_own(name) &&
            !(event && is_an_events(r->attributes, name)))
            put_named(o, name, value);
    if (r->key.len && !(event && is_an_events(r->attributes, bytes_str("partitionkey"))))
        put_text(o, "partitionkey", r->key);
}

static void put_event(struct out *o, const struct record *r)
{
    put_text(o, "id", find(r->attributes, "ce-id"));
    put_text(o, "source", find(r->attributes, "ce-source"));
    put_text(o, "type", find(r->attributes, "ce-type"));
    put_event_attributes(o, r->attributes);
}

static void put_wrapper(struct out *o, struct bytes topic, uint64_t offset,
                        const struct record *r)
{
    char source[16 + 3 * URL_NAME_MAX] = "/v1/topics/", id[TEXT_NUMBER_ROOM];
    size_t len = strlen(source);

    url_encode_segment(topic, source + len);
    put_text(o, "id", bytes_of(id, text_put_u64(id, offset)));
    put_text(o, "source", bytes_of(source, len + url_encoded_len(topic)));
    put_text(o, "type", bytes_str("sluice.message"));
    out_text(o, ",\"time\":");
    out_time(o, r->time_ms);
}

/* ---- data ---- */

static void put_data(struct out *o, const struct record *r)
{
    bool json = encode_type_is_json(r->content_type);

    if (!r->body.len && (json || !r->content_type.len))
        return; /* there is none */
    if (json && span_is_json(r->body)) {
        out_text(o, ",\"data\":");
        out_raw(o, r->body);
    } else if (!json && r->content_type.len && text_is_utf8(r->body)) {
        put_text(o, "data", r->body);
    } else {
        out_text(o, ",\"data_base64\":");
        out_base64(o, r->body);
    }
}

void event_json_encode(struct out *o, struct bytes topic, uint64_t offset,
                       const struct record *r, const char *href)
{
    bool event = event_is(r->attributes);
    struct bytes type = r->content_type;

    out_text(o, "{\"specversion\":\"1.0\"");
    if (event)
        put_event(o, r);
    else
        put_wrapper(o, topic, offset, r);
    put_extensions(o, r, event);
    if (!type.len && (r->body.len || r->blob_id))
        type = bytes_str("application/octet-stream"); /* none would mean JSON */
    if (type.len)
        put_text(o, "datacontenttype", type);
    if (r->blob_id)
        put_text(o, "dataref", bytes_str(href));
    else
        put_data(o, r);
    out_text(o, "}");
}

size_t event_json_most(const struct record *r)
{
    size_t text = text_is_utf8(r->body) ? out_str_len(r->body) : 0;
    size_t base64 = out_base64_len(r->body.len);
    size_t names = r->key.len + r->content_type.len + r->attributes.len;

    return (text > base64 ? text : base64) + ESCAPE_FACTOR * names + WRAPPER_BYTES;
}
