/*
 * accept - who is let in: the listening socket, the caps on connections, the counts.
 *
 * A loop accepts its connections itself and gives those that are let in to the library,
 * because only so a client over a cap can be told (refusal.h), and costs nothing first.
 * A connection is counted from here to accept_closed: against max_connections, exactly and
 * over all loops, and against max_connections_per_address where that is set.
 *
 * Threads:  the loop's own.
 */
#ifndef SLUICE_ACCEPT_H
#define SLUICE_ACCEPT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct connection;

/* Listens in the loop's epoll set; `l->listen_fd` is set. */
MUST_CHECK enum err accept_start(struct loop *l);

/* Closes the listening socket; twice is harmless. */
void accept_stop(struct loop *l);

/* Goes on where the process had run out of descriptors; call it at every tick. */
void accept_tick(struct loop *l);

/* The library has taken the connection that was let in last: its context from now on. */
struct connection *accept_taken(struct loop *l);

/* The library has let it go: gives back its place, and frees it. */
void accept_closed(struct loop *l, struct connection *c);

#endif
