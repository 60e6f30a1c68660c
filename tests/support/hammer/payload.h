/*
 * payload - message bodies that say who sent them and can be checked byte by byte.
 *
 *   "hammer RRRRRRRR CCCCCC SSSSSSSSSS ZZZZZZZZZZ " then letters, rotated by the sequence
 *    run, connection, sequence and size in decimal; the size is of the whole body
 *
 * A body shorter than its head is the head cut off; such a one cannot be checked.
 */
#ifndef HAMMER_PAYLOAD_H
#define HAMMER_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAYLOAD_HEAD = 45 };

struct payload {
    uint64_t run, conn, seq, size;
};

/* Makes the letters for bodies up to `largest` bytes. Once, before anything else. */
void payload_prepare(size_t largest);

/* Writes PAYLOAD_HEAD bytes. */
void payload_head(char *to, const struct payload *p);

/* The size - PAYLOAD_HEAD bytes that follow the head; lent. */
const char *payload_letters(const struct payload *p);

/* Reads the head and checks every byte. False: it is not a whole body of ours. */
bool payload_check(const char *body, size_t len, struct payload *out);

#endif
