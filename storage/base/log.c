#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static enum log_level least_level = LOG_LEVEL_INFO;
static bool as_json;
static const char *const level_names[] = { "debug", "info", "warn", "error" };

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

void log_setup(enum log_level least, bool json)
{
    least_level = least;
    as_json = json;
}

static void put(struct line *l, const char *text, size_t len)
{
    size_t room = sizeof l->text - 2 - l->len; /* "}\n" always fits */

    if (len > room)
        len = room;
    memcpy(l->text + l->len, text, len);
    l->len += len;
}

static void put_str(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* Escapes what would end the value or the line early. Both forms use JSON's escapes. */
static void put_quoted(struct line *l, const char *text)
{
    put(l, "\"", 1);
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        char hex[8];

        if (l->len > sizeof l->text - 16)
            break; /* never cut inside an escape, and leave room for the quote */
        if (c == '"' || c == '\\') {
            put(l, "\\", 1);
            put(l, p, 1);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(hex, sizeof hex, "\\u%04x", c);
            put(l, hex, 6);
        } else {
            put(l, p, 1);
        }
    }
    put(l, "\"", 1);
}

static bool is_bare(const char *text)
{
    if (!*text)
        return false;
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return false;
    }
    return true;
}

static void put_field(struct line *l, const struct log_field *f)
{
    char number[24];

    if (as_json) {
        put(l, ",", 1);
        put_quoted(l, f->key);
        put(l, ":", 1);
    } else {
        put(l, " ", 1);
        put_str(l, f->key);
        put(l, "=", 1);
    }
    if (!f->text) {
        snprintf(number, sizeof number, "%lld", (long long)f->number);
        put_str(l, number);
    } else if (!as_json && is_bare(f->text)) {
        put_str(l, f->text);
    } else {
        put_quoted(l, f->text);
    }
}

static void put_head(struct line *l)
{
    struct timespec ts;
    struct tm tm;
    char text[40];

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
             (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
             tm.tm_sec, (int)(ts.tv_nsec / 1000000));
    put_str(l, as_json ? "{\"ts\":\"" : "ts=");
    put_str(l, text);
    if (as_json)
        put(l, "\"", 1);
}

void log_event(enum log_level level, const char *module, const char *event,
               const struct log_field *fields)
{
    struct line l;

    if (level < least_level)
        return;
    l.len = 0;
    put_head(&l);
    put_field(&l, &LOG_S("level", level_names[level]));
    put_field(&l, &LOG_S("module", module));
    put_field(&l, &LOG_S("event", event));
    for (; fields->key; fields++)
        put_field(&l, fields);
    if (as_json)
        l.text[l.len++] = '}';
    l.text[l.len++] = '\n';
    if (write(STDERR_FILENO, l.text, l.len) < 0)
        return; /* nowhere left to say so */
}
