/*
 * native_subscriptions - PUT, PATCH, GET, DELETE of subscriptions, their list, and seek.
 *
 * Contract: API.md, section Subscriptions. Threads: the request's loop.
 */
#ifndef SLUICE_NATIVE_SUBSCRIPTIONS_H
#define SLUICE_NATIVE_SUBSCRIPTIONS_H

#include "request.h"

void subscription_put_finish(struct request *r);
void subscription_patch_finish(struct request *r);
void subscription_get_finish(struct request *r);
void subscription_delete_finish(struct request *r);
void subscription_seek_finish(struct request *r);
void subscription_redrive_finish(struct request *r);
void subscription_list_finish(struct request *r);

#endif
