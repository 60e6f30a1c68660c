/*
 * out - where JSON is written: a buffer that knows its limit.
 *
 * It grows by doubling up to `limit`, or lives in a buffer of the caller's. A write
 * that would pass the limit sets `full` and writes nothing; so do all that follow.
 * Nobody has to check each write: write a whole thing, then look at `full`, and
 * out_rewind to where the thing began.
 *
 * Owner:    the memory is out's until out_take or out_fini.
 * Threads:  one at a time.
 */
#ifndef SLUICE_OUT_H
#define SLUICE_OUT_H

#include "base/bytes.h"

struct out { /* read its fields; change them through the functions */
    char *data;
    size_t len;
    size_t cap;
    size_t limit;
    bool fixed;     /* data is the caller's */
    bool full;      /* a write did not fit */
    bool no_memory; /* ... because the allocator refused, not because of the limit */
};

/* Empty, growing up to `limit` bytes. Allocates with the first write. */
void out_init(struct out *o, size_t limit);
/* Empty, inside buf[0..size). */
void out_init_in(struct out *o, char *buf, size_t size);
void out_fini(struct out *o);

/* Gives the buffer away, to be freed with free(); *o is empty again. NULL when nothing
 * was ever written. Not for out_init_in. */
char *out_take(struct out *o, size_t *len);

/* Gives back what it holds beyond its `len`. */
void out_trim(struct out *o);

/* More, or less but not below `len`. Not for out_init_in. */
void out_set_limit(struct out *o, size_t limit);

/* Back to an earlier `len`; there is room again. */
void out_rewind(struct out *o, size_t len);

void out_raw(struct out *o, struct bytes b);
void out_text(struct out *o, const char *text);
void out_u64(struct out *o, uint64_t v);
void out_i64(struct out *o, int64_t v);

/* ,"name":v - a member that is not the object's first. The name needs no escaping. */
void out_member(struct out *o, const char *name, uint64_t v);

/* These write their quotes. */

/* A JSON string. Bytes that are not UTF-8 become U+FFFD, one each. */
void out_str(struct out *o, struct bytes text);
/* Milliseconds of wall clock as RFC 3339. */
void out_time(struct out *o, int64_t ms);
void out_base64(struct out *o, struct bytes b);

/* Bytes that out_str and out_base64 will write, quotes included. */
size_t out_str_len(struct bytes text);
/* As out_str_len, of UTF-8; 0 of what is not. One walk for both questions. */
size_t out_utf8_len(struct bytes text);
size_t out_base64_len(size_t bytes);

#endif
