/*
 * Whatever the body: an accepted request is packed within its text, and walking the packing
 * gives the messages that were counted, within the limits; the others are refused with a
 * reason, in order, and the answer's text has one result for each message and ends.
 */
#include "attribute.h"
#include "base/text.h"
#include "config.h"
#include "packed.h"
#include "pulsar_pack.h"
#include "span.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct pulsar_limits limits = { .max_messages = 50, .max_body_bytes = 2000 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_message(const struct packed_message *m)
{
    struct bytes attributes = m->attributes, name, value;

    check(m->body.len <= limits.max_body_bytes);
    check(m->key.len <= CONFIG_KEY_MAX_BYTES && text_is_plain(m->key));
    check(m->attributes.len <= PULSAR_ATTRIBUTES_ROOM);
    check(!m->content_type.len || text_is_utf8(m->body));
    while (packed_attribute(&attributes, &name, &value))
        check(attribute_name_is_fine(name) && text_is_plain(value));
    check(attributes.len == 0);
}

static void check_packed(const uint8_t *buf, size_t len, const struct pulsar_packing *p)
{
    struct bytes at = bytes_of(buf, p->packed_len);
    struct packed_message m;
    uint64_t bodies = 0;
    size_t count = 0;
    enum err e;

    check(p->packed_len <= len);
    while (!(e = packed_next(&at, &m))) {
        check_message(&m);
        bodies += m.body.len;
        count++;
    }
    check(e == ERR_NOT_FOUND && count == p->count && bodies == p->body_bytes);
}

static void check_results(struct pulsar_results *r, size_t stored)
{
    static char text[1 << 16];
    size_t len = 0, n;

    check(r->count <= limits.max_messages && stored + r->refused_count == r->count);
    for (size_t i = 0; i < r->refused_count; i++)
        check(r->refused[i].index < r->count && *r->refused[i].why &&
              (i == 0 || r->refused[i].index > r->refused[i - 1].index));
    while ((n = pulsar_results_read(r, text + len, 100)))
        len += n;
    check(span_is_json(bytes_of(text, len)));
}

static void pack(uint8_t *buf, size_t len)
{
    struct pulsar_results results = { 0 };
    struct pulsar_packing packing;
    struct pulsar_envelope envelope;
    char reason[PULSAR_REASON_ROOM] = "";

    if (pulsar_open_envelope(buf, len, &envelope, reason)) {
        check(reason[0]);
        return;
    }
    check(envelope.producer.len <= PULSAR_PRODUCER_MAX && text_is_plain(envelope.producer));
    if (pulsar_pack(buf, &envelope, &limits, &results, &packing)) {
        check(packing.reason[0]);
        return;
    }
    check_packed(buf, len, &packing);
    check_results(&results, packing.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *buf = malloc(len);

    check(buf || !len);
    memcpy(buf, data, len);
    pack(buf, len);
    free(buf);
    return 0;
}
