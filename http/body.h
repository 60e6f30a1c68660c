/*
 * body - a request's body: reserved before it is read, read as it comes.
 *
 *   small, of known length   one buffer of just that size, paid before the first byte
 *   large, or of unknown     the upload window is paid first; up to `whole_max` it is one
 *   length                   buffer, beyond that it streams into chunks (upload.h)
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_BODY_H
#define SLUICE_BODY_H

#include "ledger.h"
#include "upload.h"

struct request;
struct siphash128;

enum body_kind {
    BODY_NONE = 0, /* read and thrown away, a bounded amount of it */
    BODY_WHOLE,    /* at most `limit` bytes, in one buffer */
    BODY_HASH,     /* hashed and thrown away: it is known already */
    BODY_STREAM,   /* above `whole_max` bytes it becomes an upload */
};

#define BODY_UNKNOWN UINT64_MAX

struct body {
    enum body_kind kind;
    uint64_t declared; /* Content-Length, or BODY_UNKNOWN */
    uint64_t limit;    /* more is 413 */
    size_t whole_max;
    struct ledger *ledger;
    size_t slack;    /* room behind the bytes of a whole one; a part of overhead */
    size_t overhead; /* charged beside the bytes */
    unsigned factor; /* bytes charged for each byte of the body; 1 but for JSON trees */
    uint64_t wait_ms; /* how long the client agrees to stand in line */

    struct siphash128 *hash; /* NULL, or takes in all bytes that were taken */

    uint64_t received;
    uint8_t *data; /* malloc'd; a consumer takes it and sets it NULL */
    size_t len, cap;
    struct ledger_waiter room; /* room.grant pays; a consumer takes it as well */
    struct upload *upload;
    int64_t window_ms; /* min_body_rate: since when, and how much since then */
    uint64_t window_bytes;
};

/* Reserves what the body needs. ERR_BUSY: the waiter stands in line. ERR_TOO_BIG. */
MUST_CHECK enum err body_admit(struct body *b);

/* The reservation has come: makes the buffer or the upload. */
MUST_CHECK enum err body_open(struct request *r);

/* Takes what it can of the bytes; *taken < len: wait for the upload. ERR_TOO_BIG: over the
 * limit. Other errors are the store's. */
MUST_CHECK enum err body_take(struct request *r, const void *data, size_t len,
                              size_t *taken);

/* Everything came. ERR_BUSY: the upload's last chunks are still on their way. */
MUST_CHECK enum err body_end(struct body *b);

void body_fini(struct body *b);

#endif
