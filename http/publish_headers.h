/*
 * publish_headers - what the headers of a publish say about its message, or its batch.
 *
 * Every header that is not of the form it has to have is refused: nothing of what a publisher
 * says is dropped without a word.
 *
 * Threads:  the request's loop.
 * Owner:    all views are into the request.
 */
#ifndef SLUICE_PUBLISH_HEADERS_H
#define SLUICE_PUBLISH_HEADERS_H

#include "event.h"
#include "packed.h"
#include "request.h"

struct publish_headers {
    struct request *r;
    struct bytes key, content_type;
    size_t attributes_len; /* packed */
    uint8_t *attributes;   /* where to pack them; NULL: only measure */
    enum event_mode mode;
    unsigned event; /* required attributes of an event that were there; see event.h */
    bool is_event;  /* there was one at least */
    struct bytes trace; /* traceparent; empty: none that is fine */
    bool has_ttl;
    uint64_t ttl_ms;
    struct packed_delay delay; /* Deliver-After, Deliver-At */
    char once[STORE_RECEIPT_KEY_MAX]; /* Idempotency-Key */
    size_t once_len;                  /* 0: none */
    bool has_if_match;
    uint64_t if_match; /* the topic's next offset must be this one */
};

/* Packs the attributes into `attributes`, which has room for as many bytes as an earlier call
 * with NULL said in attributes_len. False: a problem was given. */
bool publish_headers_read(struct request *r, struct publish_headers *h, uint8_t *attributes);

#endif
