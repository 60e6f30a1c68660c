/*
 * Whatever the body: an accepted batch is packed within its text, and walking the
 * packing gives the messages that were counted, within the limits; a refused one has a
 * reason and a place inside the text.
 */
#include "base/text.h"
#include "batch.h"
#include "packed.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct batch_limits limits = {
    .max_messages = 50,
    .max_body_bytes = 2000,
    .max_key_bytes = 200,
    .max_content_type_bytes = 100,
    .max_attributes = 5,
    .max_attribute_name_bytes = 200,
    .max_attribute_value_bytes = 1000,
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_message(const struct packed_message *m)
{
    struct bytes attributes = m->attributes, name, value;
    size_t count = 0;

    check(m->body.len <= limits.max_body_bytes);
    check(m->key.len <= limits.max_key_bytes && text_is_plain(m->key));
    check(text_is_plain(m->content_type));
    while (packed_attribute(&attributes, &name, &value)) {
        check(name.len && name.len <= limits.max_attribute_name_bytes);
        check(value.len <= limits.max_attribute_value_bytes && text_is_plain(value));
        count++;
    }
    check(attributes.len == 0 && count <= limits.max_attributes);
}

static void check_packed(const uint8_t *buf, size_t len, const struct batch_result *r)
{
    struct bytes at = bytes_of(buf, r->packed_len);
    struct packed_message m;
    uint64_t bodies = 0;
    size_t count = 0;
    enum err e;

    check(r->packed_len <= len);
    while (!(e = packed_next(&at, &m))) {
        check_message(&m);
        bodies += m.body.len;
        count++;
    }
    check(e == ERR_NOT_FOUND);
    check(count == r->count && count > 0 && count <= limits.max_messages);
    check(bodies == r->body_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct batch_result r;
    uint8_t *buf;
    enum err e;

    if (!len)
        return 0;
    buf = malloc(len - 1); /* the first byte chooses the form */
    check(buf || len == 1);
    memcpy(buf, data + 1, len - 1);
    if (data[0] & 1)
        e = batch_pack_ndjson(buf, len - 1, &limits, &r);
    else
        e = batch_pack_json(buf, len - 1, &limits, &r);
    if (e)
        check(r.reason[0] && r.at <= len - 1);
    else
        check_packed(buf, len - 1, &r);
    free(buf);
    return 0;
}
