/*
 * native_publish - POST /v1/topics/{t}/messages and messages:batch.
 *
 * Contract: API.md, section Publish. Threads: the request's loop.
 */
#ifndef SLUICE_NATIVE_PUBLISH_H
#define SLUICE_NATIVE_PUBLISH_H

#include "request.h"

void publish_one_start(struct request *r);
void publish_one_finish(struct request *r);
void publish_batch_start(struct request *r);
void publish_batch_finish(struct request *r);

#endif
