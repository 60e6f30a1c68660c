/*
 *   HEAD --content-length--> BODY ----> DONE
 *     |  `--chunked--> SIZE <--> CHUNK    ^
 *     |                  `--0--> TRAILER -'
 *     `-- 1xx: forgotten, HEAD again
 */
#include "reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <strings.h>
#include <unistd.h>

enum { HEAD, BODY, SIZE, CHUNK, TRAILER, FINISHED, BROKEN };
enum { FILL_LEAST = 2048 };

void reply_next(struct reply *r)
{
    if (r->at && r->len > r->at)
        memmove(r->buf, r->buf + r->at, r->len - r->at);
    r->len -= r->at;
    if (r->buf)
        r->buf[r->len] = 0;
    r->at = r->body = r->body_len = 0;
    r->left = 0;
    r->status = 0;
    r->close = false;
    r->retry_after_s = -1;
    r->state = HEAD;
}

ssize_t reply_fill(struct reply *r, int fd)
{
    if (r->cap - r->len < FILL_LEAST) {
        r->cap = r->cap * 2 + 2 * FILL_LEAST;
        r->buf = realloc(r->buf, r->cap);
        if (!r->buf)
            abort();
    }
    ssize_t n = read(fd, r->buf + r->len, r->cap - r->len - 1);
    if (n > 0)
        r->len += (size_t)n;
    r->buf[r->len] = 0;
    return n;
}

static bool has_word(const char *value, const char *end, const char *word)
{
    size_t len = strlen(word);

    for (; value + len <= end; value++)
        if (strncasecmp(value, word, len) == 0)
            return true;
    return false;
}

static void read_field(struct reply *r, const char *line, const char *end, bool *chunked)
{
    if (strncasecmp(line, "content-length:", 15) == 0)
        r->left = strtoull(line + 15, NULL, 10);
    else if (strncasecmp(line, "transfer-encoding:", 18) == 0)
        *chunked = has_word(line + 18, end, "chunked");
    else if (strncasecmp(line, "connection:", 11) == 0)
        r->close = has_word(line + 11, end, "close");
    else if (strncasecmp(line, "retry-after: ", 13) == 0 && line[13] >= '0' && line[13] <= '9')
        r->retry_after_s = strtoll(line + 13, NULL, 10);
}

static void read_head(struct reply *r, char *end)
{
    bool chunked = false;
    char *line = r->buf + r->at;

    r->left = 0;
    if (strncmp(line, "HTTP/1.1 ", 9) != 0 || (r->status = atoi(line + 9)) < 100) {
        r->state = BROKEN;
        return;
    }
    while ((line = strstr(line, "\r\n")) && line < end) {
        line += 2;
        read_field(r, line, strstr(line, "\r\n"), &chunked);
    }
    r->at = (size_t)(end - r->buf) + 4;
    r->body = r->at;
    if (r->status < 200)
        r->state = HEAD;
    else if (r->status == 204 || r->status == 304)
        r->state = FINISHED;
    else
        r->state = chunked ? SIZE : BODY;
}

static bool step_head(struct reply *r)
{
    char *end = r->len > r->at ? strstr(r->buf + r->at, "\r\n\r\n") : NULL;

    if (end)
        read_head(r, end);
    return end;
}

/* Moves what has come of a body or chunk next to what is there of the body. */
static bool take(struct reply *r, int then)
{
    size_t here = r->len - r->at;
    size_t n = here < r->left ? here : (size_t)r->left;
    size_t to = r->body + r->body_len;

    if (to != r->at && n)
        memmove(r->buf + to, r->buf + r->at, n);
    r->body_len += n;
    r->at += n;
    r->left -= n;
    if (r->left)
        return false;
    r->state = then;
    return true;
}

static bool step_size(struct reply *r)
{
    char *line = r->buf + r->at;
    char *end, *eol;

    if (r->at + 2 <= r->len && memcmp(line, "\r\n", 2) == 0 && r->body_len)
        line += 2; /* what closes the chunk before */
    eol = r->at < r->len ? strstr(line, "\r\n") : NULL;
    if (!eol)
        return false;
    r->left = strtoull(line, &end, 16);
    if (end == line) {
        r->state = BROKEN;
        return true;
    }
    r->at = (size_t)(eol - r->buf) + 2;
    r->state = r->left ? CHUNK : TRAILER;
    return true;
}

static bool step_trailer(struct reply *r)
{
    char *eol = r->at < r->len ? strstr(r->buf + r->at, "\r\n") : NULL;

    if (!eol)
        return false;
    if (eol == r->buf + r->at)
        r->state = FINISHED;
    r->at = (size_t)(eol - r->buf) + 2;
    return true;
}

static bool step(struct reply *r)
{
    switch (r->state) {
    case HEAD:
        return step_head(r);
    case BODY:
        return take(r, FINISHED);
    case SIZE:
        return step_size(r);
    case CHUNK:
        return take(r, SIZE);
    case TRAILER:
        return step_trailer(r);
    default:
        return false;
    }
}

enum reply_step reply_parse(struct reply *r)
{
    if (!r->buf)
        return REPLY_MORE;
    while (step(r))
        ;
    if (r->state == BROKEN)
        return REPLY_BAD;
    return r->state == FINISHED ? REPLY_DONE : REPLY_MORE;
}

static const char *find_value(const struct reply *r, const char *name)
{
    char want[64];
    const char *p, *from = r->buf + r->body;

    snprintf(want, sizeof want, "\"%s\":", name);
    p = memmem(from, r->body_len, want, strlen(want));
    return p ? p + strlen(want) : NULL;
}

int64_t reply_number(const struct reply *r, const char *name)
{
    const char *value = find_value(r, name);

    return value ? strtoll(value, NULL, 10) : -1;
}

int64_t reply_time_ms(const struct reply *r, const char *name)
{
    const char *value = find_value(r, name);
    struct tm t = { 0 };
    int ms;

    if (!value || sscanf(value, "\"%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
                         &t.tm_min, &t.tm_sec, &ms) != 7)
        return -1;
    t.tm_year -= 1900;
    t.tm_mon--;
    return (int64_t)timegm(&t) * 1000 + ms;
}

bool reply_idle(const struct reply *r)
{
    return r->len == r->at || r->len == 0;
}

void reply_free(struct reply *r)
{
    free(r->buf);
    *r = (struct reply){ 0 };
}
