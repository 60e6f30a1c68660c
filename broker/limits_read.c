/*
 * Of the read buffer: what an answer may need, and what may be kept of it for hours.
 *
 *   |<------------------------- read_buffer ------------------------->|
 *   |<--- the largest answer --->|  keeper  |  keeper  |  keeper  |
 *
 * Who waits for room has to get it in the end: answers go, as write_timeout says; what keepers
 * hold stays. So all of them together leave room for the largest answer.
 */
#include "limits_internal.h"

/* A page (http/native_read.c, native_receive.c): 256 KiB and the leases of 1,000 messages; or one
 * message, every byte of it and of its names escaped. */
#define PAGE_LARGEST (296 * KIB)
#define ESCAPED      6
#define BESIDE_BODY  (128 * KIB)

static uint64_t largest_answer(uint64_t inline_max_bytes)
{
    return max_u64(PAGE_LARGEST, ESCAPED * inline_max_bytes + BESIDE_BODY);
}

/* The largest, a page with one message more, or the keepers beside it. */
uint64_t limits_read_least(const struct config *c)
{
    return max_u64(ESCAPED * c->inline_max_bytes + 288 * KIB,
                   largest_answer(c->inline_max_bytes) + LIMITS_KEEPERS * LIMITS_KEEP_LEAST);
}

uint64_t limits_read_share(uint64_t read_bytes, uint64_t inline_max_bytes)
{
    uint64_t largest = largest_answer(inline_max_bytes);
    uint64_t over = read_bytes > largest ? (read_bytes - largest) / LIMITS_KEEPERS : 0;

    return min_u64(read_bytes / 4, max_u64(over, LIMITS_KEEP_LEAST));
}
