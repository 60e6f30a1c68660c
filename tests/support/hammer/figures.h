/*
 * figures - what a run counted: answers by status, errors by kind, times; as one JSON line.
 *
 * Times go into buckets about 3 % wide; the largest is kept exactly.
 */
#ifndef HAMMER_FIGURES_H
#define HAMMER_FIGURES_H

#include <stdint.h>
#include <stdio.h>

enum figure_error {
    FIGURE_CONNECT,    /* could not connect */
    FIGURE_RESET,      /* reset or broken pipe */
    FIGURE_CLOSED,     /* end of stream in the middle of an exchange */
    FIGURE_MALFORMED,  /* not HTTP, or an answer without the fields promised */
    FIGURE_UNANSWERED, /* no answer until the end of the grace time */
    FIGURE_ERRORS
};

enum { FIGURE_BUCKETS = 64 * 32 };

struct figures {
    uint64_t status[600];
    uint64_t errors[FIGURE_ERRORS];
    uint64_t times, slowest_us;
    uint64_t bucket[FIGURE_BUCKETS];
};

void figures_time(struct figures *f, int64_t us);
double figures_quantile_ms(const struct figures *f, double q);
uint64_t figures_errors(const struct figures *f);

/* The members "status":{..},"errors":{..},"latency_ms":{..} */
void figures_print(const struct figures *f, FILE *to);

/* The member "name":{"min":..,"median":..,"max":..}; sorts `values`. */
void figures_print_spread(FILE *to, const char *name, double *values, size_t n);

#endif
