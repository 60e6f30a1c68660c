/*
 * address - where to listen, from text to what bind(2) takes.
 *
 *   127.0.0.1:7070   [::1]:7070   0.0.0.0:7070
 *   localhost:7070   127.0.0.1; other names are refused, nothing is looked up
 *   :7070            every address of the machine: IPv6 "any", to be bound without
 *                    IPV6_V6ONLY, or IPv4 "any" where the kernel has no IPv6
 *   127.0.0.1:0      any free port
 *
 * Threads:  any.
 */
#ifndef SLUICE_ADDRESS_H
#define SLUICE_ADDRESS_H

#include "base/err.h"

#include <sys/socket.h>

#define ADDRESS_TEXT_SIZE 64 /* with the closing 0 */

/* ERR_BAD_INPUT: not of these forms. */
MUST_CHECK enum err address_parse(const char *text, struct sockaddr_storage *out,
                                  socklen_t *len);

#endif
