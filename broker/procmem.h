/*
 * procmem - what the process and its container really use, as the kernel tells it.
 *
 * The budget (limits.h) is a promise about anonymous memory: compare it with
 * rss_anon_bytes. File pages (the store's map, the program itself) are page cache that the
 * kernel takes back, so they are told apart.
 *
 * Units:    bytes. 0: the kernel does not say, or there is no such limit.
 * Threads:  any. Costs some system calls and one per open descriptor: for a scrape every
 *           few seconds, not for every request.
 *
 * `root` is put in front of /proc and /sys: "" but in tests.
 */
#ifndef SLUICE_PROCMEM_H
#define SLUICE_PROCMEM_H

#include <stdint.h>

struct procmem {
    uint64_t rss_bytes; /* anon + file + shared */
    uint64_t rss_anon_bytes;
    uint64_t rss_file_bytes;
    uint64_t threads;
    uint64_t descriptors;        /* open now */
    uint64_t page_tables_bytes;
    uint64_t malloc_arena_bytes;  /* that the allocator holds from the kernel */
    uint64_t malloc_mapped_bytes; /* of these, in maps of their own */
    uint64_t malloc_used_bytes;  /* of these, handed out */

    /* The control group of the process, version 1 or 2; page cache counts here. */
    uint64_t container_limit_bytes; /* the smallest of its own and its parents', memory.high
                                     * included: from there on the kernel slows it down */
    uint64_t container_current_bytes;
    uint64_t container_peak_bytes;
};

void procmem_read(struct procmem *out, const char *root);

/* Cheap, for once in a tick: two files. */
struct procmem_watch {
    uint64_t rss_anon_bytes, page_tables_bytes; /* as above */
    uint64_t sockets_bytes;     /* in socket buffers of the group; 0 as well where the kernel
                                 * does not charge them to it */
};
void procmem_watch(struct procmem_watch *out, const char *root);

/* Freed memory that the allocator still holds. Walks its free blocks: milliseconds after a
 * large burst, so not for every request either. */
uint64_t procmem_spare(void);

/* Only container_limit_bytes of the above. */
uint64_t procmem_container_limit(const char *root);

#endif
