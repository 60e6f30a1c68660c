/*
 * record - what one message looks like in the store: fields to bytes and back.
 *
 * Pure: no engine, no clock, no allocation. The layout is documented in FORMAT.md and
 * carries a version byte; record_decode refuses a version it does not know.
 *
 * Attributes travel as one encoded list, in memory and on disk alike:
 *   { varint name_len, name, varint value_len, value } ...
 */
#ifndef SLUICE_RECORD_H
#define SLUICE_RECORD_H

#include "base/bytes.h"
#include "base/err.h"

#define RECORD_ID_MAX 255 /* bytes */

struct record {
    int64_t time_ms;            /* when it was accepted; wall clock */
    int64_t expires_ms;         /* first moment it is no longer delivered; 0: never */
    int64_t deliver_ms;         /* subscriptions do not hand it out before; 0: at once */
    struct bytes id;            /* what else it is known by; empty: none */
    struct bytes key;           /* empty: none */
    struct bytes content_type;  /* empty: application/octet-stream */
    struct bytes attributes;    /* encoded list, see above; empty: none */
    struct bytes body;          /* the message itself, unless blob_id is set */
    uint64_t blob_id;           /* not 0: the body is in chunks under this id */
    uint64_t blob_size;         /* bytes, when blob_id is set */
};

/* Bytes of body, wherever it is kept. */
static inline uint64_t record_size(const struct record *r)
{
    return r->blob_id ? r->blob_size : r->body.len;
}

/* Exactly how many bytes record_encode will write. */
size_t record_encoded_len(const struct record *r);

/* Writes record_encoded_len(r) bytes to `out`. */
void record_encode(const struct record *r, uint8_t *out);

/* The views in *r point into `stored`. ERR_CORRUPT: not a record of a known version. */
MUST_CHECK enum err record_decode(struct bytes stored, struct record *r);

/* Walks an attribute list: *at starts as the list and is moved past one entry. False at
 * the end or when the list is malformed. */
bool attribute_next(struct bytes *at, struct bytes *name, struct bytes *value);

/* Bytes that attribute_put will write. */
size_t attribute_len(struct bytes name, struct bytes value);
size_t attribute_put(uint8_t *out, struct bytes name, struct bytes value);

#endif
