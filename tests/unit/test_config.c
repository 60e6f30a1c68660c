/* Where settings come from, and which beats which; the table, and the file that ships. */
#include "config_fixture.h"

TestSuite(config, .init = enter_folder, .fini = leave_folder);

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
