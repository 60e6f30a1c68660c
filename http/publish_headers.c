#include "publish_headers.h"

#include "attribute.h"
#include "base/text.h"
#include "broker.h"
#include "trace.h"

#include <strings.h>

#define ATTRIBUTE_PREFIX "Message-"

static void pack_attribute(struct publish_headers *h, struct bytes name, struct bytes value)
{
    if (h->attributes)
        packed_attribute_put(h->attributes + h->attributes_len, name, value);
    h->attributes_len += packed_attribute_len(name, value);
}

static void take_attribute(struct publish_headers *h, struct bytes name, struct bytes value)
{
    if (name.len == 0 || name.len > ATTRIBUTE_NAME_MAX || attribute_is_reserved(name))
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "Message-%.*s cannot be an attribute: a name has 1 to %d bytes, and "
                      "Offset, Time and Expires-At are the broker's.",
                      (int)(name.len > 200 ? 200 : name.len), (const char *)name.data,
                      ATTRIBUTE_NAME_MAX);
    else if (event_has_prefix(name))
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "Message-%.*s: attributes of events come as headers %.*s.",
                      (int)(name.len > 200 ? 200 : name.len), (const char *)name.data,
                      (int)(name.len > 200 ? 200 : name.len), (const char *)name.data);
    else if (!text_is_plain(value))
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "Message-%.*s is not UTF-8 text without control characters.",
                      (int)name.len, (const char *)name.data);
    else if (!h->trace.len || !trace_is_parent(name)) /* the header goes before it */
        pack_attribute(h, name, value);
}

/* "41": an offset as an entity-tag, and nothing else. A second one is as wrong as a list. */
static void take_if_match(struct publish_headers *h, struct bytes value)
{
    const char *text = value.data;
    bool quoted = value.len > 2 && text[0] == '"' && text[value.len - 1] == '"';

    if (h->has_if_match || !quoted ||
        !text_parse_u64(bytes_of(text + 1, value.len - 2), 0, INT64_MAX, &h->if_match))
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "If-Match takes the offset that the topic's next message is to get, in "
                      "quotation marks: \"41\".");
    h->has_if_match = true;
}

static bool parse_moment(struct bytes value, uint64_t *ms)
{
    int64_t time_ms;

    if (!text_parse_time(value, &time_ms))
        return false;
    *ms = time_ms > 0 ? (uint64_t)time_ms : 0; /* long past either way */
    return true;
}

/* One of the two, once. */
static void take_delay(struct publish_headers *h, enum packed_delay_kind kind,
                       struct bytes value)
{
    bool fine = kind == PACKED_DELAY_AFTER ? text_parse_duration(value, &h->delay.ms)
                                           : parse_moment(value, &h->delay.ms);

    if (h->delay.kind)
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "Deliver-After or Deliver-At says when it is to be delivered: one of "
                      "them, once.");
    else if (!fine)
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      kind == PACKED_DELAY_AFTER
                          ? "Deliver-After: %.*s is not a number of seconds, nor a duration "
                            "such as 500ms, 30s, 5m, 2h or 7d."
                          : "Deliver-At: %.*s is not a time of RFC 3339 such as "
                            "2026-11-21T10:30:00Z.",
                      (int)(value.len > 60 ? 60 : value.len), (const char *)value.data);
    h->delay.kind = kind;
}

static void take_once(struct publish_headers *h, struct bytes value)
{
    if (h->once_len || !once_parse_key(value, h->once, &h->once_len))
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "Idempotency-Key is a string of 1 to %d printable ASCII characters in "
                      "quotation marks, \"like this\", or without them if it has none of "
                      "blank, comma, semicolon, backslash.",
                      STORE_RECEIPT_KEY_MAX);
}

/* Of more than one the first; an ill-formed one is as good as none. */
static void take_trace(struct publish_headers *h)
{
    const char *value = request_header(h->r, "traceparent");

    if (!value || !trace_parent_is_fine(bytes_str(value)) ||
        strlen(value) > CONFIG_CONTENT_TYPE_MAX_BYTES || !text_is_plain(bytes_str(value)))
        return;
    h->trace = bytes_str(value);
    pack_attribute(h, bytes_str(TRACE_PARENT), h->trace);
}

static void bad_event(struct publish_headers *h, const char *name, const char *why)
{
    reply_problem(h->r, PROBLEM_BAD_EVENT, "%.110s: %s.", name, why);
}

/* One of an event's, in the binary mode of the CloudEvents HTTP binding. */
static void take_event(struct publish_headers *h, const char *header, const char *value)
{
    struct bytes name = bytes_str(header + EVENT_PREFIX_LEN);
    uint8_t text[CONFIG_ATTRIBUTES_MAX_BYTES];
    const char *why = NULL;
    size_t len = 0;

    if (strlen(value) > sizeof text)
        why = "it is too long";
    else if (!event_decode(bytes_str(value), text, &len))
        why = "a % is not followed by two hexadecimal digits";
    else if (request_header(h->r, header) != value)
        why = "it is there twice";
    else
        why = event_wrong(name, bytes_of(text, len));
    if (why) {
        bad_event(h, header, why);
        return;
    }
    h->is_event = true;
    h->event |= event_required(name);
    pack_attribute(h, bytes_str(header), bytes_of(text, len));
}

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct publish_headers *h = arg;
    size_t prefix = sizeof ATTRIBUTE_PREFIX - 1;

    (void)kind;
    if (!value)
        value = "";
    if (!strcasecmp(name, "Message-Key"))
        h->key = bytes_str(value);
    else if (!strncasecmp(name, ATTRIBUTE_PREFIX, prefix))
        take_attribute(h, bytes_str(name + prefix), bytes_str(value));
    else if (event_has_prefix(bytes_str(name))) {
        if (h->mode == EVENT_BINARY) /* else the body says it all */
            take_event(h, name, value);
    } else if (!strcasecmp(name, MHD_HTTP_HEADER_CONTENT_TYPE))
        h->content_type = bytes_str(value);
    else if (!strcasecmp(name, "TTL"))
        h->has_ttl = text_parse_duration(bytes_str(value), &h->ttl_ms);
    else if (!strcasecmp(name, "Deliver-After"))
        take_delay(h, PACKED_DELAY_AFTER, bytes_str(value));
    else if (!strcasecmp(name, "Deliver-At"))
        take_delay(h, PACKED_DELAY_UNTIL, bytes_str(value));
    else if (!strcasecmp(name, MHD_HTTP_HEADER_IF_MATCH))
        take_if_match(h, bytes_str(value));
    else if (!strcasecmp(name, "Idempotency-Key"))
        take_once(h, bytes_str(value));
    return MHD_YES;
}

static void check_headers(struct publish_headers *h)
{
    const char *ttl = request_header(h->r, "TTL");

    if (h->is_event && h->event != EVENT_REQUIRED) {
        char name[32] = EVENT_PREFIX;

        strcat(name, event_missing(h->event));
        bad_event(h, name, "an event has to have it");
    }
    if (h->mode == EVENT_UNKNOWN)
        reply_problem(h->r, PROBLEM_UNSUPPORTED_TYPE,
                      "Events are read in the JSON format: application/cloudevents+json, or "
                      "application/cloudevents-batch+json.");
    if (ttl && !h->has_ttl)
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "TTL: %.60s is not a number of seconds, nor a duration such as "
                      "500ms, 30s, 5m, 2h or 7d.",
                      ttl);
    if (h->key.len > CONFIG_KEY_MAX_BYTES || !text_is_plain(h->key))
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "Message-Key is at most %d bytes of UTF-8 without control "
                      "characters.",
                      CONFIG_KEY_MAX_BYTES);
    if (h->content_type.len > CONFIG_CONTENT_TYPE_MAX_BYTES ||
        !text_is_plain(h->content_type))
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "Content-Type is at most %d bytes of text.",
                      CONFIG_CONTENT_TYPE_MAX_BYTES);
    if (h->attributes_len > CONFIG_ATTRIBUTES_MAX_BYTES)
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "The Message- headers are more than %d bytes together.",
                      CONFIG_ATTRIBUTES_MAX_BYTES);
}

bool publish_headers_read(struct request *r, struct publish_headers *h, uint8_t *attributes)
{
    const char *type;

    *h = (struct publish_headers){ .r = r, .attributes = attributes };
    type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    h->mode = type ? event_mode_of(bytes_str(type)) : EVENT_BINARY;
    take_trace(h);
    MHD_get_connection_values(r->conn, MHD_HEADER_KIND, take_header, h);
    check_headers(h);
    return !r->reply.response;
}
