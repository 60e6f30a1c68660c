#include "pulsar.h"

#include <stdlib.h>
#include <string.h>

static const char before_all[] = "{\"messages\":[", before_one[] = "{\"payload\":\"", after_one[] = "\"}",
                  after_all[] = "]}";

#define LEN(text) (sizeof(text) - 1)

static char *put(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

size_t pulsar_body_len(uint64_t count, uint64_t size)
{
    return LEN(before_all) + count * (LEN(before_one) + size + LEN(after_one)) + (count - 1) + LEN(after_all);
}

void pulsar_put_body(char *to, const struct payload *first, uint64_t count)
{
    struct payload p = *first;

    to = put(to, before_all, LEN(before_all));
    for (uint64_t i = 0; i < count; i++, p.seq++) {
        if (i)
            *to++ = ',';
        to = put(to, before_one, LEN(before_one));
        payload_head(to, &p);
        to = put(to + PAYLOAD_HEAD, payload_letters(&p), p.size - PAYLOAD_HEAD);
        to = put(to, after_one, LEN(after_one));
    }
    put(to, after_all, LEN(after_all));
}

int64_t pulsar_first_offset(const struct reply *r, uint64_t count)
{
    static const char id[] = "\"messageId\":\"0:", stored[] = "\"errorCode\":0,";
    const char *at = r->buf + r->body, *end = at + r->body_len;
    const char *first = memmem(at, r->body_len, id, LEN(id));
    uint64_t seen = 0;

    while ((at = memmem(at, (size_t)(end - at), stored, LEN(stored)))) {
        at += LEN(stored);
        seen++;
    }
    return first && seen == count ? strtoll(first + LEN(id), NULL, 10) : -1;
}

bool pulsar_says_why(const struct reply *r)
{
    static const char begin[] = "{\"reason\":\"";
    const char *body = r->buf + r->body;

    return r->body_len > LEN(begin) + LEN("\"}") && !memcmp(body, begin, LEN(begin)) &&
           !memcmp(body + r->body_len - 2, "\"}", 2);
}
