/*
 *   HEAD --blank line--> PLAIN (to the connection's end)
 *     |
 *     '--chunked--> SIZE --> CHUNK --> GAP (its CRLF) --> SIZE ... --0--> OVER
 */
#include "scan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD, PLAIN, SIZE, CHUNK, GAP, OVER, BROKEN };

static void keep(struct scan *s, const char *data, size_t len)
{
    size_t room = sizeof s->line - 1 - s->line_len;

    len = len < room ? len : room;
    memcpy(s->line + s->line_len, data, len);
    s->line_len = (uint8_t)(s->line_len + len);
}

/* Its text without the line's end; valid until the next is kept. */
static const char *line_over(struct scan *s)
{
    if (s->line_len && s->line[s->line_len - 1] == '\r')
        s->line_len--;
    s->line[s->line_len] = 0;
    s->line_len = 0;
    return s->line;
}

/* Takes up to a line's end. Returns how much was taken; *whole: the line is over. */
static size_t take_line(struct scan *s, const char *data, size_t len, bool *whole)
{
    const char *end = memchr(data, '\n', len);
    size_t n = end ? (size_t)(end - data) : len;

    keep(s, data, n);
    *whole = end;
    return end ? n + 1 : n;
}

/* ---- events ---- */

static void copy(char *to, size_t room, const char *text)
{
    size_t n = strnlen(text, room - 1);

    memcpy(to, text, n);
    to[n] = 0;
}

static void read_data(struct scan *s, const char *text)
{
    char *end;

    s->has_data = true;
    s->event.numbered = false;
    s->event.seq = strtoull(text, &end, 10);
    if (end == text || *end != '-')
        return;
    s->event.time_us = strtoll(end + 1, &end, 10);
    if (*end != '-')
        return;
    s->event.before_us = strtoll(end + 1, &end, 10);
    s->event.numbered = *end == '-';
}

static const char *value_of(const char *line, const char *field)
{
    size_t n = strlen(field);

    if (strncmp(line, field, n) || line[n] != ':')
        return NULL;
    return line + n + 1 + (line[n + 1] == ' ');
}

static void read_line(struct scan *s, const char *line, const struct scan_sink *to)
{
    const char *value;

    if (!*line) {
        s->event.type = s->type;
        memcpy(s->id, s->next_id, sizeof s->id);
        if (s->has_data)
            to->event(to->arg, &s->event);
        s->has_data = false;
        s->type[0] = 0;
    } else if ((value = value_of(line, "data"))) {
        if (!s->has_data)
            read_data(s, value);
    } else if ((value = value_of(line, "id"))) {
        copy(s->next_id, sizeof s->next_id, value);
    } else if ((value = value_of(line, "event"))) {
        copy(s->type, sizeof s->type, value);
    }
}

static void read_text(struct scan *s, const char *data, size_t len, const struct scan_sink *to)
{
    bool whole;

    while (len) {
        size_t n = take_line(s, data, len, &whole);

        if (whole)
            read_line(s, line_over(s), to);
        data += n;
        len -= n;
    }
}

/* ---- the answer ---- */

static void read_head(struct scan *s, const char *line, const struct scan_sink *to)
{
    if (!s->status) {
        const char *space = strchr(line, ' ');

        s->status = space && strncmp(line, "HTTP/1.", 7) == 0 ? atoi(space) : 0;
        if (s->status < 100)
            s->state = BROKEN;
    } else if (!*line) {
        s->state = s->chunked ? SIZE : PLAIN;
        s->opened = true;
        to->opened(to->arg);
    } else if (strncasecmp(line, "Transfer-Encoding:", 18) == 0) {
        s->chunked = strstr(line, "chunked");
    }
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A chunk may begin in the middle of an event's line, so its size is not kept as a line. */
static size_t take_size(struct scan *s, const char *data, size_t len)
{
    const char *end = memchr(data, '\n', len);
    size_t n = end ? (size_t)(end - data) : len;

    for (size_t i = 0; i < n; i++) {
        int digit = digit_of(data[i]);

        if (digit >= 0)
            s->left = s->left * 16 + (uint64_t)digit;
        else if (data[i] != '\r')
            s->state = BROKEN;
    }
    if (!end)
        return n;
    if (s->state == SIZE)
        s->state = s->left ? CHUNK : OVER;
    return n + 1;
}

static size_t take_chunk(struct scan *s, const char *data, size_t len, const struct scan_sink *to)
{
    size_t n = s->left < len ? (size_t)s->left : len;

    if (s->state == CHUNK)
        read_text(s, data, n, to);
    s->left -= n;
    if (!s->left) {
        s->left = s->state == CHUNK ? 2 : 0;
        s->state = s->state == CHUNK ? GAP : SIZE;
    }
    return n;
}

static size_t take(struct scan *s, const char *data, size_t len, const struct scan_sink *to)
{
    bool whole;
    size_t n;

    switch (s->state) {
    case HEAD:
        n = take_line(s, data, len, &whole);
        if (whole)
            read_head(s, line_over(s), to);
        return n;
    case SIZE:
        return take_size(s, data, len);
    case CHUNK:
    case GAP:
        return take_chunk(s, data, len, to);
    default:
        read_text(s, data, len, to);
        return len;
    }
}

enum scan_step scan_feed(struct scan *s, const char *data, size_t len, const struct scan_sink *to)
{
    while (len && s->state != OVER && s->state != BROKEN) {
        size_t n = take(s, data, len, to);

        data += n;
        len -= n;
    }
    return s->state == OVER ? SCAN_ENDED : s->state == BROKEN ? SCAN_BAD : SCAN_MORE;
}

void scan_again(struct scan *s)
{
    struct scan again = { 0 };

    memcpy(again.id, s->id, sizeof s->id);
    memcpy(again.next_id, s->id, sizeof s->id);
    *s = again;
}
