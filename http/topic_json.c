#include "topic_json.h"

#include "base/text.h"
#include "setting_json.h"
#include "span.h"

#define NEVER "never"
#define NO_RATE "none"

static const char *const overflows[] = {
    [STORE_OVERFLOW_REJECT] = "reject",
    [STORE_OVERFLOW_DROP_OLDEST] = "drop_oldest",
    [STORE_OVERFLOW_HOLD] = "hold",
};

/* cJSON is kind to texts that are not JSON (01, raw tabs), so the strict scanner looks
 * first. */
cJSON *topic_json_object(struct request *r)
{
    struct bytes text = { r->body.data, r->body.len };
    cJSON *root;

    if (text.len == 0)
        return cJSON_CreateObject();
    root = span_is_json(text) ? cJSON_ParseWithLength(text.data, text.len) : NULL;
    if (cJSON_IsObject(root))
        return root;
    cJSON_Delete(root);
    reply_problem(r, PROBLEM_BAD_JSON, "The body must be one JSON object.");
    return NULL;
}

static bool wrong(struct request *r, const char *name, const char *expected)
{
    reply_problem(r, PROBLEM_BAD_SETTING, "\"%.60s\" must be %s.", name, expected);
    return false;
}

static bool read_ttl(struct request *r, struct topic_change *c, const cJSON *v)
{
    c->set |= TOPIC_SET_TTL;
    if (cJSON_IsString(v) && !strcmp(v->valuestring, NEVER))
        c->settings.ttl_ms = UINT64_MAX;
    else if (!setting_json_duration(v, &c->settings.ttl_ms))
        return wrong(r, "ttl",
                     SETTING_JSON_DURATION
                     ", \"never\", or \"0s\" for the broker's default_ttl");
    return true;
}

static bool read_max_bytes(struct request *r, struct topic_change *c, const cJSON *v)
{
    c->set |= TOPIC_SET_MAX_BYTES;
    return setting_json_size(v, &c->settings.max_bytes) ||
           wrong(r, "max_bytes", SETTING_JSON_SIZE);
}

static bool read_max_messages(struct request *r, struct topic_change *c, const cJSON *v)
{
    c->set |= TOPIC_SET_MAX_MESSAGES;
    return setting_json_count(v, &c->settings.max_messages) ||
           wrong(r, "max_messages", SETTING_JSON_COUNT);
}

static bool read_max_age(struct request *r, struct topic_change *c, const cJSON *v)
{
    c->set |= TOPIC_SET_MAX_AGE;
    return setting_json_duration(v, &c->settings.max_age_ms) ||
           wrong(r, "max_age", SETTING_JSON_DURATION ", or \"0s\" for no limit");
}

static bool read_overflow(struct request *r, struct topic_change *c, const cJSON *v)
{
    c->set |= TOPIC_SET_OVERFLOW;
    if (cJSON_IsNull(v) || (cJSON_IsString(v) && !strcmp(v->valuestring, "reject")))
        c->settings.overflow = STORE_OVERFLOW_REJECT;
    else if (cJSON_IsString(v) && !strcmp(v->valuestring, "drop_oldest"))
        c->settings.overflow = STORE_OVERFLOW_DROP_OLDEST;
    else if (cJSON_IsString(v) && !strcmp(v->valuestring, "hold"))
        c->settings.overflow = STORE_OVERFLOW_HOLD;
    else
        return wrong(r, "overflow", "\"reject\", \"drop_oldest\" or \"hold\"");
    return true;
}

static bool is_none(const cJSON *v)
{
    return cJSON_IsString(v) && !strcmp(v->valuestring, NO_RATE);
}

static bool read_rate_messages(struct request *r, struct topic_change *c, const cJSON *v)
{
    c->set |= TOPIC_SET_RATE_MESSAGES;
    c->settings.rate_messages = RATE_NONE;
    return is_none(v) || setting_json_count(v, &c->settings.rate_messages) ||
           wrong(r, "rate_messages",
                 "a whole number, per second, 0 for the broker's topic_rate_messages, or "
                 "\"none\"");
}

static bool read_rate_bytes(struct request *r, struct topic_change *c, const cJSON *v)
{
    c->set |= TOPIC_SET_RATE_BYTES;
    c->settings.rate_bytes = RATE_NONE;
    return is_none(v) || setting_json_size(v, &c->settings.rate_bytes) ||
           wrong(r, "rate_bytes",
                 "a size such as \"64KiB\" or a number of bytes, per second, 0 for the "
                 "broker's topic_rate_bytes, or \"none\"");
}

static bool read_weight(struct request *r, struct topic_change *c, const cJSON *v)
{
    uint64_t n = 0;

    c->set |= TOPIC_SET_WEIGHT;
    if (!cJSON_IsNull(v) && (!setting_json_count(v, &n) || n < 1 || n > WEIGHT_MAX))
        return wrong(r, "weight", "a whole number from 1 to 100");
    c->settings.weight = n > 1 ? (uint32_t)n : 0;
    return true;
}

static const struct {
    const char *name;
    bool (*read)(struct request *r, struct topic_change *c, const cJSON *v);
} settings[] = {
    { "ttl", read_ttl },
    { "max_bytes", read_max_bytes },
    { "max_messages", read_max_messages },
    { "max_age", read_max_age },
    { "overflow", read_overflow },
    { "rate_messages", read_rate_messages },
    { "rate_bytes", read_rate_bytes },
    { "weight", read_weight },
};

static bool read_setting(struct request *r, struct topic_change *c, const cJSON *v)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (!strcmp(v->string, settings[i].name))
            return settings[i].read(r, c, v);
    return wrong(r, v->string,
                 "one of ttl, max_bytes, max_messages, max_age, overflow, rate_messages, "
                 "rate_bytes, weight: there is no such setting");
}

bool topic_json_settings(struct request *r, struct topic_change *c)
{
    cJSON *root = topic_json_object(r);
    bool ok = root != NULL;

    for (const cJSON *v = root ? root->child : NULL; v && ok; v = v->next)
        ok = read_setting(r, c, v);
    cJSON_Delete(root);
    return ok;
}

static bool read_purge(struct topic_change *c, const cJSON *v, int64_t *time_ms)
{
    if (!strcmp(v->string, "before_offset"))
        return setting_json_whole(v, &c->before_offset);
    if (!strcmp(v->string, "before_time"))
        return cJSON_IsString(v) && text_parse_time(bytes_str(v->valuestring), time_ms);
    if (!strcmp(v->string, "all")) {
        c->before_offset = UINT64_MAX;
        return cJSON_IsTrue(v);
    }
    return false;
}

bool topic_json_purge(struct request *r, struct topic_change *c, int64_t *time_ms)
{
    cJSON *root = topic_json_object(r);
    bool ok;

    *time_ms = -1;
    if (!root)
        return false;
    ok = root->child && !root->child->next && read_purge(c, root->child, time_ms);
    cJSON_Delete(root);
    if (!ok)
        reply_problem(r, PROBLEM_BAD_REQUEST,
                      "The body must be one of {\"before_offset\":n}, "
                      "{\"before_time\":\"2026-01-02T03:04:05Z\"} and {\"all\":true}.");
    return ok;
}

static void write_number(struct out *o, const char *name, uint64_t v)
{
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":");
    out_u64(o, v);
}

static void write_rate(struct out *o, const char *name, uint64_t per_s)
{
    if (per_s != RATE_NONE) {
        write_number(o, name, per_s);
        return;
    }
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":\"" NO_RATE "\"");
}

static void write_settings(struct out *o, const struct topic_settings *s)
{
    char ttl[TEXT_NUMBER_ROOM] = NEVER, max_age[TEXT_NUMBER_ROOM];

    if (s->ttl_ms != UINT64_MAX)
        text_format_duration(ttl, s->ttl_ms);
    text_format_duration(max_age, s->max_age_ms);
    out_text(o, ",\"ttl\":");
    out_str(o, bytes_str(ttl));
    write_number(o, "max_bytes", s->max_bytes);
    out_text(o, ",\"overflow\":");
    out_str(o, bytes_str(overflows[s->overflow]));
    write_number(o, "max_messages", s->max_messages);
    out_text(o, ",\"max_age\":");
    out_str(o, bytes_str(max_age));
    write_rate(o, "rate_messages", s->rate_messages);
    write_rate(o, "rate_bytes", s->rate_bytes);
    write_number(o, "weight", s->weight ? s->weight : 1);
}

void topic_json_write(struct out *o, const struct topic_state *t, uint64_t earliest,
                      int64_t oldest_ms)
{
    out_text(o, "{\"topic\":");
    out_str(o, bytes_of(t->name, t->name_len));
    write_settings(o, &t->settings);
    write_number(o, "earliest", earliest);
    write_number(o, "next", t->next_offset);
    write_number(o, "messages", t->live);
    write_number(o, "bytes", t->live_bytes);
    out_text(o, ",\"oldest_time\":");
    if (oldest_ms)
        out_time(o, oldest_ms);
    else
        out_text(o, "null");
    write_number(o, "accepted", t->counters.accepted);
    write_number(o, "expired", t->counters.expired);
    write_number(o, "removed", t->counters.removed);
    out_text(o, ",\"created\":");
    out_time(o, t->created_ms);
    out_text(o, "}");
}
