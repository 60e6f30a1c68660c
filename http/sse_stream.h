/*
 * sse_stream - a reader who stays: Server-Sent Events of a topic, history and then live.
 *
 *   finish --> (head, by the library) --> OPEN --> IDLE <--news-- SENDING <--> FULL
 *                                          |         \              |   socket full, or its
 *                                          |          '-no room-> IN LINE    share of a turn
 *                                          '--> ENDED (client left, life over, shutdown)
 *
 * The library writes the head. Then the socket is taken from it (takeover.h),
 * and the stream writes to it itself: whole chunks, out of a block that it shares
 * with all who want the same (sse_block.h). So a delivery is one system call, nothing is
 * copied, and a stream without news holds no buffer and no grant. What a stream has not been
 * sent is the log's to keep: its offset is all that there is of it.
 *
 * Threads:  the request's loop; room is granted by any thread, and comes as a letter.
 */
#ifndef SLUICE_SSE_STREAM_H
#define SLUICE_SSE_STREAM_H

#include "request.h"

struct sse_stream;

/* In finish, r->read being parsed: answers with a stream, or with the reason why not. */
void sse_stream_reply(struct request *r);

/* In request_completed. NULL is fine for r->stream. */
void sse_stream_free(struct request *r);

/* For wait.c. News for the topics of these slots; a shutdown; the end of the loop. */
void sse_stream_woken(struct loop *l, unsigned first, unsigned end);
void sse_stream_drain(struct loop *l);
void sse_stream_cut_all(struct loop *l);

/* For loop.c, behind each of the daemon's turns: sends news to some who wait for them. A
 * publisher's answer does not wait for ten thousand subscribers. */
void sse_stream_turn(struct loop *l);

/* For loop.c, before sockets are looked at: those of streams have a few milliseconds. */
void sse_stream_turn_begins(struct loop *l);

/* The last thing of a turn, and of the loop: frees those that have ended. */
void sse_stream_bury(struct loop *l);

#endif
