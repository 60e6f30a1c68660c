#include "subscription_json.h"

#include "base/text.h"
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

struct reading { /* a body that is read */
    struct request *r;
    struct sub_settings *s;
    struct fetch_from *start;
};

static bool wrong(const struct reading *b, const char *name, const char *expected)
{
    reply_problem(b->r, PROBLEM_BAD_SETTING, "\"%.60s\" must be %s.", name, expected);
    return false;
}

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

static bool read_topic(const struct reading *b, const cJSON *v)
{
    return read_name(v, b->s->topic, &b->s->topic_len) ||
           wrong(b, "topic", "the name of a topic");
}

static bool read_dead_letter(const struct reading *b, const cJSON *v)
{
    return cJSON_IsNull(v) || read_name(v, b->s->dead_letter, &b->s->dead_letter_len) ||
           wrong(b, "dead_letter", "the name of a topic, or null");
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

static bool read_start(const struct reading *b, const cJSON *v)
{
    return cJSON_IsNull(v) || read_place(v, b->start) ||
           wrong(b, "start",
                 "\"earliest\", \"latest\", an offset, a time such as "
                 "\"2026-01-02T03:04:05Z\", or a duration ago such as \"10m\"");
}

static bool read_lease(const struct reading *b, const cJSON *v)
{
    return cJSON_IsNull(v) ||
           (setting_json_duration(v, &b->s->lease_ms) && b->s->lease_ms &&
            b->s->lease_ms <= READ_QUERY_LEASE_MAX_MS) ||
           wrong(b, "lease", "a duration up to \"12h\", such as \"30s\"");
}

static bool read_number(const cJSON *v, uint64_t least, uint64_t most, uint32_t *out)
{
    uint64_t n;

    if (!setting_json_whole(v, &n) || n < least || n > most)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool read_max_deliveries(const struct reading *b, const cJSON *v)
{
    return cJSON_IsNull(v) || read_number(v, 0, TRIES_MAX, &b->s->max_deliveries) ||
           wrong(b, "max_deliveries", "a whole number up to 1000000, or 0 for no limit");
}

static bool read_max_in_flight(const struct reading *b, const cJSON *v)
{
    return cJSON_IsNull(v) || read_number(v, 1, IN_FLIGHT_MAX, &b->s->max_in_flight) ||
           wrong(b, "max_in_flight", "a whole number from 1 to 100000");
}

static bool read_backoff(const struct reading *b, const cJSON *v)
{
    uint64_t ms;

    if (!cJSON_IsArray(v) && !cJSON_IsNull(v))
        goto bad;
    for (const cJSON *i = v->child; i; i = i->next) {
        if (b->s->backoffs == STORE_SUB_BACKOFFS || !setting_json_duration(i, &ms) ||
            ms > BACKOFF_MAX_MS)
            goto bad;
        b->s->backoff_ms[b->s->backoffs++] = (uint32_t)ms;
    }
    return true;
bad:
    return wrong(b, "backoff", "up to 8 durations, none above \"24h\": [\"1s\",\"10s\"]");
}

static bool read_ordering(const struct reading *b, const cJSON *v)
{
    if (cJSON_IsNull(v) || (cJSON_IsString(v) && !strcmp(v->valuestring, "none")))
        b->s->ordering = SUB_ORDER_NONE;
    else if (cJSON_IsString(v) && !strcmp(v->valuestring, "key"))
        b->s->ordering = SUB_ORDER_KEY;
    else
        return wrong(b, "ordering", "\"none\" or \"key\"");
    return true;
}

static const struct {
    const char *name;
    bool (*read)(const struct reading *b, const cJSON *v);
} settings[] = {
    { "topic", read_topic },
    { "start", read_start },
    { "lease", read_lease },
    { "max_deliveries", read_max_deliveries },
    { "backoff", read_backoff },
    { "dead_letter", read_dead_letter },
    { "ordering", read_ordering },
    { "max_in_flight", read_max_in_flight },
};

static bool read_setting(const struct reading *b, const cJSON *v)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (!strcmp(v->string, settings[i].name))
            return settings[i].read(b, v);
    return wrong(b, v->string,
                 "one of topic, start, lease, max_deliveries, backoff, dead_letter, "
                 "ordering, max_in_flight: there is no such setting");
}

static bool fits_together(const struct reading *b)
{
    const struct sub_settings *s = b->s;

    if (!s->topic_len)
        return wrong(b, "topic", "given");
    if (bytes_eq(bytes_of(s->topic, s->topic_len),
                 bytes_of(s->dead_letter, s->dead_letter_len)))
        return wrong(b, "dead_letter", "another topic than \"topic\"");
    return true;
}

bool subscription_json_settings(struct request *r, struct subscription_change *c,
                                struct fetch_from *start)
{
    struct reading b = { r, &c->sub.settings, start };
    cJSON *root = topic_json_object(r);
    bool ok = root != NULL;

    *start = (struct fetch_from){ FETCH_EARLIEST, 0 };
    b.s->lease_ms = LEASE_USUAL_MS;
    b.s->max_in_flight = IN_FLIGHT_USUAL;
    for (const cJSON *v = root ? root->child : NULL; v && ok; v = v->next)
        ok = read_setting(&b, v);
    cJSON_Delete(root);
    return ok && fits_together(&b);
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

static void write_number(struct out *o, const char *name, uint64_t v)
{
    member(o, name);
    out_u64(o, v);
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
    write_number(o, "max_deliveries", s->max_deliveries);
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
    write_number(o, "max_in_flight", s->max_in_flight);
}

static void write_counters(struct out *o, const struct sub_counters *c)
{
    write_number(o, "delivered", c->delivered);
    write_number(o, "redelivered", c->redelivered);
    write_number(o, "acked", c->acked);
    write_number(o, "dead", c->dead);
    write_number(o, "expired", c->expired);
}

void subscription_json_write(struct out *o, const struct sub_state *sub,
                             const struct subscription_figures *f)
{
    out_text(o, "{\"subscription\":");
    out_str(o, bytes_of(sub->name, sub->name_len));
    write_settings(o, &sub->settings);
    write_number(o, "next", sub->next);
    write_number(o, "lag", f->lag);
    write_number(o, "in_flight", sub->in[DELIVERY_LEASED]);
    write_number(o, "waiting", sub->in[DELIVERY_WAITING]);
    write_number(o, "ready", sub->in[DELIVERY_READY]);
    write_number(o, "held", sub->in[DELIVERY_HELD]);
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
    write_counters(o, &sub->counters);
    member(o, "created");
    out_time(o, sub->created_ms);
    out_text(o, "}");
}
