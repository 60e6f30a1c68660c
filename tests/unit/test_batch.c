#include "batch_fixture.h"

TestSuite(batch, .init = given_some_limits);

Test(batch, any_json_value_is_kept_as_it_was_written)
{
    lines("{\"data\":{\"n\": 1e2 }}", "{\"n\": 1e2 }|application/json|||\n");
    lines("{\"data\":12345678901234567890}",
          "12345678901234567890|application/json|||\n");
    lines("{\"data\":null}", "null|application/json|||\n");
    lines("{\"data\":[]}", "[]|application/json|||\n");
}

Test(batch, a_string_is_stored_as_its_text)
{
    lines("{\"data\":\"a\\\"\\u00e9\\n\"}",
          "a\"\xc3\xa9\n|text/plain; charset=utf-8|||\n");
    lines("{\"data\":\"\"}", "|text/plain; charset=utf-8|||\n");
}

Test(batch, base64_is_stored_as_its_bytes_without_a_type)
{
    lines("{\"data_base64\":\"aGk=\"}", "hi||||\n");
    lines("{\"data_base64\":\"aGk\"}", "hi||||\n");
    lines("{\"data_base64\":\"\\/\\u002bA=\"}", "\xff\xe0||||\n");
    lines("{\"data_base64\":\"\"}", "||||\n");
}

Test(batch, every_field_may_stand_in_any_order)
{
    lines("{\"key\":\"k\",\"ttl\":5,\"content_type\":\"a/"
          "b\",\"attributes\":{\"x\":\"1\"},"
          "\"data\":1}",
          "1|a/b|k|5000|x=1,\n");
    lines(
        "{\"data\":1,\"attributes\":{\"x\":\"1\",\"y\":\"\"},\"content_type\":\"a/b\","
        "\"ttl\":\"5m\",\"key\":\"\\u006b\"}",
        "1|a/b|k|300000|x=1,y=,\n");
    lines("{\"content_type\":\"a/b\",\"data\":\"1\"}", "1|a/b|||\n");
    lines("{\"data_base64\":\"MQ==\",\"content_type\":\"a/b\"}", "1|a/b|||\n");
    lines("{\"attributes\":{},\"d\\u0061ta\":1}", "1|application/json|||\n");
}

Test(batch, a_ttl_is_seconds_or_a_duration)
{
    lines("{\"ttl\":0,\"data\":1}", "1|application/json||0|\n");
    lines("{\"ttl\":1.5,\"data\":1}", "1|application/json||1500|\n");
    lines("{\"ttl\":\"7d\",\"data\":1}", "1|application/json||604800000|\n");
    lines("{\"ttl\":\"60\",\"data\":1}", "1|application/json||60000|\n");
}

Test(batch, lines_may_be_empty_or_end_in_crlf_or_not_at_all)
{
    lines("\n\r\n{\"data\":1}\r\n  \n {\"data\":2} \n\n{\"data\":3}",
          "1|application/json|||\n2|application/json|||\n3|application/json|||\n");
}

Test(batch, a_json_text_is_an_array_or_wraps_one)
{
    json(" [ {\"data\":1} , {\"data\":\"x\"}\n] ",
         "1|application/json|||\nx|text/plain; charset=utf-8|||\n");
    json("{\"messages\":[{\"data\":1}]}", "1|application/json|||\n");
    json(" { \"mess\\u0061ges\" : [ {\"data\":1} ] } ", "1|application/json|||\n");
}

Test(batch, an_empty_batch_is_refused)
{
    bad_line("", 0, 0, "a batch without messages");
    bad_line("\n \r\n", 0, 4, "a batch without messages");
    bad_json("[]", 0, 2, "a batch without messages");
    bad_json("{\"messages\":[]}", 0, 15, "a batch without messages");
}

Test(batch, a_bad_line_is_named_with_its_place)
{
    bad_line("{\"data\":1}\n{\"date\":2}", 1, 12, "element 1: unknown member \"date\"");
    bad_line("{\"data\":1}\n\n{\"data\":01}", 1, 21,
             "element 1: a number may not start with 0, at byte 21");
    bad_line("{\"data\":1}{\"data\":2}", 0, 10,
             "element 0: there is more after the end of the value, at byte 10");
    bad_line("{\"data\":\n1}", 0, 8, "element 0: the text ends too early, at byte 8");
    bad_line("{\"data\":1", 0, 9, "element 0: the text ends too early, at byte 9");
    bad_line("[1]", 0, 0, "element 0: an object is expected, at byte 0");
    bad_line("{\"data\":\"\xff\"}", 0, 9, "element 0: not UTF-8, at byte 9");
    bad_line("{\"data\":1,}", 0, 10,
             "element 0: a member's name must be a string, at byte 10");
}

Test(batch, a_bad_envelope_is_explained)
{
    const char *form = "an array of messages is expected, or {\"messages\":[...]}";

    bad_json("", 0, 0, form);
    bad_json("1", 0, 0, form);
    bad_json("{}", 0, 2, "\"messages\" is missing");
    bad_json("{\"a\":1,\"messages\":[{\"data\":1}]}", 0, 5,
             "the only member beside the elements is \"messages\"");
    bad_json("{\"messages\":{}}", 0, 12, "\"messages\" must be an array");
    bad_json("{\"messages\":[{\"data\":1}],\"a\":1}", 1, 25,
             "\"messages\" must be the only member");
    bad_json("[{\"data\":1}] x", 1, 13, "there is more after the end of the value");
    bad_json("[{\"data\":1},]", 1, 12, "element 1: an object is expected, at byte 12");
    bad_json("[{\"data\":1}", 1, 11, "element 1: the text ends too early, at byte 11");
}

Test(batch, a_message_has_exactly_one_body_and_nothing_twice)
{
    bad_line("{}", 0, 0, "element 0: \"data\" or \"data_base64\" is missing");
    bad_line("{\"key\":\"k\"}", 0, 0,
             "element 0: \"data\" or \"data_base64\" is missing");
    bad_line("{\"data\":1,\"data_base64\":\"\"}", 0, 25,
             "element 0: either \"data\" or \"data_base64\", not both");
    bad_line("{\"data\":1,\"data\":1}", 0, 10, "element 0: twice the member \"data\"");
    bad_line("{\"data\":1,\"d\\u0061ta\":1}", 0, 10,
             "element 0: twice the member \"d\\u0061ta\"");
}

Test(batch, fields_of_the_wrong_form_are_refused)
{
    const char *ttl =
        "element 0: \"ttl\" must be a duration such as \"5m\" or a number of seconds";

    bad_line("{\"ttl\":-1}", 0, 7, ttl);
    bad_line("{\"ttl\":1e3}", 0, 7, ttl);
    bad_line("{\"ttl\":null}", 0, 7, ttl);
    bad_line("{\"ttl\":\"\"}", 0, 7, ttl);
    bad_line("{\"ttl\":[5]}", 0, 7, ttl);
    bad_line("{\"data_base64\":\"a\"}", 0, 15,
             "element 0: \"data_base64\" must be a string of base64");
    bad_line("{\"data_base64\":1}", 0, 15,
             "element 0: \"data_base64\" must be a string of base64");
    bad_line("{\"data\":\"\\ud800\"}", 0, 8,
             "element 0: \"data\" has half a surrogate pair, which is no text");
    bad_line("{\"key\":1}", 0, 7,
             "element 0: \"key\" must be a string without control characters");
    bad_line("{\"key\":\"a\\r\\nb\"}", 0, 7,
             "element 0: \"key\" must be a string without control characters");
    bad_line("{\"key\":\"\"}", 0, 7, "element 0: \"key\" must have 1 to 8 bytes");
    bad_line("{\"content_type\":\"a\\nb\"}", 0, 16,
             "element 0: \"content_type\" must be a string of printable ASCII");
    bad_line("{\"content_type\":\"\"}", 0, 16,
             "element 0: \"content_type\" must have 1 to 16 bytes");
}

Test(batch, a_message_may_say_when_it_is_to_be_delivered)
{
    lines("{\"data\":1,\"deliver_after\":30}\n{\"deliver_after\":\"1.5s\",\"data\":2}",
          "1|application/json||||+30000\n2|application/json||||+1500\n");
    lines("{\"data\":1,\"deliver_at\":\"1970-01-01T00:00:01.5Z\"}", "1|application/json||||@1500\n");
    lines("{\"data\":1,\"deliver_at\":\"1969-12-31T23:59:59Z\"}", "1|application/json||||@0\n");
    lines("{\"data\":1,\"deliver_at\":\"9999-12-31T23:59:59.999Z\"}",
          "1|application/json||||@253402300799999\n");
}

Test(batch, a_delay_of_the_wrong_form_is_refused)
{
    const char *after = "element 0: \"deliver_after\" must be a duration such as \"30s\" or a "
                        "number of seconds";
    const char *at =
        "element 0: \"deliver_at\" must be a time such as \"2026-11-21T10:30:00Z\"";
    const char *both = "element 0: either \"deliver_after\" or \"deliver_at\", not both";

    bad_line("{\"deliver_after\":-1}", 0, 17, after);
    bad_line("{\"deliver_after\":\"soon\"}", 0, 17, after);
    bad_line("{\"deliver_after\":null}", 0, 17, after);
    bad_line("{\"deliver_at\":1700000000}", 0, 14, at);
    bad_line("{\"deliver_at\":\"30s\"}", 0, 14, at);
    bad_line("{\"deliver_at\":\"1970-01-01T00:00:01Z\",\"deliver_after\":1}", 0, 53, both);
    bad_line("{\"deliver_after\":1,\"deliver_at\":\"1970-01-01T00:00:01Z\"}", 0, 32, both);
}

Test(batch, attributes_of_the_wrong_form_are_refused)
{
    const char *name =
        "element 0: an attribute's name must be a header token, and not key, "
        "offset, time or expires-at";

    bad_line("{\"attributes\":[]}", 0, 14,
             "element 0: \"attributes\" must be an object of strings");
    bad_line("{\"attributes\":{\"a\":1}}", 0, 19,
             "element 0: \"attributes\" must be an object of strings");
    bad_line("{\"attributes\":{\"\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"a b\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"a\\u0000\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"Key\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"Time\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"expires-at\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"a\":\"\\r\\n\"}}", 0, 15,
             "element 0: an attribute's value must have no control characters");
    bad_line("{\"attributes\":{\"a\":\"1\",\"A\":\"2\"}}", 0, 23,
             "element 0: the same attribute twice");
    bad_line("{\"attributes\":{\"a\":\"\\ud800\"}}", 0, 15,
             "element 0: an attribute has half a surrogate pair");
}

Test(batch, limits_are_kept_to_the_byte)
{
    lines("{\"data\":\"12345678901234567890\",\"key\":\"12345678\"}",
          "12345678901234567890|text/plain; charset=utf-8|12345678||\n");
    lines("{\"data\":1,\"attributes\":{\"abcd\":\"123456\",\"b\":\"\"}}",
          "1|application/json|||abcd=123456,b=,\n");
    expect_refused(batch_pack_ndjson, "{\"data\":\"123456789012345678901\"}",
                   ERR_TOO_BIG, 0, 9, "element 0: a message may have at most 20 bytes");
    bad_line("{\"key\":\"123456789\"}", 0, 7,
             "element 0: \"key\" must have 1 to 8 bytes");
    bad_line("{\"content_type\":\"a/b;c=d;e=f;g=h;i\"}", 0, 16,
             "element 0: \"content_type\" must have 1 to 16 bytes");
    bad_line("{\"attributes\":{\"abcde\":\"\"}}", 0, 15,
             "element 0: an attribute's name is too long");
    bad_line("{\"attributes\":{\"a\":\"1234567\"}}", 0, 15,
             "element 0: an attribute's value is too long");
    bad_line("{\"attributes\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}", 0, 29,
             "element 0: a message may have at most 2 attributes");
}

Test(batch, the_number_of_messages_is_limited)
{
    const char *five =
        "{\"data\":1}\n{\"data\":1}\n{\"data\":1}\n{\"data\":1}\n{\"data\":1}";

    expect_refused(batch_pack_ndjson, five, ERR_TOO_BIG, 4, 44, "more than 4 messages");
}

Test(batch, a_long_unknown_name_is_cut_in_the_reason)
{
    char text[300];

    memset(text, 'n', sizeof text);
    memcpy(text, "{\"", 2);
    strcpy(text + 250, "\":1}");
    cr_assert(eq(int,
                 batch_pack_ndjson((uint8_t *)text, strlen(text), &limits, &result),
                 ERR_BAD_INPUT));
    cr_assert(lt(sz, strlen(result.reason), 100));
}

/* ---- the tightest fits: the values whose packed lengths just grew a byte ---- */

static void expect_tight(size_t digits)
{
    size_t len = digits + 9;
    uint8_t *buf = malloc(len);
    struct bytes at;
    struct packed_message m;

    memset(buf, '7', len);
    memcpy(buf, "{\"data\":", 8);
    buf[len - 1] = '}';
    limits.max_body_bytes = digits;
    cr_assert(eq(int, batch_pack_ndjson(buf, len, &limits, &result), ERR_OK));
    cr_assert(le(sz, result.packed_len, len));
    at = bytes_of(buf, result.packed_len);
    cr_assert(eq(int, packed_next(&at, &m), ERR_OK));
    cr_assert(eq(sz, m.body.len, digits));
    for (size_t i = 0; i < digits; i++)
        if (((const uint8_t *)m.body.data)[i] != '7')
            cr_fatal("byte %zu of %zu", i, digits);
    free(buf);
}

Test(batch, values_around_each_length_of_a_varint_fit)
{
    expect_tight(1);
    expect_tight(127);
    expect_tight(128);
    expect_tight(16383);
    expect_tight(16384);
    expect_tight(2097151);
    expect_tight(2097152);
    expect_tight(2097153);
}

Test(batch, a_value_of_2_mib_and_more_fills_its_text_to_the_last_byte)
{
    expect_tight(3000000);
    cr_assert(eq(sz, result.packed_len, 3000009));
}
