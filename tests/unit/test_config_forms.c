/* Settings with a form of their own: addresses, keys, names and origins of the hub. */
#include "address.h"
#include "config_fixture.h"
#include "config_form.h"

#include <arpa/inet.h>
#include <netinet/in.h>

TestSuite(config_forms, .init = enter_folder, .fini = leave_folder);

/* ---- addresses ---- */

#define ADDRESS_FORM "ADDRESS:PORT, such as 127.0.0.1:7070, [::1]:7070 or :7070"
#define BAD_ADDRESS(text)                                                              \
    REFUSED(LIST("--listen", text), NONE, "--listen " text ": expected " ADDRESS_FORM)

Test(config_forms, refuses_what_is_no_address)
{
    BAD_ADDRESS("7070");
    BAD_ADDRESS("127.0.0.1");
    BAD_ADDRESS("127.0.0.1:");
    BAD_ADDRESS("127.0.0.1:65536");
    BAD_ADDRESS("127.0.0.1:70 70");
    BAD_ADDRESS("::1:7070");
    BAD_ADDRESS("[::1:7070");
    BAD_ADDRESS("[:7070");
    BAD_ADDRESS("broker.example:7070");
    BAD_ADDRESS("http://127.0.0.1:7070");
}

Test(config_forms, understands_each_form_of_address)
{
    struct sockaddr_storage to;
    struct sockaddr_in *four = (struct sockaddr_in *)&to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&to;
    socklen_t len;

    cr_assert(eq(int, address_parse("localhost:80", &to, &len), ERR_OK));
    cr_assert(eq(int, four->sin_family, AF_INET));
    cr_assert(eq(u32, ntohl(four->sin_addr.s_addr), INADDR_LOOPBACK));
    cr_assert(eq(int, ntohs(four->sin_port), 80));
    cr_assert(eq(sz, len, sizeof *four));

    cr_assert(eq(int, address_parse("[::1]:7071", &to, &len), ERR_OK));
    cr_assert(eq(int, six->sin6_family, AF_INET6));
    cr_assert(eq(int, memcmp(&six->sin6_addr, &in6addr_loopback, 16), 0));
    cr_assert(eq(int, ntohs(six->sin6_port), 7071));
    cr_assert(eq(sz, len, sizeof *six));

    cr_assert(eq(int, address_parse("0.0.0.0:0", &to, &len), ERR_OK));
    cr_assert(eq(u32, four->sin_addr.s_addr, INADDR_ANY));
    cr_assert(eq(int, four->sin_port, 0));
}

Test(config_forms, understands_a_port_alone_as_every_address)
{
    struct sockaddr_storage to;
    socklen_t len;

    cr_assert(eq(int, address_parse(":7070", &to, &len), ERR_OK));
    if (to.ss_family == AF_INET6)
        cr_assert(eq(int,
                     memcmp(&((struct sockaddr_in6 *)&to)->sin6_addr, &in6addr_any, 16),
                     0));
    else
        cr_assert(eq(u32, ((struct sockaddr_in *)&to)->sin_addr.s_addr, INADDR_ANY));
}

/* ---- keys ---- */

#define KEY       "SLUICE_MERCURE_PUBLISHER_JWT_KEY"
#define KEY_FLAG  "--mercure-publisher-jwt-key"
#define KEY_OF(s) (s).mercure_publisher_jwt_key

static bool tells(const char *secret)
{
    char of_value[CONFIG_VALUE_SIZE], of_origin[CONFIG_VALUE_SIZE];
    const struct config_setting *s = config_find("mercure_publisher_jwt_key");

    config_value(&c, s, of_value, sizeof of_value);
    config_origin(&c, s, of_origin, sizeof of_origin);
    return strstr(of_value, secret) || strstr(of_origin, secret) || strstr(error, secret);
}

Test(config_forms, keeps_a_key_as_it_is_and_shows_only_that_there_is_one)
{
    cr_assert(eq(int, load(NONE, NONE), ERR_OK));
    IS(value("mercure_publisher_jwt_key"), "unset");
    cr_assert(eq(int, load(NONE, LIST(KEY "=!Change #\\n$=")), ERR_OK));
    IS(KEY_OF(c), "!Change #\\n$=");
    IS(value("mercure_publisher_jwt_key"), "set");
    IS(origin("mercure_publisher_jwt_key"), KEY);
    cr_assert(not(tells("!Change")));
}

Test(config_forms, never_says_a_key_in_an_error)
{
    given_file("mercure_publisher_jwt_key = 'geheim'\n");
    cr_assert(eq(int, load(NONE, NONE), ERR_BAD_INPUT));
    cr_assert(not(tells("geheim")));
    given_file("mercure_publisher_jwt_key  geheim\n");
    REFUSED(NONE, NONE,
            "default.conf:1: mercure_publisher_jwt_key: expected `name = value`");
    given_file("");
    REFUSED(NONE, LIST(KEY "=\"geheim"),
            KEY ": expected a key without quotes: they would become part of it");
    REFUSED(LIST(KEY_FLAG, "'geheim"), NONE,
            KEY_FLAG " ...: expected a key without quotes: they would become part of it");
}

/* Else what check-config prints of a key would be one that everybody knows. */
Test(config_forms, refuses_the_word_that_it_shows_instead_of_a_key)
{
    REFUSED(NONE, LIST(KEY "=set"), KEY ": expected unset, a key, or @FILE that has one");
    REFUSED(NONE, LIST(KEY "="), KEY ": expected unset, a key, or @FILE that has one");
    cr_assert(eq(int, load(NONE, LIST(KEY "=unset")), ERR_OK));
    IS(KEY_OF(c), "");
}

Test(config_forms, reads_a_key_from_a_file_without_the_end_of_its_last_line)
{
    write_file("other.conf", "one\ntwo\r\n", 9);
    cr_assert(eq(int, load(NONE, LIST(KEY "=@other.conf")), ERR_OK));
    IS(KEY_OF(c), "one\ntwo");
    cr_assert(not(tells("two")));
}

Test(config_forms, says_which_file_of_a_key_is_wrong)
{
    static char large[CONFIG_SECRET_SIZE];

    memset(large, 'k', sizeof large);
    REFUSED(NONE, LIST(KEY "=@nowhere.pem"),
            KEY ": the file nowhere.pem cannot be opened: No such file or directory");
    REFUSED(NONE, LIST(KEY "=@/tmp"), KEY ": the file /tmp cannot be read: Is a directory");
    write_file("other.conf", large, sizeof large - 1);
    cr_assert(eq(int, load(NONE, LIST(KEY "=@other.conf")), ERR_OK));
    cr_assert(eq(sz, strlen(KEY_OF(c)), 8192));
    write_file("other.conf", large, sizeof large);
    REFUSED(NONE, LIST(KEY "=@other.conf"),
            KEY ": the file other.conf is larger than the 8192 bytes a key may have");
    write_file("other.conf", "a\0b", 3);
    REFUSED(NONE, LIST(KEY "=@other.conf"),
            KEY ": the file other.conf has a zero byte: a key is text");
    write_file("other.conf", "\n", 1);
    REFUSED(NONE, LIST(KEY "=@other.conf"), KEY ": the file other.conf is empty");
}

Test(config_forms, unfolds_a_public_key_that_came_in_one_line)
{
    cr_assert(eq(int,
                 load(NONE, LIST(KEY "=-----BEGIN PUBLIC KEY-----\\nMF\\n-----END-----")),
                 ERR_OK));
    IS(KEY_OF(c), "-----BEGIN PUBLIC KEY-----\nMF\n-----END-----");
}

/* ---- names and origins of the Mercure hub ---- */

Test(config_forms, refuses_an_algorithm_that_is_none_of_the_nine)
{
    REFUSED(LIST("--mercure-publisher-jwt-alg", "none"), NONE,
            "--mercure-publisher-jwt-alg none: expected HS256, HS384, HS512, RS256, RS384, "
            "RS512, ES256, ES384 or ES512");
    cr_assert(eq(int, load(LIST("--mercure-subscriber-jwt-alg", "ES512"), NONE), ERR_OK));
    cr_assert(eq(int, c.mercure_subscriber_jwt_alg, CONFIG_ES512));
    cr_assert(eq(int, c.mercure_publisher_jwt_alg, CONFIG_HS256));
}

Test(config_forms, takes_only_what_can_be_a_topic_or_a_cookie)
{
    cr_assert(eq(int,
                 load(LIST("--mercure-topic", "hub/a b", "--mercure-cookie-name", "__Host-t"),
                      NONE),
                 ERR_OK));
    IS(c.mercure_topic, "hub/a b");
    IS(c.mercure_cookie_name, "__Host-t");
    REFUSED(LIST("--mercure-topic", "a\tb"), NONE,
            "--mercure-topic a\tb: expected a topic's name, at most 255 bytes");
    REFUSED(LIST("--mercure-topic="), NONE,
            "--mercure-topic : expected a topic's name, at most 255 bytes");
    REFUSED(LIST("--mercure-cookie-name", "a;b"), NONE,
            "--mercure-cookie-name a;b: expected a cookie's name, below 256 bytes");
}

#define ORIGINS "--mercure-cors-origins"
#define BAD_ORIGINS(text)                                                              \
    REFUSED(LIST(ORIGINS, text), NONE,                                                 \
            ORIGINS " " text ": expected none, *, or origins such as https://example.com, " \
                    "https://*.example.com:8443")

static void good_origins(const char *text)
{
    cr_assert(eq(int, load(LIST(ORIGINS, (char *)text), NONE), ERR_OK), "%s", error);
    IS(c.mercure_cors_origins, text);
}

Test(config_forms, takes_origins_of_every_form)
{
    good_origins("*");
    good_origins("https://example.com");
    good_origins("http://localhost:3000 https://*.example.com,http://[::1]:80");
    good_origins("http://127.0.0.1:*, capacitor://localhost");
    cr_assert(eq(int, load(LIST(ORIGINS "="), NONE), ERR_OK));
    IS(value("mercure_cors_origins"), "none");
}

Test(config_forms, refuses_what_is_no_origin)
{
    BAD_ORIGINS("example.com");
    BAD_ORIGINS("https://");
    BAD_ORIGINS("https://example.com/");
    BAD_ORIGINS("https://example.com/path");
    BAD_ORIGINS("https://example.com:");
    BAD_ORIGINS("https://example.com:80:80");
    BAD_ORIGINS("https://:80");
    BAD_ORIGINS("https://*.*.com");
    BAD_ORIGINS("https://user@example.com");
    BAD_ORIGINS("http://[::1");
    BAD_ORIGINS("http://[::1]80");
    BAD_ORIGINS("https://a.com none");
}

Test(config_forms, walks_a_list_of_origins)
{
    const char *list = " https://a.com,  * ,";
    struct bytes origin;

    cr_assert(config_form_next_origin(&list, &origin));
    cr_assert(bytes_eq(origin, bytes_str("https://a.com")));
    cr_assert(config_form_next_origin(&list, &origin));
    cr_assert(bytes_eq(origin, bytes_str("*")));
    cr_assert(not(config_form_next_origin(&list, &origin)));
}
