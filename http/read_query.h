/*
 * read_query - the query of a log read: from, limit, max_bytes, wait, strict; Accept;
 * and for an event stream envelope and Last-Event-ID.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_READ_QUERY_H
#define SLUICE_READ_QUERY_H

#include "request.h"

/* Fills r->read. False: a problem was given. */
bool read_query_parse(struct request *r);

#endif
