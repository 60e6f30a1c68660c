#include "procmem.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define NO_LIMIT  ((uint64_t)1 << 60) /* version 1 says "none" by a number near 2^63 */

struct version { /* how one version of control groups names things */
    const char *mount;
    const char *limit, *high, *current, *peak;
};

static const struct version version_1 = { "/sys/fs/cgroup/memory",
                                          "memory.limit_in_bytes",
                                          NULL,
                                          "memory.usage_in_bytes",
                                          "memory.max_usage_in_bytes" };
static const struct version version_2 = { "/sys/fs/cgroup", "memory.max",
                                          "memory.high", "memory.current",
                                          "memory.peak" };

struct group { /* the control group that accounts for our memory */
    const struct version *version;
    char path[PATH_SIZE]; /* below the mount, "" or "/a/b" */
};

/* The file's first number; 0 when there is none ("max" included). */
static uint64_t read_number(const char *path)
{
    FILE *in = fopen(path, "re");
    unsigned long long v = 0;

    if (!in)
        return 0;
    if (fscanf(in, "%llu", &v) != 1)
        v = 0;
    fclose(in);
    return v;
}

/* The number after `name` and blanks on a line of its own; 0 when it is not there. */
static uint64_t read_named(const char *path, const char *name)
{
    FILE *in = fopen(path, "re");
    char line[256];
    uint64_t v = 0;
    size_t len = strlen(name);

    if (!in)
        return 0;
    while (fgets(line, sizeof line, in)) {
        if (!strncmp(line, name, len) && strchr(" \t", line[len])) {
            v = strtoull(line + len, NULL, 10);
            break;
        }
    }
    fclose(in);
    return v;
}

/* True when `list` ("cpu,memory") has the word. */
static bool has_word(const char *list, const char *end, const char *word)
{
    size_t len = strlen(word);

    while (list < end) {
        size_t n = strcspn(list, ",:");

        if (n == len && !strncmp(list, word, len))
            return true;
        list += n + 1;
    }
    return false;
}

/* A line of /proc/self/cgroup is number:controllers:path; version 2 has no controllers. */
static bool take_line(struct group *g, char *line)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;

    if (!path)
        return false;
    path[1 + strcspn(path + 1, "\n")] = '\0';
    if (path == controllers + 1)
        g->version = &version_2;
    else if (has_word(controllers + 1, path, "memory"))
        g->version = &version_1;
    else
        return false;
    /* "/" is the mount itself; "/.." is outside of what we may see. */
    if (!strcmp(path + 1, "/") || !strncmp(path + 1, "/..", 3))
        path[1] = '\0';
    snprintf(g->path, sizeof g->path, "%s", path + 1);
    return true;
}

/* Where both versions are mounted, memory is with the one that names it: version 1. */
static bool find_group(struct group *g, const char *root)
{
    char path[PATH_SIZE], line[PATH_SIZE];
    bool found = false;
    FILE *in;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    in = fopen(path, "re");
    if (!in)
        return false;
    while (!(found && g->version == &version_1) && fgets(line, sizeof line, in))
        found |= take_line(g, line);
    fclose(in);
    return found;
}

static uint64_t group_number(const struct group *g, const char *root, const char *file,
                             uint64_t (*read)(const char *path))
{
    char path[3 * PATH_SIZE];

    snprintf(path, sizeof path, "%s%s%s/%s", root, g->version->mount, g->path, file);
    return read(path);
}

/* Moves to the parent; false at the mount. */
static bool group_up(struct group *g)
{
    char *slash = strrchr(g->path, '/');

    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

/* Version 1 tells the limit of parents we cannot see from inside a container. */
static uint64_t hierarchical_limit(const char *path)
{
    return read_named(path, "hierarchical_memory_limit");
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    if (b == 0 || b >= NO_LIMIT)
        return a;
    return a == 0 || b < a ? b : a;
}

/*
 * From the group up to the mount. Inside a container the path may name directories of the
 * host that are not there; the mount itself is the container's group then, and is reached
 * all the same.
 */
static uint64_t group_limit(struct group g, const char *root)
{
    uint64_t limit = 0;

    do {
        limit = smaller(limit, group_number(&g, root, g.version->limit, read_number));
        if (g.version == &version_1)
            limit = smaller(limit,
                            group_number(&g, root, "memory.stat", hierarchical_limit));
        else
            limit = smaller(limit, group_number(&g, root, g.version->high, read_number));
    } while (group_up(&g));
    return limit;
}

/* The same figure of the nearest group that has it. */
static uint64_t group_figure(struct group g, const char *root, const char *file)
{
    uint64_t v;

    do
        v = group_number(&g, root, file, read_number);
    while (v == 0 && group_up(&g));
    return v;
}

static uint64_t count_descriptors(const char *root)
{
    char path[PATH_SIZE];
    uint64_t n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "%s/proc/self/fd", root);
    dir = opendir(path);
    if (!dir)
        return 0;
    for (struct dirent *d = readdir(dir); d; d = readdir(dir))
        n += d->d_name[0] != '.';
    closedir(dir);
    return *root || n == 0 ? n : n - 1; /* without the one this took */
}

uint64_t procmem_container_limit(const char *root)
{
    struct group g;

    return find_group(&g, root) ? group_limit(g, root) : 0;
}

uint64_t procmem_spare(void)
{
    struct mallinfo2 heap = mallinfo2();

    return heap.fordblks;
}

void procmem_read(struct procmem *out, const char *root)
{
    struct mallinfo2 heap = mallinfo2();
    struct group g;
    char path[PATH_SIZE];

    memset(out, 0, sizeof *out);
    snprintf(path, sizeof path, "%s/proc/self/status", root);
    out->rss_bytes = read_named(path, "VmRSS:") * 1024;
    out->rss_anon_bytes = read_named(path, "RssAnon:") * 1024;
    out->rss_file_bytes = read_named(path, "RssFile:") * 1024;
    out->threads = read_named(path, "Threads:");
    out->descriptors = count_descriptors(root);
    out->page_tables_bytes = read_named(path, "VmPTE:") * 1024;
    out->malloc_arena_bytes = heap.arena + heap.hblkhd;
    out->malloc_mapped_bytes = heap.hblkhd;
    out->malloc_used_bytes = heap.uordblks + heap.hblkhd;
    if (!find_group(&g, root))
        return;
    out->container_limit_bytes = group_limit(g, root);
    out->container_current_bytes = group_figure(g, root, g.version->current);
    out->container_peak_bytes = group_figure(g, root, g.version->peak);
}

/* A group that is not there is the host's name for the one at the mount. */
static bool group_has(const struct group *g, const char *root, const char *file)
{
    char path[3 * PATH_SIZE];

    snprintf(path, sizeof path, "%s%s%s/%s", root, g->version->mount, g->path, file);
    return access(path, R_OK) == 0;
}

static uint64_t charged_sockets(const char *path)
{
    return read_named(path, "sock");
}

void procmem_watch(struct procmem_watch *out, const char *root)
{
    const char *file;
    struct group g;
    char path[PATH_SIZE];

    memset(out, 0, sizeof *out);
    snprintf(path, sizeof path, "%s/proc/self/status", root);
    out->rss_anon_bytes = read_named(path, "RssAnon:") * 1024;
    out->page_tables_bytes = read_named(path, "VmPTE:") * 1024;
    if (!find_group(&g, root))
        return;
    file = g.version == &version_2 ? "memory.stat" : "memory.kmem.tcp.usage_in_bytes";
    while (!group_has(&g, root, file) && group_up(&g))
        ;
    out->sockets_bytes =
        group_number(&g, root, file,
                     g.version == &version_2 ? charged_sockets : read_number);
}
