#include "namespace_json.h"

#include "setting_json.h"
#include "topic_json.h"

/* To find the oldest message of a whole namespace would mean a look at each of its topics,
 * for every message that is dropped. So there is no "drop_oldest". */
static bool read_overflow(const cJSON *v, void *settings)
{
    bool hold = setting_json_is(v, "hold");

    ((struct namespace_settings *)settings)->overflow =
        hold ? STORE_OVERFLOW_HOLD : STORE_OVERFLOW_REJECT;
    return hold || cJSON_IsNull(v) || setting_json_is(v, "reject");
}

#define AT(field) offsetof(struct namespace_settings, field)

static const struct setting_json settings[] = {
    { "ttl", NAMESPACE_SET_TTL, AT(ttl_ms), setting_json_ttl, NULL, SETTING_JSON_TTL },
    { "max_bytes", NAMESPACE_SET_MAX_BYTES, AT(max_bytes), setting_json_size, NULL,
      SETTING_JSON_SIZE },
    { "max_messages", NAMESPACE_SET_MAX_MESSAGES, AT(max_messages), setting_json_count, NULL,
      SETTING_JSON_COUNT },
    { "max_topics", NAMESPACE_SET_MAX_TOPICS, AT(max_topics), setting_json_count, NULL,
      SETTING_JSON_COUNT },
    { "overflow", NAMESPACE_SET_OVERFLOW, 0, NULL, read_overflow,
      "\"reject\" or \"hold\"; messages are dropped by their own topics only, where the "
      "topic's overflow is \"drop_oldest\"" },
};

bool namespace_json_settings(struct request *r, struct namespace_change *c)
{
    cJSON *root = topic_json_object(r);
    bool ok = root && setting_json_read(r, root, settings, sizeof settings / sizeof *settings,
                                        &c->settings, &c->set);

    cJSON_Delete(root);
    return ok;
}

void namespace_json_write(struct out *o, const struct namespace_state *n)
{
    const struct namespace_settings *s = &n->settings;

    out_text(o, "{\"prefix\":");
    out_str(o, bytes_of(n->prefix, n->prefix_len));
    setting_json_write_ttl(o, s->ttl_ms);
    out_member(o, "max_bytes", s->max_bytes);
    out_member(o, "max_messages", s->max_messages);
    out_member(o, "max_topics", s->max_topics);
    out_text(o, ",\"overflow\":");
    out_str(o, bytes_str(s->overflow == STORE_OVERFLOW_HOLD ? "hold" : "reject"));
    out_member(o, "topics", n->topics);
    out_member(o, "messages", n->live);
    out_member(o, "bytes", n->live_bytes);
    out_text(o, ",\"created\":");
    out_time(o, n->created_ms);
    out_text(o, "}");
}
