/*
 * tunemalloc - lets a measurement choose the allocator's settings of a program that
 * chooses its own, and ask the allocator what it holds.
 *
 *   LD_PRELOAD=tunemalloc.so TUNEMALLOC=arenas=2,mmap=65536,trim=262144,top=65536 \
 *       TUNEMALLOC_PIPE=/tmp/pipe sluice ...
 *
 *   arenas, mmap, trim, top   M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD;
 *                             what is not named keeps the C library's default
 *   TUNEMALLOC set            the program's own calls of mallopt and malloc_trim do nothing
 *
 * A byte written to TUNEMALLOC_PIPE.in (a fifo) is a question, answered by a line in
 * TUNEMALLOC_PIPE.out: `i` bytes free in the heaps, bytes in use, bytes mapped one by one,
 * microseconds that this took; `t` the same with malloc_trim(0) in between, timed.
 *
 * Threads:  one of its own, where there is a pipe.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    int parameter;
} settings[] = {
    { "arenas=", M_ARENA_MAX },
    { "mmap=", M_MMAP_THRESHOLD },
    { "trim=", M_TRIM_THRESHOLD },
    { "top=", M_TOP_PAD },
};

static int (*next_mallopt)(int, int);
static int (*next_trim)(size_t);

static const char *find_next(void)
{
    if (!next_mallopt) {
        *(void **)&next_mallopt = dlsym(RTLD_NEXT, "mallopt");
        *(void **)&next_trim = dlsym(RTLD_NEXT, "malloc_trim");
    }
    return getenv("TUNEMALLOC");
}

int mallopt(int parameter, int value)
{
    return find_next() ? 1 : next_mallopt(parameter, value);
}

int malloc_trim(size_t pad)
{
    return find_next() ? 0 : next_trim(pad);
}

static long now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void answer(int fd, char question)
{
    char line[128];
    long began = now_us();
    struct mallinfo2 m;
    int len;

    if (question == 't')
        next_trim(0);
    else
        (void)mallinfo2();
    began = now_us() - began;
    m = mallinfo2();
    len = snprintf(line, sizeof line, "%zu %zu %zu %ld\n", m.fordblks, m.uordblks, m.hblkhd, began);
    if (write(fd, line, (size_t)len) != len)
        abort();
}

static void *serve(void *arg)
{
    char name[4096], question;
    int in, out;

    snprintf(name, sizeof name, "%s.in", (const char *)arg);
    in = open(name, O_RDWR | O_CLOEXEC);
    snprintf(name, sizeof name, "%s.out", (const char *)arg);
    out = open(name, O_RDWR | O_CLOEXEC);
    while (in >= 0 && out >= 0 && read(in, &question, 1) == 1)
        answer(out, question);
    return NULL;
}

__attribute__((constructor)) static void tunemalloc_start(void)
{
    const char *text = find_next(), *at;
    char *pipe = getenv("TUNEMALLOC_PIPE");
    pthread_t thread;

    for (size_t i = 0; text && i < sizeof settings / sizeof *settings; i++)
        if ((at = strstr(text, settings[i].name)))
            next_mallopt(settings[i].parameter, atoi(at + strlen(settings[i].name)));
    if (pipe && pthread_create(&thread, NULL, serve, pipe))
        abort();
}
