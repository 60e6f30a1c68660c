/*
 * native_topics - PUT, GET, PATCH, DELETE of topics, their list, and purge.
 *
 * Contract: API.md, section Topics. Threads: the request's loop.
 */
#ifndef SLUICE_NATIVE_TOPICS_H
#define SLUICE_NATIVE_TOPICS_H

#include "request.h"
#include "url.h"

void topic_body_start(struct request *r); /* for those that take a JSON body */
void topic_put_finish(struct request *r);
void topic_patch_finish(struct request *r);
void topic_purge_finish(struct request *r);
void topic_delete_finish(struct request *r);
void topic_get_finish(struct request *r);
void topic_list_finish(struct request *r);

/* A name in the query, decoded into `out`; empty when it is not there. False: none. */
bool topic_query_name(struct request *r, const char *name, char out[URL_NAME_MAX + 1],
                      struct bytes *value);

#endif
