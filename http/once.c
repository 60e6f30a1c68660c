#include "once.h"

#include "base/clock.h"
#include "broker.h"
#include "request.h"
#include "trace.h"

#include <stdlib.h>
#include <string.h>

/* ---- the header ---- */

static bool is_bare(char c)
{
    return c > 0x20 && c < 0x7f && !strchr("\",;\\", c);
}

/* RFC 8941, a string: printable ASCII, in which \" and \\ stand for the two. */
static bool unquote(struct bytes value, char *key, size_t *len)
{
    const char *at = (const char *)value.data + 1, *end = at + value.len - 2;

    for (*len = 0; at < end; at++) {
        if (*at == '"' || *at < 0x20 || *at > 0x7e)
            return false;
        if (*at == '\\' && (++at == end || !strchr("\"\\", *at)))
            return false;
        if (*len == STORE_RECEIPT_KEY_MAX)
            return false;
        key[(*len)++] = *at;
    }
    return *len != 0;
}

bool once_parse_key(struct bytes value, char key[STORE_RECEIPT_KEY_MAX], size_t *len)
{
    const char *text = value.data;

    if (value.len >= 2 && text[0] == '"' && text[value.len - 1] == '"')
        return unquote(value, key, len);
    if (!value.len || value.len > STORE_RECEIPT_KEY_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!is_bare(text[i]))
            return false;
    memcpy(key, text, value.len);
    *len = value.len;
    return true;
}

/* ---- start ---- */

static void secret_of(struct request *r, uint8_t out[STORE_SECRET_LEN])
{
    struct broker *b = r->loop->broker;

    b->ops->subs->secret(b->store, out);
}

/* As of the last commit. What is on its way to the writer it will see itself. */
static void look(struct request *r, struct bytes key)
{
    struct fetch *f = &r->loop->fetch;

    if (fetch_begin(f, request_topic(r)))
        return;
    r->once->known = !f->ops->receipts->read(f->reader, f->topic.id, key, &r->once->receipt) &&
                     r->once->receipt.until_ms > f->now_ms;
    fetch_end(f);
}

bool once_begin(struct request *r, struct bytes key)
{
    uint8_t secret[STORE_SECRET_LEN];

    if (!key.len)
        return true;
    r->once = calloc(1, sizeof *r->once);
    if (!r->once) {
        reply_store_error(r, ERR_NO_MEMORY);
        return false;
    }
    secret_of(r, secret);
    siphash128_start(&r->once->body, secret);
    r->body.hash = &r->once->body;
    look(r, key);
    return true;
}

void once_free(struct request *r)
{
    r->body.hash = NULL;
    free(r->once);
    r->once = NULL;
}

/* ---- the fingerprint ---- */

static void add_number(struct siphash128 *h, uint64_t v)
{
    uint8_t bytes[8];

    put_be64(bytes, v);
    siphash128_add(h, bytes_of(bytes, sizeof bytes));
}

static void add_field(struct siphash128 *h, struct bytes field)
{
    add_number(h, field.len);
    siphash128_add(h, field);
}

static void add_name(struct siphash128 *h, struct bytes name)
{
    const uint8_t *p = name.data;

    add_number(h, name.len);
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i];

        siphash128_add(h, bytes_of(&c, 1));
    }
}

/* Headers have no order that a client could be asked to keep: the sum of theirs. */
static void add_attributes(struct siphash128 *h, const uint8_t *secret, struct bytes run)
{
    uint64_t sum[2] = { 0, 0 };
    struct bytes name, value;

    while (packed_attribute(&run, &name, &value)) {
        uint8_t print[SIPHASH128_LEN];
        struct siphash128 one;

        if (trace_is_parent(name))
            continue;
        siphash128_start(&one, secret);
        add_name(&one, name);
        add_field(&one, value);
        siphash128_end(&one, print);
        sum[0] += get_be64(print);
        sum[1] += get_be64(print + 8);
    }
    add_number(h, sum[0]);
    add_number(h, sum[1]);
}

void once_print(struct request *r, struct publish *p)
{
    uint8_t secret[STORE_SECRET_LEN], body[SIPHASH128_LEN];
    struct siphash128 h;

    if (!r->once)
        return;
    secret_of(r, secret);
    siphash128_end(&r->once->body, body);
    siphash128_start(&h, secret);
    siphash128_add(&h, bytes_of(body, sizeof body));
    add_number(&h, p->batch);
    add_number(&h, p->one.has_ttl);
    add_number(&h, p->one.has_ttl ? p->one.ttl_ms : 0);
    add_field(&h, p->one.key);
    add_field(&h, p->one.content_type);
    add_attributes(&h, secret, p->one.attributes);
    if (p->one.delay.kind) { /* else as before there were any: receipts outlive programs */
        add_number(&h, p->one.delay.kind);
        add_number(&h, p->one.delay.ms);
    }
    siphash128_end(&h, p->once.print);
}
