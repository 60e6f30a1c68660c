/* The row of a subscription, and the settings that few of them have. */
#include "sub_record.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct sub_state sub;
static uint8_t row[SUB_RECORD_MAX];
static size_t row_len;

static void given_a_subscription(void)
{
    sub = (struct sub_state){ .id = 3, .created_ms = 7, .next = 12, .name = "s", .name_len = 1 };
    sub.settings = (struct sub_settings){ .lease_ms = 30000,
                                          .max_in_flight = 1000,
                                          .topic_len = 1,
                                          .topic = "t",
                                          .backoff_ms = { 1000, 2000 },
                                          .backoffs = 2,
                                          .dead_letter_len = 4,
                                          .dead_letter = "dead" };
}

TestSuite(sub_record, .init = given_a_subscription);

static void set(enum sub_extra which, const char *value)
{
    cr_assert(eq(int, sub_extra_set(&sub.settings, which, bytes_str(value)), true));
}

static bool is(const struct sub_settings *s, enum sub_extra which, const char *value)
{
    return bytes_eq(sub_extra(s, which), bytes_str(value));
}

static enum err decode(struct sub_state *out)
{
    return sub_record_decode(bytes_str("s"), bytes_of(row, row_len), out);
}

static struct sub_state there_and_back(void)
{
    struct sub_state out;

    row_len = sub_record_encode(&sub, row);
    cr_assert(eq(int, decode(&out), ERR_OK));
    return out;
}

Test(sub_record, is_read_back_as_it_was)
{
    struct sub_state back;

    set(SUB_FILTER, "type=paid");
    set(SUB_PUSH_URL, "http://example.org/");
    back = there_and_back();
    cr_assert(eq(int, memcmp(&back, &sub, sizeof sub), 0));
    cr_assert(is(&back.settings, SUB_FILTER, "type=paid"));
    cr_assert(is(&back.settings, SUB_PUSH_URL, "http://example.org/"));
}

Test(sub_record, of_version_1_has_no_extra_settings)
{
    struct sub_state back;

    row_len = sub_record_encode(&sub, row) - 2;
    row[0] = 1;
    memmove(row + 149, row + 151, row_len - 149);
    cr_assert(eq(int, decode(&back), ERR_OK));
    cr_assert(eq(int, memcmp(&back, &sub, sizeof sub), 0));
    cr_assert(eq(sz, sub_extra(&back.settings, SUB_FILTER).len, 0));
}

Test(sub_record, of_a_version_to_come_is_refused)
{
    struct sub_state back;

    there_and_back();
    row[0] = 3;
    cr_assert(eq(int, decode(&back), ERR_CORRUPT));
}

Test(sub_record, cut_anywhere_or_too_long_is_refused)
{
    struct sub_state back;
    size_t whole;

    set(SUB_FILTER, "a");
    set(SUB_PUSH_URL, "b");
    there_and_back();
    whole = row_len;
    for (row_len = 0; row_len < whole; row_len++)
        cr_assert(eq(int, decode(&back), ERR_CORRUPT), "%zu bytes", row_len);
    row_len = whole + 1;
    cr_assert(eq(int, decode(&back), ERR_CORRUPT));
}

Test(sub_record, extra_settings_in_no_order_or_of_no_length_are_refused)
{
    struct sub_state back;
    uint8_t *extra;

    set(SUB_FILTER, "a");
    set(SUB_PUSH_URL, "b");
    there_and_back();
    extra = row + row_len - 8;
    extra[4] = SUB_FILTER; /* twice */
    cr_assert(eq(int, decode(&back), ERR_CORRUPT));
    extra[4] = SUB_EXTRAS_END;
    cr_assert(eq(int, decode(&back), ERR_CORRUPT));
    extra[4] = SUB_PUSH_URL;
    cr_assert(eq(int, decode(&back), ERR_OK));
    extra[0] = 0;
    cr_assert(eq(int, decode(&back), ERR_CORRUPT));
    extra[0] = SUB_FILTER;
    extra[2] = 0;
    cr_assert(eq(int, decode(&back), ERR_CORRUPT));
}

Test(sub_record, extra_settings_are_set_replaced_and_taken_out)
{
    set(SUB_PUSH_URL, "second");
    set(SUB_FILTER, "first");
    cr_assert(is(&sub.settings, SUB_PUSH_URL, "second"));
    set(SUB_FILTER, "a longer first");
    cr_assert(is(&sub.settings, SUB_FILTER, "a longer first"));
    cr_assert(is(&sub.settings, SUB_PUSH_URL, "second"));
    set(SUB_FILTER, "");
    cr_assert(is(&sub.settings, SUB_FILTER, ""));
    cr_assert(is(&sub.settings, SUB_PUSH_URL, "second"));
    set(SUB_FILTER, "");
    set(SUB_PUSH_URL, "");
    cr_assert(eq(u16, sub.settings.extra_len, 0));
}

Test(sub_record, extra_settings_have_room_for_the_longest_of_all)
{
    char longest[STORE_SUB_EXTRA_MAX + 2] = "";
    struct sub_state back;

    memset(longest, 'x', STORE_SUB_EXTRA_MAX + 1);
    cr_assert(eq(int, sub_extra_set(&sub.settings, SUB_FILTER, bytes_str(longest)), false));
    cr_assert(eq(u16, sub.settings.extra_len, 0));
    longest[STORE_SUB_EXTRA_MAX] = 0;
    set(SUB_FILTER, longest);
    set(SUB_PUSH_URL, longest);
    sub.settings.topic_len = sub.settings.dead_letter_len = 255;
    back = there_and_back();
    cr_assert(eq(sz, row_len, SUB_RECORD_MAX));
    cr_assert(is(&back.settings, SUB_PUSH_URL, longest));
}

Test(sub_record, extra_settings_are_equal_however_they_came_about)
{
    struct sub_settings one = sub.settings;

    set(SUB_FILTER, "a");
    cr_assert(eq(int, sub_extras_equal(&one, &sub.settings), false));
    set(SUB_PUSH_URL, "b");
    cr_assert(sub_extra_set(&one, SUB_PUSH_URL, bytes_str("b")));
    cr_assert(sub_extra_set(&one, SUB_FILTER, bytes_str("longer")));
    cr_assert(sub_extra_set(&one, SUB_FILTER, bytes_str("a")));
    cr_assert(sub_extras_equal(&one, &sub.settings));
}
