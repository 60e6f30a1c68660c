#include "base/text.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NEVER 987654321u /* what *out keeps when the text is refused */

static uint64_t duration(const char *t)
{
    uint64_t ms = NEVER;
    bool ok = text_parse_duration(bytes_str(t), &ms);

    cr_assert(eq(int, ok, ms != NEVER), "%s", t);
    return ms;
}

static uint64_t size(const char *t)
{
    uint64_t n = NEVER;
    bool ok = text_parse_size(bytes_str(t), &n);

    cr_assert(eq(int, ok, n != NEVER), "%s", t);
    return n;
}

static int64_t moment(const char *t)
{
    int64_t ms = NEVER;
    bool ok = text_parse_time(bytes_str(t), &ms);

    cr_assert(eq(int, ok, ms != NEVER), "%s", t);
    return ms;
}

static void expect_duration(uint64_t ms, const char *text)
{
    char out[TEXT_NUMBER_ROOM];
    size_t n = text_format_duration(out, ms);

    cr_assert(eq(str, out, (char *)text));
    cr_assert(eq(sz, n, strlen(text)));
    cr_assert(eq(u64, duration(out), ms));
}

static void expect_size(uint64_t bytes, const char *text)
{
    char out[TEXT_NUMBER_ROOM];
    size_t n = text_format_size(out, bytes);

    cr_assert(eq(str, out, (char *)text));
    cr_assert(eq(sz, n, strlen(text)));
    cr_assert(eq(u64, size(out), bytes));
}

static void expect_time(int64_t ms, const char *text)
{
    char out[TEXT_TIME_LEN + 1];

    text_format_time(out, ms);
    cr_assert(eq(str, out, (char *)text));
    cr_assert(eq(i64, moment(text), ms));
}

Test(text, durations_have_five_units_and_a_bare_number_is_seconds)
{
    cr_assert(eq(u64, duration("500ms"), 500));
    cr_assert(eq(u64, duration("30s"), 30000));
    cr_assert(eq(u64, duration("5m"), 300000));
    cr_assert(eq(u64, duration("2h"), 7200000));
    cr_assert(eq(u64, duration("7d"), 604800000));
    cr_assert(eq(u64, duration("60"), 60000));
    cr_assert(eq(u64, duration("0"), 0));
    cr_assert(eq(u64, duration("007s"), 7000));
}

Test(text, a_decimal_duration_must_come_to_whole_milliseconds)
{
    cr_assert(eq(u64, duration("1.5s"), 1500));
    cr_assert(eq(u64, duration("0.25"), 250));
    cr_assert(eq(u64, duration("0.1d"), 8640000));
    cr_assert(eq(u64, duration("2.0ms"), 2));
    cr_assert(eq(u64, duration("1.00000s"), 1000));
    cr_assert(eq(u64, duration("1.0005s"), NEVER));
    cr_assert(eq(u64, duration("1.5ms"), NEVER));
    cr_assert(eq(u64, duration("0.00000000000001d"), NEVER));
}

Test(text, refuses_what_is_not_a_duration)
{
    cr_assert(eq(u64, duration(""), NEVER));
    cr_assert(eq(u64, duration("s"), NEVER));
    cr_assert(eq(u64, duration("-1"), NEVER));
    cr_assert(eq(u64, duration("+1s"), NEVER));
    cr_assert(eq(u64, duration(" 1s"), NEVER));
    cr_assert(eq(u64, duration("1s "), NEVER));
    cr_assert(eq(u64, duration("1 s"), NEVER));
    cr_assert(eq(u64, duration("1."), NEVER));
    cr_assert(eq(u64, duration(".5s"), NEVER));
    cr_assert(eq(u64, duration("1e3"), NEVER));
    cr_assert(eq(u64, duration("5M"), NEVER));
    cr_assert(eq(u64, duration("5m30s"), NEVER));
    cr_assert(eq(u64, duration("5w"), NEVER));
}

Test(text, a_duration_too_long_to_count_is_refused)
{
    cr_assert(eq(u64, duration("18446744073709551615ms"), UINT64_MAX));
    cr_assert(eq(u64, duration("18446744073709551616ms"), NEVER));
    cr_assert(eq(u64, duration("18446744073709551s"), 18446744073709551000u));
    cr_assert(eq(u64, duration("18446744073709552s"), NEVER));
    cr_assert(eq(u64, duration("18446744073709551.7s"), NEVER));
    cr_assert(eq(u64, duration("99999999999999999999d"), NEVER));
}

Test(text, durations_are_written_in_the_largest_unit_that_is_exact)
{
    expect_duration(0, "0s");
    expect_duration(1, "1ms");
    expect_duration(1500, "1500ms");
    expect_duration(90000, "90s");
    expect_duration(300000, "5m");
    expect_duration(172800000, "2d");
    expect_duration(90000000, "25h");
    expect_duration(UINT64_MAX, "18446744073709551615ms");
}

Test(text, sizes_are_powers_of_1024_or_bytes)
{
    cr_assert(eq(u64, size("64KiB"), 65536));
    cr_assert(eq(u64, size("5MiB"), 5242880));
    cr_assert(eq(u64, size("2GiB"), 2147483648));
    cr_assert(eq(u64, size("1TiB"), 1099511627776));
    cr_assert(eq(u64, size("100"), 100));
    cr_assert(eq(u64, size("100B"), 100));
    cr_assert(eq(u64, size("16777215TiB"), 16777215ull << 40));
    cr_assert(eq(u64, size("16777216TiB"), NEVER));
}

Test(text, refuses_what_is_not_a_size)
{
    cr_assert(eq(u64, size(""), NEVER));
    cr_assert(eq(u64, size("B"), NEVER));
    cr_assert(eq(u64, size("10MB"), NEVER));
    cr_assert(eq(u64, size("10K"), NEVER));
    cr_assert(eq(u64, size("10kib"), NEVER));
    cr_assert(eq(u64, size("7e8"), NEVER));
    cr_assert(eq(u64, size("-1"), NEVER));
    cr_assert(eq(u64, size("1.5KiB"), NEVER));
    cr_assert(eq(u64, size("1KiB 2KiB"), NEVER));
    cr_assert(eq(u64, size("1 KiB"), NEVER));
    cr_assert(eq(u64, size("0x10"), NEVER));
}

Test(text, sizes_are_written_in_the_largest_unit_that_is_exact)
{
    expect_size(0, "0B");
    expect_size(1000, "1000B");
    expect_size(1024, "1KiB");
    expect_size(1536 * 1024, "1536KiB");
    expect_size(1ull << 40, "1TiB");
    expect_size(UINT64_MAX, "18446744073709551615B");
}

Test(text, numbers_are_digits_within_their_range)
{
    uint64_t v = NEVER;

    cr_assert(text_parse_u64(bytes_str("18446744073709551615"), 0, UINT64_MAX, &v));
    cr_assert(eq(u64, v, UINT64_MAX));
    cr_assert(text_parse_u64(bytes_str("10"), 10, 10, &v));
    cr_assert(eq(u64, v, 10));
    cr_assert(
        not(text_parse_u64(bytes_str("18446744073709551616"), 0, UINT64_MAX, &v)));
    cr_assert(not(text_parse_u64(bytes_str("9"), 10, 20, &v)));
    cr_assert(not(text_parse_u64(bytes_str("21"), 10, 20, &v)));
    cr_assert(not(text_parse_u64(bytes_str("1x"), 0, 20, &v)));
    cr_assert(not(text_parse_u64(bytes_str("-1"), 0, 20, &v)));
    cr_assert(not(text_parse_u64(bytes_of(NULL, 0), 0, 20, &v)));
    cr_assert(eq(u64, v, 10));
}

Test(text, numbers_are_written_without_a_nul)
{
    char out[20];

    cr_assert(eq(sz, text_put_u64(out, 0), 1));
    cr_assert(eq(chr, out[0], '0'));
    cr_assert(eq(sz, text_put_u64(out, UINT64_MAX), 20));
    cr_assert(eq(int, memcmp(out, "18446744073709551615", 20), 0));
}

Test(text, times_are_utc_with_milliseconds)
{
    expect_time(0, "1970-01-01T00:00:00.000Z");
    expect_time(1767323045678, "2026-01-02T03:04:05.678Z");
    expect_time(951782400000, "2000-02-29T00:00:00.000Z");
    expect_time(-1, "1969-12-31T23:59:59.999Z");
    expect_time(-62167219200000, "0000-01-01T00:00:00.000Z");
    expect_time(253402300799999, "9999-12-31T23:59:59.999Z");
}

Test(text, years_beyond_four_digits_show_as_the_last_moment)
{
    char out[TEXT_TIME_LEN + 1];

    text_format_time(out, INT64_MAX);
    cr_assert(eq(str, out, "9999-12-31T23:59:59.999Z"));
    text_format_time(out, INT64_MIN);
    cr_assert(eq(str, out, "0000-01-01T00:00:00.000Z"));
}

Test(text, times_agree_with_the_c_library_over_centuries)
{
    char ours[TEXT_TIME_LEN + 1], theirs[64];

    /* every 11th hour or so from 1600 to 2500 */
    for (int64_t s = -11676096000; s < 16725225600; s += 39611) {
        time_t t = s;
        struct tm tm;
        int64_t back;

        strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%S.007Z", gmtime_r(&t, &tm));
        text_format_time(ours, s * 1000 + 7);
        if (strcmp(ours, theirs) != 0)
            cr_fatal("%s is not %s", ours, theirs);
        if (!text_parse_time(bytes_str(theirs), &back) || back != s * 1000 + 7)
            cr_fatal("%s did not come back", theirs);
    }
}

Test(text, reads_offsets_fractions_and_leap_seconds)
{
    cr_assert(eq(i64, moment("2026-01-02T03:04:05Z"), 1767323045000));
    cr_assert(eq(i64, moment("2026-01-02t03:04:05.6789z"), 1767323045678));
    cr_assert(eq(i64, moment("2026-01-02T05:04:05.6+02:00"), 1767323045600));
    cr_assert(eq(i64, moment("2026-01-01T21:34:05-05:30"), 1767323045000));
    cr_assert(eq(i64, moment("2016-12-31T23:59:60Z"), 1483228800000));
    cr_assert(eq(i64, moment("2016-12-31T23:59:60.9Z"), 1483228800000));
    cr_assert(eq(i64, moment("1970-01-01T00:00:00.12345678901234567890Z"), 123));
}

Test(text, refuses_what_is_not_a_time)
{
    cr_assert(eq(i64, moment(""), NEVER));
    cr_assert(eq(i64, moment("2026-01-02"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02T03:04:05"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02 03:04:05Z"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02T03:04Z"), NEVER));
    cr_assert(eq(i64, moment("2026-13-01T00:00:00Z"), NEVER));
    cr_assert(eq(i64, moment("2026-00-01T00:00:00Z"), NEVER));
    cr_assert(eq(i64, moment("2026-02-29T00:00:00Z"), NEVER));
    cr_assert(eq(i64, moment("1900-02-29T00:00:00Z"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02T24:00:00Z"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02T03:60:00Z"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02T03:04:60Z"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02T03:04:05.Z"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02T03:04:05Zx"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02T03:04:05+0200"), NEVER));
    cr_assert(eq(i64, moment("2026-01-02T03:04:05+24:00"), NEVER));
    cr_assert(eq(i64, moment("2026\r01-02T03:04:05Z"), NEVER));
    cr_assert(eq(i64, moment("+026-01-02T03:04:05Z"), NEVER));
}

static bool utf8(const char *t)
{
    return text_is_utf8(bytes_str(t));
}

Test(text, accepts_every_form_of_utf8_and_its_edges)
{
    cr_assert(text_is_utf8(bytes_of(NULL, 0)));
    cr_assert(text_is_utf8(bytes_of("a\0b", 3)));
    cr_assert(utf8("twelve ascii, and then some more of it"));
    cr_assert(utf8("\xc2\x80 \xdf\xbf"));
    cr_assert(utf8("\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"));
    cr_assert(utf8("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
}

Test(text, refuses_every_way_to_break_utf8)
{
    cr_assert(not(utf8("\x80")));
    cr_assert(not(utf8("\xbf")));
    cr_assert(not(utf8("\xc0\x80")));
    cr_assert(not(utf8("\xc1\xbf")));
    cr_assert(not(utf8("\xe0\x9f\xbf")));
    cr_assert(not(utf8("\xed\xa0\x80")));
    cr_assert(not(utf8("\xf0\x8f\xbf\xbf")));
    cr_assert(not(utf8("\xf4\x90\x80\x80")));
    cr_assert(not(utf8("\xf5\x80\x80\x80")));
    cr_assert(not(utf8("\xff")));
    cr_assert(not(utf8("12345678\xc3")));
    cr_assert(not(utf8("12345678\xe2\x82")));
    cr_assert(not(utf8("\xf0\x9f\x98")));
    cr_assert(not(utf8("\xc3(")));
    cr_assert(not(utf8("\xe2\x82(")));
    cr_assert(not(utf8("\xf0\x9f\x98(")));
}

/* Decoding by the definition, one code point at a time, as the other opinion. */
static bool utf8_by_definition(const uint8_t *p, size_t len)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c = p[i];

        n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
        if (!n || i + n > len)
            return false;
        c &= n == 1 ? 0x7f : 0xffu >> (n + 1);
        for (size_t k = 1; k < n; k++) {
            if (p[i + k] >> 6 != 2)
                return false;
            c = c << 6 | (p[i + k] & 0x3f);
        }
        if (c < least[n] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
            return false;
    }
    return true;
}

Test(text, agrees_with_the_definition_of_utf8_on_every_two_bytes_and_random_fours)
{
    uint8_t b[4];
    unsigned good = 0;

    for (unsigned v = 0; v < 0x10000; v++) {
        b[0] = (uint8_t)(v >> 8), b[1] = (uint8_t)v;
        if (text_is_utf8(bytes_of(b, 2)) != utf8_by_definition(b, 2))
            cr_fatal("%04x", v);
    }
    srand(2);
    for (unsigned i = 0; i < 2000000; i++) {
        uint32_t v = (uint32_t)rand() ^ (uint32_t)rand() << 16;

        /* a high first byte and likely continuations, or few would be valid */
        put_be32(b, (v | 0xc0808080u) & (rand() & 1 ? 0xf7bfbfbfu : 0xffffffffu));
        good += utf8_by_definition(b, 4);
        if (text_is_utf8(bytes_of(b, 4)) != utf8_by_definition(b, 4))
            cr_fatal("%02x %02x %02x %02x", b[0], b[1], b[2], b[3]);
    }
    cr_assert(gt(uint, good, 1000)); /* both answers were seen */
}

Test(text, plain_text_has_no_control_characters)
{
    cr_assert(text_is_plain(bytes_str("orders/eu \xc3\xa9 \xf0\x9f\x98\x80")));
    cr_assert(text_is_plain(bytes_str("\xc2\xa0")));
    cr_assert(not(text_is_plain(bytes_str("a\tb"))));
    cr_assert(not(text_is_plain(bytes_str("a\nb"))));
    cr_assert(not(text_is_plain(bytes_of("a\0b", 3))));
    cr_assert(not(text_is_plain(bytes_str("a\x7f"))));
    cr_assert(not(text_is_plain(bytes_str("\xc2\x80"))));
    cr_assert(not(text_is_plain(bytes_str("\xc2\x9f"))));
    cr_assert(not(text_is_plain(bytes_str("\xc3"))));
}
