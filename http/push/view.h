/*
 * view - how a subscription that is pushed fares, for people.
 *
 * Threads:  a plain value.
 */
#ifndef SLUICE_PUSH_VIEW_H
#define SLUICE_PUSH_VIEW_H

#include <stdint.h>

#define PUSH_ERROR_SIZE 96

struct push_view {
    char error[PUSH_ERROR_SIZE]; /* the last; "": none since it took a message */
    int64_t failing_since_ms;    /* wall clock; 0: it is not failing */
};

#endif
