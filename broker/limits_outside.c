/*
 * What is charged to a container beside the anonymous memory of the process.
 *
 *   container  =  memory_limit  +  kernel  +  sockets  +  file pages
 *
 *  1. The kernel's own bytes for a connection are there as long as it is open: they are
 *     taken off before memory_limit is derived, and bound max_connections.
 *  2. Socket buffers get what is left, at least SOCKETS_LEAST. This is no bound, but what
 *     is there for them: see DESIGN.md.
 *  3. File pages are given back under pressure, but a program needs some to run on.
 */
#include "limits_internal.h"

#include "base/text.h"
#include "config_table.h"

#define KERNEL_EACH  (4 * KIB) /* socket, inode, dentry, file, two epoll items */
#define KERNEL_OURS  MIB       /* threads, page tables of the heap, the rest */
#define TABLES_LEAST MIB       /* page tables of the store's map, before a refresh */
#define FILE_PAGES   (4 * MIB)
#define SOCKETS_LEAST ((uint64_t)512 * KIB)
#define RECEIVE_MOST  (64 * KIB)
#define RECEIVE_LEAST (4 * KIB)

static uint64_t file_pages(uint64_t container)
{
    return container ? min_u64(container / 16, FILE_PAGES) : FILE_PAGES;
}

static uint64_t sockets_least(uint64_t container)
{
    return max_u64(container / 64, SOCKETS_LEAST);
}

static uint64_t page_tables(uint64_t memory)
{
    return max_u64(memory / 64, TABLES_LEAST);
}

/* What the container must hold beside memory_limit even without a connection. */
static uint64_t outside_fixed(uint64_t container, uint64_t memory)
{
    return KERNEL_OURS + page_tables(memory) + file_pages(container) +
           sockets_least(container);
}

/* The connections that are thought of when memory_limit is derived: what was given; else
 * those that many people run, as far as a third of the container carries them. */
static uint64_t foreseen(const struct plan *p, uint64_t container, uint64_t rest)
{
    const struct config *c = p->c;
    uint64_t memory_least = config_find("memory_limit")->least;
    uint64_t room = rest > memory_least ? rest - memory_least : 0;

    if (config_given(c, &c->max_connections))
        return c->max_connections * KERNEL_EACH;
    return min_u64(min_u64(LEAST_PARKED * KERNEL_EACH, container / 3), room);
}

/* Three quarters of the container, or less where the rest would not hold the kernel's. */
static uint64_t derive_memory(const struct plan *p)
{
    uint64_t container = p->m->container_bytes, memory = container / 4 * 3;
    uint64_t fixed = outside_fixed(container, memory), rest, kernel;

    if (!container)
        return LIMITS_MEMORY_DEFAULT;
    rest = container > fixed ? container - fixed : 0;
    kernel = foreseen(p, container, rest);
    rest = rest > kernel ? rest - kernel : 0;
    return min_u64(memory, rest) / PAGE * PAGE;
}

static void refuse_container(struct plan *p)
{
    const struct config *c = p->c;
    const struct config_setting *s = config_find("max_connections");
    char room[TEXT_NUMBER_ROOM], origin[CONFIG_PATH_SIZE];

    text_format_size(room, p->m->container_bytes);
    if (!config_given(c, &c->max_connections)) {
        limits_refuse(p, LIMITS_LINES,
                      "the container's limit of %s is too small: memory_limit starts at "
                      "16MiB, and the kernel needs some beside it",
                      room);
        return;
    }
    config_origin(c, s, origin, sizeof origin);
    limits_refuse(p, LIMITS_KERNEL,
                  "max_connections = %llu (%s) does not fit: the kernel keeps 4KiB for "
                  "each, and of the container's %s less than 16MiB would be left for "
                  "memory_limit",
                  (unsigned long long)c->max_connections, origin, room);
}

void limits_plan_memory(struct plan *p)
{
    struct config *c = p->c;
    uint64_t container = p->m->container_bytes;
    const struct config_setting *s = config_find("memory_limit");
    char limit[TEXT_NUMBER_ROOM], room[TEXT_NUMBER_ROOM], origin[CONFIG_PATH_SIZE];

    if (!config_given(c, &c->memory_limit_bytes))
        config_derive(c, &c->memory_limit_bytes, derive_memory(p));
    p->l->memory_bytes = c->memory_limit_bytes;
    p->l->file_pages_bytes = file_pages(container);
    if (c->memory_limit_bytes < s->least)
        refuse_container(p);
    if (!container || c->memory_limit_bytes <= container)
        return;
    text_format_size(limit, c->memory_limit_bytes);
    text_format_size(room, container);
    config_origin(c, s, origin, sizeof origin);
    limits_refuse(p, LIMITS_LINES,
                  "memory_limit = %s (%s) is more than the container has: %s", limit,
                  origin, room);
}

static void refuse_outside(struct plan *p, uint64_t connections, uint64_t needed)
{
    const struct config *c = p->c;
    bool blame_memory = config_given(c, &c->memory_limit_bytes);
    const struct config_setting *s =
        config_find(blame_memory ? "memory_limit" : "max_connections");
    char value[CONFIG_VALUE_SIZE], origin[CONFIG_PATH_SIZE];
    char kernel[TEXT_NUMBER_ROOM], room[TEXT_NUMBER_ROOM], limit[TEXT_NUMBER_ROOM];

    config_value(c, s, value, sizeof value);
    config_origin(c, s, origin, sizeof origin);
    text_format_size(kernel, (needed + MIB - 1) / MIB * MIB);
    text_format_size(limit, c->memory_limit_bytes);
    text_format_size(room, p->m->container_bytes);
    limits_refuse(p, blame_memory ? LIMITS_LINES : LIMITS_KERNEL,
                  "%s = %.64s (%s) does not fit: beside memory_limit = %s the kernel needs "
                  "%s for %llu connections and file pages, and the container has %s; "
                  "clients could get it killed",
                  s->name, value, origin, limit, kernel, (unsigned long long)connections,
                  room);
}

uint64_t limits_container_connections(struct plan *p)
{
    const struct config *c = p->c;
    uint64_t container = p->m->container_bytes, memory = c->memory_limit_bytes;
    uint64_t fixed = outside_fixed(container, memory);
    uint64_t least = config_given(c, &c->max_connections) ? c->max_connections
                                                          : LEAST_CONNECTIONS;

    if (!container)
        return UINT64_MAX;
    if (memory + fixed + least * KERNEL_EACH > container) {
        refuse_outside(p, least, fixed + least * KERNEL_EACH);
        return least;
    }
    return (container - memory - fixed) / KERNEL_EACH;
}

/* What clients may make the kernel hold without our reading it: less in small containers.
 * The way out keeps its size, see http/server.c. */
static uint64_t receive_buffer(uint64_t container)
{
    if (!container)
        return RECEIVE_MOST;
    return within(container / 4096 / PAGE * PAGE, RECEIVE_LEAST, RECEIVE_MOST);
}

void limits_plan_outside(struct plan *p)
{
    struct config *c = p->c;
    struct limits *l = p->l;
    uint64_t container = p->m->container_bytes, taken;
    unsigned long long n = c->max_connections;
    char tables[TEXT_NUMBER_ROOM];

    if (!config_given(c, &c->receive_buffer_bytes))
        config_derive(c, &c->receive_buffer_bytes, receive_buffer(container));
    l->page_tables_bytes = page_tables(c->memory_limit_bytes);
    l->kernel_each_bytes = KERNEL_EACH;
    text_format_size(tables, KERNEL_OURS + l->page_tables_bytes);
    limits_line_set(l, LIMITS_KERNEL, n * KERNEL_EACH + KERNEL_OURS + l->page_tables_bytes,
                    "%llu x 4KiB + %s", n, tables);
    taken = c->memory_limit_bytes + l->parts[LIMITS_KERNEL].limit_bytes +
            l->file_pages_bytes;
    if (!container)
        limits_line_set(l, LIMITS_SOCKETS,
                        n * 2 * (c->receive_buffer_bytes + LIMITS_SEND_BUFFER),
                        "no container: what %llu could fill", n);
    else
        limits_line_set(l, LIMITS_SOCKETS, container > taken ? container - taken : 0,
                        "what the container has left");
}
