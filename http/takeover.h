/*
 * takeover - a connection goes on without the library.
 *
 * Who stays for hours needs a socket and little else. The library keeps its pool, its connection and
 * its response (5 to 10 KB) and walks over all that are suspended whenever one is resumed. So
 * when the head of such an answer is written, the socket is taken from it: a duplicate is ours,
 * and under the library's number there is from then on a socket without another end, which it
 * finds closed, and closes, and gives back all that it had.
 *
 * What it takes of the library: a suspended connection is not in its epoll set
 * (internal_suspend_connection_), and nothing it does to the number reaches our duplicate.
 *
 * Threads:  the request's loop, outside of the library's callbacks.
 */
#ifndef SLUICE_TAKEOVER_H
#define SLUICE_TAKEOVER_H

#include "request.h"

/* A socket that has no other end. -1: no descriptors. */
int takeover_nobody(void);

/* A request that is suspended (wait_aside), with all that was written sent, in no list. Its
 * content reader has to say MHD_CONTENT_READER_END_WITH_ERROR from here on. Returns the socket,
 * in r->connection too; the request and its connection live on until takeover_end. -1: out of
 * descriptors or memory, and nothing is changed. */
int takeover(struct request *r);

/* Closes it and frees the request, if the library has let go of it: false, not yet. */
bool takeover_end(struct request *r, bool completed);

#endif
