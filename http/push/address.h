/*
 * address - which addresses messages may be pushed to.
 *
 * Who may make a subscription must not reach with it what only the broker's machine can
 * reach: services on loopback, in private networks, a cloud's metadata at 169.254.169.254.
 * So only addresses of the public internet pass, unless the setting push_private is on. In
 * IPv6 that is what is allocated as global unicast; an IPv4 address inside counts as itself.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_PUSH_ADDRESS_H
#define SLUICE_PUSH_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

/* NULL when it is public; else what it is instead, such as "a loopback address". */
const char *push_address_wrong(const struct sockaddr *address);

const char *push_address_wrong4(struct in_addr address);
const char *push_address_wrong6(const struct in6_addr *address);

#endif
