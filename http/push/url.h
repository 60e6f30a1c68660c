/*
 * url - what may be the URL that messages are pushed to.
 *
 * Stricter than libcurl, which reads it later: http or https, a host, perhaps a port, a path
 * and a query, in the characters that RFC 3986 has for them. No user, no password, no
 * fragment. libcurl's own parser is not asked, because the library is not loaded before the
 * first push subscription is there (library.h), and what it makes of the host does not
 * matter for safety: the address is looked at again when a connection is made.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_PUSH_URL_H
#define SLUICE_PUSH_URL_H

#include "base/bytes.h"

#define PUSH_URL_MAX 1024 /* bytes */

/* NULL when it is fine, else what is wrong with it, to follow "push.url ". Unless
 * `private_too`, an address that is not public is wrong; a name is not looked up. */
const char *push_url_wrong(struct bytes url, bool private_too);

#define PUSH_URL_SHOWN 128
/* For logs: without the query, which may hold a secret, and cut where it is long. */
void push_url_show(struct bytes url, char out[PUSH_URL_SHOWN]);

#endif
