#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "opt.h"
#include "pulsar.h"

bool request_mix(struct request_shape *s, const char *text)
{
    char copy[200], *save = NULL;
    unsigned sum = 0;

    snprintf(copy, sizeof copy, "%s", text);
    s->mixes = 0;
    for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        char *sign = strchr(part, '%');
        unsigned long long size;
        if (s->mixes == REQUEST_MIX || !opt_size(sign ? sign + 1 : part, &size))
            return false;
        sum += sign ? (unsigned)atoi(part) : 100;
        s->mix[s->mixes].percent_to = sum;
        s->mix[s->mixes++].size = size;
        payload_prepare(size);
    }
    return sum == 100;
}

void request_topic(char *to, size_t cap, const char *pattern, unsigned number)
{
    const char *d = strstr(pattern, "%d");

    if (d)
        snprintf(to, cap, "%.*s%u%s", (int)(d - pattern), pattern, number, d + 2);
    else
        snprintf(to, cap, "%s", pattern);
}

/* Spread evenly and the same in every run: the low-discrepancy walk of the golden ratio. */
static uint64_t size_of(const struct request_shape *s, uint64_t conn, uint64_t number)
{
    uint64_t point = (conn * 7919 + number) * UINT64_C(11400714819323198485);
    unsigned percent = (unsigned)((point >> 32) * 100 >> 32);
    unsigned i = 0;

    while (i + 1 < s->mixes && percent >= s->mix[i].percent_to)
        i++;
    return s->mix[i].size;
}

static void room(struct request *r, size_t need)
{
    if (r->front_cap >= need)
        return;
    r->front_cap = need;
    r->front = realloc(r->front, need);
    if (!r->front)
        abort();
}

static size_t put_line(char *to, const struct payload *p)
{
    static const char open[] = "{\"data\":\"", shut[] = "\"}\n";
    size_t letters = p->size - PAYLOAD_HEAD;
    char *at = to;

    memcpy(at, open, sizeof open - 1);
    at += sizeof open - 1;
    payload_head(at, p);
    memcpy(at + PAYLOAD_HEAD, payload_letters(p), letters);
    at += PAYLOAD_HEAD + letters;
    memcpy(at, shut, sizeof shut - 1);
    return (size_t)(at - to) + sizeof shut - 1;
}

static size_t put_lines(char *to, const struct request *r)
{
    struct payload p = r->first;
    size_t len = 0;

    for (uint64_t i = 0; i < r->count; i++, p.seq++)
        len += put_line(to + len, &p);
    return len;
}

static const char *content_type(const struct request_shape *s)
{
    if (s->pulsar)
        return "Content-Type: application/json\r\n";
    return s->batch ? "Content-Type: application/x-ndjson\r\n" : "";
}

static size_t put_start(char *to, size_t cap, const struct request_shape *s, unsigned topic,
                        size_t body_len)
{
    char name[300], length[64];

    request_topic(name, sizeof name, s->topic, topic);
    if (s->chunked)
        strcpy(length, "Transfer-Encoding: chunked");
    else
        snprintf(length, sizeof length, "Content-Length: %zu", body_len);
    return (size_t)snprintf(to, cap, "POST %s%s%s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n\r\n",
                            s->pulsar ? PULSAR_PATH : "/v1/topics/", name,
                            s->pulsar ? "" : s->batch ? "/messages:batch" : "/messages", s->host,
                            s->headers, content_type(s), length);
}

/* The body in one piece in front of the tail: batches, and bodies too short for letters. */
static void build_whole(struct request *r, const struct request_shape *s, size_t body_len)
{
    char head[PAYLOAD_HEAD];

    if (s->chunked && body_len)
        r->front_len += (size_t)sprintf(r->front + r->front_len, "%zx\r\n", body_len);
    if (s->pulsar) {
        pulsar_put_body(r->front + r->front_len, &r->first, r->count);
    } else if (s->batch) {
        put_lines(r->front + r->front_len, r);
    } else {
        payload_head(head, &r->first);
        memcpy(r->front + r->front_len, head, body_len);
    }
    r->front_len += body_len;
    r->middle_len = 0;
}

/* Head in the front, letters shared; chunked as two chunks. */
static void build_parts(struct request *r, const struct request_shape *s)
{
    size_t letters = r->first.size - PAYLOAD_HEAD;
    char *at = r->front + r->front_len;

    if (s->chunked)
        at += sprintf(at, "%x\r\n", PAYLOAD_HEAD);
    payload_head(at, &r->first);
    at += PAYLOAD_HEAD;
    if (s->chunked && letters)
        at += sprintf(at, "\r\n%zx\r\n", letters);
    r->front_len = (size_t)(at - r->front);
    r->middle = payload_letters(&r->first);
    r->middle_len = letters;
}

static size_t body_of(const struct request_shape *s, uint64_t size)
{
    if (s->pulsar)
        return pulsar_body_len(s->batch, size);
    return s->batch ? s->batch * (size + 12) : size;
}

void request_build(struct request *r, const struct request_shape *s, uint64_t conn,
                   uint64_t number, uint64_t seq)
{
    static const char end_of_chunks[] = "\r\n0\r\n\r\n";
    uint64_t size = size_of(s, conn, number);
    size_t body_len;

    r->count = s->batch ? s->batch : 1;
    if (s->batch && size < PAYLOAD_HEAD)
        size = PAYLOAD_HEAD;
    r->first = (struct payload){ s->run, conn, seq, size };
    r->topic = (unsigned)((conn + (s->own_topic ? 0 : number)) % s->topics);
    body_len = body_of(s, size);
    room(r, 1024 + strlen(s->headers) + strlen(s->topic) +
                (s->batch ? body_len : (size_t)PAYLOAD_HEAD));
    r->front_len = put_start(r->front, r->front_cap, s, r->topic, body_len);
    if (s->batch || size < PAYLOAD_HEAD)
        build_whole(r, s, body_len);
    else
        build_parts(r, s);
    r->tail = end_of_chunks + (body_len ? 0 : 2);
    r->tail_len = s->chunked ? strlen(r->tail) : 0;
    r->sent = 0;
}

/* What is left of one part after `skip` bytes of the whole; takes its length off *skip. */
static struct iovec rest_of(const char *part, size_t len, size_t *skip)
{
    size_t cut = *skip < len ? *skip : len;

    *skip -= cut;
    return (struct iovec){ (char *)part + cut, len - cut };
}

void request_get(struct request *r, const char *host, const char *path)
{
    room(r, strlen(host) + strlen(path) + 64);
    r->front_len = (size_t)snprintf(r->front, r->front_cap, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    r->middle_len = r->tail_len = r->sent = 0;
}

enum request_sent request_send(struct request *r, int fd)
{
    size_t all = r->front_len + r->middle_len + r->tail_len;

    while (r->sent < all) {
        size_t skip = r->sent;
        struct iovec part[3];
        part[0] = rest_of(r->front, r->front_len, &skip);
        part[1] = rest_of(r->middle, r->middle_len, &skip);
        part[2] = rest_of(r->tail, r->tail_len, &skip);
        struct msghdr m = { .msg_iov = part, .msg_iovlen = 3 };
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? REQUEST_PARTLY : REQUEST_FAILED;
        r->sent += (size_t)n;
    }
    return REQUEST_SENT;
}
