/* A subscription as URL and as JSON-LD. */
#include "mercure/subscription.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static char room[16384];
static struct out out;

static void given_an_out(void)
{
    out_init_in(&out, room, sizeof room - 1);
}

TestSuite(mercure_subscription, .init = given_an_out);

static const char *written(void)
{
    room[out.len] = '\0';
    return room;
}

static struct mercure_subscription subscription(const char *topic, const char *payload)
{
    return (struct mercure_subscription){ .topic = bytes_str(topic),
                                          .subscriber = bytes_str("urn:uuid:1"),
                                          .payload = bytes_str(payload),
                                          .active = true };
}

Test(mercure_subscription, the_update_is_written_in_lines)
{
    struct mercure_subscription s =
        subscription("https://example.com/{selector}", "{\"foo\":\"bar\"}");

    mercure_put_subscription_event(&out, &s);
    cr_assert(eq(str, (char *)written(),
                 "{\n"
                 "  \"@context\": \"https://mercure.rocks/\",\n"
                 "  \"id\": \"/.well-known/mercure/subscriptions/"
                 "https%3A%2F%2Fexample.com%2F%7Bselector%7D/urn%3Auuid%3A1\",\n"
                 "  \"type\": \"Subscription\",\n"
                 "  \"subscriber\": \"urn:uuid:1\",\n"
                 "  \"topic\": \"https://example.com/{selector}\",\n"
                 "  \"active\": true,\n"
                 "  \"payload\": {\"foo\":\"bar\"}\n"
                 "}"));
}

Test(mercure_subscription, an_end_without_payload)
{
    struct mercure_subscription s = subscription("a", "");

    s.active = false;
    mercure_put_subscription(&out, &s, bytes_str(""), bytes_str(""));
    cr_assert(eq(str, (char *)written(),
                 "{\"id\":\"/.well-known/mercure/subscriptions/a/urn%3Auuid%3A1\","
                 "\"type\":\"Subscription\",\"subscriber\":\"urn:uuid:1\",\"topic\":\"a\","
                 "\"active\":false}"));
}

Test(mercure_subscription, a_document_of_its_own_has_context_and_last_event)
{
    struct mercure_subscription s = subscription("a", "7");

    mercure_put_subscription(&out, &s, bytes_str(MERCURE_CONTEXT), bytes_str("say \"x\""));
    cr_assert(eq(str, (char *)written(),
                 "{\"@context\":\"https://mercure.rocks/\","
                 "\"id\":\"/.well-known/mercure/subscriptions/a/urn%3Auuid%3A1\","
                 "\"type\":\"Subscription\",\"subscriber\":\"urn:uuid:1\",\"topic\":\"a\","
                 "\"active\":true,\"payload\":7,\"lastEventID\":\"say \\\"x\\\"\"}"));
}

Test(mercure_subscription, a_url_has_all_but_unreserved_characters_encoded)
{
    struct mercure_subscription s = subscription("aZ0-._~ +%/?\xc3\xa4\x01", "");

    mercure_put_subscription_url(&out, &s);
    cr_assert(eq(str, (char *)written(),
                 "/.well-known/mercure/subscriptions/"
                 "aZ0-._~%20%2B%25%2F%3F%C3%A4%01/urn%3Auuid%3A1"));
    cr_assert(eq(sz, mercure_subscription_url_len(&s), out.len));
}

Test(mercure_subscription, a_url_of_a_long_topic_is_whole)
{
    char topic[1025] = "";
    struct mercure_subscription s;

    memset(topic, '/', 1024);
    s = subscription(topic, "");
    mercure_put_subscription_url(&out, &s);
    cr_assert(eq(sz, out.len, sizeof MERCURE_SUBSCRIPTIONS + 1 + 3 * 1024 + 14));
    cr_assert(eq(sz, mercure_subscription_url_len(&s), out.len));
}

Test(mercure_subscription, a_topic_that_is_no_text_is_marked)
{
    struct mercure_subscription s = subscription("a\xff", "");

    mercure_put_subscription(&out, &s, bytes_str(""), bytes_str(""));
    cr_assert(ne(ptr, strstr(written(), "\"topic\":\"a\xef\xbf\xbd\""), NULL));
    cr_assert(ne(ptr, strstr(written(), "/a%FF/"), NULL));
}

Test(mercure_subscription, no_document_is_larger_than_it_says)
{
    char topic[1025] = "";
    struct mercure_subscription s;

    memset(topic, 1, 1024); /* each six bytes in JSON */
    s = subscription(topic, "{\"x\":[1,2,3]}");
    mercure_put_subscription_event(&out, &s);
    cr_assert(not(out.full));
    cr_assert(le(sz, out.len, mercure_subscription_most(&s)));
}
