#include "namespace_json.h"

#include "base/text.h"
#include "setting_json.h"
#include "topic_json.h"

#define NEVER "never"

static bool wrong(struct request *r, const char *name, const char *expected)
{
    reply_problem(r, PROBLEM_BAD_SETTING, "\"%.60s\" must be %s.", name, expected);
    return false;
}

static bool read_ttl(struct request *r, struct namespace_change *c, const cJSON *v)
{
    c->set |= NAMESPACE_SET_TTL;
    if (cJSON_IsString(v) && !strcmp(v->valuestring, NEVER))
        c->settings.ttl_ms = UINT64_MAX;
    else if (!setting_json_duration(v, &c->settings.ttl_ms))
        return wrong(r, "ttl",
                     SETTING_JSON_DURATION
                     ", \"never\", or \"0s\" for the broker's default_ttl");
    return true;
}

static bool read_max_bytes(struct request *r, struct namespace_change *c, const cJSON *v)
{
    c->set |= NAMESPACE_SET_MAX_BYTES;
    return setting_json_size(v, &c->settings.max_bytes) ||
           wrong(r, "max_bytes", SETTING_JSON_SIZE);
}

static bool read_max_messages(struct request *r, struct namespace_change *c, const cJSON *v)
{
    c->set |= NAMESPACE_SET_MAX_MESSAGES;
    return setting_json_count(v, &c->settings.max_messages) ||
           wrong(r, "max_messages", SETTING_JSON_COUNT);
}

static bool read_max_topics(struct request *r, struct namespace_change *c, const cJSON *v)
{
    c->set |= NAMESPACE_SET_MAX_TOPICS;
    return setting_json_count(v, &c->settings.max_topics) ||
           wrong(r, "max_topics", SETTING_JSON_COUNT);
}

/* To find the oldest message of a whole namespace would mean a look at each of its topics,
 * for every message that is dropped. */
static bool read_overflow(struct request *r, struct namespace_change *c, const cJSON *v)
{
    c->set |= NAMESPACE_SET_OVERFLOW;
    if (cJSON_IsNull(v) || (cJSON_IsString(v) && !strcmp(v->valuestring, "reject")))
        c->settings.overflow = STORE_OVERFLOW_REJECT;
    else if (cJSON_IsString(v) && !strcmp(v->valuestring, "hold"))
        c->settings.overflow = STORE_OVERFLOW_HOLD;
    else
        return wrong(r, "overflow",
                     "\"reject\" or \"hold\"; messages are dropped by their own topics only, "
                     "where the topic's overflow is \"drop_oldest\"");
    return true;
}

static const struct {
    const char *name;
    bool (*read)(struct request *r, struct namespace_change *c, const cJSON *v);
} settings[] = {
    { "ttl", read_ttl },
    { "max_bytes", read_max_bytes },
    { "max_messages", read_max_messages },
    { "max_topics", read_max_topics },
    { "overflow", read_overflow },
};

static bool read_setting(struct request *r, struct namespace_change *c, const cJSON *v)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (!strcmp(v->string, settings[i].name))
            return settings[i].read(r, c, v);
    return wrong(r, v->string,
                 "one of ttl, max_bytes, max_messages, max_topics, overflow: there is no "
                 "such setting");
}

bool namespace_json_settings(struct request *r, struct namespace_change *c)
{
    cJSON *root = topic_json_object(r);
    bool ok = root != NULL;

    for (const cJSON *v = root ? root->child : NULL; v && ok; v = v->next)
        ok = read_setting(r, c, v);
    cJSON_Delete(root);
    return ok;
}

static void write_number(struct out *o, const char *name, uint64_t v)
{
    out_text(o, ",\"");
    out_text(o, name);
    out_text(o, "\":");
    out_u64(o, v);
}

void namespace_json_write(struct out *o, const struct namespace_state *n)
{
    const struct namespace_settings *s = &n->settings;
    char ttl[TEXT_NUMBER_ROOM] = NEVER;

    if (s->ttl_ms != UINT64_MAX)
        text_format_duration(ttl, s->ttl_ms);
    out_text(o, "{\"prefix\":");
    out_str(o, bytes_of(n->prefix, n->prefix_len));
    out_text(o, ",\"ttl\":");
    out_str(o, bytes_str(ttl));
    write_number(o, "max_bytes", s->max_bytes);
    write_number(o, "max_messages", s->max_messages);
    write_number(o, "max_topics", s->max_topics);
    out_text(o, ",\"overflow\":");
    out_str(o, bytes_str(s->overflow == STORE_OVERFLOW_HOLD ? "hold" : "reject"));
    write_number(o, "topics", n->topics);
    write_number(o, "messages", n->live);
    write_number(o, "bytes", n->live_bytes);
    out_text(o, ",\"created\":");
    out_time(o, n->created_ms);
    out_text(o, "}");
}
