#include "limits.h"

#include "base/text.h"
#include "procmem.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>

static const char *const line_names[LIMITS_LINES] = {
    "publish_buffer", "read_buffer", "json",  "connections",
    "writer",         "indexes",     "fixed", "kernel",
    "sockets",
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

    for (int i = 0; i < LIMITS_KERNEL; i++)
        sum += l->parts[i].limit_bytes;
    return sum;
}

static void print_outside(const struct limits *l, FILE *to)
{
    for (int i = LIMITS_KERNEL; i < LIMITS_LINES; i++)
        print_row(to, line_names[i], l->parts[i].limit_bytes, l->parts[i].note,
                  l->offender == i);
    if (!l->container_bytes) {
        fprintf(to, "  no container limits the memory\n");
        return;
    }
    print_row(to, "file pages", l->file_pages_bytes, "at least, for the store and the program",
              false);
    print_row(to, "container", l->container_bytes, "", false);
}

void limits_print(const struct limits *l, FILE *to)
{
    uint64_t sum = sum_of(l);

    fprintf(to, "memory budget\n");
    for (int i = 0; i < LIMITS_KERNEL; i++)
        print_row(to, line_names[i], l->parts[i].limit_bytes, l->parts[i].note,
                  l->offender == i);
    if (sum <= l->memory_bytes)
        print_row(to, "unassigned", l->memory_bytes - sum, "", false);
    else
        print_row(to, "too much", sum - l->memory_bytes, "", false);
    print_row(to, "memory_limit", l->memory_bytes, "", l->offender == LIMITS_LINES);
    fprintf(to, "beside it\n");
    print_outside(l, to);
}

void limits_log(const struct limits *l)
{
    for (int i = 0; i < LIMITS_LINES; i++)
        LOG_INFO("limits", "memory_budget", LOG_S("line", line_names[i]),
                 LOG_I("limit_bytes", l->parts[i].limit_bytes),
                 LOG_S("note", l->parts[i].note));
    LOG_INFO("limits", "memory_limit", LOG_I("limit_bytes", l->memory_bytes),
             LOG_I("unassigned_bytes", l->memory_bytes - sum_of(l)),
             LOG_I("container_bytes", l->container_bytes),
             LOG_S("container", l->container_bytes ? "limited" : "none"));
}

static void raise_to(_Atomic int64_t *high, int64_t is)
{
    int64_t was = atomic_load(high);

    while (is > was && !atomic_compare_exchange_weak(high, &was, is))
        ;
}

static void read_one(struct limits *l, enum limits_line line, struct limits_row *out)
{
    struct limits_part *part = &l->parts[line];

    *out = (struct limits_row){ .name = line_names[line],
                                .note = part->note,
                                .limit_bytes = part->limit_bytes,
                                .active_bytes = (uint64_t)atomic_load(&part->active_bytes) };
    if (part->gauge)
        part->gauge(part->gauge_arg, &out->active_bytes, &out->high_bytes);
    raise_to(&part->high_bytes,
             (int64_t)(part->gauge ? out->high_bytes : out->active_bytes));
    out->high_bytes = (uint64_t)atomic_load(&part->high_bytes);
}

/* What the process uses and no other line of memory_limit explains. */
static void set_fixed(struct limits *l, struct limits_row rows[LIMITS_LINES],
                      uint64_t rss_anon_bytes, uint64_t spare_bytes)
{
    struct limits_row *fixed = &rows[LIMITS_FIXED];
    uint64_t explained = spare_bytes;

    if (spare_bytes == LIMITS_SPARE_UNKNOWN)
        return;
    for (int i = 0; i < LIMITS_FIXED; i++)
        explained += rows[i].active_bytes;
    fixed->active_bytes = rss_anon_bytes > explained ? rss_anon_bytes - explained : 0;
    raise_to(&l->parts[LIMITS_FIXED].high_bytes, (int64_t)fixed->active_bytes);
    fixed->high_bytes = (uint64_t)atomic_load(&l->parts[LIMITS_FIXED].high_bytes);
}

void limits_sample(struct limits *l, uint64_t rss_anon_bytes, uint64_t spare_bytes,
                   struct limits_sample *out)
{
    for (int i = 0; i < LIMITS_LINES; i++)
        read_one(l, (enum limits_line)i, &out->rows[i]);
    set_fixed(l, out->rows, rss_anon_bytes, spare_bytes);
    raise_to(&l->rss_anon_high, (int64_t)rss_anon_bytes);
    out->rss_anon_high_bytes = (uint64_t)atomic_load(&l->rss_anon_high);
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

    if (now < 0) {
        LOG_ERROR("limits", "below_zero", LOG_S("line", line_names[line]),
                  LOG_I("bytes", now));
        abort();
    }
    raise_to(&part->high_bytes, now);
}
