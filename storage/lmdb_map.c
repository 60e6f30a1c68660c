/*
 * The map's page tables. The kernel makes one page of them for each 2 MiB of the file that
 * is touched, charges it to the container, and keeps it when the file's pages have long
 * been reclaimed: a store of 16 GiB that clients read here and there would cost 32 MiB.
 * Mapping the file anew over itself drops them all.
 *
 * LMDB's address stays the same, so whoever reads meanwhile waits for the kernel at most.
 */
#include "lmdb_internal.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The map of this file that has this size; LMDB does not tell where it is. */
static void *find_map(dev_t dev, ino_t inode, size_t size)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4200];
    uintptr_t from, to;
    unsigned major_number, minor_number;
    uint64_t file, offset;
    void *found = NULL;

    if (!maps)
        return NULL;
    while (!found && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*4s %" SCNx64 " %x:%x %" SCNu64, &from,
                   &to, &offset, &major_number, &minor_number, &file) == 6 &&
            file == inode && major(dev) == major_number && minor(dev) == minor_number &&
            offset == 0 && to - from == size)
            found = (void *)from;
    fclose(maps);
    return found;
}

void lmdb_map_find(struct store *s)
{
    MDB_envinfo info;
    struct stat st;

    if (mdb_env_get_fd(s->env, &s->map_fd) || fstat(s->map_fd, &st) ||
        mdb_env_info(s->env, &info))
        return;
    s->map_bytes = info.me_mapsize;
    s->map = find_map(st.st_dev, st.st_ino, s->map_bytes);
    if (!s->map)
        LOG_WARN("storage", "map_not_found", LOG_S("data_dir", s->path));
}

void lmdb_map_refresh(struct store *s)
{
    unsigned char there;

    if (!s->map)
        return;
    if (mmap(s->map, s->map_bytes, PROT_READ, MAP_SHARED | MAP_FIXED, s->map_fd, 0) ==
        s->map) {
        (void)madvise(s->map, s->map_bytes, MADV_RANDOM);
        return;
    }
    LOG_ERROR("storage", "map_not_refreshed", LOG_S("data_dir", s->path),
              LOG_S("error", strerror(errno)));
    if (mincore(s->map, s->page_size, &there))
        abort(); /* the old one is gone: the next look at the store would be a fault */
}
