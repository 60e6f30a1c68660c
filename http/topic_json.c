#include "topic_json.h"

#include "base/text.h"
#include "setting_json.h"
#include "span.h"

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

static bool read_overflow(const cJSON *v, void *settings)
{
    enum store_overflow *out = &((struct topic_settings *)settings)->overflow;

    for (size_t i = 0; i < sizeof overflows / sizeof *overflows; i++)
        if (setting_json_is(v, overflows[i])) {
            *out = (enum store_overflow)i;
            return true;
        }
    *out = STORE_OVERFLOW_REJECT;
    return cJSON_IsNull(v);
}

static bool read_rate_messages(const cJSON *v, uint64_t *per_s)
{
    *per_s = RATE_NONE;
    return setting_json_is(v, NO_RATE) || setting_json_count(v, per_s);
}

static bool read_rate_bytes(const cJSON *v, uint64_t *per_s)
{
    *per_s = RATE_NONE;
    return setting_json_is(v, NO_RATE) || setting_json_size(v, per_s);
}

static bool read_weight(const cJSON *v, void *settings)
{
    uint64_t n = 0;

    if (!cJSON_IsNull(v) && (!setting_json_count(v, &n) || n < 1 || n > WEIGHT_MAX))
        return false;
    ((struct topic_settings *)settings)->weight = n > 1 ? (uint32_t)n : 0;
    return true;
}

#define AT(field) offsetof(struct topic_settings, field)

static const struct setting_json settings[] = {
    { "ttl", TOPIC_SET_TTL, AT(ttl_ms), setting_json_ttl, NULL, SETTING_JSON_TTL },
    { "max_bytes", TOPIC_SET_MAX_BYTES, AT(max_bytes), setting_json_size, NULL,
      SETTING_JSON_SIZE },
    { "max_messages", TOPIC_SET_MAX_MESSAGES, AT(max_messages), setting_json_count, NULL,
      SETTING_JSON_COUNT },
    { "max_age", TOPIC_SET_MAX_AGE, AT(max_age_ms), setting_json_duration, NULL,
      SETTING_JSON_DURATION ", or \"0s\" for no limit" },
    { "overflow", TOPIC_SET_OVERFLOW, 0, NULL, read_overflow,
      "\"reject\", \"drop_oldest\" or \"hold\"" },
    { "rate_messages", TOPIC_SET_RATE_MESSAGES, AT(rate_messages), read_rate_messages, NULL,
      "a whole number, per second, 0 for the broker's topic_rate_messages, or \"none\"" },
    { "rate_bytes", TOPIC_SET_RATE_BYTES, AT(rate_bytes), read_rate_bytes, NULL,
      "a size such as \"64KiB\" or a number of bytes, per second, 0 for the broker's "
      "topic_rate_bytes, or \"none\"" },
    { "weight", TOPIC_SET_WEIGHT, 0, NULL, read_weight, "a whole number from 1 to 100" },
};

bool topic_json_settings(struct request *r, struct topic_change *c)
{
    cJSON *root = topic_json_object(r);
    bool ok = root && setting_json_read(r, root, settings, sizeof settings / sizeof *settings,
                                        &c->settings, &c->set);

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

static void write_rate(struct out *o, const char *name, uint64_t per_s)
{
    if (per_s != RATE_NONE) {
        out_member(o, name, per_s);
        return;
    }
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":\"" NO_RATE "\"");
}

static void write_settings(struct out *o, const struct topic_settings *s)
{
    char max_age[TEXT_NUMBER_ROOM];

    text_format_duration(max_age, s->max_age_ms);
    setting_json_write_ttl(o, s->ttl_ms);
    out_member(o, "max_bytes", s->max_bytes);
    out_text(o, ",\"overflow\":");
    out_str(o, bytes_str(overflows[s->overflow]));
    out_member(o, "max_messages", s->max_messages);
    out_text(o, ",\"max_age\":");
    out_str(o, bytes_str(max_age));
    write_rate(o, "rate_messages", s->rate_messages);
    write_rate(o, "rate_bytes", s->rate_bytes);
    out_member(o, "weight", s->weight ? s->weight : 1);
}

void topic_json_write(struct out *o, const struct topic_state *t, uint64_t earliest,
                      int64_t oldest_ms)
{
    out_text(o, "{\"topic\":");
    out_str(o, bytes_of(t->name, t->name_len));
    write_settings(o, &t->settings);
    out_member(o, "earliest", earliest);
    out_member(o, "next", t->next_offset);
    out_member(o, "messages", t->live);
    out_member(o, "bytes", t->live_bytes);
    out_text(o, ",\"oldest_time\":");
    if (oldest_ms)
        out_time(o, oldest_ms);
    else
        out_text(o, "null");
    out_member(o, "accepted", t->counters.accepted);
    out_member(o, "expired", t->counters.expired);
    out_member(o, "removed", t->counters.removed);
    out_text(o, ",\"created\":");
    out_time(o, t->created_ms);
    out_text(o, "}");
}
