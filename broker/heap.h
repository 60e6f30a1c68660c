/*
 * heap - how the allocator is set up, and when it gives memory back to the system.
 *
 * What is freed stays with the process: free blocks lie between used ones, and the C library
 * only gives back what is at the end of a heap. After a burst all that is free can be given
 * back at once, at the price of some milliseconds in which nobody else may allocate. So
 * that is done when there is something to gain, and at a good moment:
 *
 *   gain     spare memory (anonymous, and not in a used block) has grown by more than
 *            HEAP_WORTH_BYTES since it was last given back, or was less
 *   moment   QUIET: the process used less than a fifth of one core since the last look.
 *            PRESSED: more than three quarters of memory_limit are in use; then under load
 *            too, but every HEAP_PRESSED_MS at most
 *
 * What is spare but cannot be given back (stacks, rests of pages) is searched for once, in
 * vain, and then known. Blocks mapped one by one count as used, all of them, although some
 * are not touched yet: when they go, spare memory seems to grow. That costs a search too many;
 * to count them as spare would hide what is freed while they go.
 *
 * Units:    bytes, microseconds.
 * Threads:  heap_set_up before the first thread; the rest on main, which serves nobody.
 */
#ifndef SLUICE_HEAP_H
#define SLUICE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#define HEAP_LOOK_MS     1000 /* between two looks */
#define HEAP_WORTH_BYTES ((uint64_t)1 << 20)
#define HEAP_PRESSED_MS  10000

struct heap {
    uint64_t limit_bytes; /* memory_limit */
    int64_t least_bytes;  /* spare memory: the least since it was last given back */
    int64_t looked_us, cpu_us; /* at the last look */
    int64_t given_us;          /* when memory was last given back */
};

struct heap_sight { /* what a look sees */
    uint64_t anon_bytes;
    uint64_t used_bytes; /* handed out; counting walks all free blocks */
    int64_t cpu_us;      /* that the process has used so far */
    int64_t now_us;      /* monotonic */
};

void heap_set_up(void);

void heap_sight_now(struct heap_sight *s);
void heap_count_used(struct heap_sight *s);

void heap_init(struct heap *h, uint64_t limit_bytes, const struct heap_sight *s);

/* Whether this is a good moment; needs no used_bytes. Call it at every look. */
bool heap_is_moment(struct heap *h, const struct heap_sight *s);

/* At a good moment: whether there is something to gain. */
bool heap_has_gain(struct heap *h, const struct heap_sight *s);

void heap_given(struct heap *h, const struct heap_sight *after);

/* Looks, and gives memory back if it is time to. Once every HEAP_LOOK_MS. */
void heap_look(struct heap *h);

#endif
