/*
 * reply - one HTTP/1.1 answer at a time, read from a socket as it comes.
 *
 * reply_next, then reply_fill and reply_parse in turn until it is DONE. The body (chunked
 * framing removed) is buf[body .. body + body_len), followed by a NUL that may overwrite
 * nothing: bytes of the next answer, if any, are kept for the next round.
 *
 * Owner: the buffer belongs to the reply; reply_free gives it back. All zero is empty.
 */
#ifndef HAMMER_REPLY_H
#define HAMMER_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum reply_step { REPLY_MORE, REPLY_DONE, REPLY_BAD };

struct reply {
    char *buf; /* NUL after the last byte */
    size_t len, cap;
    int state;
    size_t at;             /* parsed up to here */
    size_t body, body_len; /* within buf; good once DONE */
    uint64_t left;         /* bytes of body or chunk still to come */
    int status;
    bool close; /* the server said Connection: close */
    int64_t retry_after_s; /* its Retry-After; -1: none */
};

void reply_next(struct reply *r);
/* What read(2) says: 0 at the end, -1 with errno. *room is how much was asked. */
ssize_t reply_fill(struct reply *r, int fd);
enum reply_step reply_parse(struct reply *r);
/* The number after `"name":` in the body, or -1. Good for flat answers only. */
int64_t reply_number(const struct reply *r, const char *name);
/* The time (RFC 3339, UTC, milliseconds) after `"name":` as milliseconds since 1970, or -1. */
int64_t reply_time_ms(const struct reply *r, const char *name);
bool reply_idle(const struct reply *r); /* no byte of an answer is here */
void reply_free(struct reply *r);

#endif
