/*
 * prefer - what a request says in Prefer (RFC 7240).
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_PREFER_H
#define SLUICE_PREFER_H

#include "request.h"

/* `name=value` is among its preferences, in whatever case, with the value in quotes or without. */
bool prefer_is(const struct request *r, const char *name, const char *value);

#endif
