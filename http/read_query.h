/*
 * read_query - the query of a log read: from, limit, max_bytes, wait, strict; Accept;
 * and for an event stream envelope and Last-Event-ID.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_READ_QUERY_H
#define SLUICE_READ_QUERY_H

#include "request.h"

#define READ_QUERY_LEASE_MAX_MS (12ull * 3600 * 1000)

/* Fills r->read. False: a problem was given. */
bool read_query_parse(struct request *r);

/* The query of a receive: limit, max_bytes, wait; and lease, in *lease_ms, 0: not given. */
bool read_query_receive(struct request *r, uint64_t *lease_ms);

/* A place in a log as text: an offset, earliest, a time ... False: none. */
bool read_query_from(struct bytes text, struct fetch_from *from);

#endif
