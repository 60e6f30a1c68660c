#include "metrics.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

TestSuite(metrics, .timeout = 20);

Test(metrics, a_gauge_goes_up_and_down)
{
    metric_add(METRIC_CONNECTIONS, 3);
    metric_add(METRIC_CONNECTIONS, -2);
    cr_assert(eq(i64, metric_get(METRIC_CONNECTIONS), 1));
    cr_assert(eq(i64, metric_get(METRIC_REQUESTS), 0));
}

Test(metrics, a_counter_says_so_in_its_name_and_a_gauge_does_not)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *m = metric_info((enum metric)i);
        size_t len = strcspn(m->name, "{"); /* without its label */
        bool total = len > 6 && !strncmp(m->name + len - 6, "_total", 6);

        cr_assert(eq(int, total, !strcmp(m->kind, "counter")), "%s", m->name);
        cr_assert(eq(int, strncmp(m->name, "sluice_", 7), 0));
    }
}

Test(metrics, those_of_one_name_stand_together_and_the_first_has_the_help)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *m = metric_info((enum metric)i);
        const struct metric_info *before = i ? metric_info((enum metric)(i - 1)) : m;
        size_t len = strcspn(m->name, "{") + 1;

        if (!*m->help)
            cr_assert(i && m->name[len - 1] && !strncmp(m->name, before->name, len), "%s",
                      m->name);
    }
}

Test(metrics, no_name_is_used_twice)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        for (int j = 0; j < i; j++)
            cr_assert(ne(str, (char *)metric_info((enum metric)i)->name,
                         (char *)metric_info((enum metric)j)->name));
}

Test(metrics, a_histogram_counts_a_value_in_its_bucket_and_all_above)
{
    struct histogram_figures h;

    metric_observe_us(HISTOGRAM_COMMIT, 100);  /* the first bucket's own bound */
    metric_observe_us(HISTOGRAM_COMMIT, 101);
    metric_observe_us(HISTOGRAM_COMMIT, 60000000); /* above all of them */
    histogram_read(HISTOGRAM_COMMIT, &h);
    cr_assert(eq(u64, h.cumulative[0], 1));
    cr_assert(eq(u64, h.cumulative[1], 2));
    cr_assert(eq(u64, h.cumulative[HISTOGRAM_BUCKETS - 1], 2));
    cr_assert(eq(u64, h.cumulative[HISTOGRAM_BUCKETS], 3));
    cr_assert(eq(u64, h.sum_us, 60000201));
}

Test(metrics, a_clock_that_went_back_does_not_make_a_sum_fall)
{
    struct histogram_figures h;

    metric_observe_us(HISTOGRAM_PUBLISH, -5);
    histogram_read(HISTOGRAM_PUBLISH, &h);
    cr_assert(eq(u64, h.sum_us, 0));
    cr_assert(eq(u64, h.cumulative[0], 1));
}

Test(metrics, bucket_bounds_rise)
{
    struct histogram_figures h;

    histogram_read(HISTOGRAM_PUBLISH, &h);
    for (int i = 1; i < HISTOGRAM_BUCKETS; i++)
        cr_assert(h.upper_seconds[i - 1] < h.upper_seconds[i]);
}
