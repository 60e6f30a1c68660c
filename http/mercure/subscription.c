#include "mercure/subscription.h"

#include "url.h"

#define ENCODED_AT_ONCE 64
#define FRAME           256 /* names, braces, blanks and quotes of a document */

static void put_encoded(struct out *o, struct bytes text)
{
    char room[3 * ENCODED_AT_ONCE];

    while (text.len) {
        size_t len = text.len < ENCODED_AT_ONCE ? text.len : ENCODED_AT_ONCE;
        struct bytes some = bytes_of(text.data, len);

        url_encode_segment(some, room);
        out_raw(o, bytes_of(room, url_encoded_len(some)));
        text = bytes_of((const char *)text.data + len, text.len - len);
    }
}

void mercure_put_subscriptions_url(struct out *o, const struct bytes *names, unsigned count)
{
    out_text(o, MERCURE_SUBSCRIPTIONS);
    for (unsigned i = 0; i < count; i++) {
        out_text(o, "/");
        put_encoded(o, names[i]);
    }
}

void mercure_put_subscription_url(struct out *o, const struct mercure_subscription *s)
{
    const struct bytes names[] = { s->topic, s->subscriber };

    mercure_put_subscriptions_url(o, names, 2);
}

size_t mercure_subscription_url_len(const struct mercure_subscription *s)
{
    return sizeof MERCURE_SUBSCRIPTIONS + 1 + url_encoded_len(s->topic) +
           url_encoded_len(s->subscriber);
}

struct style { /* what stands between the members of an object */
    const char *open, *comma, *colon, *close;
};

static const struct style in_lines = { "{\n  ", ",\n  ", ": ", "\n}" };
static const struct style in_a_line = { "{", ",", ":", "}" };

static void put_name(struct out *o, const struct style *style, const char *name)
{
    out_text(o, style->comma);
    out_str(o, bytes_str(name));
    out_text(o, style->colon);
}

static void put_text(struct out *o, const struct style *style, const char *name,
                     struct bytes value)
{
    put_name(o, style, name);
    out_str(o, value);
}

static void put(struct out *o, const struct style *style, struct bytes context,
                const struct mercure_subscription *s, struct bytes last_event_id)
{
    out_text(o, style->open);
    if (context.len) {
        out_text(o, "\"@context\"");
        out_text(o, style->colon);
        out_str(o, context);
        out_text(o, style->comma);
    }
    out_text(o, "\"id\"");
    out_text(o, style->colon);
    out_text(o, "\"");
    mercure_put_subscription_url(o, s);
    out_text(o, "\"");
    put_text(o, style, "type", bytes_str("Subscription"));
    put_text(o, style, "subscriber", s->subscriber);
    put_text(o, style, "topic", s->topic);
    put_name(o, style, "active");
    out_text(o, s->active ? "true" : "false");
    if (s->payload.len) {
        put_name(o, style, "payload");
        out_raw(o, s->payload);
    }
    if (last_event_id.len)
        put_text(o, style, "lastEventID", last_event_id);
    out_text(o, style->close);
}

void mercure_put_subscription_event(struct out *o, const struct mercure_subscription *s)
{
    put(o, &in_lines, bytes_str(MERCURE_CONTEXT), s, bytes_of("", 0));
}

void mercure_put_subscription(struct out *o, const struct mercure_subscription *s,
                              struct bytes context, struct bytes last_event_id)
{
    put(o, &in_a_line, context, s, last_event_id);
}

size_t mercure_subscription_most(const struct mercure_subscription *s)
{
    return FRAME + mercure_subscription_url_len(s) + out_str_len(s->topic) +
           out_str_len(s->subscriber) + s->payload.len;
}
