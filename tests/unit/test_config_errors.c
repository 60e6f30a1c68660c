/* What is refused, and where the error says it stands. */
#include "config_fixture.h"

TestSuite(config_errors, .init = enter_folder, .fini = leave_folder);

/* ---- the places that errors name ---- */

#define SIZE_FORM                                                                      \
    "auto or a size from 256KiB to 256GiB: bytes, or such as 512KiB, 16MiB, 2GiB"

Test(config_errors, says_the_line_of_a_bad_value_in_the_file)
{
    given_file("# first\nlisten = :80\npublish_buffer = 10MB\n");
    REFUSED(NONE, NONE, "default.conf:3: publish_buffer = 10MB: expected " SIZE_FORM);
}

Test(config_errors, says_the_flag_of_a_bad_value)
{
    REFUSED(LIST("--publish-buffer", "10MB"), NONE,
            "--publish-buffer 10MB: expected " SIZE_FORM);
}

Test(config_errors, says_the_variable_of_a_bad_value)
{
    REFUSED(NONE, LIST("SLUICE_PUBLISH_BUFFER=10MB"),
            "SLUICE_PUBLISH_BUFFER=10MB: expected " SIZE_FORM);
}

Test(config_errors, refuses_a_bad_value_that_a_flag_would_overrule)
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

Test(config_errors, refuses_exponents)
{
    BAD_SIZE("7e8");
    BAD_TTL("1e5");
    BAD_COUNT("1e5");
}

Test(config_errors, refuses_negative_numbers)
{
    BAD_SIZE("-1");
    BAD_TTL("-1");
    BAD_COUNT("-1");
}

Test(config_errors, refuses_nothing_as_a_value)
{
    BAD_SIZE("");
    BAD_TTL("");
    BAD_COUNT("");
    REFUSED(LIST("--data-dir="), NONE,
            "--data-dir : expected a path without quotes, below 1024 bytes");
    REFUSED(NONE, LIST("SLUICE_LOG_LEVEL="),
            "SLUICE_LOG_LEVEL=: expected debug, info, warn or error");
}

Test(config_errors, refuses_two_values)
{
    BAD_SIZE("1MiB 2MiB");
    BAD_TTL("1s 2s");
    BAD_COUNT("100 200");
}

Test(config_errors, refuses_numbers_out_of_range)
{
    BAD_SIZE("255KiB");
    BAD_SIZE("257GiB");
    BAD_SIZE("99999999999999999999");
    BAD_TTL("36501d");
    BAD_COUNT("0");
    BAD_COUNT("1000001");
    BAD_COUNT("18446744073709551617");
}

Test(config_errors, refuses_words_that_are_not_choices)
{
    REFUSED(LIST("--durability", "none"), NONE,
            "--durability none: expected fsync or relaxed");
    REFUSED(LIST("--auto-create", "yes"), NONE,
            "--auto-create yes: expected true or false");
    REFUSED(LIST("--durability", "auto"), NONE,
            "--durability auto: expected fsync or relaxed");
}

Test(config_errors, refuses_quotes_that_would_become_part_of_a_path)
{
    given_file("data_dir = \"/data\"\n");
    REFUSED(NONE, NONE,
            "default.conf:1: data_dir = \"/data\": expected a path without "
            "quotes, below 1024 bytes");
}

/* ---- names ---- */

Test(config_errors, refuses_unknown_names)
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

Test(config_errors, passes_over_what_kubernetes_says_about_a_service_of_our_name)
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

Test(config_errors, refuses_a_name_that_is_there_twice)
{
    given_file("loops = 2\nlisten = :80\nloops = 2\n");
    REFUSED(NONE, NONE,
            "default.conf:3: loops is there twice: it was set in line 1 already");
}

Test(config_errors, refuses_a_flag_that_is_there_twice)
{
    REFUSED(LIST("--loops", "2", "--loops", "3"), NONE,
            "--loops: is there twice; expected once");
    REFUSED(LIST("--config", "a", "--config", "b"), NONE,
            "--config: is there twice; expected once");
}

Test(config_errors, refuses_a_flag_without_its_value)
{
    REFUSED(LIST("--loops"), NONE, "--loops: expected a value after it");
}

Test(config_errors, refuses_what_is_no_flag)
{
    REFUSED(LIST("loops=2"), NONE,
            "loops=2: expected `--name value`; `sluice --help` lists the settings");
    REFUSED(LIST("--"), NONE,
            "--: expected `--name value`; `sluice --help` lists the settings");
    REFUSED(LIST("-l", ":80"), NONE,
            "-l: expected `--name value`; `sluice --help` lists the settings");
}

/* ---- files ---- */

Test(config_errors, refuses_a_named_file_that_is_missing)
{
    REFUSED(LIST("--config", "nowhere.conf"), NONE,
            "--config nowhere.conf: cannot be opened: No such file or directory");
    REFUSED(NONE, LIST("SLUICE_CONFIG=nowhere.conf"),
            "SLUICE_CONFIG nowhere.conf: cannot be opened: No such file or directory");
    REFUSED(NONE, LIST("SLUICE_CONFIG="),
            "SLUICE_CONFIG: expected the path of a file, below 1024 bytes");
}

Test(config_errors, refuses_a_folder_as_a_file)
{
    REFUSED(LIST("--config", "/tmp"), NONE, "/tmp: cannot be read: Is a directory");
}

Test(config_errors, refuses_a_line_that_sets_nothing)
{
    given_file("listen :80\n");
    REFUSED(NONE, NONE, "default.conf:1: listen: expected `name = value`");
    given_file("[broker]\nlisten = :80\n");
    REFUSED(NONE, NONE, "default.conf:1: [broker]: expected `name = value`");
}

Test(config_errors, refuses_a_file_that_is_no_text)
{
    write_file("default.conf", "loops = 2\0\n", 11);
    REFUSED(NONE, NONE, "default.conf:1: a zero byte: this is not a text file");
}

Test(config_errors, refuses_a_line_that_is_too_long)
{
    char line[CONFIG_VALUE_SIZE + 2];

    memset(line, 'a', sizeof line);
    memcpy(line, "data_dir = ", 11);
    line[sizeof line - 1] = '\0';
    given_file(line);
    REFUSED(NONE, NONE,
            "default.conf:1: a line of 1025 bytes; expected less than 1024");
}

Test(config_errors, keeps_a_hash_that_is_part_of_a_value)
{
    given_file("data_dir = /data#1 # the first\n");
    cr_assert(eq(int, load(NONE, NONE), ERR_OK));
    IS(c.data_dir, "/data#1");
}
