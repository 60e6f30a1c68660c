#include "base/text.h"
#include "out.h"
#include "span.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct out o;

static void given_an_out_of_100_bytes(void)
{
    out_init(&o, 100);
}

static struct bytes written(void)
{
    return bytes_of(o.data, o.len);
}

static void expect_written(const char *text)
{
    cr_assert(bytes_eq(written(), bytes_str(text)), "%.*s", (int)o.len, o.data);
    out_rewind(&o, 0);
}

static void expect_string(struct bytes text, const char *json)
{
    out_str(&o, text);
    cr_assert(eq(sz, out_str_len(text), o.len));
    expect_written(json);
}

TestSuite(out, .init = given_an_out_of_100_bytes);

Test(out, writes_numbers_times_and_text)
{
    out_u64(&o, UINT64_MAX);
    expect_written("18446744073709551615");
    out_i64(&o, INT64_MIN);
    expect_written("-9223372036854775808");
    out_member(&o, "bytes", 7);
    expect_written(",\"bytes\":7");
    out_i64(&o, 0);
    expect_written("0");
    out_time(&o, 1767323045678);
    expect_written("\"2026-01-02T03:04:05.678Z\"");
    out_text(&o, "[");
    out_raw(&o, bytes_of("a\0b", 3));
    cr_assert(bytes_eq(written(), bytes_of("[a\0b", 4)));
    out_fini(&o);
}

Test(out, strings_are_escaped_where_json_wants_it)
{
    expect_string(bytes_str(""), "\"\"");
    expect_string(bytes_str("plain text of some length"),
                  "\"plain text of some length\"");
    expect_string(bytes_str("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    expect_string(bytes_str("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    expect_string(bytes_of("\0\x1f\x7f", 3), "\"\\u0000\\u001f\x7f\"");
    expect_string(bytes_str("\xc3\xa9 \xf0\x9f\x98\x80"),
                  "\"\xc3\xa9 \xf0\x9f\x98\x80\"");
    expect_string(bytes_of(NULL, 0), "\"\"");
    out_fini(&o);
}

Test(out, bytes_that_are_not_utf8_become_the_replacement_character)
{
    expect_string(bytes_str("a\xff\xc3"), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    expect_string(bytes_str("\xed\xa0\x80"),
                  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    out_fini(&o);
}

Test(out, base64_has_its_quotes_and_its_length_is_known)
{
    out_base64(&o, bytes_str("fooba"));
    cr_assert(eq(sz, out_base64_len(5), o.len));
    expect_written("\"Zm9vYmE=\"");
    out_base64(&o, bytes_of(NULL, 0));
    expect_written("\"\"");
    out_fini(&o);
}

Test(out, is_full_exactly_past_its_limit)
{
    char text[101];

    memset(text, 'x', sizeof text);
    out_raw(&o, bytes_of(text, 100));
    cr_assert(not(o.full));
    cr_assert(eq(sz, o.len, 100));
    out_raw(&o, bytes_of(text, 1));
    cr_assert(o.full);
    cr_assert(not(o.no_memory));
    cr_assert(eq(sz, o.len, 100));
    cr_assert(le(sz, o.cap, 100));
    out_fini(&o);
}

Test(out, once_full_nothing_more_is_written_until_it_is_rewound)
{
    char text[99];

    memset(text, 'x', sizeof text);
    out_text(&o, "kept");
    out_raw(&o, bytes_of(text, 99));
    cr_assert(o.full);
    out_text(&o, "y");
    out_u64(&o, 7);
    cr_assert(bytes_eq(written(), bytes_str("kept")));
    out_rewind(&o, 2);
    out_text(&o, "y");
    cr_assert(not(o.full));
    expect_written("key");
    out_fini(&o);
}

Test(out, lives_in_a_buffer_of_the_caller)
{
    char buf[4] = "....";

    out_init_in(&o, buf, 3);
    out_text(&o, "abc");
    cr_assert(not(o.full));
    out_text(&o, "d");
    cr_assert(o.full);
    cr_assert(eq(int, memcmp(buf, "abc.", 4), 0));
    out_fini(&o);
}

Test(out, grows_as_far_as_needed_and_no_further)
{
    struct out big;
    size_t len;
    char *data;

    out_init(&big, 3000000);
    for (unsigned i = 0; i < 300000; i++)
        out_text(&big, "0123456789");
    cr_assert(not(big.full));
    cr_assert(eq(sz, big.cap, 3000000));
    data = out_take(&big, &len);
    cr_assert(eq(sz, len, 3000000));
    cr_assert(eq(int, memcmp(data + len - 10, "0123456789", 10), 0));
    cr_assert(eq(ptr, big.data, NULL));
    free(data);
    out_fini(&big);
}

Test(out, any_bytes_make_a_string_that_reads_back)
{
    uint8_t in[64], back[256];
    struct bytes at, raw;
    enum span_kind kind;
    size_t len, want;

    srand(4);
    out_fini(&o);
    out_init(&o, 1000);
    for (unsigned i = 0; i < 20000; i++) {
        size_t n = (size_t)rand() % sizeof in;

        for (size_t k = 0; k < n; k++)
            in[k] = (uint8_t)(rand() % (i & 1 ? 256 : 128));
        out_rewind(&o, 0);
        out_str(&o, bytes_of(in, n));
        at = written();
        want = text_is_utf8(bytes_of(in, n)) ? o.len : 0;
        cr_assert(eq(sz, out_utf8_len(bytes_of(in, n)), want));
        if (o.len != out_str_len(bytes_of(in, n)) || span_value(&at, &raw, &kind) ||
            at.len || span_unescape(raw, back, &len))
            cr_fatal("%.*s", (int)o.len, o.data);
        if (!(i & 1) && !bytes_eq(bytes_of(back, len), bytes_of(in, n)))
            cr_fatal("ASCII did not come back: %.*s", (int)o.len, o.data);
    }
    out_fini(&o);
}
