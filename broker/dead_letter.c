#include "dead_letter.h"

#include "config.h"
#include "publish.h"
#include "quota.h"
#include "subscription.h"

#include <stdlib.h>

#define OUR_ATTRIBUTES_MAX 1024u /* two names of 255 bytes and four short ones */
#define ATTRIBUTES_MOST    PUBLISH_SHARED_MAX

static const char *const reasons[] = { [DEAD_TRIED] = "max_deliveries",
                                       [DEAD_REJECTED] = "rejected" };

struct copy { /* of a record: what the store's views say is void once something is appended */
    uint8_t *bytes;
    size_t len;
};

static size_t number(char out[24], uint64_t v)
{
    size_t n = 0;
    char digits[24];

    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

static struct bytes add(struct copy *c, struct bytes b)
{
    uint8_t *to = c->bytes + c->len;

    if (b.len)
        memcpy(to, b.data, b.len);
    c->len += b.len;
    return bytes_of(to, b.len);
}

static void put(struct copy *c, const char *name, struct bytes value)
{
    c->len += attribute_put(c->bytes + c->len, bytes_str(name), value);
}

static void put_number(struct copy *c, const char *name, uint64_t v)
{
    char text[24];

    put(c, name, bytes_of(text, number(text, v)));
}

/* Its own, as long as there is room for ours, then ours. */
static struct bytes attributes(struct copy *c, const struct sub_state *sub,
                               const struct store_entry *m, const struct delivery *d,
                               enum dead_reason why)
{
    uint8_t *start = c->bytes + c->len;

    if (m->record.attributes.len <= ATTRIBUTES_MOST - OUR_ATTRIBUTES_MAX)
        add(c, m->record.attributes);
    put(c, DEAD_LETTER_TOPIC, subscription_topic(sub));
    put_number(c, DEAD_LETTER_OFFSET, m->offset);
    put(c, DEAD_LETTER_SUB, bytes_of(sub->name, sub->name_len));
    put(c, DEAD_LETTER_PREFIX "reason", bytes_str(reasons[why]));
    put_number(c, DEAD_LETTER_PREFIX "deliveries", d->deliveries);
    if (m->record.blob_id)
        put_number(c, DEAD_LETTER_SIZE, m->record.blob_size);
    return bytes_of(start, (size_t)(c->bytes + c->len - start));
}

static enum err find_topic(struct turn *t, struct bytes name, struct store_topic **topic)
{
    static const struct topic_settings defaults;
    const struct quota_need nothing = { 0 };
    struct quota_refusal why;
    enum err e = t->ops->topic_find(t->store, name, topic);

    if (e != ERR_NOT_FOUND)
        return e ? turn_spoil(t, e) : e;
    if (t->config && !t->config->auto_create)
        return ERR_FULL;
    e = quota_new_topic(t, name, &nothing, &why);
    if (e)
        return e;
    e = t->ops->topic_create(t->store, name, &defaults, t->now_ms, topic);
    return e ? turn_spoil(t, e) : e;
}

/* ERR_BUSY: the topic drops its oldest step by step; the next try goes on. */
static enum err find_place(struct turn *t, const struct sub_state *sub, uint64_t bytes,
                           struct store_topic **topic)
{
    struct quota_need need = { .bytes = bytes, .messages = 1 };
    struct quota_refusal why;
    enum err e = t->ops->room(t->store, bytes + OUR_ATTRIBUTES_MAX + 1024);

    if (!e)
        e = find_topic(t, subscription_dead_letter(sub), topic);
    if (!e)
        e = quota_admit(t, *topic, &need, &why);
    return e == ERR_BUSY ? ERR_FULL : e;
}

enum err dead_letter_store(struct turn *t, struct store_topic *topic, struct record *r)
{
    uint64_t standard = t->config ? t->config->default_ttl_ms : 0, offset;
    uint64_t ttl_ms = publish_ttl(quota_ttl(t, topic), standard, false, 0);
    enum err e;

    r->time_ms = t->now_ms;
    r->expires_ms =
        ttl_ms > (uint64_t)(INT64_MAX - t->now_ms) ? 0 : t->now_ms + (int64_t)ttl_ms;
    e = t->ops->append(t->store, topic, r, &offset);
    if (e)
        return turn_spoil(t, e);
    if (r->expires_ms)
        turn_due(t, r->expires_ms);
    t->messages++;
    t->bytes += r->body.len;
    t->copied_bytes += r->body.len + r->attributes.len;
    return ERR_OK;
}

bool dead_letter_turn_is_full(const struct turn *t, uint64_t bytes)
{
    uint64_t most = DEAD_LETTER_TURN_BYTES;

    if (t->config && t->config->max_batch_bytes / 2 < most)
        most = t->config->max_batch_bytes / 2;
    return t->copied_bytes && t->copied_bytes + bytes > most;
}

enum err dead_letter_append(struct turn *t, const struct sub_state *sub,
                            const struct store_entry *m, const struct delivery *d,
                            enum dead_reason why)
{
    const struct record *from = &m->record;
    size_t room = from->body.len + from->id.len + from->key.len + from->content_type.len +
                  from->attributes.len + OUR_ATTRIBUTES_MAX;
    struct copy c = { NULL, 0 };
    struct store_topic *topic;
    struct record r = { 0 };
    enum err e;

    if (dead_letter_turn_is_full(t, room))
        return ERR_BUSY;
    c.bytes = malloc(room);
    if (!c.bytes)
        return ERR_FULL;
    if (!from->blob_id)
        r.body = add(&c, from->body);
    r.id = add(&c, from->id);
    r.key = add(&c, from->key);
    r.content_type = add(&c, from->content_type);
    r.attributes = attributes(&c, sub, m, d, why);
    e = find_place(t, sub, r.body.len + r.attributes.len, &topic);
    if (!e)
        e = dead_letter_store(t, topic, &r);
    if (!e)
        turn_wake(t, subscription_dead_letter(sub));
    free(c.bytes);
    return e;
}
