/*
 * limits - the memory budget: memory_limit split into lines that add up.
 *
 * memory_limit is a promise about the anonymous memory of the whole process. Every line
 * of the budget is a part of it with a limit of its own; whoever uses the memory keeps to
 * the limit (the ledgers, the connection count, the batch size) and reports here what is
 * in use, so that an operator sees the promise and the truth side by side.
 *
 *   publish_buffer  messages received and not yet stored
 *   read_buffer     answers being built or queued
 *   json            admin bodies and their trees
 *   connections     max_connections x (connection_memory + 1320 bytes)
 *   writer          2 x max_batch_bytes + memory_limit / 32 (1 to 6 MiB): the pages of one
 *                   transaction
 *   indexes         topic_cache + max_connections x 256 bytes of parked readers, and 24
 *                   bytes more where max_connections_per_address is set; + rate_table_bytes
 *   fixed           memory_limit / 32 (1 to 5 MiB) + 448 KiB of libraries, and 320 KiB more
 *                   where the hub has a key, + 256 KiB a loop: stacks, tables, the
 *                   allocator's slack, the rest
 *
 * Outside of memory_limit, because the kernel holds it, but inside the container:
 *
 *   kernel          max_connections x 4 KiB + 1 MiB + the page tables of the store's map
 *   sockets         bytes in socket buffers: what the container has left for them
 *
 * and file_pages_bytes, a least for the page cache. A container's limit is never below the
 * sum of all.
 *
 * What an operator gave is kept as it is. What is derived gets its share of memory_limit
 * where that fits, and less, down to a least that works, where it does not. When even the
 * least of all else does not fit beside what was given, the start is refused.
 *
 * Units:    bytes.
 * Threads:  limits_plan and limits_gauge before the first thread; the rest from any.
 */
#ifndef SLUICE_LIMITS_H
#define SLUICE_LIMITS_H

#include "config.h"

#include <stdatomic.h>
#include <stdio.h>

#define LIMITS_MEMORY_DEFAULT ((uint64_t)256 << 20) /* where there is no container */

/* What counting the connections of each address costs, for each of max_connections. */
#define LIMITS_ADDRESS_BYTES 24

/* The kernel's buffer for the way out of one connection; it doubles it. */
#define LIMITS_SEND_BUFFER ((uint64_t)64 << 10)

/* And what a parked reader costs beside its connection: its place in the lists. */
#define LIMITS_WAITER_BYTES 256

enum limits_line {
    LIMITS_PUBLISH_BUFFER,
    LIMITS_READ_BUFFER,
    LIMITS_JSON,
    LIMITS_CONNECTIONS,
    LIMITS_WRITER,
    LIMITS_INDEXES,
    LIMITS_FIXED,
    LIMITS_KERNEL, /* from here on outside of memory_limit */
    LIMITS_SOCKETS,
    LIMITS_LINES, /* how many */
};

struct limits_machine {       /* what the plan has to fit into */
    uint64_t container_bytes; /* the container's memory limit; 0: none */
    uint64_t descriptors;     /* that the process may open */
    unsigned cores;           /* that it may run on */
};

/* Reports what a line uses now and used at most. Runs on any thread; must not block. */
typedef void (*limits_gauge_fn)(void *arg, uint64_t *active_bytes,
                                uint64_t *high_bytes);

struct limits {
    uint64_t memory_bytes;    /* memory_limit */
    uint64_t container_bytes; /* 0: no container */
    uint64_t file_pages_bytes; /* the container's part for the page cache */
    uint64_t page_tables_bytes; /* of the store's map, within the kernel's line */
    uint64_t connection_bytes;  /* what a connection costs on its line */
    uint64_t kernel_each_bytes; /* and what it costs in the kernel */
    uint64_t writer_bytes;      /* the writer's line without its messages */
    int offender;             /* the line that does not fit, LIMITS_LINES for
                               * memory_limit itself, -1: all is well */
    struct limits_part {
        uint64_t limit_bytes;
        char note[64]; /* how the limit comes about */
        limits_gauge_fn gauge;
        void *gauge_arg;
        _Atomic int64_t active_bytes; /* by limits_count */
        _Atomic int64_t high_bytes;
    } parts[LIMITS_LINES];
    _Atomic int64_t rss_anon_high;
};

struct limits_row { /* a line as /v1/limits and /metrics show it */
    const char *name;
    const char *note;
    uint64_t limit_bytes;
    uint64_t active_bytes, high_bytes;
};

struct limits_sample {
    struct limits_row rows[LIMITS_LINES];
    uint64_t rss_anon_high_bytes; /* the most that any sample saw */
};

/* Raises the descriptor limit of the process to all it is allowed, then asks. `root` is as
 * in procmem.h. */
void limits_machine_read(struct limits_machine *m, const char *root);

/*
 * Fills the derived settings of *c and the budget. ERR_BAD_INPUT: settings that do not add
 * up, or not with this machine; `error` (CONFIG_ERROR_SIZE bytes) says which and why, and
 * limits_print shows the table with the offending line marked.
 */
MUST_CHECK enum err limits_plan(struct limits *l, struct config *c,
                                const struct limits_machine *m, char *error);

/*
 * What is kept of the read buffer for as long as a client stays, which may be hours, by each of
 * LIMITS_KEEPERS: what the hub's subscribers ask for; who is subscribed; the leases of held
 * connections. At most a quarter, and less where all of them would not leave room for the largest
 * answer. At least LIMITS_KEEP_LEAST of a buffer that limits_plan let pass.
 */
#define LIMITS_KEEPERS    3
#define LIMITS_KEEP_LEAST ((uint64_t)16 << 10)
uint64_t limits_read_share(uint64_t read_bytes, uint64_t inline_max_bytes);

/* What push may take, as a part of `fixed`: libcurl and its libraries with the first TLS
 * connection, each connection that is kept open, each subscription (DESIGN.md, Memory). 0 where
 * push_connections is 0: then nothing is pushed. */
#define LIMITS_PUSH_LIBRARY_BYTES    ((uint64_t)1280 << 10)
#define LIMITS_PUSH_CONNECTION_BYTES ((uint64_t)80 << 10)
#define LIMITS_PUSH_TARGET_BYTES     512u
uint64_t limits_push_bytes(const struct config *c);

/* The table, for people. */
void limits_print(const struct limits *l, FILE *to);
/* The same as one log line per budget line, level info. */
void limits_log(const struct limits *l);

#define LIMITS_SPARE_UNKNOWN UINT64_MAX

/*
 * Reads all lines. `fixed` is what of `rss_anon_bytes` (procmem.h) no other line of
 * memory_limit explains, and is not spare: freed, and still with the allocator
 * (procmem_spare); LIMITS_SPARE_UNKNOWN leaves that line as it was. The ledgers, connections and the kernel's line know their high-water
 * marks; of the others it is the most that a sample saw, so this is called once a second, too.
 */
void limits_sample(struct limits *l, uint64_t rss_anon_bytes, uint64_t spare_bytes,
                   struct limits_sample *out);

/* Reports for a line: by a function that is asked, or by counting as memory comes and
 * goes (a positive or negative number). Going below zero is a bug and aborts. */
void limits_gauge(struct limits *l, enum limits_line line, limits_gauge_fn fn,
                  void *arg);
void limits_count(struct limits *l, enum limits_line line, int64_t bytes);

#endif
