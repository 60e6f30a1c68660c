/*
 * batch_fixture - the text of a batch, packed, and shown as text again.
 */
#ifndef SLUICE_BATCH_FIXTURE_H
#define SLUICE_BATCH_FIXTURE_H

#include "batch.h"
#include "out.h"
#include "packed.h"
#include "span.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#define UNUSED __attribute__((unused))

typedef enum err (*pack_fn)(uint8_t *, size_t, const struct batch_limits *,
                            struct batch_result *);

static struct batch_limits limits;
static struct batch_result result;

UNUSED static void given_some_limits(void)
{
    limits = (struct batch_limits){ .max_messages = 4,
                                    .max_body_bytes = 20,
                                    .max_key_bytes = 8,
                                    .max_content_type_bytes = 16,
                                    .max_attributes = 2,
                                    .max_attribute_name_bytes = 4,
                                    .max_attribute_value_bytes = 6 };
}

/* One packed message as a line: body|type|key|ttl|name=value,... and |+ms, or |@ms, where it is
 * delayed. */
UNUSED static void show(struct out *o, const struct packed_message *m)
{
    struct bytes attributes = m->attributes, name, value;

    out_raw(o, m->body);
    out_text(o, "|");
    out_raw(o, m->content_type);
    out_text(o, "|");
    out_raw(o, m->key);
    out_text(o, "|");
    if (m->has_ttl)
        out_u64(o, m->ttl_ms);
    out_text(o, "|");
    while (packed_attribute(&attributes, &name, &value)) {
        out_raw(o, name);
        out_text(o, "=");
        out_raw(o, value);
        out_text(o, ",");
    }
    if (m->delay.kind) {
        out_text(o, m->delay.kind == PACKED_DELAY_AFTER ? "|+" : "|@");
        out_u64(o, m->delay.ms);
    }
    out_text(o, "\n");
}

/* All messages of a packing, or an end in tears. */
UNUSED static void show_all(struct out *o, const uint8_t *buf)
{
    struct bytes at = bytes_of(buf, result.packed_len);
    struct packed_message m;
    size_t count = 0, bodies = 0;
    bool delayed = false;
    enum err e;

    while (!(e = packed_next(&at, &m))) {
        show(o, &m);
        delayed |= m.delay.kind != PACKED_NO_DELAY;
        bodies += m.body.len;
        count++;
    }
    cr_assert(eq(int, e, ERR_NOT_FOUND));
    cr_assert(eq(sz, count, result.count));
    cr_assert(eq(u64, bodies, result.body_bytes));
    cr_assert(eq(int, delayed, result.delayed));
}

UNUSED static void expect_packed(pack_fn pack, const char *text, const char *shown)
{
    size_t len = strlen(text);
    uint8_t *buf = malloc(len + 1); /* on the heap, where ASan guards the end */
    struct out o;

    memcpy(buf, text, len);
    out_init(&o, 4096);
    cr_assert(eq(int, pack(buf, len, &limits, &result), ERR_OK), "%s: %s", text,
              result.reason);
    cr_assert(le(sz, result.packed_len, len));
    show_all(&o, buf);
    cr_assert(bytes_eq(bytes_of(o.data, o.len), bytes_str(shown)), "%.*s", (int)o.len,
              o.data);
    out_fini(&o);
    free(buf);
}

UNUSED static void expect_refused(pack_fn pack, const char *text, enum err err, size_t index,
                           size_t at, const char *reason)
{
    char buf[512];

    strcpy(buf, text);
    cr_assert(eq(int, pack((uint8_t *)buf, strlen(text), &limits, &result), err), "%s",
              text);
    cr_assert(eq(str, result.reason, (char *)reason), "%s", text);
    cr_assert(eq(sz, result.index, index), "%s", text);
    cr_assert(eq(sz, result.at, at), "%s", text);
}

UNUSED static void lines(const char *text, const char *shown)
{
    expect_packed(batch_pack_ndjson, text, shown);
}

UNUSED static void json(const char *text, const char *shown)
{
    expect_packed(batch_pack_json, text, shown);
}

UNUSED static void bad_line(const char *text, size_t index, size_t at, const char *reason)
{
    expect_refused(batch_pack_ndjson, text, ERR_BAD_INPUT, index, at, reason);
}

UNUSED static void bad_json(const char *text, size_t index, size_t at, const char *reason)
{
    expect_refused(batch_pack_json, text, ERR_BAD_INPUT, index, at, reason);
}

#endif
