#include "metrics.h"

#include <stdatomic.h>

static const struct metric_info infos[] = {
#define X(id, kind, name, help) { name, #kind, help },
    METRICS_TABLE(X)
#undef X
};

static const struct {
    const char *name, *help;
} histogram_infos[] = {
#define X(id, name, help) { name, help },
    HISTOGRAMS_TABLE(X)
#undef X
};

/* Microseconds; a value above all of them falls in the +Inf bucket. */
static const int64_t uppers_us[HISTOGRAM_BUCKETS] = {
    100,    250,    500,     1000,    2500,    5000,    10000,
    25000,  50000,  100000,  250000,  500000,  1000000, 5000000,
};

static struct {
    _Alignas(64) _Atomic int64_t value;
} values[METRIC_COUNT]; /* a cache line each: loops and writer do not fight over one */

static struct {
    _Alignas(64) _Atomic uint64_t buckets[HISTOGRAM_BUCKETS + 1];
    _Atomic uint64_t sum_us;
} histograms[HISTOGRAM_COUNT];

void metric_add(enum metric m, int64_t n)
{
    atomic_fetch_add_explicit(&values[m].value, n, memory_order_relaxed);
}

int64_t metric_get(enum metric m)
{
    return atomic_load_explicit(&values[m].value, memory_order_relaxed);
}

void metric_observe_us(enum histogram h, int64_t us)
{
    unsigned i = 0;

    while (i < HISTOGRAM_BUCKETS && us > uppers_us[i])
        i++;
    atomic_fetch_add_explicit(&histograms[h].buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histograms[h].sum_us, us > 0 ? (uint64_t)us : 0,
                              memory_order_relaxed);
}

const struct metric_info *metric_info(enum metric m)
{
    return &infos[m];
}

void histogram_read(enum histogram h, struct histogram_figures *out)
{
    uint64_t sum = 0;

    out->name = histogram_infos[h].name;
    out->help = histogram_infos[h].help;
    for (unsigned i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        sum += atomic_load_explicit(&histograms[h].buckets[i], memory_order_relaxed);
        out->cumulative[i] = sum;
        if (i < HISTOGRAM_BUCKETS)
            out->upper_seconds[i] = (double)uppers_us[i] / 1e6;
    }
    out->sum_us = atomic_load_explicit(&histograms[h].sum_us, memory_order_relaxed);
}
