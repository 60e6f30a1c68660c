/*
 * limits_fixture - a plan of the memory budget, made for a machine of these stories and checked
 * for what holds of every plan.
 */
#ifndef SLUICE_LIMITS_FIXTURE_H
#define SLUICE_LIMITS_FIXTURE_H

#include "config.h"
#include "limits.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

#define FLAGS(...) ((char *[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static struct config c;
static struct limits l;
static char error[CONFIG_ERROR_SIZE];

__attribute__((unused)) static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* A container of so many MiB (0: none), 100,000 descriptors, 4 cores. */
static enum err plan_on(const struct limits_machine *m, char **flags)
{
    int count = 0;

    while (flags[count])
        count++;
    cr_assert(eq(int, config_load(&c, count, flags, FLAGS(), NULL, error), ERR_OK),
              "%s", error);
    return limits_plan(&l, &c, m, error);
}

static enum err plan(uint64_t container_mib, char **flags)
{
    struct limits_machine m = { container_mib * MIB, 100000, 4 };

    return plan_on(&m, flags);
}

static uint64_t sum(void)
{
    uint64_t bytes = 0;

    for (int i = 0; i < LIMITS_KERNEL; i++)
        bytes += l.parts[i].limit_bytes;
    return bytes;
}

/* What a kernel that charges all it can would charge to the container at most. */
static uint64_t in_container(void)
{
    return c.memory_limit_bytes + l.parts[LIMITS_KERNEL].limit_bytes +
           l.parts[LIMITS_SOCKETS].limit_bytes + l.file_pages_bytes;
}

/* What must hold after every plan that was accepted. */
static void check_plan(void)
{
    cr_expect(le(u64, sum(), c.memory_limit_bytes));
    cr_expect(eq(u64, l.memory_bytes, c.memory_limit_bytes));
    if (l.container_bytes) {
        cr_expect(le(u64, in_container(), l.container_bytes));
        cr_expect(ge(u64, l.parts[LIMITS_SOCKETS].limit_bytes, 512 * KIB));
    }
    cr_expect(ge(u64, l.parts[LIMITS_KERNEL].limit_bytes, c.max_connections * 4 * KIB));
    cr_expect(eq(int, l.offender, -1));
    cr_expect(le(u64, c.max_batch_bytes, c.publish_buffer_bytes));
    cr_expect(le(u64, c.inline_max_bytes, c.max_batch_bytes));
    cr_expect(le(u64, c.inline_max_bytes, c.read_buffer_bytes));
    cr_expect(ge(u64, c.max_connections, 1));
    cr_expect(ge(u64, c.loops, 1));
    cr_expect(
        eq(u64, l.parts[LIMITS_PUBLISH_BUFFER].limit_bytes, c.publish_buffer_bytes));
    cr_expect(eq(u64, l.parts[LIMITS_CONNECTIONS].limit_bytes,
                 c.max_connections * (c.connection_memory_bytes + 1320)));
    cr_expect(
        eq(u64, l.parts[LIMITS_WRITER].limit_bytes, 2 * c.max_batch_bytes + l.writer_bytes));
    cr_expect(ge(u64, l.writer_bytes, MIB));
}

#define PLANNED(container_mib, ...)                                                    \
    do {                                                                               \
        cr_assert(eq(int, plan(container_mib, FLAGS(__VA_ARGS__)), ERR_OK), "%s",      \
                  error);                                                              \
        check_plan();                                                                  \
    } while (0)

#define REFUSED(line, text, container_mib, ...)                                        \
    do {                                                                               \
        cr_assert(eq(int, plan(container_mib, FLAGS(__VA_ARGS__)), ERR_BAD_INPUT));    \
        cr_assert(eq(str, error, (char *)(text)));                                     \
        cr_assert(eq(int, l.offender, line));                                          \
    } while (0)

#endif
