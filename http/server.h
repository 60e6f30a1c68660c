/*
 * server - starts, drains and stops the HTTP loops.
 *
 * Threads:  main.
 */
#ifndef SLUICE_SERVER_H
#define SLUICE_SERVER_H

#include "loop.h"

struct server {
    struct broker *broker;
    unsigned count;
    uint64_t start_id;          /* random; request ids begin with it */
    _Atomic int64_t connections; /* over all loops, against max_connections */
    struct addresses *addresses; /* NULL: no cap for each address */
    struct push *push;
    struct mercure_registry *registry; /* NULL: mercure_subscriptions is off */
    struct loop *loops;
};

/* Listens and starts the loops. Reasons for failure are logged. */
MUST_CHECK enum err server_start(struct broker *b, struct server **out);

/* No new publishes; answers everybody who waits; returns when nothing is in flight or the
 * time is over. */
void server_drain(struct server *s, int64_t timeout_ms);

void server_stop(struct server *s);

#endif
