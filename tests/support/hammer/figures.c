#include "figures.h"

#include <stdlib.h>

static const char *const error_names[FIGURE_ERRORS] = {
    [FIGURE_CONNECT] = "connect",     [FIGURE_RESET] = "reset",
    [FIGURE_CLOSED] = "closed",       [FIGURE_MALFORMED] = "malformed",
    [FIGURE_UNANSWERED] = "unanswered",
};

/* 32 buckets for each power of two. */
static unsigned bucket_of(uint64_t us)
{
    if (us < 32)
        return (unsigned)us;
    unsigned high = 63 - (unsigned)__builtin_clzll(us);
    return (high - 4) * 32 + (unsigned)(us >> (high - 5) & 31);
}

static double bucket_us(unsigned b)
{
    if (b < 32)
        return b;
    return (double)((UINT64_C(32) + b % 32) << (b / 32 - 1));
}

void figures_time(struct figures *f, int64_t us)
{
    uint64_t t = us > 0 ? (uint64_t)us : 0;

    f->times++;
    f->bucket[bucket_of(t)]++;
    if (t > f->slowest_us)
        f->slowest_us = t;
}

double figures_quantile_ms(const struct figures *f, double q)
{
    uint64_t rank = (uint64_t)(q * (double)f->times), seen = 0;

    for (unsigned b = 0; b < FIGURE_BUCKETS; b++) {
        seen += f->bucket[b];
        if (seen > rank)
            return bucket_us(b) / 1000;
    }
    return (double)f->slowest_us / 1000;
}

uint64_t figures_errors(const struct figures *f)
{
    uint64_t n = 0;

    for (int i = 0; i < FIGURE_ERRORS; i++)
        n += f->errors[i];
    return n;
}

void figures_print(const struct figures *f, FILE *to)
{
    const char *comma = "";

    fprintf(to, "\"status\":{");
    for (int i = 0; i < 600; i++) {
        if (f->status[i]) {
            fprintf(to, "%s\"%d\":%lu", comma, i, f->status[i]);
            comma = ",";
        }
    }
    fprintf(to, "},\"errors\":{");
    comma = "";
    for (int i = 0; i < FIGURE_ERRORS; i++) {
        if (f->errors[i]) {
            fprintf(to, "%s\"%s\":%lu", comma, error_names[i], f->errors[i]);
            comma = ",";
        }
    }
    fprintf(to, "},\"latency_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}",
            figures_quantile_ms(f, 0.5), figures_quantile_ms(f, 0.99),
            (double)f->slowest_us / 1000);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void figures_print_spread(FILE *to, const char *name, double *values, size_t n)
{
    if (n)
        qsort(values, n, sizeof *values, by_value);
    fprintf(to, "\"%s\":{\"min\":%.10g,\"median\":%.10g,\"max\":%.10g}", name,
            n ? values[0] : 0, n ? values[n / 2] : 0, n ? values[n - 1] : 0);
}
