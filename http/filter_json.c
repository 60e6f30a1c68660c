#include "filter_json.h"

#include "attribute.h"
#include "base/text.h"
#include "filter.h"

static bool refuse(struct request *r, const char *why)
{
    reply_problem(r, PROBLEM_BAD_SETTING, "\"filter\" %s.", why);
    return false;
}

static bool add(struct request *r, const cJSON *v, struct filter *f)
{
    struct bytes name = bytes_str(v->string), value;
    bool twice;

    if (!attribute_name_is_fine(name) || name.len > ATTRIBUTE_NAME_MAX)
        return refuse(r, "has a name that no attribute can have: it must be a header token, "
                         "and not key, offset, time or expires-at");
    if (!cJSON_IsString(v))
        return refuse(r, "must have texts for values, as attributes do");
    value = bytes_str(v->valuestring);
    if (!text_is_plain(value))
        return refuse(r, "has a value with control characters, which no attribute has");
    if (filter_add(f, name, value, &twice))
        return true;
    return refuse(r, twice ? "has the same attribute twice; names know no case"
                           : "may have at most 8 attributes");
}

bool filter_json_read(struct request *r, const cJSON *v, struct sub_settings *s)
{
    const cJSON *attributes = v && !cJSON_IsNull(v) ? v->child : NULL;
    struct filter f = { 0 };

    if (v && !cJSON_IsNull(v) &&
        (!cJSON_IsObject(v) || !attributes || attributes->next ||
         strcmp(attributes->string, "attributes") || !cJSON_IsObject(attributes)))
        return refuse(r, "must be null, or {\"attributes\":{...}} with names and values");
    for (const cJSON *a = attributes ? attributes->child : NULL; a; a = a->next)
        if (!add(r, a, &f))
            return false;
    return filter_write(&f, s) || refuse(r, "is too long: its names and values may have "
                                            "about 1,000 bytes");
}

void filter_json_write(struct out *o, const struct sub_settings *s)
{
    struct filter f;

    out_text(o, ",\"filter\":");
    if (!filter_read(s, &f) || !f.count) {
        out_text(o, "null");
        return;
    }
    for (unsigned i = 0; i < f.count; i++) {
        out_text(o, i ? "," : "{\"attributes\":{");
        out_str(o, f.names[i]);
        out_text(o, ":");
        out_str(o, f.values[i]);
    }
    out_text(o, "}}");
}
