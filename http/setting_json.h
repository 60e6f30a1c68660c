/*
 * setting_json - values of settings in JSON bodies. null stands for 0 everywhere.
 *
 * Threads: any; pure.
 */
#ifndef SLUICE_SETTING_JSON_H
#define SLUICE_SETTING_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* A whole number of at most 2^53, the range in which JSON numbers are exact. */
bool setting_json_whole(const cJSON *v, uint64_t *out);

/* Each false where it is none; *out is then not touched. What they take, for people: */
#define SETTING_JSON_COUNT "a whole number, or 0 for no limit"
bool setting_json_count(const cJSON *v, uint64_t *out);

#define SETTING_JSON_SIZE                                                              \
    "a size such as \"64KiB\" or \"1GiB\", a number of bytes, or 0 for no limit"
bool setting_json_size(const cJSON *v, uint64_t *bytes);

#define SETTING_JSON_DURATION                                                          \
    "a duration such as \"30s\", \"5m\" or \"7d\", or a number of seconds"
bool setting_json_duration(const cJSON *v, uint64_t *ms);

#endif
