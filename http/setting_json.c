#include "setting_json.h"

#include "base/text.h"

#include <math.h>

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
