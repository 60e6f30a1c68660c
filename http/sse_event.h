/*
 * sse_event - a stored message as a Server-Sent Event, in a chunk of its own.
 *
 *   id: 42                         the offset
 *   event: base64                  only for what is not its own text
 *   data: first line
 *   data: second line
 *
 * A body that is UTF-8 is given as it is, JSON too: one data line for each of its lines, which
 * may end in LF, CR or CRLF. Other bytes are the event `base64`, a body that is not inlined is
 * the event `large`. In an envelope the data is the message's object (encode.h), whatever the body.
 *
 * Each event is a chunk of HTTP's chunked coding, with a size of a fixed length, so that many
 * go out as they are, and a client of HTTP/1.0 gets what is inside them.
 *
 * Pure but for the growth of *o. Threads: any.
 */
#ifndef SLUICE_SSE_EVENT_H
#define SLUICE_SSE_EVENT_H

#include "out.h"
#include "record.h"

#define SSE_CHUNK_HEAD 10 /* eight digits and a line's end */
#define SSE_CHUNK_TAIL 2

/* Where the chunk begins; and its end, which fills in its size. */
size_t sse_chunk_begin(struct out *o);
void sse_chunk_end(struct out *o, size_t begin);

/* Bytes in the chunk whose head is at `head`. */
size_t sse_chunk_size(const char *head);

/* `href` is needed when the body is kept in chunks. */
void sse_put_event(struct out *o, uint64_t offset, const struct record *r, const char *href,
                   bool envelope);

/* The event `skipped`: those from `first` on are gone, up to `next`. */
void sse_put_skipped(struct out *o, uint64_t first, uint64_t next);

/* The event `unknown`: `id` was never given; reading starts at `earliest`. */
void sse_put_unknown(struct out *o, uint64_t id, uint64_t earliest);

/* Bytes that sse_put_skipped, or sse_put_event, will write at most. */
#define SSE_SKIPPED_MOST 160u
size_t sse_event_most(const struct record *r, bool envelope);

#endif
