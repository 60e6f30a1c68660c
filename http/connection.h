/*
 * connection - one client's connection, between and around its requests: who says nothing,
 * who drips headers, who stops reading.
 *
 *   AWAITING --request begins--> BUSY --answer given--> REPLYING --sent--> AWAITING
 *      |                                                   |
 *      |-- closed its side, or silent for idle_timeout      '-- takes nothing for
 *      '-- part of a request for header_timeout: closed        write_timeout, or less than
 *                                                              min_read_rate: closed
 *
 * While BUSY the request watches over itself (request.h). Whoever is closed is shut down
 * at the socket; the library notices and ends the request and the connection in its usual
 * way, once.
 *
 * Both lists are looked through once a second, so a limit is kept to within a second; a
 * dripper is noticed when it has waited for header_timeout, and cut when it has dripped for
 * as long again at most.
 *
 * Threads:  the loop that owns it.
 */
#ifndef SLUICE_CONNECTION_H
#define SLUICE_CONNECTION_H

#include "addresses.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct connection_list {
    struct connection *first;
};

struct connection { /* the library's socket context */
    struct connection *prev, *next;
    struct connection_list *list; /* NULL: busy */
    int fd;
    struct address_key from; /* what accept.c gives back at the end */
    bool has_asked;      /* a request began on it at some time */
    bool taken_over;     /* the library has its number no more (takeover.h), */
    bool let_go;         /* ... and has forgotten it */
    bool early;          /* answered although the client still sends: lingers when closed */
    int64_t since_ms;    /* AWAITING: since when; REPLYING: since when nothing was taken */
    int64_t dripping_ms; /* AWAITING: since when part of a request is there; 0: it is not */
    uint64_t acked;      /* REPLYING: bytes the client had taken by then */
    int64_t window_ms;   /* min_read_rate: since when, and what was taken before */
    uint64_t window_acked;
    uint64_t stall_ms;   /* REPLYING: cut when nothing was taken for so long; 0: write_timeout */
};

/* Takes *from over. NULL: no memory, and *from is the caller's as before. */
struct connection *connection_open(struct loop *l, int fd, struct address_key *from);
void connection_close(struct loop *l, struct connection *c);

/* NULL is fine in these. */
void connection_awaits(struct loop *l, struct connection *c);
void connection_busy(struct connection *c);
void connection_replies(struct loop *l, struct connection *c);

/* For a content reader that says MHD_CONTENT_READER_END_WITH_ERROR, or is going to: without it
 * the library closes nothing before all connections that are older have gone. Not while it is
 * suspended: libmicrohttpd 1.0 would ignore it. */
struct MHD_Connection;
void connection_to_close(struct MHD_Connection *conn);

/* Closes who is over a limit; call it about once a second. */
void connection_check(struct loop *l);

#endif
