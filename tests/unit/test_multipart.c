/* Messages as the parts of a multipart body. */
#include "base/text.h"
#include "multipart.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define MARK "0123456789abcdef0123456789abcdef"

static struct out o;

static void teardown(void)
{
    out_fini(&o);
}

static const char *written(void)
{
    out_raw(&o, bytes_of("", 1));
    cr_assert(not(o.full));
    return o.data;
}

static struct record given(const char *type, const char *body)
{
    return (struct record){ .time_ms = 0, .content_type = bytes_str(type), .body = bytes_str(body) };
}

TestSuite(multipart, .fini = teardown);

Test(multipart, a_part_has_its_headers_and_its_bytes)
{
    struct record r = given("text/plain", "a\r\nb");
    uint8_t list[64];

    out_init(&o, 4096);
    r.key = bytes_str("k");
    r.expires_ms = 1000;
    r.attributes = bytes_of(list, attribute_put(list, bytes_str("till-no"), bytes_str("7")));
    multipart_part(&o, MARK, 42, &r, NULL);
    multipart_end(&o, MARK);
    cr_assert(eq(str, (char *)written(),
                 "--" MARK "\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n"
                 "Message-Offset: 42\r\nMessage-Time: 1970-01-01T00:00:00.000Z\r\n"
                 "Message-Expires-At: 1970-01-01T00:00:01.000Z\r\nMessage-Key: k\r\n"
                 "Message-Till-No: 7\r\n\r\na\r\nb\r\n--" MARK "--\r\n"));
}

Test(multipart, a_value_with_a_line_break_is_left_out)
{
    struct record r = given("text/plain\r\nX-Own: 1", "x");
    uint8_t list[64];

    out_init(&o, 4096);
    r.key = bytes_str("a\nX-Own: 2");
    r.attributes = bytes_of(list, attribute_put(list, bytes_str("n"), bytes_str("\r\nX-Own: 3")));
    multipart_part(&o, MARK, 0, &r, NULL);
    cr_assert(eq(str, (char *)written(),
                 "--" MARK "\r\nContent-Type: application/octet-stream\r\nContent-Length: 1\r\n"
                 "Message-Offset: 0\r\nMessage-Time: 1970-01-01T00:00:00.000Z\r\n\r\nx\r\n"));
}

Test(multipart, a_large_body_is_said_to_be_elsewhere)
{
    struct record r = { .content_type = bytes_str("image/png"), .blob_id = 7, .blob_size = 99 };

    out_init(&o, 4096);
    multipart_part(&o, MARK, 3, &r, "/v1/topics/t/messages/3");
    cr_assert(eq(str, (char *)written(),
                 "--" MARK "\r\nContent-Type: message/external-body; access-type=URL; size=99; "
                 "URL=\"/v1/topics/t/messages/3\"\r\nMessage-Offset: 3\r\n"
                 "Message-Time: 1970-01-01T00:00:00.000Z\r\n\r\nContent-Type: image/png\r\n\r\n\r\n"));
}

Test(multipart, a_boundary_is_hexadecimal_and_never_the_same)
{
    char a[MULTIPART_BOUNDARY + 1], b[MULTIPART_BOUNDARY + 1];

    multipart_draw(a);
    multipart_draw(b);
    cr_assert(eq(sz, strspn(a, "0123456789abcdef"), MULTIPART_BOUNDARY));
    cr_assert(eq(sz, strlen(a), MULTIPART_BOUNDARY));
    cr_assert(ne(str, a, b));
}
