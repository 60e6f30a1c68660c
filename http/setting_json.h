/*
 * setting_json - settings in JSON bodies: an object against a table of what may be set. null
 * stands for 0 everywhere.
 *
 * Threads: any; pure, but for setting_json_read: the request's loop.
 */
#ifndef SLUICE_SETTING_JSON_H
#define SLUICE_SETTING_JSON_H

#include "request.h"

#include <cjson/cJSON.h>
#include <stddef.h>

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

#define SETTING_JSON_NEVER "never"
#define SETTING_JSON_TTL                                                               \
    SETTING_JSON_DURATION ", \"never\", or \"0s\" for the broker's default_ttl"
/* UINT64_MAX: never. */
bool setting_json_ttl(const cJSON *v, uint64_t *ms);
void setting_json_write_ttl(struct out *o, uint64_t ms);

/* The value is this text; null is the default's. */
bool setting_json_is(const cJSON *v, const char *text);

struct setting_json {
    const char *name;
    unsigned bit; /* in *set when it was there */
    size_t at;    /* offsetof its field */
    /* False: that is no value of it. One of them is set: `number` for a field of 64 bits. */
    bool (*number)(const cJSON *v, uint64_t *field);
    bool (*other)(const cJSON *v, void *settings);
    const char *expected; /* for people: "must be ..." */
};

/* The members of `object` into the fields of *settings, and their bits into *set. False: one
 * is unknown or wrong, and a problem says so. */
bool setting_json_read(struct request *r, const cJSON *object,
                       const struct setting_json *table, size_t count, void *settings,
                       unsigned *set);

#endif
