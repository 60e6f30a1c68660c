#include "tune.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

static struct config running, fresh;
static struct rate *rate;
static struct tune *tune;
static size_t bad;

static void load(struct config *c, int count, char *const *flags)
{
    char error[CONFIG_ERROR_SIZE], *none[] = { NULL };

    cr_assert(eq(int, config_load(c, count, flags, none, NULL, error), ERR_OK));
}

static void given_a_running_config(void)
{
    char *flags[] = { "--read-wait-max", "7s", "--topic-rate-messages", "10" };

    load(&running, 4, flags);
    rate = rate_new(64 << 10);
    tune = tune_new(&running, rate);
}

TestSuite(tune, .init = given_a_running_config);

static void then_it_ends(void)
{
    tune_free(tune);
    rate_free(rate);
}

static enum err patch(const char *name, const char *value)
{
    struct tune_change change = { config_find(name), value };

    return tune_patch(tune, &change, 1, &bad);
}

static struct config now_read(void)
{
    struct config c;

    tune_read(tune, &c);
    return c;
}

static char *origin_of(const char *name)
{
    static char out[CONFIG_VALUE_SIZE];
    struct config c = now_read();

    config_origin(&c, config_find(name), out, sizeof out);
    return out;
}

Test(tune, limits_are_in_force_from_the_start)
{
    cr_assert(rate_on(rate));
    cr_assert(eq(int, patch("topic_rate_messages", "0"), ERR_OK));
    cr_assert(not(rate_on(rate)));
    then_it_ends();
}

Test(tune, a_patch_is_seen_by_who_reads_the_config)
{
    cr_assert(eq(int, patch("default_ttl", "1h"), ERR_OK));
    cr_assert(eq(u64, running.default_ttl_ms, 3600000));
    cr_assert(eq(str, origin_of("default_ttl"), "PATCH /v1/limits"));
    then_it_ends();
}

Test(tune, one_bad_value_spoils_the_whole_patch)
{
    struct tune_change changes[] = { { config_find("default_ttl"), "1h" },
                                     { config_find("read_wait_max"), "2h" },
                                     { config_find("topic_rate_bytes"), "1MiB" } };

    cr_assert(eq(int, tune_patch(tune, changes, 3, &bad), ERR_BAD_INPUT));
    cr_assert(eq(sz, bad, 1));
    cr_assert(eq(u64, running.default_ttl_ms, 7ull * 86400000));
    cr_assert(eq(u64, running.topic_rate_bytes, 0));
    then_it_ends();
}

Test(tune, nothing_for_a_value_is_what_was_given_at_the_start)
{
    cr_assert(eq(int, patch("read_wait_max", "1s"), ERR_OK));
    cr_assert(eq(int, patch("read_wait_max", NULL), ERR_OK));
    cr_assert(eq(u64, running.read_wait_max_ms, 7000));
    cr_assert(eq(str, origin_of("read_wait_max"), "--read-wait-max"));
    then_it_ends();
}

Test(tune, a_reload_forgets_patches_and_is_what_nothing_means_from_then_on)
{
    char *flags[] = { "--read-wait-max", "8s" };

    load(&fresh, 2, flags);
    cr_assert(eq(int, patch("default_ttl", "1h"), ERR_OK));
    tune_reload(tune, &fresh);
    cr_assert(eq(u64, running.default_ttl_ms, 7ull * 86400000));
    cr_assert(eq(u64, running.read_wait_max_ms, 8000));
    cr_assert(not(rate_on(rate)));
    cr_assert(eq(int, patch("read_wait_max", "1s"), ERR_OK));
    cr_assert(eq(int, patch("read_wait_max", NULL), ERR_OK));
    cr_assert(eq(u64, running.read_wait_max_ms, 8000));
    then_it_ends();
}

Test(tune, a_reload_leaves_alone_what_needs_a_restart)
{
    char *flags[] = { "--loops", "7", "--listen", ":99" };

    load(&fresh, 4, flags);
    tune_reload(tune, &fresh);
    cr_assert(ne(u64, running.loops, 7));
    cr_assert(eq(str, running.listen, "127.0.0.1:7070"));
    then_it_ends();
}

Test(tune, every_live_setting_is_a_number_that_does_not_follow_from_others)
{
    for (size_t i = 0; i < CONFIG_SETTINGS; i++) {
        const struct config_setting *s = &config_table[i];

        if (s->live)
            cr_expect(s->preset && (s->type == CONFIG_SIZE || s->type == CONFIG_COUNT ||
                                    s->type == CONFIG_DURATION),
                      "%s", s->name);
    }
    then_it_ends();
}
