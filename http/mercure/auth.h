/*
 * auth - where a request has its token, and whether it may go on.
 *
 * The first of these that is there is the one, good or bad:
 *
 *   1. the header Authorization: once, `Bearer ` in this writing, 48 bytes at least
 *   2. the query's authorization: once, 41 bytes at least
 *   3. the cookie (mercure_cookie_name); who publishes by it comes from a page of
 *      mercure_publish_origins, by Origin, or else by Referer
 *   4. none: a subscriber, where mercure_anonymous
 *
 * A token never gets into a log line or an answer.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_MERCURE_AUTH_H
#define SLUICE_MERCURE_AUTH_H

#include "mercure/token.h"
#include "request.h"

/*
 * False: a reply was given, 401 mostly. True: `*out` has the claims, the caller's to free; NULL:
 * an anonymous subscriber. A publisher's claims have one selector at least; whether they cover
 * the topics is the caller's to ask.
 */
MUST_CHECK bool mercure_authorize(struct request *r, enum mercure_role role,
                                  struct mercure_claims **out);

#endif
