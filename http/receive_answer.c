#include "receive_answer.h"

#include "encode.h"
#include "location.h"
#include "metrics.h"

#define ESCAPE_FACTOR 6 /* a byte is at most \u0000 */

size_t receive_answer_room(const struct record *m)
{
    size_t body = m->blob_id ? LOCATION_ROOM : encode_body_most(m->body);
    size_t names =
        out_str_len(m->id) + out_str_len(m->key) + out_str_len(m->content_type);

    return body + names + ESCAPE_FACTOR * m->attributes.len + RECEIVE_ANSWER_USUAL_BYTES;
}

static void put_message(struct request *r, struct out *o, const struct store_entry *m,
                        const struct lease *lease, int64_t until_ms)
{
    uint8_t secret[STORE_SECRET_LEN];
    char href[LOCATION_ROOM], token[LEASE_TEXT_LEN];
    bool whole = !m->record.blob_id;

    if (!whole)
        message_location(request_topic(r), m->offset, href);
    r->loop->fetch.ops->subs->secret(r->loop->broker->store, secret);
    lease_write(secret, lease, token);
    encode_message(o, m->offset, &m->record, whole, whole ? NULL : href, false);
    if (!o->full)
        out_rewind(o, o->len - 1); /* the closing brace */
    out_text(o, ",\"lease\":");
    out_str(o, bytes_of(token, sizeof token));
    out_text(o, ",\"lease_expires\":");
    out_time(o, until_ms);
    out_text(o, ",\"deliveries\":");
    out_u64(o, lease->deliveries);
    out_text(o, "}");
}

static void swap(struct lease *a, struct lease *b)
{
    struct lease was = *a;

    *a = *b;
    *b = was;
}

static enum err put_messages(struct request *r, struct out *o, struct receive *c,
                             unsigned *count, unsigned *gone)
{
    struct fetch *f = &r->loop->fetch;
    struct store_entry m;
    enum err e = ERR_OK;

    for (unsigned i = 0; i < c->count && !e; i++) {
        f->positioned = false;
        e = fetch_next(f, c->got[i].offset, &m);
        if (e == ERR_NOT_FOUND || (!e && m.offset != c->got[i].offset)) {
            swap(&c->got[(*gone)++], &c->got[i]);
            e = ERR_OK;
            continue;
        }
        if (e)
            break;
        if (*count)
            out_text(o, ",");
        put_message(r, o, &m, &c->got[i], c->until_ms);
        metric_add(METRIC_DELIVERED_MESSAGES, 1);
        metric_add(METRIC_DELIVERED_BYTES, (int64_t)m.record.body.len);
        ++*count;
    }
    return e;
}

enum err receive_answer_write(struct request *r, struct out *o, struct receive *c,
                              unsigned *count, unsigned *gone)
{
    enum err e = fetch_begin(&r->loop->fetch, request_topic(r));

    *gone = e == ERR_NOT_FOUND ? c->count : 0;
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    out_text(o, "{\"messages\":[");
    e = put_messages(r, o, c, count, gone);
    fetch_end(&r->loop->fetch);
    out_text(o, "]}\n");
    if (!e && o->full)
        e = o->no_memory ? ERR_NO_MEMORY : ERR_CORRUPT;
    return e;
}
