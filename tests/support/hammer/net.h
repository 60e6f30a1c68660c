/*
 * net - sockets for a load client: many connections from one process on loopback.
 *
 * Connections to 127.x.x.x are bound to source addresses 127.0.0.1, 127.0.0.2, ... of a few
 * thousand each, so that the port range of one address is never the limit; or as the
 * target's fields say.
 */
#ifndef HAMMER_NET_H
#define HAMMER_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "reply.h"

struct net_target {
    struct sockaddr_in addr;
    char host[64]; /* for the Host header */
    uint32_t source;     /* the first source address, in host order */
    unsigned per_source; /* connections of one address */
    int receive_buffer;  /* SO_RCVBUF of connections; 0: the kernel's */
};

/* "127.0.0.1:8080" or "localhost:8080"; ends the program when it is neither. */
struct net_target net_target(const char *hostport);

/* Connections come from `first`, so many of them, then from the address after it. `first`
 * NULL, per_source 0: as before. Ends the program when `first` is no IPv4 address. */
void net_set_source(struct net_target *t, const char *first, unsigned per_source);

/* A non-blocking connect under way from the source address of connection `index`;
 * -1 with errno. */
int net_connect_start(const struct net_target *to, unsigned index);

/* Blocking; ends the program when it cannot connect. */
int net_connect(const struct net_target *to);

/* One request on a blocking socket and its answer in *r. False when the peer went away or
 * the answer is malformed. */
bool net_ask(int fd, const char *request, size_t len, struct reply *r);

/* A gauge or counter of /metrics, over a blocking socket; -1 when it is not there. */
double net_metric(int fd, const struct net_target *to, const char *name);

void net_linger_zero(int fd); /* its close will send RST */
void net_raise_nofile(void);  /* soft limit of descriptors up to the hard one */
int64_t net_now_us(void);     /* monotonic */

#endif
