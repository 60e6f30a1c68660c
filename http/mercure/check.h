/*
 * check - may this form be published, by this publisher?
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_MERCURE_CHECK_H
#define SLUICE_MERCURE_CHECK_H

#include "mercure/form.h"
#include "mercure/token.h"
#include "request.h"

/* Of all topics of an update together, so that one with many still fits into the least
 * read buffer there is, escaped (limits_plan.c). */
#define MERCURE_TOPICS_MAX (32u << 10)

#define MERCURE_TYPE_MAX 255

/* False: a problem was given. True: *retry is what the form says, 0 for nothing. */
bool mercure_check_form(struct request *r, const struct mercure_form *f,
                        const struct mercure_claims *claims, uint64_t *retry);

/* The largest body a form may have: every byte of it encoded. */
uint64_t mercure_form_most(const struct config *c);

#endif
