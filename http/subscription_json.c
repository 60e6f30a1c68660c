#include "subscription_json.h"

#include "base/text.h"
#include "filter_json.h"
#include "read_query.h"
#include "setting_json.h"
#include "topic_json.h"
#include "url.h"

#define LEASE_USUAL_MS  30000u
#define BACKOFF_MAX_MS  (24u * 3600 * 1000)
#define IN_FLIGHT_USUAL 1000u
#define IN_FLIGHT_MAX   100000u
#define TRIES_MAX       1000000u

static const char *const orderings[] = { [SUB_ORDER_NONE] = "none",
                                         [SUB_ORDER_KEY] = "key" };

struct reading { /* what a body is read into */
    struct sub_settings *s;
    struct fetch_from *start;
    const cJSON *filter, *push; /* as they are in the body, which are read then */
};

/* ---- in ---- */

static bool read_name(const cJSON *v, char out[256], uint8_t *len)
{
    size_t n = cJSON_IsString(v) ? strlen(v->valuestring) : 0;

    if (!n || url_name_wrong(bytes_of(v->valuestring, n)))
        return false;
    memcpy(out, v->valuestring, n);
    *len = (uint8_t)n;
    return true;
}

static bool read_topic(const cJSON *v, void *to)
{
    struct sub_settings *s = ((struct reading *)to)->s;

    return read_name(v, s->topic, &s->topic_len);
}

static bool read_dead_letter(const cJSON *v, void *to)
{
    struct sub_settings *s = ((struct reading *)to)->s;

    return cJSON_IsNull(v) || read_name(v, s->dead_letter, &s->dead_letter_len);
}

static bool read_place(const cJSON *v, struct fetch_from *out)
{
    uint64_t offset;

    if (cJSON_IsString(v))
        return read_query_from(bytes_str(v->valuestring), out) && out->kind != FETCH_LAST;
    if (!setting_json_whole(v, &offset))
        return false;
    *out = (struct fetch_from){ FETCH_OFFSET, offset };
    return true;
}

static bool read_start(const cJSON *v, void *to)
{
    return cJSON_IsNull(v) || read_place(v, ((struct reading *)to)->start);
}

static bool read_lease(const cJSON *v, void *to)
{
    uint64_t *ms = &((struct reading *)to)->s->lease_ms;

    return cJSON_IsNull(v) || (setting_json_duration(v, ms) && *ms &&
                               *ms <= READ_QUERY_LEASE_MAX_MS);
}

static bool read_number(const cJSON *v, uint64_t least, uint64_t most, uint32_t *out)
{
    uint64_t n;

    if (cJSON_IsNull(v))
        return true;
    if (!setting_json_whole(v, &n) || n < least || n > most)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool read_max_deliveries(const cJSON *v, void *to)
{
    return read_number(v, 0, TRIES_MAX, &((struct reading *)to)->s->max_deliveries);
}

static bool read_max_in_flight(const cJSON *v, void *to)
{
    return read_number(v, 1, IN_FLIGHT_MAX, &((struct reading *)to)->s->max_in_flight);
}

static bool read_backoff(const cJSON *v, void *to)
{
    struct sub_settings *s = ((struct reading *)to)->s;
    uint64_t ms;

    if (!cJSON_IsArray(v) && !cJSON_IsNull(v))
        return false;
    s->backoffs = 0;
    for (const cJSON *i = v->child; i; i = i->next) {
        if (s->backoffs == STORE_SUB_BACKOFFS || !setting_json_duration(i, &ms) ||
            ms > BACKOFF_MAX_MS)
            return false;
        s->backoff_ms[s->backoffs++] = (uint32_t)ms;
    }
    return true;
}

static bool read_ordering(const cJSON *v, void *to)
{
    struct sub_settings *s = ((struct reading *)to)->s;

    s->ordering = setting_json_is(v, "key") ? SUB_ORDER_KEY : SUB_ORDER_NONE;
    return cJSON_IsNull(v) || setting_json_is(v, "none") || s->ordering == SUB_ORDER_KEY;
}

static bool note_filter(const cJSON *v, void *to)
{
    ((struct reading *)to)->filter = v;
    return true;
}

static bool note_push(const cJSON *v, void *to)
{
    ((struct reading *)to)->push = v;
    return true;
}

static const struct setting_json settings[] = {
    { .name = "topic",
      .bit = SUBSCRIPTION_SET_TOPIC,
      .other = read_topic,
      .expected = "the name of a topic" },
    { .name = "start",
      .bit = SUBSCRIPTION_SET_START,
      .other = read_start,
      .expected = "\"earliest\", \"latest\", an offset, a time such as "
                  "\"2026-01-02T03:04:05Z\", or a duration ago such as \"10m\"" },
    { .name = "lease",
      .bit = SUBSCRIPTION_SET_LEASE,
      .other = read_lease,
      .expected = "a duration up to \"12h\", such as \"30s\"" },
    { .name = "max_deliveries",
      .bit = SUBSCRIPTION_SET_MAX_DELIVERIES,
      .other = read_max_deliveries,
      .expected = "a whole number up to 1000000, or 0 for no limit" },
    { .name = "backoff",
      .bit = SUBSCRIPTION_SET_BACKOFF,
      .other = read_backoff,
      .expected = "up to 8 durations, none above \"24h\": [\"1s\",\"10s\"]" },
    { .name = "dead_letter",
      .bit = SUBSCRIPTION_SET_DEAD_LETTER,
      .other = read_dead_letter,
      .expected = "the name of a topic, or null" },
    { .name = "ordering",
      .bit = SUBSCRIPTION_SET_ORDERING,
      .other = read_ordering,
      .expected = "\"none\" or \"key\"" },
    { .name = "filter", .bit = SUBSCRIPTION_SET_FILTER, .other = note_filter },
    { .name = "push", .bit = SUBSCRIPTION_SET_PUSH, .other = note_push },
    { .name = "max_in_flight",
      .bit = SUBSCRIPTION_SET_MAX_IN_FLIGHT,
      .other = read_max_in_flight,
      .expected = "a whole number from 1 to 100000" },
};

static bool fits_together(struct request *r, const struct subscription_change *c)
{
    const char *hubs = r->loop->broker->config->mercure_topic;
    const struct sub_settings *s = &c->sub.settings;

    if (c->kind == SUBSCRIPTION_PATCH && c->set & SUBSCRIPTION_SET_START)
        reply_problem(r, PROBLEM_BAD_SETTING,
                      "\"start\" counts when a subscription is made; :seek moves one.");
    else if (c->kind == SUBSCRIPTION_PUT && !s->topic_len)
        reply_problem(r, PROBLEM_BAD_SETTING, "\"topic\" must be given.");
    else if (s->topic_len && bytes_eq(bytes_of(s->topic, s->topic_len),
                                      bytes_of(s->dead_letter, s->dead_letter_len)))
        reply_problem(r, PROBLEM_BAD_SETTING,
                      "\"dead_letter\" must be another topic than \"topic\".");
    else if (bytes_eq(bytes_of(s->dead_letter, s->dead_letter_len), bytes_str(hubs)))
        reply_problem(r, PROBLEM_RESERVED_TOPIC,
                      "Topic %s is the log of the Mercure hub (mercure_topic), where nobody "
                      "else publishes.",
                      hubs);
    return !r->reply.response;
}

bool subscription_json_settings(struct request *r, struct subscription_change *c,
                                struct fetch_from *start)
{
    struct reading to = { .s = &c->sub.settings, .start = start };
    cJSON *root = topic_json_object(r);
    bool ok;

    *start = (struct fetch_from){ FETCH_EARLIEST, 0 };
    to.s->lease_ms = LEASE_USUAL_MS;
    to.s->max_in_flight = IN_FLIGHT_USUAL;
    ok = root && setting_json_read(r, root, settings, sizeof settings / sizeof *settings,
                                   &to, &c->set) &&
         filter_json_read(r, to.filter, to.s) && push_setting_read(r, to.push, to.s);
    cJSON_Delete(root);
    return ok && fits_together(r, c);
}

bool subscription_json_seek(struct request *r, struct fetch_from *to)
{
    cJSON *root = topic_json_object(r);
    const cJSON *v = root ? root->child : NULL;
    bool ok = v && !v->next && read_place(v, to);

    if (!root)
        return false;
    if (ok && !strcmp(v->string, "offset"))
        ok = to->kind != FETCH_TIME;
    else if (ok)
        ok = !strcmp(v->string, "time") && to->kind == FETCH_TIME;
    cJSON_Delete(root);
    if (!ok)
        reply_problem(r, PROBLEM_BAD_REQUEST,
                      "The body must be {\"offset\":n}, where n may be \"earliest\" or "
                      "\"latest\", or {\"time\":\"2026-01-02T03:04:05Z\"}.");
    return ok;
}

/* ---- out ---- */

static void member(struct out *o, const char *name)
{
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":");
}

static void write_duration(struct out *o, uint64_t ms)
{
    char text[TEXT_NUMBER_ROOM];

    text_format_duration(text, ms);
    out_str(o, bytes_str(text));
}

static void write_settings(struct out *o, const struct sub_settings *s)
{
    member(o, "topic");
    out_str(o, bytes_of(s->topic, s->topic_len));
    member(o, "lease");
    write_duration(o, s->lease_ms);
    out_member(o, "max_deliveries", s->max_deliveries);
    member(o, "backoff");
    for (unsigned i = 0; i < s->backoffs; i++) {
        out_text(o, i ? "," : "[");
        write_duration(o, s->backoff_ms[i]);
    }
    out_text(o, s->backoffs ? "]" : "[]");
    member(o, "dead_letter");
    if (s->dead_letter_len)
        out_str(o, bytes_of(s->dead_letter, s->dead_letter_len));
    else
        out_text(o, "null");
    member(o, "ordering");
    out_str(o, bytes_str(orderings[s->ordering]));
    out_member(o, "max_in_flight", s->max_in_flight);
    filter_json_write(o, s);
}

static void write_counters(struct out *o, const struct sub_counters *c)
{
    out_member(o, "delivered", c->delivered);
    out_member(o, "redelivered", c->redelivered);
    out_member(o, "acked", c->acked);
    out_member(o, "dead", c->dead);
    out_member(o, "expired", c->expired);
}

void subscription_json_write(struct out *o, const struct sub_state *sub,
                             const struct subscription_figures *f)
{
    out_text(o, "{\"subscription\":");
    out_str(o, bytes_of(sub->name, sub->name_len));
    write_settings(o, &sub->settings);
    member(o, "push");
    push_setting_write(o, &sub->settings, &f->push);
    out_member(o, "next", sub->next);
    out_member(o, "lag", f->lag);
    out_member(o, "in_flight", sub->in[DELIVERY_LEASED]);
    out_member(o, "waiting", sub->in[DELIVERY_WAITING]);
    out_member(o, "ready", sub->in[DELIVERY_READY]);
    out_member(o, "held", sub->in[DELIVERY_HELD]);
    member(o, "oldest_unacked");
    if (f->oldest_ms)
        out_u64(o, f->oldest);
    else
        out_text(o, "null");
    member(o, "oldest_unacked_time");
    if (f->oldest_ms)
        out_time(o, f->oldest_ms);
    else
        out_text(o, "null");
    out_member(o, "waiters", f->waiters);
    write_counters(o, &sub->counters);
    member(o, "created");
    out_time(o, sub->created_ms);
    out_text(o, "}");
}
