/*
 * native_topics - PUT, GET, PATCH, DELETE of topics, their list, and purge.
 *
 * Contract: API.md, section Topics. Threads: the request's loop.
 */
#ifndef SLUICE_NATIVE_TOPICS_H
#define SLUICE_NATIVE_TOPICS_H

#include "request.h"

void topic_body_start(struct request *r); /* for those that take a JSON body */
void topic_put_finish(struct request *r);
void topic_patch_finish(struct request *r);
void topic_purge_finish(struct request *r);
void topic_delete_finish(struct request *r);
void topic_get_finish(struct request *r);
void topic_list_finish(struct request *r);

#endif
