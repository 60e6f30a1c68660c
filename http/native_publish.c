#include "native_publish.h"

#include "attribute.h"
#include "base/clock.h"
#include "base/text.h"
#include "batch.h"
#include "broker.h"
#include "event_pack.h"
#include "location.h"
#include "publish_delay.h"
#include "publish_door.h"
#include "publish_headers.h"
#include "trace.h"

#include <stdlib.h>
#include <strings.h>

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
    if (p->deliver_ms) {
        out_text(o, ",\"deliver_at\":");
        out_time(o, p->deliver_ms);
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
    if (p->replayed)
        reply_header(r, "Idempotent-Replayed", "true");
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

/* ---- what both have ---- */

/* Next offsets only rise: where If-Match names one that is taken, no body has to come first.
 * The writer has the last word on all others. False: a problem was given. */
static bool may_match(struct request *r, const struct publish_headers *h)
{
    struct fetch *f = &r->loop->fetch;

    if (!h->has_if_match || fetch_begin(f, request_topic(r)))
        return true;
    if (f->topic.next_offset > h->if_match)
        door_next_differs(r, request_topic(r), f->topic.next_offset);
    fetch_end(f);
    return !r->reply.response;
}

/* What can never be delivered by what is said of it alone needs no body either; what its topic
 * says to that the writer knows. */
static bool may_wait(struct request *r, const struct publish_headers *h)
{
    uint64_t ttl_ms = publish_ttl(0, 0, h->has_ttl, h->ttl_ms);
    struct publish_late late = { 0 };
    enum publish_refusal why =
        publish_delay_refusal(&h->delay, ttl_ms, clock_wall_ms(), &late);

    if (why)
        door_refuse_delay(r, why, &late, false);
    return !why;
}

/* Where the key is known the answer is, too, whatever the rest of the headers say. Those of a
 * batch may hold for none of its messages. */
static bool may_begin(struct request *r, const struct publish_headers *h, bool batch)
{
    if (!once_begin(r, bytes_of(h->once, h->once_len)))
        return false;
    return once_is_known(r->once) || (may_match(r, h) && (batch || may_wait(r, h)));
}

static enum body_kind kind_for(const struct request *r, enum body_kind kind)
{
    return once_is_known(r->once) ? BODY_HASH : kind;
}

/* In memory, for as long as it is answered. */
static size_t once_overhead(const struct publish_headers *h)
{
    return h->once_len ? h->once_len + sizeof(struct once) : 0;
}

static void take_conditions(struct publish *p, const struct publish_headers *h)
{
    p->has_if_next = h->has_if_match;
    p->if_next = h->if_match;
}

static struct batch_limits limits_of(const struct config *c)
{
    return (struct batch_limits){
        .max_messages = door_most_messages(c),
        .max_body_bytes = (size_t)c->inline_max_bytes,
        .max_key_bytes = CONFIG_KEY_MAX_BYTES,
        .max_content_type_bytes = CONFIG_CONTENT_TYPE_MAX_BYTES,
        .max_attributes = ATTRIBUTES_MAX,
        .max_attribute_name_bytes = ATTRIBUTE_NAME_MAX,
        .max_attribute_value_bytes = CONFIG_ATTRIBUTES_MAX_BYTES,
    };
}

static enum event_mode mode_of(struct request *r)
{
    const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);

    return type ? event_mode_of(bytes_str(type)) : EVENT_BINARY;
}

/* Events in JSON are packed with a slack (event_pack.h). */
static size_t slack_for(struct request *r)
{
    uint64_t most = r->loop->broker->config->max_batch_bytes;

    if (mode_of(r) != EVENT_STRUCTURED && mode_of(r) != EVENT_BATCHED)
        return 0;
    r->body.slack = event_pack_slack((size_t)(r->body.declared < most ? r->body.declared : most));
    return r->body.slack;
}

/* ---- one message ---- */

void publish_one_start(struct request *r)
{
    struct broker *b = r->loop->broker;
    bool parsed = mode_of(r) == EVENT_STRUCTURED;
    struct publish_headers h;

    if (mode_of(r) == EVENT_BATCHED)
        publish_batch_start(r);
    else if (door_opens(r) && publish_headers_read(r, &h, NULL) && may_begin(r, &h, false))
        request_expect_body(r, kind_for(r, parsed ? BODY_WHOLE : BODY_STREAM),
                            parsed ? b->config->max_batch_bytes : b->config->max_message_bytes,
                            b->publish,
                            PUBLISH_OVERHEAD + slack_for(r) + once_overhead(&h) + h.key.len +
                                h.content_type.len + h.attributes_len,
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
    struct publish_headers h;
    uint8_t *to;

    if (!publish_headers_read(r, &h, NULL))
        return false;
    p->topic = request_topic(r);
    p->meta = to = malloc(p->topic.len + h.once_len + h.key.len + h.content_type.len +
                          h.attributes_len + 1);
    if (!to)
        return false;
    to = put(to, &p->topic);
    p->once.key = bytes_of(h.once, h.once_len);
    to = put(to, &p->once.key);
    p->one = (struct packed_message){ .key = h.key,
                                      .content_type = h.content_type,
                                      .has_ttl = h.has_ttl,
                                      .ttl_ms = h.ttl_ms,
                                      .delay = h.delay };
    to = put(to, &p->one.key);
    to = put(to, &p->one.content_type);
    take_conditions(p, &h);
    publish_headers_read(r, &h, to);
    p->one.attributes = bytes_of(to, h.attributes_len);
    once_print(r, p);
    return true;
}

/* The event's attributes beside those that came as headers, and its type. */
static bool add_event(struct publish *p, const struct packed_message *m)
{
    struct bytes headers = p->one.attributes;
    uint8_t *old = p->meta, *to;

    p->meta = to = malloc(p->topic.len + p->once.key.len + p->one.key.len +
                          m->content_type.len + headers.len + m->attributes.len + 1);
    if (!to) {
        p->meta = old;
        return false;
    }
    p->one.body = m->body;
    p->one.content_type = m->content_type;
    to = put(to, &p->topic);
    to = put(to, &p->once.key);
    to = put(to, &p->one.key);
    to = put(to, &p->one.content_type);
    p->one.attributes = bytes_of(to, headers.len + m->attributes.len);
    to = put(to, &headers);
    if (m->attributes.len)
        memcpy(to, m->attributes.data, m->attributes.len);
    free(old);
    return true;
}

static void send_event(struct request *r, struct publish *p)
{
    struct batch_limits limits = limits_of(r->loop->broker->config);
    struct batch_result result = { .reason = "there is none" };
    struct packed_message m;
    struct bytes at;
    enum err e = p->body_len ? event_pack_one(p->body, p->body_len, &limits, &result)
                             : ERR_BAD_INPUT;

    at = bytes_of(p->body, result.packed_len);
    if (e == ERR_TOO_BIG)
        reply_problem_with(r, PROBLEM_TOO_LARGE, "limit_bytes", limits.max_body_bytes,
                           "The event is too large, %s. A larger one fits as binary.", result.reason);
    else if (e)
        reply_problem(r, PROBLEM_BAD_EVENT, "The event is wrong: %s.", result.reason);
    else if (packed_next(&at, &m) || !add_event(p, &m))
        reply_store_error(r, ERR_NO_MEMORY);
    else {
        p->body_len = m.body.len;
        door_submit(r, p, came_home);
        return;
    }
    publish_free(p);
}

void publish_one_finish(struct request *r)
{
    struct publish *p;

    if (mode_of(r) == EVENT_BATCHED) {
        publish_batch_finish(r);
        return;
    }
    p = calloc(1, sizeof *p);
    if (!p || !fill(r, p)) {
        reply_store_error(r, ERR_NO_MEMORY);
        publish_free(p);
        return;
    }
    if (once_is_known(r->once)) {
        door_replay(r, p, answer);
        return;
    }
    door_take_body(r, p);
    if (mode_of(r) == EVENT_STRUCTURED) {
        send_event(r, p);
        return;
    }
    p->one.body = bytes_of(p->body, p->body_len);
    door_submit(r, p, came_home);
}

/* ---- a batch ---- */

enum batch_form { BATCH_UNKNOWN, BATCH_NDJSON, BATCH_JSON, BATCH_EVENTS };

static enum batch_form batch_form(struct request *r)
{
    const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t len = type ? strcspn(type, "; \t") : 0;

    if ((len == 20 && !strncasecmp(type, "application/x-ndjson", len)) ||
        (len == 18 && !strncasecmp(type, "application/ndjson", len)))
        return BATCH_NDJSON;
    if (len == 16 && !strncasecmp(type, "application/json", len))
        return BATCH_JSON;
    return mode_of(r) == EVENT_BATCHED ? BATCH_EVENTS : BATCH_UNKNOWN;
}

void publish_batch_start(struct request *r)
{
    struct broker *b = r->loop->broker;

    struct publish_headers h;

    if (!door_opens(r) || !publish_headers_read(r, &h, NULL))
        return;
    if (batch_form(r) == BATCH_UNKNOWN)
        reply_problem(r, PROBLEM_UNSUPPORTED_TYPE,
                      "A batch is application/x-ndjson, one object per line, or "
                      "application/json, {\"messages\":[...]} or an array, or "
                      "application/cloudevents-batch+json. Say which in Content-Type.");
    else if (may_begin(r, &h, true))
        request_expect_body(r, kind_for(r, BODY_WHOLE), b->config->max_batch_bytes, b->publish,
                            PUBLISH_OVERHEAD + slack_for(r) + once_overhead(&h), 1);
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
    struct batch_limits limits = limits_of(r->loop->broker->config);

    switch (batch_form(r)) {
    case BATCH_NDJSON:
        return batch_pack_ndjson(p->body, p->body_len, &limits, result);
    case BATCH_EVENTS:
        if (!p->body_len)
            break; /* which has no slack: not JSON either way */
        return event_pack_array(p->body, p->body_len, &limits, result);
    default:
        break;
    }
    return batch_pack_json(p->body, p->body_len, &limits, result);
}

/* Everything but the messages. */
static bool fill_batch(struct request *r, struct publish *p)
{
    struct publish_headers h;
    uint8_t *to;

    if (!publish_headers_read(r, &h, NULL))
        return false;
    p->batch = true;
    p->topic = request_topic(r);
    p->meta = to = malloc(p->topic.len + h.once_len +
                          packed_attribute_len(bytes_str(TRACE_PARENT), h.trace) + 1);
    if (!to)
        return false;
    to = put(to, &p->topic);
    p->once.key = bytes_of(h.once, h.once_len);
    to = put(to, &p->once.key);
    take_conditions(p, &h);
    p->one = (struct packed_message){ .has_ttl = h.has_ttl,
                                      .ttl_ms = h.ttl_ms,
                                      .delay = h.delay,
                                      .content_type = h.content_type };
    once_print(r, p);
    p->one.content_type = bytes_of(NULL, 0); /* the messages have their own */
    if (h.trace.len)
        p->one.attributes = bytes_of(
            to, packed_attribute_put(to, bytes_str(TRACE_PARENT), h.trace));
    return true;
}

static void send_batch(struct request *r, struct publish *p)
{
    struct batch_result result;
    enum err e;

    door_take_body(r, p);
    e = pack(r, p, &result);
    if (e) {
        bad_batch(r, e, &result);
        publish_free(p);
        return;
    }
    p->body_len = result.packed_len;
    p->count = result.count;
    p->total_bytes = result.body_bytes;
    p->delayed = result.delayed || p->one.delay.kind;
    door_submit(r, p, came_home);
}

void publish_batch_finish(struct request *r)
{
    struct publish *p = calloc(1, sizeof *p);

    if (!p || !fill_batch(r, p)) {
        reply_store_error(r, ERR_NO_MEMORY);
        publish_free(p);
    } else if (once_is_known(r->once)) {
        door_replay(r, p, answer);
    } else {
        send_batch(r, p);
    }
}
