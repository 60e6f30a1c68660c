#include "address.h"
#include "config.h"
#include "config_form.h"
#include "config_table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

#define LIST(...) ((char *[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })
#define NONE      LIST()

static struct config c;
static char error[CONFIG_ERROR_SIZE];
static char folder[] = "/tmp/sluice-config-XXXXXX";

static enum err load(char **flags, char **env)
{
    int count = 0;

    while (flags[count])
        count++;
    return config_load(&c, count, flags, env, "default.conf", error);
}

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *f = fopen(name, "w");

    cr_assert(ne(ptr, f, NULL));
    cr_assert(eq(sz, fwrite(text, 1, len, f), len));
    cr_assert(eq(int, fclose(f), 0));
}

/* The file that is read where nothing else is named. */
static void given_file(const char *text)
{
    write_file("default.conf", text, strlen(text));
}

static void enter_folder(void)
{
    if (!mkdtemp(folder) || chdir(folder))
        abort();
}

static void leave_folder(void)
{
    unlink("default.conf");
    unlink("other.conf");
    if (chdir("/") == 0)
        rmdir(folder);
}

TestSuite(config, .init = enter_folder, .fini = leave_folder);

#define REFUSED(flags, env, text)                                                      \
    do {                                                                               \
        cr_assert(eq(int, load(flags, env), ERR_BAD_INPUT));                           \
        cr_assert(eq(str, error, (char *)(text)));                                     \
    } while (0)

static const char *origin(const char *name)
{
    static char text[CONFIG_PATH_SIZE];

    config_origin(&c, config_find(name), text, sizeof text);
    return text;
}

static const char *value(const char *name)
{
    static char text[CONFIG_VALUE_SIZE];

    config_value(&c, config_find(name), text, sizeof text);
    return text;
}

#define IS(got, wanted) cr_assert(eq(str, (char *)(got), (char *)(wanted)))

/* ---- defaults and precedence ---- */

Test(config, has_defaults_without_any_input)
{
    cr_assert(eq(int, load(NONE, NONE), ERR_OK));
    IS(c.listen, "127.0.0.1:7070");
    IS(c.data_dir, "./sluice-data");
    cr_assert(eq(u64, c.map_size_bytes, 16384 * MIB));
    cr_assert(eq(int, c.durability, STORE_FSYNC));
    cr_assert(eq(u64, c.max_message_bytes, 64 * MIB));
    cr_assert(eq(u64, c.default_ttl_ms, 7ull * 24 * 3600 * 1000));
    cr_assert(eq(u64, c.publish_wait_max_ms, 30000));
    cr_assert(c.auto_create);
    cr_assert(eq(int, c.log_level, LOG_LEVEL_INFO));
    IS(origin("listen"), "default");
}

Test(config, leaves_derived_settings_open)
{
    cr_assert(eq(int, load(NONE, NONE), ERR_OK));
    cr_assert(eq(u64, c.publish_buffer_bytes, 0));
    cr_assert(not(config_given(&c, &c.publish_buffer_bytes)));
    config_derive(&c, &c.publish_buffer_bytes, 3 * MIB);
    IS(value("publish_buffer"), "3MiB");
    IS(origin("publish_buffer"),
       "derived: memory_limit / 4, less where it does not fit");
}

Test(config, takes_the_default_file_when_it_is_there)
{
    given_file("# ours\n\n  publish_buffer = 5MiB   # enough\r\nlisten=:80\n");
    cr_assert(eq(int, load(NONE, NONE), ERR_OK));
    cr_assert(eq(u64, c.publish_buffer_bytes, 5 * MIB));
    IS(c.listen, ":80");
    IS(origin("publish_buffer"), "default.conf:3");
    cr_assert(config_given(&c, &c.publish_buffer_bytes));
}

Test(config, lets_the_environment_beat_the_file)
{
    given_file("publish_buffer = 5MiB\nread_buffer = 6MiB\n");
    cr_assert(
        eq(int, load(NONE, LIST("HOME=/", "SLUICE_PUBLISH_BUFFER=7MiB")), ERR_OK));
    cr_assert(eq(u64, c.publish_buffer_bytes, 7 * MIB));
    cr_assert(eq(u64, c.read_buffer_bytes, 6 * MIB));
    IS(origin("publish_buffer"), "SLUICE_PUBLISH_BUFFER");
}

Test(config, lets_a_flag_beat_the_environment)
{
    given_file("publish_buffer = 5MiB\n");
    cr_assert(eq(
        int, load(LIST("--publish-buffer", "8MiB"), LIST("SLUICE_PUBLISH_BUFFER=7MiB")),
        ERR_OK));
    cr_assert(eq(u64, c.publish_buffer_bytes, 8 * MIB));
    IS(origin("publish_buffer"), "--publish-buffer");
}

Test(config, reads_a_flag_with_an_equals_sign)
{
    cr_assert(
        eq(int, load(LIST("--data-dir=/a=b", "--auto-create=false"), NONE), ERR_OK));
    IS(c.data_dir, "/a=b");
    cr_assert(not(c.auto_create));
}

Test(config, gives_auto_back_what_a_weaker_place_had_set)
{
    given_file("publish_buffer = 5MiB\n");
    cr_assert(eq(int, load(LIST("--publish-buffer", "auto"), NONE), ERR_OK));
    cr_assert(eq(u64, c.publish_buffer_bytes, 0));
    cr_assert(not(config_given(&c, &c.publish_buffer_bytes)));
}

Test(config, reads_the_file_that_a_flag_names_and_not_the_others)
{
    given_file("publish_buffer = 5MiB\n");
    write_file("other.conf", "read_buffer = 6MiB\n", 19);
    cr_assert(eq(int,
                 load(LIST("--read-buffer", "7MiB", "--config", "other.conf"),
                      LIST("SLUICE_CONFIG=nowhere.conf")),
                 ERR_OK));
    cr_assert(eq(u64, c.publish_buffer_bytes, 0));
    cr_assert(eq(u64, c.read_buffer_bytes, 7 * MIB));
    IS(c.file, "other.conf");
}

Test(config, reads_the_file_that_the_environment_names)
{
    write_file("other.conf", "read_buffer = 6MiB\n", 19);
    cr_assert(eq(int, load(NONE, LIST("SLUICE_CONFIG=other.conf")), ERR_OK));
    cr_assert(eq(u64, c.read_buffer_bytes, 6 * MIB));
}

Test(config, reads_every_type)
{
    cr_assert(eq(int,
                 load(LIST("--durability", "relaxed", "--log-level", "error",
                           "--log-format", "json", "--loops", "3", "--default-ttl", "0",
                           "--write-timeout", "1500ms", "--map-size", "1048576"),
                      NONE),
                 ERR_OK));
    cr_assert(eq(int, c.durability, STORE_RELAXED));
    cr_assert(eq(int, c.log_level, LOG_LEVEL_ERROR));
    cr_assert(eq(int, c.log_format, CONFIG_LOG_JSON));
    cr_assert(eq(u64, c.loops, 3));
    cr_assert(eq(u64, c.default_ttl_ms, 0));
    cr_assert(eq(u64, c.write_timeout_ms, 1500));
    IS(value("durability"), "relaxed");
    IS(value("write_timeout"), "1500ms");
    IS(value("map_size"), "1MiB");
}

/* ---- the places that errors name ---- */

#define SIZE_FORM                                                                      \
    "auto or a size from 256KiB to 256GiB: bytes, or such as 512KiB, 16MiB, 2GiB"

Test(config, says_the_line_of_a_bad_value_in_the_file)
{
    given_file("# first\nlisten = :80\npublish_buffer = 10MB\n");
    REFUSED(NONE, NONE, "default.conf:3: publish_buffer = 10MB: expected " SIZE_FORM);
}

Test(config, says_the_flag_of_a_bad_value)
{
    REFUSED(LIST("--publish-buffer", "10MB"), NONE,
            "--publish-buffer 10MB: expected " SIZE_FORM);
}

Test(config, says_the_variable_of_a_bad_value)
{
    REFUSED(NONE, LIST("SLUICE_PUBLISH_BUFFER=10MB"),
            "SLUICE_PUBLISH_BUFFER=10MB: expected " SIZE_FORM);
}

Test(config, refuses_a_bad_value_that_a_flag_would_overrule)
{
    given_file("publish_buffer = 10MB\n");
    REFUSED(LIST("--publish-buffer", "1MiB"), NONE,
            "default.conf:1: publish_buffer = 10MB: expected " SIZE_FORM);
}

/* ---- forms that are not a value ---- */

#define BAD_SIZE(text)                                                                 \
    REFUSED(LIST("--publish-buffer", text), NONE,                                      \
            "--publish-buffer " text ": expected " SIZE_FORM)
#define BAD_TTL(text)                                                                  \
    REFUSED(LIST("--default-ttl", text), NONE,                                         \
            "--default-ttl " text                                                      \
            ": expected a duration from 0s to 36500d: seconds, or "                    \
            "such as 500ms, 30s, 5m, 2h, 7d")
#define BAD_COUNT(text)                                                                \
    REFUSED(LIST("--max-connections", text), NONE,                                     \
            "--max-connections " text                                                  \
            ": expected auto or a whole number from 1 to 1000000")

Test(config, refuses_exponents)
{
    BAD_SIZE("7e8");
    BAD_TTL("1e5");
    BAD_COUNT("1e5");
}

Test(config, refuses_negative_numbers)
{
    BAD_SIZE("-1");
    BAD_TTL("-1");
    BAD_COUNT("-1");
}

Test(config, refuses_nothing_as_a_value)
{
    BAD_SIZE("");
    BAD_TTL("");
    BAD_COUNT("");
    REFUSED(LIST("--data-dir="), NONE,
            "--data-dir : expected a path without quotes, below 1024 bytes");
    REFUSED(NONE, LIST("SLUICE_LOG_LEVEL="),
            "SLUICE_LOG_LEVEL=: expected debug, info, warn or error");
}

Test(config, refuses_two_values)
{
    BAD_SIZE("1MiB 2MiB");
    BAD_TTL("1s 2s");
    BAD_COUNT("100 200");
}

Test(config, refuses_numbers_out_of_range)
{
    BAD_SIZE("255KiB");
    BAD_SIZE("257GiB");
    BAD_SIZE("99999999999999999999");
    BAD_TTL("36501d");
    BAD_COUNT("0");
    BAD_COUNT("1000001");
    BAD_COUNT("18446744073709551617");
}

Test(config, refuses_words_that_are_not_choices)
{
    REFUSED(LIST("--durability", "none"), NONE,
            "--durability none: expected fsync or relaxed");
    REFUSED(LIST("--auto-create", "yes"), NONE,
            "--auto-create yes: expected true or false");
    REFUSED(LIST("--durability", "auto"), NONE,
            "--durability auto: expected fsync or relaxed");
}

Test(config, refuses_quotes_that_would_become_part_of_a_path)
{
    given_file("data_dir = \"/data\"\n");
    REFUSED(NONE, NONE,
            "default.conf:1: data_dir = \"/data\": expected a path without "
            "quotes, below 1024 bytes");
}

/* ---- names ---- */

Test(config, refuses_unknown_names)
{
    REFUSED(LIST("--publish-bufer", "1MiB"), NONE,
            "--publish-bufer: no such setting; `sluice --help` lists them");
    REFUSED(LIST("--publish_buffer", "1MiB"), NONE,
            "--publish_buffer: no such setting; `sluice --help` lists them");
    REFUSED(
        NONE, LIST("SLUICE_PUBLISH_BUFER=1MiB"),
        "SLUICE_PUBLISH_BUFER: the environment names no such setting; `sluice --help` "
        "lists them");
    given_file("\npublish-buffer = 1MiB\n");
    REFUSED(
        NONE, NONE,
        "default.conf:2: publish-buffer: no such setting; `sluice --help` lists them");
}

Test(config, passes_over_what_kubernetes_says_about_a_service_of_our_name)
{
    cr_assert(eq(
        int,
        load(NONE, LIST("SLUICE_SERVICE_HOST=10.0.0.7", "SLUICE_SERVICE_PORT_HTTP=7070",
                        "SLUICE_PORT=tcp://10.0.0.7:7070",
                        "SLUICE_PORT_7070_TCP_ADDR=10.0.0.7",
                        "SLUICE_A_SERVICE_HOST=10.0.0.8")),
        ERR_OK));
    REFUSED(
        NONE, LIST("SLUICE_PORT=8080"),
        "SLUICE_PORT: the environment names no such setting; `sluice --help` lists them");
}

Test(config, refuses_a_name_that_is_there_twice)
{
    given_file("loops = 2\nlisten = :80\nloops = 2\n");
    REFUSED(NONE, NONE,
            "default.conf:3: loops is there twice: it was set in line 1 already");
}

Test(config, refuses_a_flag_that_is_there_twice)
{
    REFUSED(LIST("--loops", "2", "--loops", "3"), NONE,
            "--loops: is there twice; expected once");
    REFUSED(LIST("--config", "a", "--config", "b"), NONE,
            "--config: is there twice; expected once");
}

Test(config, refuses_a_flag_without_its_value)
{
    REFUSED(LIST("--loops"), NONE, "--loops: expected a value after it");
}

Test(config, refuses_what_is_no_flag)
{
    REFUSED(LIST("loops=2"), NONE,
            "loops=2: expected `--name value`; `sluice --help` lists the settings");
    REFUSED(LIST("--"), NONE,
            "--: expected `--name value`; `sluice --help` lists the settings");
    REFUSED(LIST("-l", ":80"), NONE,
            "-l: expected `--name value`; `sluice --help` lists the settings");
}

/* ---- files ---- */

Test(config, refuses_a_named_file_that_is_missing)
{
    REFUSED(LIST("--config", "nowhere.conf"), NONE,
            "--config nowhere.conf: cannot be opened: No such file or directory");
    REFUSED(NONE, LIST("SLUICE_CONFIG=nowhere.conf"),
            "SLUICE_CONFIG nowhere.conf: cannot be opened: No such file or directory");
    REFUSED(NONE, LIST("SLUICE_CONFIG="),
            "SLUICE_CONFIG: expected the path of a file, below 1024 bytes");
}

Test(config, refuses_a_folder_as_a_file)
{
    REFUSED(LIST("--config", "/tmp"), NONE, "/tmp: cannot be read: Is a directory");
}

Test(config, refuses_a_line_that_sets_nothing)
{
    given_file("listen :80\n");
    REFUSED(NONE, NONE, "default.conf:1: listen: expected `name = value`");
    given_file("[broker]\nlisten = :80\n");
    REFUSED(NONE, NONE, "default.conf:1: [broker]: expected `name = value`");
}

Test(config, refuses_a_file_that_is_no_text)
{
    write_file("default.conf", "loops = 2\0\n", 11);
    REFUSED(NONE, NONE, "default.conf:1: a zero byte: this is not a text file");
}

Test(config, refuses_a_line_that_is_too_long)
{
    char line[CONFIG_VALUE_SIZE + 2];

    memset(line, 'a', sizeof line);
    memcpy(line, "data_dir = ", 11);
    line[sizeof line - 1] = '\0';
    given_file(line);
    REFUSED(NONE, NONE,
            "default.conf:1: a line of 1025 bytes; expected less than 1024");
}

Test(config, keeps_a_hash_that_is_part_of_a_value)
{
    given_file("data_dir = /data#1 # the first\n");
    cr_assert(eq(int, load(NONE, NONE), ERR_OK));
    IS(c.data_dir, "/data#1");
}

/* ---- addresses ---- */

#define ADDRESS_FORM "ADDRESS:PORT, such as 127.0.0.1:7070, [::1]:7070 or :7070"
#define BAD_ADDRESS(text)                                                              \
    REFUSED(LIST("--listen", text), NONE, "--listen " text ": expected " ADDRESS_FORM)

Test(config, refuses_what_is_no_address)
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

Test(config, understands_each_form_of_address)
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

Test(config, understands_a_port_alone_as_every_address)
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

Test(config, keeps_a_key_as_it_is_and_shows_only_that_there_is_one)
{
    cr_assert(eq(int, load(NONE, NONE), ERR_OK));
    IS(value("mercure_publisher_jwt_key"), "unset");
    cr_assert(eq(int, load(NONE, LIST(KEY "=!Change #\\n$=")), ERR_OK));
    IS(KEY_OF(c), "!Change #\\n$=");
    IS(value("mercure_publisher_jwt_key"), "set");
    IS(origin("mercure_publisher_jwt_key"), KEY);
    cr_assert(not(tells("!Change")));
}

Test(config, never_says_a_key_in_an_error)
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
Test(config, refuses_the_word_that_it_shows_instead_of_a_key)
{
    REFUSED(NONE, LIST(KEY "=set"), KEY ": expected unset, a key, or @FILE that has one");
    REFUSED(NONE, LIST(KEY "="), KEY ": expected unset, a key, or @FILE that has one");
    cr_assert(eq(int, load(NONE, LIST(KEY "=unset")), ERR_OK));
    IS(KEY_OF(c), "");
}

Test(config, reads_a_key_from_a_file_without_the_end_of_its_last_line)
{
    write_file("other.conf", "one\ntwo\r\n", 9);
    cr_assert(eq(int, load(NONE, LIST(KEY "=@other.conf")), ERR_OK));
    IS(KEY_OF(c), "one\ntwo");
    cr_assert(not(tells("two")));
}

Test(config, says_which_file_of_a_key_is_wrong)
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

Test(config, unfolds_a_public_key_that_came_in_one_line)
{
    cr_assert(eq(int,
                 load(NONE, LIST(KEY "=-----BEGIN PUBLIC KEY-----\\nMF\\n-----END-----")),
                 ERR_OK));
    IS(KEY_OF(c), "-----BEGIN PUBLIC KEY-----\nMF\n-----END-----");
}

/* ---- names and origins of the Mercure hub ---- */

Test(config, refuses_an_algorithm_that_is_none_of_the_nine)
{
    REFUSED(LIST("--mercure-publisher-jwt-alg", "none"), NONE,
            "--mercure-publisher-jwt-alg none: expected HS256, HS384, HS512, RS256, RS384, "
            "RS512, ES256, ES384 or ES512");
    cr_assert(eq(int, load(LIST("--mercure-subscriber-jwt-alg", "ES512"), NONE), ERR_OK));
    cr_assert(eq(int, c.mercure_subscriber_jwt_alg, CONFIG_ES512));
    cr_assert(eq(int, c.mercure_publisher_jwt_alg, CONFIG_HS256));
}

Test(config, takes_only_what_can_be_a_topic_or_a_cookie)
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

Test(config, takes_origins_of_every_form)
{
    good_origins("*");
    good_origins("https://example.com");
    good_origins("http://localhost:3000 https://*.example.com,http://[::1]:80");
    good_origins("http://127.0.0.1:*, capacitor://localhost");
    cr_assert(eq(int, load(LIST(ORIGINS "="), NONE), ERR_OK));
    IS(value("mercure_cors_origins"), "none");
}

Test(config, refuses_what_is_no_origin)
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

Test(config, walks_a_list_of_origins)
{
    const char *list = " https://a.com,  * ,";
    struct bytes origin;

    cr_assert(config_form_next_origin(&list, &origin));
    cr_assert(bytes_eq(origin, bytes_str("https://a.com")));
    cr_assert(config_form_next_origin(&list, &origin));
    cr_assert(bytes_eq(origin, bytes_str("*")));
    cr_assert(not(config_form_next_origin(&list, &origin)));
}

/* ---- the table and the file that ships ---- */

Test(config, writes_every_value_in_a_form_it_reads)
{
    struct config again;

    cr_assert(eq(int, load(NONE, NONE), ERR_OK));
    again = c;
    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        const struct config_setting *s = &config_table[i];

        if (s->derived)
            continue; /* not planned yet */
        cr_expect(eq(int, config_put(&again, s, value(s->name)), ERR_OK), "%s",
                  s->name);
    }
    cr_assert(eq(int, memcmp(&again, &c, sizeof c), 0));
}

Test(config, reaches_every_setting_by_flag_and_variable)
{
    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        const struct config_setting *s = &config_table[i];
        char flag[64], variable[64], entry[256];
        const char *text = s->derived ? "auto" : s->preset;

        config_flag(s, flag, sizeof flag);
        config_variable(s, variable, sizeof variable);
        snprintf(entry, sizeof entry, "%s=%s", variable, text);
        cr_expect(eq(int, load(LIST(flag, (char *)text), LIST(entry)), ERR_OK), "%s",
                  error);
    }
}

/* Uncomments the settings of the shipped file: lines that start with # and no blank. */
static size_t uncomment(FILE *in, FILE *out)
{
    char line[1024];
    size_t settings = 0;

    while (fgets(line, sizeof line, in)) {
        bool is_setting = line[0] == '#' && line[1] != ' ' && line[1] != '\n';

        fputs(is_setting ? line + 1 : line, out);
        settings += is_setting;
    }
    return settings;
}

Test(config, ships_a_file_that_names_every_setting_with_its_default)
{
    FILE *in = fopen(SLUICE_CONF, "r"), *out = fopen("default.conf", "w");
    struct config plain;

    cr_assert(ne(ptr, in, NULL));
    cr_assert(ne(ptr, out, NULL));
    cr_assert(eq(sz, uncomment(in, out), CONFIG_SETTINGS));
    fclose(in);
    fclose(out);
    cr_assert(eq(int, config_load(&plain, 0, NONE, NONE, NULL, error), ERR_OK));
    cr_assert(eq(int, load(NONE, NONE), ERR_OK), "%s", error);
    /* All set, none of them twice: the origins differ, the values do not. */
    cr_assert(eq(int, memcmp(&c, &plain, offsetof(struct config, origins)), 0));
}

Test(config, ships_a_file_that_sets_nothing_as_it_is)
{
    cr_assert(eq(int, load(LIST("--config", SLUICE_CONF), NONE), ERR_OK), "%s", error);
    for (size_t i = 0; i < CONFIG_SETTINGS; i++)
        cr_expect(ne(int, c.origins[i].place, CONFIG_FROM_FILE));
}
