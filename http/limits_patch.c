#include "limits_patch.h"

#include "base/text.h"
#include "ops.h"
#include "topic_json.h"
#include "tune.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#define NUMBER_MOST 9007199254740992.0 /* JSON numbers are exact up to it */

struct patch {
    struct tune_change changes[CONFIG_SETTINGS];
    char numbers[CONFIG_SETTINGS][TEXT_NUMBER_ROOM]; /* values given as JSON numbers */
    size_t count;
};

static bool wrong(struct request *r, const char *name, const char *why)
{
    reply_problem(r, PROBLEM_BAD_SETTING, "\"%.60s\" %s. Nothing was changed.", name, why);
    return false;
}

static bool is_there(const struct patch *p, const struct config_setting *s)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->changes[i].setting == s)
            return true;
    return false;
}

/* A string is what the file would say; a number is that without a unit. */
static bool read_value(struct patch *p, const cJSON *v, const char **value)
{
    char *number = p->numbers[p->count];

    if (cJSON_IsString(v))
        *value = v->valuestring;
    else if (cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= NUMBER_MOST &&
             v->valuedouble == (double)(uint64_t)v->valuedouble)
        *value = number;
    else
        return cJSON_IsNull(v);
    if (*value == number)
        snprintf(number, TEXT_NUMBER_ROOM, "%llu", (unsigned long long)v->valuedouble);
    return true;
}

static bool read_member(struct request *r, struct patch *p, const cJSON *v)
{
    const struct config_setting *s = config_find(v->string);
    const char *value = NULL;

    if (!s)
        return wrong(r, v->string, "is no setting; GET /v1/limits shows them all");
    if (!s->live)
        return wrong(r, v->string, "cannot change while the broker runs; those that can "
                                   "are marked live in GET /v1/limits");
    if (is_there(p, s))
        return wrong(r, v->string, "is there twice");
    if (!read_value(p, v, &value))
        return wrong(r, v->string, "must be a string, a whole number, or null for what "
                                   "flags, environment and file say");
    p->changes[p->count++] = (struct tune_change){ s, value };
    return true;
}

static void bad_value(struct request *r, const struct tune_change *c)
{
    char expected[256];

    config_expected(c->setting, expected, sizeof expected);
    reply_problem(r, PROBLEM_BAD_SETTING,
                  "\"%s\": \"%.60s\": expected %s. Nothing was changed.", c->setting->name,
                  c->value, expected);
}

void limits_patch_finish(struct request *r)
{
    struct patch p = { .count = 0 };
    cJSON *root = topic_json_object(r);
    bool ok = root != NULL;
    size_t bad = 0;

    for (const cJSON *v = root ? root->child : NULL; v && ok; v = v->next)
        ok = read_member(r, &p, v);
    if (ok && tune_patch(r->loop->broker->tune, p.changes, p.count, &bad))
        bad_value(r, &p.changes[bad]);
    cJSON_Delete(root);
    if (!r->reply.response)
        ops_limits(r);
}
