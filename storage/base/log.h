/*
 * log - one event a line on stderr: logfmt or JSON.
 *
 *   LOG_INFO("broker", "listening", LOG_S("address", addr), LOG_I("port", port));
 *   ts=2026-01-01T00:00:00.000Z level=info module=broker event=listening address=... port=...
 *
 * Never a message body, never a token. A line is written with one write(2), so lines of
 * several threads do not mix. Fields past the line's 2 KiB are cut.
 *
 * Threads:  any; log_setup once, before the first thread.
 */
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_field {
    const char *key;
    const char *text; /* NULL: number is the value */
    int64_t number;
};

#define LOG_S(k, v) ((struct log_field){ (k), (v), 0 })
#define LOG_I(k, v) ((struct log_field){ (k), 0, (int64_t)(v) })

void log_setup(enum log_level least, bool json);

/* `fields` ends with an entry whose key is NULL. */
void log_event(enum log_level level, const char *module, const char *event,
               const struct log_field *fields);

#define LOG_AT(level, module, event, ...)                                              \
    log_event((level), (module), (event),                                              \
              (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
#define LOG_DEBUG(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define LOG_INFO(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_WARN(...) LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_ERROR(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
