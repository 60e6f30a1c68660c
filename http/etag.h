/*
 * etag - If-None-Match: has the client what we would send?
 *
 * Our tags are strong: the same tag means the same bytes. `tag` has its quotes.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_ETAG_H
#define SLUICE_ETAG_H

#include "request.h"

/* True: If-None-Match names the tag (also as a weak one), or is a star: 304 will do. */
bool etag_is_known(const struct request *r, const char *tag);

#endif
