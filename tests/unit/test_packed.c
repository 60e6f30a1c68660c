#include "packed.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define OK(call) cr_assert(eq(int, (call), ERR_OK))

static struct packed_message m;

static enum err first_of(const char *packed, size_t len)
{
    struct bytes at = bytes_of(packed, len);

    return packed_next(&at, &m);
}

#define FIRST(literal) first_of(literal, sizeof(literal) - 1)

static void expect(struct bytes got, const char *text)
{
    cr_assert(bytes_eq(got, bytes_str(text)), "%.*s", (int)got.len,
              (const char *)got.data);
}

TestSuite(packed, .timeout = 20);

Test(packed, nothing_is_the_end)
{
    cr_assert(eq(int, first_of("", 0), ERR_NOT_FOUND));
}

Test(packed, a_message_without_fields_is_an_empty_one)
{
    OK(FIRST("\0"));
    expect(m.body, "");
    expect(m.key, "");
    cr_assert(not(m.has_ttl));
}

Test(packed, gives_every_field_as_it_was)
{
    OK(FIRST("\x12\x01\x02hi\x02\x01k\x03\x01t\x05\x80\x01\x04\x01n\x01v"));
    expect(m.body, "hi");
    expect(m.key, "k");
    expect(m.content_type, "t");
    cr_assert(m.has_ttl);
    cr_assert(eq(u64, m.ttl_ms, 128));
    expect(m.attributes, "\x04\x01n\x01v");
}

Test(packed, a_delay_is_from_now_or_a_time)
{
    OK(FIRST("\x00"));
    cr_assert(eq(int, m.delay.kind, PACKED_NO_DELAY));
    OK(FIRST("\x03\x0a\x80\x01"));
    cr_assert(eq(int, m.delay.kind, PACKED_DELAY_AFTER));
    cr_assert(eq(u64, m.delay.ms, 128));
    OK(FIRST("\x02\x0b\x00"));
    cr_assert(eq(int, m.delay.kind, PACKED_DELAY_UNTIL));
    cr_assert(eq(u64, m.delay.ms, 0));
    cr_assert(eq(int, FIRST("\x01\x0b"), ERR_CORRUPT));
}

Test(packed, walks_messages_one_after_another)
{
    struct bytes at = bytes_of("\x03\x01\x01" "a" "\x03\x01\x01" "b", 8);

    OK(packed_next(&at, &m));
    expect(m.body, "a");
    OK(packed_next(&at, &m));
    expect(m.body, "b");
    cr_assert(eq(int, packed_next(&at, &m), ERR_NOT_FOUND));
}

Test(packed, a_message_takes_nothing_over_from_the_one_before)
{
    struct bytes at = bytes_of("\x02\x05\x07\x02\x01\x00", 6);

    OK(packed_next(&at, &m));
    cr_assert(m.has_ttl);
    cr_assert(eq(u64, m.ttl_ms, 7));
    OK(packed_next(&at, &m));
    cr_assert(not(m.has_ttl));
}

Test(packed, says_json_and_text_in_one_byte)
{
    OK(FIRST("\x03\x08\x01" "1"));
    expect(m.body, "1");
    expect(m.content_type, "application/json");
    OK(FIRST("\x03\x09\x01" "x"));
    expect(m.content_type, "text/plain; charset=utf-8");
    OK(FIRST("\x01\x06"));
    expect(m.content_type, "application/json");
    OK(FIRST("\x01\x07"));
    expect(m.content_type, "text/plain; charset=utf-8");
}

Test(packed, gives_attributes_in_their_order)
{
    struct bytes name, value, run;

    OK(FIRST("\x0c\x04\x01" "a" "\x01" "1" "\x04\x01" "b" "\x00" "\x01\x01" "z"));
    expect(m.body, "z");
    run = m.attributes;
    cr_assert(packed_attribute(&run, &name, &value));
    expect(name, "a");
    expect(value, "1");
    cr_assert(packed_attribute(&run, &name, &value));
    expect(name, "b");
    expect(value, "");
    cr_assert(not(packed_attribute(&run, &name, &value)));
}

Test(packed, a_padded_length_is_a_length)
{
    OK(FIRST("\x83\x80\x00\x01\x01" "a"));
    expect(m.body, "a");
}

Test(packed, what_ends_too_early_or_has_an_unknown_tag_is_corrupt)
{
    cr_assert(eq(int, FIRST("\x05\x01\x01" "a"), ERR_CORRUPT));
    cr_assert(eq(int, FIRST("\x03\x01\x05" "a"), ERR_CORRUPT));
    cr_assert(eq(int, FIRST("\x01\x63"), ERR_CORRUPT));
    cr_assert(eq(int, FIRST("\x80"), ERR_CORRUPT));
    cr_assert(eq(int, FIRST("\x01\x05"), ERR_CORRUPT));
    cr_assert(eq(int, FIRST("\x03\x04\x01" "a"), ERR_CORRUPT));
}

Test(packed, an_attribute_that_is_put_is_found_again)
{
    uint8_t room[64];
    struct bytes name, value, at;
    size_t len = packed_attribute_put(room, bytes_str("a"), bytes_str("b"));

    len += packed_attribute_put(room + len, bytes_str("n"), bytes_of(NULL, 0));
    cr_assert(eq(sz, len, packed_attribute_len(bytes_str("a"), bytes_str("b")) +
                              packed_attribute_len(bytes_str("n"), bytes_of(NULL, 0))));
    at = bytes_of(room, len);
    cr_assert(packed_attribute(&at, &name, &value));
    expect(name, "a");
    expect(value, "b");
    cr_assert(packed_attribute(&at, &name, &value));
    expect(name, "n");
    expect(value, "");
    cr_assert(not(packed_attribute(&at, &name, &value)));
}
