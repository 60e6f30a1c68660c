#include "push/setting.h"

#include "push/url.h"

static bool refuse(struct request *r)
{
    reply_problem(r, PROBLEM_BAD_SETTING,
                  "\"push\" must be {\"url\":\"https://...\"}, or null.");
    return false;
}

bool push_setting_read(struct request *r, const cJSON *push, struct sub_settings *to)
{
    const cJSON *v = push ? push->child : NULL;
    const char *wrong;

    if (!push || cJSON_IsNull(push))
        return sub_extra_set(to, SUB_PUSH_URL, bytes_of("", 0));
    if (!cJSON_IsObject(push) || !v || v->next || strcmp(v->string, "url") != 0 ||
        !cJSON_IsString(v))
        return refuse(r);
    wrong = push_url_wrong(bytes_str(v->valuestring), r->loop->broker->config->push_private);
    if (!wrong && sub_extra_set(to, SUB_PUSH_URL, bytes_str(v->valuestring)))
        return true;
    reply_problem(r, PROBLEM_BAD_SETTING, "\"push\".\"url\" %s.", wrong ? wrong : "is too long");
    return false;
}

void push_setting_write(struct out *o, const struct sub_settings *s, const struct push_view *v)
{
    struct bytes url = sub_extra(s, SUB_PUSH_URL);

    if (!url.len) {
        out_text(o, "null");
        return;
    }
    out_text(o, "{\"url\":");
    out_str(o, url);
    out_text(o, ",\"last_error\":");
    if (*v->error)
        out_str(o, bytes_str(v->error));
    else
        out_text(o, "null");
    out_text(o, ",\"failing_since\":");
    if (v->failing_since_ms)
        out_time(o, v->failing_since_ms);
    else
        out_text(o, "null");
    out_text(o, "}");
}
