/*
 * raw_message - a message as it was published: its bytes, its content type, its headers.
 *
 * A whole message is copied once; one in chunks is streamed, a piece at a time as the
 * socket takes it, each piece read under a snapshot of its own; it comes whole even if it
 * is taken out meanwhile (download.h). Range (RFC 9110, one
 * range) gives 206 or 416, If-None-Match 304 (cacheable.h).
 *
 * Memory:   the copy, or one piece, is reserved in the read ledger.
 * Threads:  the request's loop.
 */
#ifndef SLUICE_RAW_MESSAGE_H
#define SLUICE_RAW_MESSAGE_H

#include "request.h"

/* With r->loop->fetch open, whose entry `m` is, and r->read filled where it is a read of the log
 * (READ_RAW). NULL: 204, there is none. The snapshot may be
 * renewed, and *m with it. True: answered, or in line for the room (line.h). False: nothing
 * is answered, for the message went in this moment; look again, under the snapshot that is
 * open now. */
MUST_CHECK bool raw_message_reply(struct request *r, struct store_entry *m);

/* The same of a whole message, whatever Range says, with other headers than ours. */
MUST_CHECK bool raw_message_whole(struct request *r, struct store_entry *m,
                                  void (*headers)(struct request *r,
                                                  const struct store_entry *m));

/* What a whole message's answer takes of the read ledger. */
size_t raw_message_room(const struct record *r);


#endif
