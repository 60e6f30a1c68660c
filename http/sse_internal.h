/*
 * sse_internal - what the two files of sse_stream.h share: sse_answer.c, where a stream starts and
 * what is said first, and sse_stream.c, its life.
 */
#ifndef SLUICE_SSE_INTERNAL_H
#define SLUICE_SSE_INTERNAL_H

#include "sse_block.h"
#include "sse_stream.h"

enum armed { ARMED_NOT, ARMED_LEAVING, ARMED_WRITABLE }; /* its watch, which fires once */

struct sse_stream {
    struct MHD_Response *response; /* lives as long as the request */
    uint64_t offset;               /* the next that it has not been sent */
    struct sse_block *block;       /* what it sends from, or NULL */
    const char *out;               /* whole chunks, or the rest of them */
    size_t out_len;
    size_t chunk_left; /* HTTP/1.0: bytes left in the chunk that `out` is in */
    int64_t sent_ms;   /* when it was sent something */
    int64_t ends_ms;
    uint64_t unknown; /* the Last-Event-ID that was never given */
    uint8_t armed;    /* enum armed */
    bool is_unknown, started, listed, in_line, ending, ended;
};

/* The head is written: suspends, sends the preface (chunks; lent for the call), and what is
 * in the log. s->offset and s->ends_ms are set. */
void sse_stream_begin(struct request *r, struct bytes preface);

#endif
