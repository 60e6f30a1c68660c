#include "procmem.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

/* A folder that stands for / with the parts of /proc and /sys a test writes. */
static char root[] = "/tmp/sluice-procmem-XXXXXX";

static void make_root(void)
{
    if (!mkdtemp(root))
        abort();
}

static void drop_root(void)
{
    char command[64];

    snprintf(command, sizeof command, "rm -rf %s", root);
    if (system(command) != 0)
        abort();
}

static void given(const char *path, const char *text)
{
    char full[256];
    FILE *f;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + sizeof root; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        mkdir(full, 0755);
        *p = '/';
    }
    f = fopen(full, "w");
    cr_assert(ne(ptr, f, NULL));
    fputs(text, f);
    fclose(f);
}

TestSuite(procmem, .init = make_root, .fini = drop_root);

/* ---- control groups, version 2 ---- */

Test(procmem, knows_no_limit_where_there_are_no_groups)
{
    cr_assert(eq(u64, procmem_container_limit(root), 0));
}

Test(procmem, reads_the_limit_of_a_version_2_container)
{
    given("/proc/self/cgroup", "0::/\n");
    given("/sys/fs/cgroup/memory.max", "67108864\n");
    cr_assert(eq(u64, procmem_container_limit(root), 64 * MIB));
}

Test(procmem, takes_max_for_no_limit)
{
    given("/proc/self/cgroup", "0::/a\n");
    given("/sys/fs/cgroup/a/memory.max", "max\n");
    cr_assert(eq(u64, procmem_container_limit(root), 0));
}

Test(procmem, takes_the_smallest_of_its_group_and_the_parents)
{
    given("/proc/self/cgroup", "0::/system.slice/sluice.service\n");
    given("/sys/fs/cgroup/system.slice/memory.max", "134217728\n");
    given("/sys/fs/cgroup/system.slice/sluice.service/memory.max", "268435456\n");
    cr_assert(eq(u64, procmem_container_limit(root), 128 * MIB));
    given("/sys/fs/cgroup/system.slice/sluice.service/memory.max", "33554432\n");
    cr_assert(eq(u64, procmem_container_limit(root), 32 * MIB));
}

Test(procmem, honours_the_level_from_which_the_kernel_slows_a_group_down)
{
    given("/proc/self/cgroup", "0::/a/b\n");
    given("/sys/fs/cgroup/a/b/memory.max", "134217728\n");
    given("/sys/fs/cgroup/a/b/memory.high", "max\n");
    cr_assert(eq(u64, procmem_container_limit(root), 128 * MIB));
    given("/sys/fs/cgroup/a/b/memory.high", "100663296\n");
    cr_assert(eq(u64, procmem_container_limit(root), 96 * MIB));
    given("/sys/fs/cgroup/a/memory.high", "67108864\n");
    cr_assert(eq(u64, procmem_container_limit(root), 64 * MIB));
}

Test(procmem, takes_the_smallest_of_a_version_1_groups_parents)
{
    given("/proc/self/cgroup", "4:memory:/docker/abc\n");
    given("/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "67108864\n");
    given("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "134217728\n");
    cr_assert(eq(u64, procmem_container_limit(root), 64 * MIB));
}

/* What is in socket buffers, as far as the kernel charges it. */
Test(procmem, reads_the_socket_buffers_of_both_versions)
{
    struct procmem_watch w;

    given("/proc/self/cgroup", "0::/a\n");
    given("/proc/self/status", "VmPTE:\t     300 kB\nRssAnon:\t    1000 kB\n");
    given("/sys/fs/cgroup/memory.stat", "anon 5\nsock 99\n");
    given("/sys/fs/cgroup/a/memory.stat", "anon 5\nsock 0\nsocket 7\n");
    procmem_watch(&w, root);
    cr_assert(eq(u64, w.sockets_bytes, 0));
    cr_assert(eq(u64, w.page_tables_bytes, 300 * 1024));
    cr_assert(eq(u64, w.rss_anon_bytes, 1000 * 1024));
    given("/sys/fs/cgroup/a/memory.stat", "anon 5\nsock 8192\n");
    procmem_watch(&w, root);
    cr_assert(eq(u64, w.sockets_bytes, 8192));
    given("/proc/self/cgroup", "4:memory:/the/hosts/name\n");
    given("/sys/fs/cgroup/memory/memory.kmem.tcp.usage_in_bytes", "4096\n");
    procmem_watch(&w, root);
    cr_assert(eq(u64, w.sockets_bytes, 4096));
}

Test(procmem, stays_inside_the_groups_it_may_see)
{
    given("/proc/self/cgroup", "0::/../other\n");
    given("/sys/fs/other/memory.max", "1048576\n");
    given("/sys/fs/cgroup/memory.max", "67108864\n");
    cr_assert(eq(u64, procmem_container_limit(root), 64 * MIB));
}

Test(procmem, reads_current_and_peak_of_version_2)
{
    struct procmem m;

    given("/proc/self/cgroup", "0::/a\n");
    given("/sys/fs/cgroup/a/memory.max", "67108864\n");
    given("/sys/fs/cgroup/a/memory.current", "1000\n");
    given("/sys/fs/cgroup/a/memory.peak", "2000\n");
    procmem_read(&m, root);
    cr_assert(eq(u64, m.container_limit_bytes, 64 * MIB));
    cr_assert(eq(u64, m.container_current_bytes, 1000));
    cr_assert(eq(u64, m.container_peak_bytes, 2000));
}

/* ---- version 1 ---- */

#define V1_CGROUP "11:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n"

Test(procmem, reads_the_limit_of_a_version_1_group)
{
    given("/proc/self/cgroup", V1_CGROUP);
    given("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    given("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "67108864\n");
    cr_assert(eq(u64, procmem_container_limit(root), 64 * MIB));
}

Test(procmem, takes_the_largest_number_of_version_1_for_no_limit)
{
    given("/proc/self/cgroup", V1_CGROUP);
    given("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
          "9223372036854771712\n");
    cr_assert(eq(u64, procmem_container_limit(root), 0));
}

/* Inside a container the path is the host's; the mount is the container's own group. */
Test(procmem, finds_its_group_at_the_mount_when_the_path_is_the_hosts)
{
    given("/proc/self/cgroup", V1_CGROUP);
    given("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
    given("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n");
    given("/sys/fs/cgroup/memory/memory.max_usage_in_bytes", "2000\n");
    struct procmem m;

    procmem_read(&m, root);
    cr_assert(eq(u64, m.container_limit_bytes, 64 * MIB));
    cr_assert(eq(u64, m.container_current_bytes, 1000));
    cr_assert(eq(u64, m.container_peak_bytes, 2000));
}

Test(procmem, hears_of_a_parents_limit_it_cannot_see)
{
    given("/proc/self/cgroup", "4:hugetlb,memory:/\n");
    given("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    given("/sys/fs/cgroup/memory/memory.stat",
          "cache 1\nhierarchical_memory_limit 50331648\n");
    cr_assert(eq(u64, procmem_container_limit(root), 48 * MIB));
}

/* Both mounted: the memory controller is with the version that names it. */
Test(procmem, prefers_version_1_where_it_has_the_memory)
{
    given("/proc/self/cgroup", "0::/a\n4:memory:/b\n");
    given("/sys/fs/cgroup/a/memory.max", "1048576\n");
    given("/sys/fs/cgroup/memory/b/memory.limit_in_bytes", "67108864\n");
    cr_assert(eq(u64, procmem_container_limit(root), 64 * MIB));
}

Test(procmem, prefers_version_2_where_version_1_has_other_controllers)
{
    given("/proc/self/cgroup", "7:memory_other,pids:/b\n0::/a\n");
    given("/sys/fs/cgroup/a/memory.max", "67108864\n");
    cr_assert(eq(u64, procmem_container_limit(root), 64 * MIB));
}

/* ---- the process ---- */

Test(procmem, reads_the_status_of_the_process)
{
    struct procmem m;

    given("/proc/self/status",
          "Name:\tsluice\nVmRSS:\t    3000 kB\nRssAnon:\t    1000 kB\n"
          "RssFile:\t    2000 kB\nThreads:\t5\n");
    given("/proc/self/fd/0", "");
    given("/proc/self/fd/1", "");
    procmem_read(&m, root);
    cr_assert(eq(u64, m.rss_bytes, 3000 * 1024));
    cr_assert(eq(u64, m.rss_anon_bytes, 1000 * 1024));
    cr_assert(eq(u64, m.rss_file_bytes, 2000 * 1024));
    cr_assert(eq(u64, m.threads, 5));
    cr_assert(eq(u64, m.descriptors, 2));
}

Test(procmem, sees_this_process_use_memory)
{
    struct procmem before, after;
    size_t len = 64 * MIB;
    void *p =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(ne(ptr, p, MAP_FAILED));
    procmem_read(&before, "");
    memset(p, 1, len);
    procmem_read(&after, "");
    cr_assert(ge(u64, after.rss_anon_bytes, before.rss_anon_bytes + 60 * MIB));
    cr_assert(ge(u64, after.rss_bytes, after.rss_anon_bytes));
}

Test(procmem, sees_this_process_open_a_file)
{
    struct procmem before, after;

    procmem_read(&before, "");
    cr_assert(ge(int, open("/dev/null", O_RDONLY), 0));
    procmem_read(&after, "");
    cr_assert(eq(u64, after.descriptors, before.descriptors + 1));
}
