#include "event.h"

#include "record.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const char *decoded(const char *value)
{
    static char out[256];
    size_t len;

    if (!event_decode(bytes_str(value), (uint8_t *)out, &len))
        return "(no)";
    out[len] = 0;
    return out;
}

static const char *encoded(const char *value)
{
    static char out[256];

    event_encode(bytes_str(value), out);
    out[event_encoded_len(bytes_str(value))] = 0;
    return out;
}

Test(event, values_are_encoded_as_the_binding_says)
{
    cr_assert(eq(str, (char *)encoded("Euro \xe2\x82\xac \xf0\x9f\x98\x80"),
                 "Euro%20%E2%82%AC%20%F0%9F%98%80"));
    cr_assert(eq(str, (char *)encoded("a\"b%c~!"), "a%22b%25c~!"));
    cr_assert(eq(str, (char *)decoded("Euro%20%E2%82%AC%20%F0%9F%98%80"),
                 "Euro \xe2\x82\xac \xf0\x9f\x98\x80"));
    cr_assert(eq(str, (char *)decoded("%41%2525"), "A%25")); /* one round */
}

Test(event, a_value_in_quotation_marks_is_what_is_inside)
{
    cr_assert(eq(str, (char *)decoded("\"a \\\"b\\\" \\\\\""), "a \"b\" \\"));
    cr_assert(eq(str, (char *)decoded("\"a%20b\""), "a b"));
    cr_assert(eq(str, (char *)decoded("\""), "\""));
    cr_assert(eq(str, (char *)decoded("a\"b\""), "a\"b\""));
}

Test(event, a_percent_sign_that_says_nothing_is_refused)
{
    cr_assert(eq(str, (char *)decoded("%"), "(no)"));
    cr_assert(eq(str, (char *)decoded("a%4"), "(no)"));
    cr_assert(eq(str, (char *)decoded("%4g"), "(no)"));
}

Test(event, the_mode_is_in_the_content_type)
{
    cr_assert(eq(int, event_mode_of(bytes_str("application/json")), EVENT_BINARY));
    cr_assert(eq(int, event_mode_of(bytes_str("")), EVENT_BINARY));
    cr_assert(eq(int, event_mode_of(bytes_str("Application/CloudEvents+JSON; charset=utf-8")),
                 EVENT_STRUCTURED));
    cr_assert(eq(int, event_mode_of(bytes_str("application/cloudevents-batch+json")),
                 EVENT_BATCHED));
    cr_assert(eq(int, event_mode_of(bytes_str("application/cloudevents+avro")), EVENT_UNKNOWN));
}

static bool is_event(const char *const *names, const char *const *values, size_t count)
{
    uint8_t list[512];
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += attribute_put(list + len, bytes_str(names[i]), bytes_str(values[i]));
    return event_is(bytes_of(list, len));
}

Test(event, is_a_message_with_all_that_is_required)
{
    const char *const names[] = { "ce-id", "ce-source", "ce-type", "ce-specversion", "x" };
    const char *const values[] = { "1", "/", "t", "1.0", "y" }, *const old[] = { "1", "/", "t", "0.3" };
    const char *const empty[] = { "", "/", "t", "1.0" };

    cr_assert(is_event(names, values, 5));
    cr_assert(not(is_event(names, values, 3)));
    cr_assert(not(is_event(names + 1, values + 1, 4)));
    cr_assert(not(is_event(names, old, 4)));
    cr_assert(not(is_event(names, empty, 4)));
    cr_assert(not(event_is(bytes_of("", 0))));
}
