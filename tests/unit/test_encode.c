#include "encode.h"
#include "span.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#define HEAD "{\"offset\":42,\"time\":\"2026-01-02T03:04:05.678Z\""

static struct out o;
static struct record r;

static void given_a_plain_record(void)
{
    out_init(&o, 4096);
    r = (struct record){ .time_ms = 1767323045678,
                         .content_type = { "t/p", 3 },
                         .body = { "hi", 2 } };
}

static void expect_message(const char *json)
{
    out_rewind(&o, 0);
    encode_message(&o, 42, &r, true, NULL, false);
    cr_assert(not(o.full));
    cr_assert(bytes_eq(bytes_of(o.data, o.len), bytes_str(json)), "%.*s", (int)o.len,
              o.data);
    cr_assert(span_is_json(bytes_of(o.data, o.len)));
}

static void expect_data(const char *type, struct bytes body, const char *data)
{
    char json[512];

    r.content_type = bytes_str(type);
    r.body = body;
    snprintf(json, sizeof json, HEAD ",\"content_type\":\"%s\",%s}", type, data);
    expect_message(json);
    cr_assert(le(sz, strlen(strchr(data, ':') + 1), encode_body_most(body)));
}

TestSuite(encode, .init = given_a_plain_record);

Test(encode, leaves_out_what_a_message_does_not_have)
{
    expect_message(HEAD ",\"content_type\":\"t/p\",\"data\":\"hi\"}");
    r.content_type = bytes_of(NULL, 0);
    r.body = bytes_of(NULL, 0);
    expect_message(HEAD
                   ",\"content_type\":\"application/octet-stream\",\"data\":\"\"}");
    out_fini(&o);
}

Test(encode, gives_every_field_in_the_order_of_the_contract)
{
    uint8_t list[64];
    size_t len = attribute_put(list, bytes_str("type"), bytes_str("paid"));

    len += attribute_put(list + len, bytes_str("q"), bytes_str("a\"b"));
    r.expires_ms = r.time_ms + 1;
    r.id = bytes_str("urn:\"1\"");
    r.key = bytes_str("user-\"42\"");
    r.attributes = bytes_of(list, len);
    expect_message("{\"offset\":42,\"id\":\"urn:\\\"1\\\"\""
                   ",\"time\":\"2026-01-02T03:04:05.678Z\""
                   ",\"expires_at\":\"2026-01-02T03:04:05.679Z\""
                   ",\"key\":\"user-\\\"42\\\"\",\"content_type\":\"t/p\""
                   ",\"attributes\":{\"type\":\"paid\",\"q\":\"a\\\"b\"}"
                   ",\"data\":\"hi\"}");
    out_fini(&o);
}

Test(encode, json_is_given_unchanged_when_it_says_so_and_is)
{
    expect_data("application/json", bytes_str(" {\"a\": 1e2,\n\"a\":\"\\u0000\"}\n"),
                "\"data\": {\"a\": 1e2,\n\"a\":\"\\u0000\"}\n");
    expect_data("application/json", bytes_str("12345678901234567890"),
                "\"data\":12345678901234567890");
    expect_data("application/json", bytes_str("01"), "\"data\":\"01\"");
    expect_data("application/json", bytes_str("{} {}"), "\"data\":\"{} {}\"");
    expect_data("application/json", bytes_str(""), "\"data\":\"\"");
    expect_data("application/json", bytes_str("\"\xff\""), "\"data_base64\":\"Iv8i\"");
    expect_data("text/plain", bytes_str("{}"), "\"data\":\"{}\"");
    out_fini(&o);
}

Test(encode, other_bodies_are_text_or_base64)
{
    expect_data("a/b", bytes_str("\xc3\xa9\n"), "\"data\":\"\xc3\xa9\\n\"");
    expect_data("a/b", bytes_of("a\0b", 3), "\"data\":\"a\\u0000b\"");
    expect_data("a/b", bytes_str("\xc3"), "\"data_base64\":\"ww==\"");
    out_fini(&o);
}

Test(encode, knows_a_json_type_when_it_sees_one)
{
    cr_assert(encode_type_is_json(bytes_str("application/json")));
    cr_assert(encode_type_is_json(bytes_str("Application/JSON; charset=utf-8")));
    cr_assert(encode_type_is_json(bytes_str("application/json ;x=y")));
    cr_assert(encode_type_is_json(bytes_str("application/cloudevents+json")));
    cr_assert(encode_type_is_json(bytes_str("application/ld+JSON;profile=x")));
    cr_assert(not(encode_type_is_json(bytes_str("application/jsonl"))));
    cr_assert(not(encode_type_is_json(bytes_str("application/x-ndjson"))));
    cr_assert(not(encode_type_is_json(bytes_str("text/plain; x=application/json"))));
    cr_assert(not(encode_type_is_json(bytes_str("+json"))));
    cr_assert(not(encode_type_is_json(bytes_str("x+json"))));
    cr_assert(not(encode_type_is_json(bytes_of(NULL, 0))));
}

Test(encode, one_line_stays_one_line)
{
    r.content_type = bytes_str("application/json");
    r.body = bytes_str("{\r\n\"a\":\"x\\ny\",\n\"b\":[\n1]\n}\n");
    encode_message(&o, 42, &r, true, NULL, true);
    cr_assert(bytes_eq(bytes_of(o.data, o.len),
                       bytes_str(HEAD ",\"content_type\":\"application/json\",\"data\":"
                                      "{  \"a\":\"x\\ny\", \"b\":[ 1] } }")));
    out_fini(&o);
}

Test(encode, a_body_that_is_not_inlined_is_a_link_with_its_size)
{
    encode_message(&o, 42, &r, false, "/v1/topics/t/messages/42", false);
    cr_assert(bytes_eq(bytes_of(o.data, o.len),
                       bytes_str(HEAD ",\"content_type\":\"t/p\",\"href\":"
                                      "\"/v1/topics/t/messages/42\",\"size\":2}")));
    out_rewind(&o, 0);
    r.blob_id = 9;
    r.blob_size = 2147483648;
    encode_message(&o, 42, &r, true, "/h", false);
    cr_assert(bytes_eq(bytes_of(o.data, o.len),
                       bytes_str(HEAD ",\"content_type\":\"t/p\",\"href\":\"/h\","
                                      "\"size\":2147483648}")));
    out_fini(&o);
}

Test(encode, every_limit_short_of_the_message_is_full_and_harmless)
{
    size_t whole;

    r.content_type = bytes_str("application/json");
    r.body = bytes_str("[\n1,\n2]");
    encode_message(&o, 42, &r, true, NULL, true);
    whole = o.len;
    out_fini(&o);
    for (size_t limit = 0; limit <= whole; limit++) {
        out_init(&o, limit);
        encode_message(&o, 42, &r, true, NULL, true);
        if (o.full != (limit < whole) || o.len > limit)
            cr_fatal("limit %zu of %zu", limit, whole);
        out_fini(&o);
    }
}
