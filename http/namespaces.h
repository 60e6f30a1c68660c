/*
 * namespaces - PUT, GET, PATCH, DELETE of namespaces, and their list. In r->topic is the
 * prefix.
 *
 * Contract: API.md, section Namespaces. Threads: the request's loop.
 */
#ifndef SLUICE_NAMESPACES_H
#define SLUICE_NAMESPACES_H

#include "request.h"

void namespace_put_finish(struct request *r);
void namespace_patch_finish(struct request *r);
void namespace_delete_finish(struct request *r);
void namespace_get_finish(struct request *r);
void namespace_list_finish(struct request *r);

#endif
