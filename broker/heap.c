#include "heap.h"

#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Chosen by measurement: DESIGN.md, "The allocator". */
void heap_set_up(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    mallopt(M_TOP_PAD, 64 << 10);
}

/* Resident pages without those of files; 0 when the kernel does not say. */
static uint64_t anon_bytes(void)
{
    char text[128];
    unsigned long long resident, shared;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    if (sscanf(text, "%*u %llu %llu", &resident, &shared) != 2 || shared > resident)
        return 0;
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void heap_sight_now(struct heap_sight *s)
{
    *s = (struct heap_sight){ .anon_bytes = anon_bytes(),
                              .cpu_us = cpu_us(),
                              .now_us = clock_mono_us() };
}

void heap_count_used(struct heap_sight *s)
{
    struct mallinfo2 m = mallinfo2();

    s->used_bytes = m.uordblks + m.hblkhd;
}

static int64_t spare_bytes(const struct heap_sight *s)
{
    return (int64_t)s->anon_bytes - (int64_t)s->used_bytes;
}

void heap_init(struct heap *h, uint64_t limit_bytes, const struct heap_sight *s)
{
    *h = (struct heap){ .limit_bytes = limit_bytes,
                        .least_bytes = spare_bytes(s),
                        .looked_us = s->now_us,
                        .cpu_us = s->cpu_us,
                        .given_us = s->now_us };
}

static bool is_quiet(const struct heap *h, const struct heap_sight *s)
{
    return (s->cpu_us - h->cpu_us) * 5 < s->now_us - h->looked_us;
}

static bool is_pressed(const struct heap *h, const struct heap_sight *s)
{
    return s->anon_bytes > h->limit_bytes / 4 * 3 &&
           s->now_us - h->given_us >= HEAP_PRESSED_MS * INT64_C(1000);
}

bool heap_is_moment(struct heap *h, const struct heap_sight *s)
{
    bool moment = is_quiet(h, s) || is_pressed(h, s);

    h->looked_us = s->now_us;
    h->cpu_us = s->cpu_us;
    return moment;
}

bool heap_has_gain(struct heap *h, const struct heap_sight *s)
{
    if (spare_bytes(s) < h->least_bytes)
        h->least_bytes = spare_bytes(s);
    return spare_bytes(s) - h->least_bytes > (int64_t)HEAP_WORTH_BYTES;
}

void heap_given(struct heap *h, const struct heap_sight *after)
{
    h->least_bytes = spare_bytes(after);
    h->given_us = after->now_us;
}

void heap_look(struct heap *h)
{
    struct heap_sight before, after;

    heap_sight_now(&before);
    if (!heap_is_moment(h, &before))
        return;
    heap_count_used(&before);
    if (!heap_has_gain(h, &before))
        return;
    malloc_trim(0);
    heap_sight_now(&after);
    /* As it was before: what others freed meanwhile, in an arena that had its turn, would
     * count as spare that cannot be given back, and stay for good. */
    after.used_bytes = before.used_bytes;
    heap_given(h, &after);
    LOG_DEBUG("heap", "given_back",
              LOG_I("bytes", (int64_t)before.anon_bytes - (int64_t)after.anon_bytes),
              LOG_I("left_bytes", after.anon_bytes),
              LOG_I("took_us", after.now_us - before.now_us));
}
