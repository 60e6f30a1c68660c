#include "span.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

static bool json(const char *t)
{
    return span_is_json(bytes_str(t));
}

/* The reason and place of the first trouble in `t`. */
static void expect_wrong(const char *t, size_t place, const char *reason)
{
    struct bytes at = bytes_str(t), raw;
    enum span_kind kind;
    const char *why = span_value(&at, &raw, &kind);

    if (!why)
        why = span_end(&at);
    cr_assert(ne(ptr, (void *)why, NULL), "%s", t);
    cr_assert(eq(str, (char *)why, (char *)reason), "%s", t);
    cr_assert(eq(sz, (size_t)((const char *)at.data - t), place), "%s", t);
}

static void expect_value(const char *t, const char *span, enum span_kind expected)
{
    struct bytes at = bytes_str(t), raw;
    enum span_kind kind;

    cr_assert(eq(ptr, (void *)span_value(&at, &raw, &kind), NULL), "%s", t);
    cr_assert(bytes_eq(raw, bytes_str(span)), "%s", t);
    cr_assert(eq(int, kind, expected), "%s", t);
}

/* `escaped` is what stands between the quotes. */
static void expect_text(const char *escaped, const char *text, size_t len)
{
    char raw[256];
    uint8_t out[256];
    size_t got;
    int n = snprintf(raw, sizeof raw, "\"%s\"", escaped);

    cr_assert(json(raw), "%s", raw);
    cr_assert(
        eq(ptr, (void *)span_unescape(bytes_of(raw, (size_t)n), out, &got), NULL));
    cr_assert(bytes_eq(bytes_of(out, got), bytes_of(text, len)), "%s", raw);
    /* and where it stands */
    cr_assert(eq(ptr,
                 (void *)span_unescape(bytes_of(raw, (size_t)n), (uint8_t *)raw, &got),
                 NULL));
    cr_assert(bytes_eq(bytes_of(raw, got), bytes_of(text, len)), "%s", escaped);
}

static void expect_no_text(const char *raw)
{
    uint8_t out[64];
    size_t len;

    cr_assert(json(raw), "%s", raw);
    cr_assert(ne(ptr, (void *)span_unescape(bytes_str(raw), out, &len), NULL), "%s",
              raw);
}

Test(span, finds_a_value_of_every_kind_and_where_it_ends)
{
    expect_value("null,", "null", SPAN_NULL);
    expect_value(" true]", "true", SPAN_TRUE);
    expect_value("\r\n\tfalse}", "false", SPAN_FALSE);
    expect_value("-12.50e+3 x", "-12.50e+3", SPAN_NUMBER);
    expect_value("0 ", "0", SPAN_NUMBER);
    expect_value("-0", "-0", SPAN_NUMBER);
    expect_value("12345678901234567890123", "12345678901234567890123", SPAN_NUMBER);
    expect_value("\"a\\\"b\\\\\" x", "\"a\\\"b\\\\\"", SPAN_STRING);
    expect_value("\"\"", "\"\"", SPAN_STRING);
    expect_value("[1, [] ,{}] ]", "[1, [] ,{}]", SPAN_ARRAY);
    expect_value("{ \"a\" : { } , \"b\":[ ] }}", "{ \"a\" : { } , \"b\":[ ] }",
                 SPAN_OBJECT);
}

Test(span, a_text_is_one_value_and_nothing_but_space_around_it)
{
    cr_assert(json("1"));
    cr_assert(json(" \t\r\n{\"a\":[1,2,{\"b\":null}]} \n"));
    cr_assert(not(json("")));
    cr_assert(not(json("  ")));
    cr_assert(not(json("1 2")));
    cr_assert(not(json("{} {}")));
    cr_assert(not(json("[1]]")));
    cr_assert(not(json("\xef\xbb\xbf{}")));
    cr_assert(not(span_is_json(bytes_of(NULL, 0))));
    cr_assert(not(span_is_json(bytes_of("1\0", 2))));
}

Test(span, says_what_is_wrong_and_where)
{
    expect_wrong("", 0, "the text ends too early");
    expect_wrong("[1,", 3, "the text ends too early");
    expect_wrong("{\"a\"", 4, "the text ends too early");
    expect_wrong("tru", 3, "the text ends too early");
    expect_wrong("-", 1, "the text ends too early");
    expect_wrong("trux", 3, "not a JSON value");
    expect_wrong("NaN", 0, "not a JSON value");
    expect_wrong("[1,]", 3, "not a JSON value");
    expect_wrong("+1", 0, "not a JSON value");
    expect_wrong(".5", 0, "not a JSON value");
    expect_wrong("'a'", 0, "not a JSON value");
    expect_wrong("01", 1, "a number may not start with 0");
    expect_wrong("-01", 2, "a number may not start with 0");
    expect_wrong("1.e3", 2, "a number lacks a digit");
    expect_wrong("1ex", 2, "a number lacks a digit");
    expect_wrong("-a", 1, "a number lacks a digit");
    expect_wrong("1 x", 2, "there is more after the end of the value");
    expect_wrong("0x1", 1, "there is more after the end of the value");
    expect_wrong("{a:1}", 1, "a member's name must be a string");
    expect_wrong("{\"a\":1,}", 7, "a member's name must be a string");
    expect_wrong("{\"a\" 1}", 5, "a colon is missing");
    expect_wrong("{\"a\":1 \"b\":2}", 7, "a comma or } is missing");
    expect_wrong("[1 2]", 3, "a comma or ] is missing");
    expect_wrong("[1}", 2, "a comma or ] is missing");
    expect_wrong("\"abc", 4, "a string has no end");
    expect_wrong("\"abc\n\"", 4, "raw control character in a string");
    expect_wrong("\"0123456789\t\"", 11, "raw control character in a string");
    expect_wrong("\"\\x\"", 2, "unknown escape in a string");
    expect_wrong("\"\\u12g4\"", 5, "\\u needs four hexadecimal digits");
    expect_wrong("\"\\u12", 5, "the text ends too early");
    expect_wrong("\"\\", 2, "the text ends too early");
    expect_wrong("\"ab\xff\"", 3, "not UTF-8");
    expect_wrong("\"\xc3\"", 1, "not UTF-8");
    expect_wrong("\"\xed\xa0\x80\"", 1, "not UTF-8");
}

Test(span, a_nul_byte_is_never_part_of_json)
{
    cr_assert(not(span_is_json(bytes_of("\"a\0b\"", 5))));
    cr_assert(not(span_is_json(bytes_of("\"\\\0\"", 4))));
    cr_assert(not(span_is_json(bytes_of("[\0]", 3))));
}

Test(span, nests_128_deep_and_no_deeper)
{
    char text[2 * 129];

    memset(text, '[', 128);
    memset(text + 128, ']', 128);
    cr_assert(span_is_json(bytes_of(text, 256)));
    memset(text, '[', 129);
    memset(text + 129, ']', 129);
    cr_assert(not(span_is_json(bytes_of(text, 258))));
}

Test(span, every_byte_of_a_string_is_looked_at_wherever_it_stands)
{
    char text[40];

    for (size_t len = 2; len < sizeof text; len++)
        for (size_t i = 1; i + 1 < len; i++)
            for (unsigned c = 0; c < 256; c++) {
                bool fine = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

                memset(text, 'x', len);
                text[0] = text[len - 1] = '"';
                text[i] = (char)c;
                if (span_is_json(bytes_of(text, len)) != fine)
                    cr_fatal("byte %02x at %zu of %zu", c, i, len);
            }
}

/* All bytes, mostly plain ones, in runs of all lengths. */
Test(span, what_is_plain_ends_at_the_first_byte_that_is_not)
{
    uint8_t text[200];

    srand(7);
    for (unsigned i = 0; i < 50000; i++) {
        size_t len = (size_t)rand() % sizeof text, plain = 0;
        int rare = 1 + rand() % 100;

        for (size_t k = 0; k < len; k++)
            text[k] = (uint8_t)(rand() % rare ? 0x20 + rand() % 0x60 : rand() % 256);
        while (plain < len && text[plain] >= 0x20 && text[plain] < 0x80 &&
               text[plain] != '"' && text[plain] != '\\')
            plain++;
        cr_assert(eq(sz, (size_t)(span_skip_plain(text, text + len) - text), plain));
    }
}

Test(span, members_are_walked_one_at_a_time)
{
    struct bytes at = bytes_str(" { \"a\" : [1] , \"b\":\"x\" } rest"), name, raw;
    enum span_kind kind;
    bool more = false;

    cr_assert(eq(ptr, (void *)span_open(&at, '{', &more), NULL));
    cr_assert(more);
    cr_assert(eq(ptr, (void *)span_member(&at, &name, &raw, &kind, &more), NULL));
    cr_assert(bytes_eq(name, bytes_str("\"a\"")));
    cr_assert(bytes_eq(raw, bytes_str("[1]")));
    cr_assert(more);
    cr_assert(eq(ptr, (void *)span_member(&at, &name, &raw, &kind, &more), NULL));
    cr_assert(bytes_eq(raw, bytes_str("\"x\"")));
    cr_assert(not(more));
    cr_assert(bytes_eq(at, bytes_str(" rest")));
}

Test(span, an_empty_bracket_is_taken_whole)
{
    struct bytes at = bytes_str("[ ]x");
    bool more = true;

    cr_assert(eq(ptr, (void *)span_open(&at, '[', &more), NULL));
    cr_assert(not(more));
    cr_assert(bytes_eq(at, bytes_str("x")));
    at = bytes_str("3");
    cr_assert(eq(str, (char *)span_open(&at, '[', &more), "an array is expected"));
    at = bytes_str("[]");
    cr_assert(eq(str, (char *)span_open(&at, '{', &more), "an object is expected"));
}

Test(span, escapes_become_the_characters_they_mean)
{
    expect_text("", "", 0);
    expect_text("plain", "plain", 5);
    expect_text("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8);
    expect_text("a\\u0000b", "a\0b", 3);
    expect_text("\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac", 6);
    expect_text("\\ud83d\\ude00!", "\xf0\x9f\x98\x80!", 5);
    expect_text("\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf", 4);
    expect_text("\\\\u0041", "\\u0041", 6);
    expect_text("\xc3\xa9\\n\xe2\x82\xac", "\xc3\xa9\n\xe2\x82\xac", 6);
}

Test(span, half_a_surrogate_pair_is_json_but_has_no_text)
{
    expect_no_text("\"\\ud800\"");
    expect_no_text("\"\\udc00\"");
    expect_no_text("\"\\ud800x\"");
    expect_no_text("\"\\ud800\\n12345\"");
    expect_no_text("\"\\ud800\\ud800\"");
    expect_no_text("\"\\ud83d\\u0041\"");
    expect_no_text("\"\\ude00\\ud83d\"");
}

Test(span, a_name_is_the_same_however_it_is_escaped)
{
    cr_assert(span_string_is(bytes_str("\"data\""), "data"));
    cr_assert(span_string_is(bytes_str("\"d\\u0061ta\""), "data"));
    cr_assert(not(span_string_is(bytes_str("\"dat\""), "data")));
    cr_assert(not(span_string_is(bytes_str("\"data2\""), "data")));
    cr_assert(not(span_string_is(bytes_str("\"d\\u0062ta\""), "data")));
    cr_assert(not(span_string_is(bytes_str("\"\\ud800\""), "data")));
    cr_assert(not(span_string_is(bytes_str("\"\""), "data")));
}
