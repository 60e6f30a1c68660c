/* The budget as it is shown, and as it is used. */
#include "limits_fixture.h"

#include <signal.h>

/* ---- the table ---- */

static char table[4096];

static char *printed(void)
{
    FILE *to = fmemopen(table, sizeof table, "w");

    limits_print(&l, to);
    fclose(to);
    return table;
}

Test(limits_report, prints_a_table_that_adds_up)
{
    PLANNED(0, "--loops", "2", "--max-connections", "10000");
    cr_assert(eq(str, printed(),
                 "memory budget\n"
                 "  publish_buffer        64.0MiB  received, not yet stored\n"
                 "  read_buffer           32.0MiB  answers built or queued\n"
                 "  json                   4.0MiB  admin bodies and their trees\n"
                 "  connections           90.7MiB  10000 x (8KiB + 1320B)\n"
                 "  writer                38.0MiB  2 x 16MiB + 6MiB\n"
                 "  indexes               11.4MiB  8MiB + 1MiB of rates + 10000 x 256B\n"
                 "  fixed                  8.9MiB  8628KiB + 2 x 256KiB of loops\n"
                 "  unassigned             6.9MiB\n"
                 "  memory_limit         256.0MiB\n"
                 "beside it\n"
                 "  kernel                44.1MiB  10000 x 4KiB + 5MiB\n"
                 "  sockets             2500.0MiB  no container: what 10000 could fill\n"
                 "  no container limits the memory\n"));
}

Test(limits_report, marks_the_line_that_does_not_fit)
{
    char *text;

    cr_assert(eq(int, plan(512, FLAGS("--publish-buffer", "600MiB")), ERR_BAD_INPUT));
    text = printed();
    cr_assert(has(text, "  publish_buffer       600.0MiB  received, not yet "
                        "stored   <-- does not fit\n"));
    cr_assert(has(text, "  too much             23"), "%s", text);
    cr_assert(has(text, "  container            512.0MiB\n"));
}

/* ---- at runtime ---- */

static struct limits_row row_of(enum limits_line line, uint64_t rss_anon_bytes)
{
    static struct limits_sample sample;

    limits_sample(&l, rss_anon_bytes, 0, &sample);
    return sample.rows[line];
}

Test(limits_report, calls_fixed_what_no_other_line_explains)
{
    struct limits_row row;

    PLANNED(0);
    limits_count(&l, LIMITS_JSON, 300);
    limits_count(&l, LIMITS_KERNEL, 7000);
    row = row_of(LIMITS_FIXED, 1000);
    cr_assert(eq(str, (char *)row.name, "fixed"));
    cr_assert(eq(u64, row.active_bytes, 700));
    row = row_of(LIMITS_FIXED, 200);
    cr_assert(eq(u64, row.active_bytes, 0));
    cr_assert(eq(u64, row.high_bytes, 700));
}

Test(limits_report, does_not_call_fixed_what_is_freed)
{
    struct limits_sample sample;

    PLANNED(0);
    limits_sample(&l, 5000, 4200, &sample);
    cr_assert(eq(u64, sample.rows[LIMITS_FIXED].active_bytes, 800));
    limits_sample(&l, 9000, LIMITS_SPARE_UNKNOWN, &sample);
    cr_assert(eq(u64, sample.rows[LIMITS_FIXED].high_bytes, 800));
}

Test(limits_report, remembers_the_most_anonymous_memory_that_it_saw)
{
    struct limits_sample sample;

    PLANNED(0);
    limits_sample(&l, 900, 0, &sample);
    limits_sample(&l, 500, 0, &sample);
    cr_assert(eq(u64, sample.rss_anon_high_bytes, 900));
}

Test(limits_report, counts_what_comes_and_goes_and_its_highest)
{
    struct limits_row row;

    PLANNED(0);
    limits_count(&l, LIMITS_JSON, 300);
    limits_count(&l, LIMITS_JSON, -200);
    limits_count(&l, LIMITS_JSON, 50);
    row = row_of(LIMITS_JSON, 0);
    cr_assert(eq(u64, row.active_bytes, 150));
    cr_assert(eq(u64, row.high_bytes, 300));
}

Test(limits_report, aborts_when_a_count_falls_below_zero, .signal = SIGABRT)
{
    PLANNED(0);
    limits_count(&l, LIMITS_JSON, 10);
    limits_count(&l, LIMITS_JSON, -11);
}

static void seven_and_nine(void *arg, uint64_t *active, uint64_t *high)
{
    *active = 7 * *(uint64_t *)arg;
    *high = 9 * *(uint64_t *)arg;
}

Test(limits_report, asks_the_gauge_of_a_line)
{
    struct limits_row row;
    uint64_t unit = 10;

    PLANNED(0);
    limits_gauge(&l, LIMITS_PUBLISH_BUFFER, seven_and_nine, &unit);
    row = row_of(LIMITS_PUBLISH_BUFFER, 0);
    cr_assert(eq(u64, row.active_bytes, 70));
    cr_assert(eq(u64, row.high_bytes, 90));
}

Test(limits_report, reads_the_machine_it_runs_on)
{
    struct limits_machine m;

    limits_machine_read(&m, "");
    cr_assert(ge(u32, m.cores, 1));
    cr_assert(ge(u64, m.descriptors, 64));
}
