#include "record.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static uint8_t *blocks[16];
static unsigned used_blocks;

static void free_blocks(void)
{
    while (used_blocks)
        free(blocks[--used_blocks]);
}

TestSuite(record, .fini = free_blocks);

/* Encodes to a heap block of exactly the announced length, so that a sanitizer sees one
 * byte too many. Decoded views point into it, so it lives as long as the test. */
static struct bytes encoded(const struct record *r)
{
    size_t len = record_encoded_len(r);
    uint8_t *block = malloc(len);

    record_encode(r, block);
    blocks[used_blocks++] = block;
    return bytes_of(block, len);
}

static struct record round_trip(const struct record *r)
{
    struct record back;

    cr_assert(eq(int, record_decode(encoded(r), &back), ERR_OK));
    return back;
}

static void same(struct bytes a, struct bytes b)
{
    cr_assert(eq(sz, a.len, b.len));
    cr_assert(bytes_eq(a, b));
}

static struct record full_record(uint8_t *attributes, size_t *len)
{
    *len = attribute_put(attributes, bytes_str("trace"), bytes_str("00-ab-01"));
    *len += attribute_put(attributes + *len, bytes_str("empty"), bytes_of("", 0));
    return (struct record){
        .time_ms = 1767225600123,
        .expires_ms = 1767225900123,
        .deliver_ms = 1767225630123,
        .id = bytes_str("urn:uuid:1"),
        .key = bytes_str("user-42"),
        .content_type = bytes_str("image/png"),
        .attributes = bytes_of(attributes, *len),
        .body = bytes_of("\0\xff body", 7),
    };
}

Test(record, gives_every_field_back)
{
    uint8_t attributes[64];
    size_t len;
    struct record r = full_record(attributes, &len), back = round_trip(&r);

    cr_assert(eq(i64, back.time_ms, r.time_ms));
    cr_assert(eq(i64, back.expires_ms, r.expires_ms));
    cr_assert(eq(i64, back.deliver_ms, r.deliver_ms));
    same(back.id, r.id);
    same(back.key, r.key);
    same(back.content_type, r.content_type);
    same(back.attributes, r.attributes);
    same(back.body, r.body);
    cr_assert(eq(u64, back.blob_id, 0));
}

/* Stores that exist depend on these bytes. */
Test(record, writes_the_example_of_the_format_document)
{
    struct record r = {
        .time_ms = 1767225600123,
        .expires_ms = 1767225660123,
        .content_type = bytes_str("text/plain"),
        .body = bytes_str("hello"),
    };

    same(encoded(&r),
         bytes_of("\x01\x31\xfb\xd0\xea\xb6\xb7\x33\xe0\xd4\x03hello", 16));
}

/* Version 2, which has one field more; a message without an id stays one of version 1. */
Test(record, writes_the_example_with_an_id_of_the_format_document)
{
    struct record r = {.time_ms = 1767225600123, .id = bytes_str("a1"), .body = bytes_str("hello")};

    same(encoded(&r), bytes_of("\x02\x80\xfb\xd0\xea\xb6\xb7\x33\x02" "a1hello", 16));
}

/* Version 3, which has a second byte of flags; one that is not delayed stays what it was. */
Test(record, writes_the_example_with_a_delay_of_the_format_document)
{
    struct record r = {.time_ms = 1767225600123,
                       .expires_ms = 1767225660123,
                       .deliver_ms = 1767225630123,
                       .body = bytes_str("hello")};

    same(encoded(&r),
         bytes_of("\x03\x01\x01\xfb\xd0\xea\xb6\xb7\x33\xe0\xd4\x03\xb0\xea\x01hello", 20));
}

Test(record, keeps_a_delay_without_an_expiry_and_with_an_id)
{
    struct record r = {.time_ms = 5, .deliver_ms = 9, .id = bytes_str("x")}, back = round_trip(&r);

    cr_assert(eq(i64, back.expires_ms, 0));
    cr_assert(eq(i64, back.deliver_ms, 9));
    same(back.id, r.id);
    r.deliver_ms = 4; /* the clock was set back */
    cr_assert(eq(i64, round_trip(&r).deliver_ms, 4));
}

Test(record, refuses_more_flags_that_it_does_not_know_or_that_say_nothing)
{
    struct record back;

    cr_assert(eq(int, record_decode(bytes_of("\x03\x00\x01\x05\x04", 5), &back), ERR_OK));
    cr_assert(eq(i64, back.deliver_ms, 9));
    cr_assert(eq(int, record_decode(bytes_of("\x03\x00\x03\x05\x04", 5), &back), ERR_CORRUPT));
    cr_assert(eq(int, record_decode(bytes_of("\x03\x00\x00\x05", 4), &back), ERR_CORRUPT));
    cr_assert(eq(int, record_decode(bytes_of("\x03\x00", 2), &back), ERR_CORRUPT));
}

static enum err decode_id_of(size_t len)
{
    uint8_t text[RECORD_ID_MAX + 1] = {0};
    struct record r = {.time_ms = 1, .id = bytes_of(text, len)}, back;
    enum err e = record_decode(encoded(&r), &back);

    if (!e)
        same(back.id, r.id);
    return e;
}

Test(record, refuses_an_id_that_is_too_long_or_empty)
{
    struct record back;

    cr_assert(eq(int, decode_id_of(1), ERR_OK));
    cr_assert(eq(int, decode_id_of(RECORD_ID_MAX), ERR_OK));
    cr_assert(eq(int, decode_id_of(RECORD_ID_MAX + 1), ERR_CORRUPT));
    cr_assert(eq(int, record_decode(bytes_of("\x02\x80\x01\x00", 4), &back), ERR_CORRUPT));
}

Test(record, costs_few_bytes_when_there_is_little_to_say)
{
    struct record r = {.time_ms = 1767225600123, .body = bytes_str("hello")};

    cr_assert(eq(sz, record_encoded_len(&r), 2 + 6 + 5));
    r.content_type = bytes_str("application/json");
    r.expires_ms = r.time_ms + 300000;
    cr_assert(eq(sz, record_encoded_len(&r), 2 + 6 + 3 + 5));
}

Test(record, keeps_an_empty_body)
{
    struct record r = {.time_ms = 7}, back = round_trip(&r);

    cr_assert(eq(sz, back.body.len, 0));
    cr_assert(eq(i64, back.time_ms, 7));
    cr_assert(eq(i64, back.expires_ms, 0));
}

Test(record, names_a_blob_instead_of_a_body)
{
    struct record r = {.time_ms = 1, .blob_id = 77, .blob_size = (uint64_t)5 << 40};
    struct record back = round_trip(&r);

    cr_assert(eq(u64, back.blob_id, 77));
    cr_assert(eq(u64, back.blob_size, (uint64_t)5 << 40));
    cr_assert(eq(u64, record_size(&back), (uint64_t)5 << 40));
    cr_assert(eq(sz, back.body.len, 0));
}

Test(record, keeps_times_at_the_edges)
{
    struct record r = {.time_ms = INT64_MAX, .expires_ms = 1}, back = round_trip(&r);

    cr_assert(eq(i64, back.time_ms, INT64_MAX));
    cr_assert(eq(i64, back.expires_ms, 1));
    r.time_ms = -5;
    r.expires_ms = INT64_MAX;
    back = round_trip(&r);
    cr_assert(eq(i64, back.time_ms, -5));
    cr_assert(eq(i64, back.expires_ms, INT64_MAX));
}

static void type_comes_back(const char *type, size_t cost)
{
    struct record r = {.time_ms = 1, .content_type = bytes_str(type)};
    struct record back = round_trip(&r);

    same(back.content_type, r.content_type);
    cr_assert(eq(sz, record_encoded_len(&r), 3 + cost));
}

Test(record, says_usual_content_types_in_no_extra_byte)
{
    type_comes_back("application/json", 0);
    type_comes_back("text/plain; charset=utf-8", 0);
    type_comes_back("text/plain", 0);
    type_comes_back("application/x-www-form-urlencoded", 0);
    type_comes_back("Application/JSON", 1 + 16); /* given back as it was sent */
}

Test(record, takes_octet_stream_for_no_content_type)
{
    struct record r = {.content_type = bytes_str("application/octet-stream")};

    cr_assert(eq(sz, round_trip(&r).content_type.len, 0));
}

Test(record, refuses_a_version_it_does_not_know)
{
    struct record r = {.time_ms = 1}, back;
    struct bytes stored = encoded(&r);

    *(uint8_t *)stored.data = 4;
    cr_assert(eq(int, record_decode(stored, &back), ERR_CORRUPT));
    *(uint8_t *)stored.data = 0;
    cr_assert(eq(int, record_decode(stored, &back), ERR_CORRUPT));
}

Test(record, refuses_flags_and_codes_of_the_future)
{
    struct record r = {.time_ms = 1}, back;
    struct bytes stored = encoded(&r);

    ((uint8_t *)stored.data)[1] = 0x80;
    cr_assert(eq(int, record_decode(stored, &back), ERR_CORRUPT));
    ((uint8_t *)stored.data)[1] = 6 << 4;
    cr_assert(eq(int, record_decode(stored, &back), ERR_CORRUPT));
}

/* Decodes every prefix from a block of its own size: nothing may be read past it, and a
 * prefix that ends before the body starts is no record. */
static void refuse_prefixes(struct bytes stored, size_t header)
{
    for (size_t len = 0; len < stored.len; len++) {
        uint8_t *block = malloc(len ? len : 1);
        struct record back;
        enum err e;

        memcpy(block, stored.data, len);
        e = record_decode(bytes_of(block, len), &back);
        cr_assert(eq(int, e, len < header ? ERR_CORRUPT : ERR_OK));
        free(block);
    }
}

Test(record, refuses_a_record_that_was_cut)
{
    uint8_t attributes[64];
    size_t len;
    struct record r = full_record(attributes, &len);
    struct bytes stored = encoded(&r);

    refuse_prefixes(stored, stored.len - r.body.len);
}

Test(record, refuses_bytes_behind_a_blob)
{
    struct record r = {.time_ms = 1, .blob_id = 3, .blob_size = 9}, back;
    struct bytes stored = encoded(&r);
    uint8_t longer[64] = {0};

    memcpy(longer, stored.data, stored.len);
    cr_assert(
        eq(int, record_decode(bytes_of(longer, stored.len + 1), &back), ERR_CORRUPT));
}

Test(record, walks_attributes_in_order)
{
    uint8_t list[64];
    size_t len;
    struct bytes at = full_record(list, &len).attributes, name, value;

    cr_assert(eq(sz, len,
                 attribute_len(bytes_str("trace"), bytes_str("00-ab-01")) +
                     attribute_len(bytes_str("empty"), bytes_of("", 0))));
    cr_assert(attribute_next(&at, &name, &value));
    same(name, bytes_str("trace"));
    same(value, bytes_str("00-ab-01"));
    cr_assert(attribute_next(&at, &name, &value));
    same(name, bytes_str("empty"));
    cr_assert(eq(sz, value.len, 0));
    cr_assert(not(attribute_next(&at, &name, &value)));
}

Test(record, ends_the_walk_at_a_malformed_attribute)
{
    struct bytes at = bytes_of("\x05"
                               "ab",
                               3),
                 name, value;

    cr_assert(not(attribute_next(&at, &name, &value)));
}
