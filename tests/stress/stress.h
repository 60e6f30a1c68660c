/*
 * stress - what the stress programs share. They are plain programs, because nothing that
 * is linked with Criterion starts under ThreadSanitizer: the exit code is the verdict, and
 * an alarm ends a program that hangs.
 */
#ifndef SLUICE_STRESS_H
#define SLUICE_STRESS_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MUST(condition)                                                                \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);  \
            abort();                                                                   \
        }                                                                              \
    } while (0)

/* A program that takes so long hangs: a wakeup was lost, or a lock is held. */
#define PATIENCE_S 120

static inline void stress_begin(void)
{
    alarm(PATIENCE_S);
}

static inline unsigned stress_any(unsigned *state, unsigned below)
{
    return (unsigned)rand_r(state) % below;
}

#endif
