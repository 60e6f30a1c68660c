#include "setting_json.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>

#define EXACT_MOST 9007199254740992.0 /* 2^53 */

bool setting_json_whole(const cJSON *v, uint64_t *out)
{
    if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > EXACT_MOST ||
        floor(v->valuedouble) != v->valuedouble)
        return false;
    *out = (uint64_t)v->valuedouble;
    return true;
}

bool setting_json_count(const cJSON *v, uint64_t *out)
{
    if (!cJSON_IsNull(v))
        return setting_json_whole(v, out);
    *out = 0;
    return true;
}

bool setting_json_size(const cJSON *v, uint64_t *bytes)
{
    return cJSON_IsString(v) ? text_parse_size(bytes_str(v->valuestring), bytes)
                             : setting_json_count(v, bytes);
}

bool setting_json_duration(const cJSON *v, uint64_t *ms)
{
    uint64_t seconds;

    if (cJSON_IsString(v))
        return text_parse_duration(bytes_str(v->valuestring), ms);
    if (!setting_json_count(v, &seconds) || seconds > UINT64_MAX / 1000)
        return false;
    *ms = seconds * 1000;
    return true;
}

bool setting_json_ttl(const cJSON *v, uint64_t *ms)
{
    if (!setting_json_is(v, SETTING_JSON_NEVER))
        return setting_json_duration(v, ms);
    *ms = UINT64_MAX;
    return true;
}

void setting_json_write_ttl(struct out *o, uint64_t ms)
{
    char ttl[TEXT_NUMBER_ROOM] = SETTING_JSON_NEVER;

    if (ms != UINT64_MAX)
        text_format_duration(ttl, ms);
    out_text(o, ",\"ttl\":");
    out_str(o, bytes_str(ttl));
}

bool setting_json_is(const cJSON *v, const char *text)
{
    return cJSON_IsString(v) && !strcmp(v->valuestring, text);
}

/* ---- a whole object ---- */

static void unknown(struct request *r, const char *name, const struct setting_json *table,
                    size_t count)
{
    char names[256];
    size_t len = 0;

    for (size_t i = 0; i < count && len < sizeof names; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i ? ", " : "",
                                table[i].name);
    reply_problem(r, PROBLEM_BAD_SETTING,
                  "\"%.60s\" must be one of %s: there is no such setting.", name, names);
}

static bool read_one(struct request *r, const cJSON *v, const struct setting_json *table,
                     size_t count, void *settings, unsigned *set)
{
    const struct setting_json *s = table, *end = table + count;

    while (s < end && strcmp(v->string, s->name))
        s++;
    if (s == end) {
        unknown(r, v->string, table, count);
        return false;
    }
    *set |= s->bit;
    if (s->number ? s->number(v, (uint64_t *)(void *)((char *)settings + s->at))
                  : s->other(v, settings))
        return true;
    reply_problem(r, PROBLEM_BAD_SETTING, "\"%.60s\" must be %s.", s->name, s->expected);
    return false;
}

bool setting_json_read(struct request *r, const cJSON *object,
                       const struct setting_json *table, size_t count, void *settings,
                       unsigned *set)
{
    for (const cJSON *v = object->child; v; v = v->next)
        if (!read_one(r, v, table, count, settings, set))
            return false;
    return true;
}
