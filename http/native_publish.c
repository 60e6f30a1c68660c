#include "native_publish.h"

#include "attribute.h"
#include "base/text.h"
#include "batch.h"
#include "broker.h"
#include "location.h"
#include "publish_door.h"

#include <stdlib.h>
#include <strings.h>

#define ATTRIBUTE_PREFIX "Message-"

/* ---- headers ---- */

struct headers { /* what a publish says about its message; views into the request */
    struct request *r;
    struct bytes key, content_type;
    size_t attributes_len; /* packed */
    uint8_t *attributes;   /* where to pack them; NULL: only measure */
    bool has_ttl;
    uint64_t ttl_ms;
};

static void pack_attribute(struct headers *h, struct bytes name, struct bytes value)
{
    if (h->attributes)
        packed_attribute_put(h->attributes + h->attributes_len, name, value);
    h->attributes_len += packed_attribute_len(name, value);
}

static void take_attribute(struct headers *h, struct bytes name, struct bytes value)
{
    if (name.len == 0 || name.len > ATTRIBUTE_NAME_MAX || attribute_is_reserved(name))
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "Message-%.*s cannot be an attribute: a name has 1 to %d bytes, and "
                      "Offset, Time and Expires-At are the broker's.",
                      (int)(name.len > 200 ? 200 : name.len), (const char *)name.data,
                      ATTRIBUTE_NAME_MAX);
    else if (!text_is_plain(value))
        reply_problem(h->r, PROBLEM_BAD_HEADER,
                      "Message-%.*s is not UTF-8 text without control characters.",
                      (int)name.len, (const char *)name.data);
    else
        pack_attribute(h, name, value);
}

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct headers *h = arg;
    size_t prefix = sizeof ATTRIBUTE_PREFIX - 1;

    (void)kind;
    if (!value)
        value = "";
    if (!strcasecmp(name, "Message-Key"))
        h->key = bytes_str(value);
    else if (!strncasecmp(name, ATTRIBUTE_PREFIX, prefix))
        take_attribute(h, bytes_str(name + prefix), bytes_str(value));
    else if (!strcasecmp(name, MHD_HTTP_HEADER_CONTENT_TYPE))
        h->content_type = bytes_str(value);
    else if (!strcasecmp(name, "TTL"))
        h->has_ttl = text_parse_duration(bytes_str(value), &h->ttl_ms);
    return MHD_YES;
}

static void check_headers(struct headers *h)
{
    const char *ttl = request_header(h->r, "TTL");

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

/* False: a problem was given. */
static bool read_headers(struct request *r, struct headers *h, uint8_t *attributes)
{
    *h = (struct headers){ .r = r, .attributes = attributes };
    MHD_get_connection_values(r->conn, MHD_HEADER_KIND, take_header, h);
    check_headers(h);
    return !r->reply.response;
}

/* ---- answers ---- */

static void write_batch_answer(struct out *o, const struct publish *p)
{
    out_text(o, "{\"topic\":");
    out_str(o, p->topic);
    out_text(o, ",\"first_offset\":");
    out_u64(o, p->first_offset);
    out_text(o, ",\"last_offset\":");
    out_u64(o, p->first_offset + p->count - 1);
    out_text(o, ",\"count\":");
    out_u64(o, p->count);
    out_text(o, "}\n");
}

static void write_answer(struct out *o, const struct publish *p)
{
    out_text(o, "{\"topic\":");
    out_str(o, p->topic);
    out_text(o, ",\"offset\":");
    out_u64(o, p->first_offset);
    out_text(o, ",\"time\":");
    out_time(o, p->time_ms);
    if (p->expires_ms) {
        out_text(o, ",\"expires_at\":");
        out_time(o, p->expires_ms);
    }
    out_text(o, "}\n");
}

static void add_headers(struct request *r, const struct publish *p)
{
    char location[LOCATION_ROOM], ttl[TEXT_NUMBER_ROOM];

    if (!p->batch) {
        message_location(p->topic, p->first_offset, location);
        reply_header(r, MHD_HTTP_HEADER_LOCATION, location);
    }
    if (!p->batch && p->expires_ms) {
        if (p->ttl_ms % 1000)
            text_format_duration(ttl, p->ttl_ms);
        else
            ttl[text_put_u64(ttl, p->ttl_ms / 1000)] = 0;
        reply_header(r, "TTL", ttl);
    }
    door_say_durability(r);
}

static void answer(struct request *r, struct publish *p)
{
    char text[STORE_TOPIC_NAME_MAX * 6 + 256];
    struct out o;

    out_init_in(&o, text, sizeof text);
    if (p->batch)
        write_batch_answer(&o, p);
    else
        write_answer(&o, p);
    reply_text(r, MHD_HTTP_CREATED, "application/json", bytes_of(o.data, o.len));
    add_headers(r, p);
}

static void came_home(struct letter *l)
{
    door_came_home(l, answer);
}

/* ---- one message ---- */

void publish_one_start(struct request *r)
{
    struct broker *b = r->loop->broker;
    struct headers h;

    if (door_opens(r) && read_headers(r, &h, NULL))
        request_expect_body(r, BODY_STREAM, b->config->max_message_bytes, b->publish,
                            PUBLISH_OVERHEAD + h.key.len + h.content_type.len +
                                h.attributes_len,
                            1);
}

static uint8_t *put(uint8_t *to, struct bytes *view)
{
    if (view->len)
        memcpy(to, view->data, view->len);
    view->data = to;
    return to + view->len;
}

/* Copies what the headers say into the publish's own memory. */
static bool fill(struct request *r, struct publish *p)
{
    struct headers h;
    uint8_t *to;

    if (!read_headers(r, &h, NULL))
        return false;
    p->topic = request_topic(r);
    p->meta = to = malloc(p->topic.len + h.key.len + h.content_type.len +
                          h.attributes_len + 1);
    if (!to)
        return false;
    to = put(to, &p->topic);
    p->one = (struct packed_message){ .key = h.key,
                                      .content_type = h.content_type,
                                      .has_ttl = h.has_ttl,
                                      .ttl_ms = h.ttl_ms };
    to = put(to, &p->one.key);
    to = put(to, &p->one.content_type);
    read_headers(r, &h, to);
    p->one.attributes = bytes_of(to, h.attributes_len);
    return true;
}

void publish_one_finish(struct request *r)
{
    struct publish *p = calloc(1, sizeof *p);

    if (!p || !fill(r, p)) {
        reply_store_error(r, ERR_NO_MEMORY);
        publish_free(p);
        return;
    }
    door_take_body(r, p);
    p->one.body = bytes_of(p->body, p->body_len);
    door_submit(r, p, came_home);
}

/* ---- a batch ---- */

enum batch_form { BATCH_UNKNOWN, BATCH_NDJSON, BATCH_JSON };

static enum batch_form batch_form(struct request *r)
{
    const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t len = type ? strcspn(type, "; \t") : 0;

    if ((len == 20 && !strncasecmp(type, "application/x-ndjson", len)) ||
        (len == 18 && !strncasecmp(type, "application/ndjson", len)))
        return BATCH_NDJSON;
    if (len == 16 && !strncasecmp(type, "application/json", len))
        return BATCH_JSON;
    return BATCH_UNKNOWN;
}

void publish_batch_start(struct request *r)
{
    struct broker *b = r->loop->broker;

    struct headers h;

    if (!door_opens(r) || !read_headers(r, &h, NULL))
        return;
    if (batch_form(r) == BATCH_UNKNOWN)
        reply_problem(r, PROBLEM_UNSUPPORTED_TYPE,
                      "A batch is application/x-ndjson, one object per line, or "
                      "application/json, {\"messages\":[...]} or an array. Say which in "
                      "Content-Type.");
    else
        request_expect_body(r, BODY_WHOLE, b->config->max_batch_bytes, b->publish,
                            PUBLISH_OVERHEAD, 1);
}

static void bad_batch(struct request *r, enum err e, const struct batch_result *result)
{
    if (e == ERR_TOO_BIG)
        reply_problem_with(r, PROBLEM_TOO_LARGE, "index", result->index,
                           "%s. Nothing of the batch was stored.", result->reason);
    else
        reply_problem_with(r, PROBLEM_BAD_BATCH, "index", result->index,
                           "%s. Nothing of the batch was stored.", result->reason);
}

static enum err pack(struct request *r, struct publish *p, struct batch_result *result)
{
    const struct config *c = r->loop->broker->config;
    struct batch_limits limits = {
        .max_messages = door_most_messages(c),
        .max_body_bytes = (size_t)c->inline_max_bytes,
        .max_key_bytes = CONFIG_KEY_MAX_BYTES,
        .max_content_type_bytes = CONFIG_CONTENT_TYPE_MAX_BYTES,
        .max_attributes = ATTRIBUTES_MAX,
        .max_attribute_name_bytes = ATTRIBUTE_NAME_MAX,
        .max_attribute_value_bytes = CONFIG_ATTRIBUTES_MAX_BYTES,
    };

    return batch_form(r) == BATCH_NDJSON
               ? batch_pack_ndjson(p->body, p->body_len, &limits, result)
               : batch_pack_json(p->body, p->body_len, &limits, result);
}

void publish_batch_finish(struct request *r)
{
    struct publish *p = calloc(1, sizeof *p);
    struct batch_result result;
    struct headers h;
    enum err e;

    if (p)
        p->meta = malloc(r->topic_len + 1u);
    if (!p || !p->meta) {
        reply_store_error(r, ERR_NO_MEMORY);
        publish_free(p);
        return;
    }
    p->topic = request_topic(r);
    put(p->meta, &p->topic);
    door_take_body(r, p);
    e = pack(r, p, &result);
    if (e) {
        bad_batch(r, e, &result);
        publish_free(p);
        return;
    }
    p->batch = true;
    (void)read_headers(r, &h, NULL); /* checked at the start */
    p->one = (struct packed_message){ .has_ttl = h.has_ttl, .ttl_ms = h.ttl_ms };
    p->body_len = result.packed_len;
    p->count = result.count;
    p->total_bytes = result.body_bytes;
    door_submit(r, p, came_home);
}
