#include "limits.h"

#include "base/text.h"
#include "procmem.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>

static const char *const line_names[LIMITS_LINES] = {
    "publish_buffer", "read_buffer", "json",  "connections",
    "writer",         "indexes",     "fixed",
};

static uint64_t raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit all = { limit.rlim_max, limit.rlim_max };

        if (setrlimit(RLIMIT_NOFILE, &all) == 0)
            limit = all;
    }
    return limit.rlim_cur;
}

void limits_machine_read(struct limits_machine *m, const char *root)
{
    cpu_set_t cores;

    m->container_bytes = procmem_container_limit(root);
    m->descriptors = raise_descriptors();
    m->cores = 1;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0)
        m->cores = (unsigned)CPU_COUNT(&cores);
}

/* "12.5MiB": for a column that is compared by eye. */
static void show_mib(char out[TEXT_NUMBER_ROOM], uint64_t bytes)
{
    uint64_t tenths = (bytes * 10 + (1 << 19)) >> 20;

    snprintf(out, TEXT_NUMBER_ROOM, "%llu.%lluMiB", (unsigned long long)(tenths / 10),
             (unsigned long long)(tenths % 10));
}

static void print_row(FILE *to, const char *name, uint64_t bytes, const char *note,
                      bool offends)
{
    char size[TEXT_NUMBER_ROOM];

    show_mib(size, bytes);
    fprintf(to, "  %-16s %12s%s%s%s\n", name, size, *note ? "  " : "", note,
            offends ? "   <-- does not fit" : "");
}

static uint64_t sum_of(const struct limits *l)
{
    uint64_t sum = 0;

    for (int i = 0; i < LIMITS_LINES; i++)
        sum += l->parts[i].limit_bytes;
    return sum;
}

void limits_print(const struct limits *l, FILE *to)
{
    uint64_t sum = sum_of(l);
    char size[TEXT_NUMBER_ROOM], note[64] = "";

    fprintf(to, "memory budget\n");
    for (int i = 0; i < LIMITS_LINES; i++)
        print_row(to, line_names[i], l->parts[i].limit_bytes, l->parts[i].note,
                  l->offender == i);
    if (sum <= l->memory_bytes)
        print_row(to, "unassigned", l->memory_bytes - sum, "", false);
    else
        print_row(to, "too much", sum - l->memory_bytes, "", false);
    if (l->container_bytes) {
        show_mib(size, l->container_bytes);
        snprintf(note, sizeof note, "of the container's %s", size);
    }
    print_row(to, "memory_limit", l->memory_bytes, note, l->offender == LIMITS_LINES);
}

void limits_log(const struct limits *l)
{
    for (int i = 0; i < LIMITS_LINES; i++)
        LOG_INFO("limits", "memory_budget", LOG_S("line", line_names[i]),
                 LOG_I("limit_bytes", l->parts[i].limit_bytes),
                 LOG_S("note", l->parts[i].note));
    LOG_INFO("limits", "memory_limit", LOG_I("limit_bytes", l->memory_bytes),
             LOG_I("unassigned_bytes", l->memory_bytes - sum_of(l)),
             LOG_I("container_bytes", l->container_bytes));
}

void limits_read(const struct limits *l, enum limits_line line, struct limits_row *out)
{
    const struct limits_part *part = &l->parts[line];

    *out = (struct limits_row){ .name = line_names[line],
                                .note = part->note,
                                .limit_bytes = part->limit_bytes };
    if (part->gauge) {
        out->measured = true;
        part->gauge(part->gauge_arg, &out->active_bytes, &out->high_bytes);
        return;
    }
    out->measured = atomic_load(&part->counted);
    out->active_bytes = (uint64_t)atomic_load(&part->active_bytes);
    out->high_bytes = (uint64_t)atomic_load(&part->high_bytes);
}

void limits_gauge(struct limits *l, enum limits_line line, limits_gauge_fn fn,
                  void *arg)
{
    l->parts[line].gauge = fn;
    l->parts[line].gauge_arg = arg;
}

void limits_count(struct limits *l, enum limits_line line, int64_t bytes)
{
    struct limits_part *part = &l->parts[line];
    int64_t now = atomic_fetch_add(&part->active_bytes, bytes) + bytes;
    int64_t high = atomic_load(&part->high_bytes);

    if (now < 0) {
        LOG_ERROR("limits", "below_zero", LOG_S("line", line_names[line]),
                  LOG_I("bytes", now));
        abort();
    }
    atomic_store(&part->counted, true);
    while (now > high && !atomic_compare_exchange_weak(&part->high_bytes, &high, now))
        ;
}
