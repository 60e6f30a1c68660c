#include "push/head.h"

#include "attribute.h"
#include "base/text.h"
#include "event.h"
#include "subscription.h"

#define LINE_MAX 33000 /* a name, and 8 KiB of a value of which every byte escapes */
#define BESIDE   (1024u + STORE_TOPIC_NAME_MAX + STORE_SUB_NAME_MAX) /* always there */
#define COPIES   3u    /* one in the list, and libcurl's, which grows by doubling */
#define LINE_COST 48u  /* of the list and the allocator */

struct head {
    const struct push_library *lib;
    struct curl_slist *list;
    uint64_t omitted; /* attributes */
    bool failed;      /* no memory */
    size_t len;       /* of `line` */
    char line[LINE_MAX];
};

static void add_line(struct head *h)
{
    struct curl_slist *longer;

    h->line[h->len] = 0;
    longer = h->lib->curl_slist_append(h->list, h->line);
    h->failed |= !longer;
    if (longer)
        h->list = longer;
}

static void put(struct head *h, const void *data, size_t len)
{
    memcpy(h->line + h->len, data, len);
    h->len += len;
}

/* False: it is not one that fits. */
static bool begin(struct head *h, struct bytes name, size_t value_len)
{
    h->len = 0;
    if (!value_len || name.len + value_len + 3 > sizeof h->line)
        return false;
    put(h, name.data, name.len);
    put(h, ": ", 2);
    return true;
}

/* A line's end in a value would make a header of what follows. Every door refuses it; what
 * came another way does not go out. */
static bool add(struct head *h, const char *name, struct bytes value)
{
    if (!text_is_plain(value) || !begin(h, bytes_str(name), value.len))
        return false;
    put(h, value.data, value.len);
    add_line(h);
    return true;
}

static void add_number(struct head *h, const char *name, uint64_t n)
{
    char text[20];

    (void)!add(h, name, bytes_of(text, text_put_u64(text, n)));
}

static void add_time(struct head *h, const char *name, int64_t ms)
{
    char text[TEXT_TIME_LEN];

    text_put_time(text, ms);
    (void)!add(h, name, bytes_of(text, sizeof text));
}

/* By the HTTP binding: ce-id */
static bool add_event_attribute(struct head *h, struct bytes name, struct bytes value)
{
    size_t len = event_encoded_len(value);

    if (name.len > ATTRIBUTE_NAME_MAX || !begin(h, name, len))
        return false;
    event_encode(value, h->line + h->len);
    h->len += len;
    add_line(h);
    return true;
}

/* Attributes of these names would be taken for ours. */
static bool is_ours(struct bytes name)
{
    return bytes_eq(name, bytes_str("topic")) || bytes_eq(name, bytes_str("subscription")) ||
           bytes_eq(name, bytes_str("deliveries"));
}

static void add_attributes(struct head *h, struct bytes attributes)
{
    bool event = event_is(attributes), added;
    char header[ATTRIBUTE_HEADER_ROOM];
    struct bytes name, value;

    while (attribute_next(&attributes, &name, &value)) {
        if (event && event_has_prefix(name))
            added = add_event_attribute(h, name, value);
        else
            added = !value.len || (!is_ours(name) && attribute_header(name, header) &&
                                   add(h, header, value));
        h->omitted += !added;
    }
    if (h->omitted)
        add_number(h, "Attributes-Omitted", h->omitted);
}

static void add_message(struct head *h, const struct store_entry *m)
{
    struct bytes type = m->record.content_type;

    add_number(h, "Message-Offset", m->offset);
    add_time(h, "Message-Time", m->record.time_ms);
    if (m->record.expires_ms)
        add_time(h, "Message-Expires-At", m->record.expires_ms);
    if (m->record.deliver_ms)
        add_time(h, "Deliver-At", m->record.deliver_ms);
    (void)!add(h, "Message-Id", m->record.id);
    (void)!add(h, "Message-Key", m->record.key);
    if (!add(h, "Content-Type", type))
        (void)!add(h, "Content-Type", bytes_str("application/octet-stream"));
    add_attributes(h, m->record.attributes);
}

struct curl_slist *push_head_make(const struct push_library *lib, const struct sub_state *sub,
                                  const struct store_entry *m, uint32_t deliveries)
{
    struct head h = { .lib = lib };

    (void)!add(&h, "Message-Topic", subscription_topic(sub));
    (void)!add(&h, "Message-Subscription", bytes_of(sub->name, sub->name_len));
    add_number(&h, "Message-Deliveries", deliveries);
    add_message(&h, m);
    h.len = 0;
    put(&h, "Expect:", 7); /* no 100-continue: most endpoints would only wait for it */
    add_line(&h);
    if (!h.failed)
        return h.list;
    lib->curl_slist_free_all(h.list);
    return NULL;
}

size_t push_head_room(const struct record *r)
{
    size_t bytes = BESIDE + r->id.len + r->key.len + r->content_type.len;
    struct bytes attributes = r->attributes, name, value;

    while (attribute_next(&attributes, &name, &value))
        bytes += LINE_COST + name.len +
                 (event_has_prefix(name) ? event_encoded_len(value) : value.len);
    return COPIES * bytes;
}
