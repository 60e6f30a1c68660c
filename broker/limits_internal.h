/*
 * What the files of limits_plan share: one call's state and the measured costs.
 *
 *   limits_plan     the shares of memory_limit, and who is to blame when they do not fit
 *   limits_outside  memory_limit beside what the kernel keeps in the same container
 *   limits_read     what the read buffer must hold at least
 *
 * The grounds for the figures are in DESIGN.md, "Memory".
 */
#ifndef SLUICE_LIMITS_INTERNAL_H
#define SLUICE_LIMITS_INTERNAL_H

#include "limits.h"

#define KIB  ((uint64_t)1 << 10)
#define MIB  ((uint64_t)1 << 20)
#define PAGE (4 * KIB)

#define LEAST_PARKED      ((uint64_t)5240)
#define LEAST_CONNECTIONS ((uint64_t)16)

enum { PUBLISH, READ, JSON, CONNECTIONS, BATCH, TOPICS, SHARES };

struct share {
    uint64_t want, least, got; /* bytes of memory_limit */
    bool given;
};

struct plan { /* one call of limits_plan */
    struct config *c;
    const struct limits_machine *m;
    struct limits *l;
    char *error;
    uint64_t connection_cost;  /* bytes, for everything that grows with a connection */
    uint64_t connections_most; /* that descriptors and the container carry */
    uint64_t fixed;
    struct share shares[SHARES];
};

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* `part` of `whole`, within bounds. */
static inline uint64_t within(uint64_t bytes, uint64_t least, uint64_t most)
{
    return max_u64(least, min_u64(bytes, most));
}

/* The first reason stands: what comes after may only follow from it. `offender` is a line,
 * or LIMITS_LINES for memory_limit. */
__attribute__((format(printf, 3, 4))) void limits_refuse(struct plan *p, int offender,
                                                         const char *form, ...);

__attribute__((format(printf, 4, 5))) void
limits_line_set(struct limits *l, enum limits_line line, uint64_t bytes,
                const char *form, ...);

/* memory_limit, given or derived. */
void limits_plan_memory(struct plan *p);

/* How many connections the container carries beside memory_limit. Knows the number of
 * loops and the settings that were given. */
uint64_t limits_container_connections(struct plan *p);

/* What push_connections is where it was not given. Knows memory_limit. */
uint64_t limits_auto_push_connections(const struct config *c);

/* With less, an answer might find no room for ever. */
uint64_t limits_read_least(const struct config *c);

/* The settings and lines of what is outside of memory_limit; all else is settled. */
void limits_plan_outside(struct plan *p);

#endif
