/*
 * raw_message - a message as it was published: its bytes, its content type, its headers.
 *
 * A whole message is copied once; one in chunks is streamed, a piece at a time as the
 * socket takes it, each piece read under a snapshot of its own. Range (RFC 9110, one
 * range) gives 206 or 416.
 *
 * Memory:   the copy, or one piece, is reserved in the read ledger.
 * Threads:  the request's loop.
 */
#ifndef SLUICE_RAW_MESSAGE_H
#define SLUICE_RAW_MESSAGE_H

#include "request.h"

/* With r->loop->fetch open, whose entry `m` is. NULL: 204, there is none. */
void raw_message_reply(struct request *r, const struct store_entry *m);

#endif
