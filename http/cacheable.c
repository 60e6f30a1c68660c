#include "cacheable.h"

#include "etag.h"

#include <stdio.h>

void cacheable_tag(struct cacheable *c, const struct topic_state *t, char form,
                   uint64_t first, uint64_t next, uint64_t count)
{
    /* When the topic was made: another store may count its topics alike. */
    snprintf(c->tag, sizeof c->tag, "\"%llx-%llx-%llu-%llu-%llu%c\"",
             (unsigned long long)t->id, (unsigned long long)t->created_ms,
             (unsigned long long)first, (unsigned long long)next,
             (unsigned long long)count, form);
}

void cacheable_see(struct cacheable *c, const struct record *m)
{
    if (m->expires_ms && m->expires_ms < c->expires_ms)
        c->expires_ms = m->expires_ms;
}

/* Rounded down: not fresh any more when the message is gone. */
static int fresh_s(const struct request *r, const struct cacheable *c)
{
    int64_t left = c->expires_ms - r->loop->fetch.now_ms;

    if (c->expires_ms == CACHEABLE_NEVER || left >= CACHEABLE_MOST_S * 1000)
        return CACHEABLE_MOST_S;
    return left > 0 ? (int)(left / 1000) : 0;
}

void cacheable_headers(struct request *r, const struct cacheable *c)
{
    char text[sizeof c->tag + 2];

    snprintf(text, sizeof text, "%s%s", c->weak ? "W/" : "", c->tag);
    reply_header(r, MHD_HTTP_HEADER_ETAG, text);
    snprintf(text, sizeof text, "max-age=%d", fresh_s(r, c));
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, text);
    /* Origin: only who names one is told that it may read this. */
    reply_header(r, MHD_HTTP_HEADER_VARY, c->by_accept ? "Accept, Origin" : "Origin");
}

bool cacheable_known(struct request *r, const struct cacheable *c)
{
    if (!etag_is_known(r, c->tag))
        return false;
    reply_empty(r, MHD_HTTP_NOT_MODIFIED);
    cacheable_headers(r, c);
    return true;
}

void cacheable_not(struct request *r)
{
    reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}
