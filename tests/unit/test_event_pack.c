/* Events in JSON become packed messages in the very buffer they came in, never behind it. */
#include "event_pack.h"

#include "packed.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD "\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\""

static const struct batch_limits limits = { .max_messages = 10,
                                            .max_body_bytes = 1000,
                                            .max_content_type_bytes = 255 };
static struct batch_result result;

/* In a buffer of its own of just that size, so that a sanitizer sees a byte too many. */
static enum err pack(const char *text, bool array, uint8_t **buf)
{
    size_t len = strlen(text);

    *buf = malloc(len + event_pack_slack(len));
    memcpy(*buf, text, len);
    return array ? event_pack_array(*buf, len, &limits, &result)
                 : event_pack_one(*buf, len, &limits, &result);
}

static void is_body(const char *text, const char *body, const char *type)
{
    struct packed_message m;
    struct bytes at;
    uint8_t *buf;

    cr_assert(eq(int, pack(text, false, &buf), ERR_OK), "%s: %s", text, result.reason);
    at = bytes_of(buf, result.packed_len);
    cr_assert(eq(int, packed_next(&at, &m), ERR_OK));
    cr_assert(bytes_eq(m.body, bytes_str(body)), "%s", text);
    cr_assert(bytes_eq(m.content_type, bytes_str(type)), "%s", text);
    cr_assert(eq(sz, at.len, 0));
    free(buf);
}

Test(event_pack, data_may_stand_anywhere)
{
    is_body("{" HEAD ",\"data\":{\"a\" : 1}}", "{\"a\" : 1}", "application/json");
    is_body("{\"data\":[1,2]," HEAD "}", "[1,2]", "application/json");
    is_body("{\"data\":\"a\\nb\",\"datacontenttype\":\"text/x\"," HEAD "}", "a\nb", "text/x");
    is_body("{" HEAD ",\"data_base64\":\"YWJj\"}", "abc", "");
    is_body("{" HEAD "}", "", "");
}

Test(event_pack, many_attributes_of_every_length_fit)
{
    static char text[12000];

    for (int len = 100; len < 200; len++)
        for (int count = 1; count * (len + 12) < 8100; count += 13) {
            size_t at = (size_t)sprintf(text, "{\"data\":\"x\"");
            uint8_t *buf;
            enum err e;

            for (int i = 0; i < count; i++)
                at += (size_t)sprintf(text + at, ",\"e%d\":\"%0*d\"", i, len, 7);
            sprintf(text + at, "," HEAD "}");
            e = pack(text, false, &buf);
            cr_assert(eq(int, e, ERR_OK), "%d of %d: %s", count, len, result.reason);
            free(buf);
        }
}

Test(event_pack, an_array_is_packed_one_behind_the_other)
{
    struct packed_message m;
    struct bytes at, name, value;
    uint8_t *buf;

    cr_assert(eq(int, pack("[{" HEAD ",\"data\":1}, {" HEAD ",\"data\":22} ]", true, &buf), ERR_OK));
    cr_assert(eq(sz, result.count, 2));
    cr_assert(eq(u64, result.body_bytes, 3));
    at = bytes_of(buf, result.packed_len);
    cr_assert(eq(int, packed_next(&at, &m), ERR_OK));
    cr_assert(bytes_eq(m.body, bytes_str("1")));
    cr_assert(eq(int, packed_next(&at, &m), ERR_OK));
    cr_assert(bytes_eq(m.body, bytes_str("22")));
    cr_assert(packed_attribute(&m.attributes, &name, &value));
    cr_assert(bytes_eq(name, bytes_str("ce-specversion")));
    cr_assert(eq(int, packed_next(&at, &m), ERR_NOT_FOUND));
    free(buf);
}

Test(event_pack, says_which_element_is_wrong)
{
    uint8_t *buf;

    cr_assert(eq(int, pack("[{" HEAD "},{\"id\":\"1\"}]", true, &buf), ERR_BAD_INPUT));
    cr_assert(eq(sz, result.index, 1));
    cr_assert(ne(ptr, strstr(result.reason, "specversion"), NULL));
    free(buf);
    cr_assert(eq(int, pack("[{" HEAD "}", true, &buf), ERR_BAD_INPUT));
    free(buf);
    cr_assert(eq(int, pack("{" HEAD "} x", false, &buf), ERR_BAD_INPUT));
    free(buf);
    cr_assert(eq(int, pack("{" HEAD ",\"data\":\"\\ud800\",\"datacontenttype\":\"text/x\"}", false, &buf),
                 ERR_BAD_INPUT));
    free(buf);
}
