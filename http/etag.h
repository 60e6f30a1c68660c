/*
 * etag - If-None-Match and If-Range: has the client what we would send?
 *
 * `tag` is without the W/ of a weak one, and has its quotes.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_ETAG_H
#define SLUICE_ETAG_H

#include "request.h"

/* True: If-None-Match names the tag (also as a weak one), or is a star: 304 will do. */
bool etag_is_known(const struct request *r, const char *tag);

/* False: If-Range names another tag, or a time: a part of this would not fit to what the
 * client has. For strong tags only. */
bool etag_part_fits(const struct request *r, const char *tag);

#endif
