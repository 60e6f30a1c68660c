/*
 * answer - what all answers of the hub have in common.
 *
 * A problem is its message and an LF, as text/plain. The messages that other hubs have are given
 * to reply_problem as they are: reply_problem(r, PROBLEM_UNAUTHORIZED, "Unauthorized").
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_MERCURE_ANSWER_H
#define SLUICE_MERCURE_ANSWER_H

#include "response.h"

/* For the hub's rows of the table of routes: problems, cross-origin headers, and the headers of
 * mercure_answer_headers on every answer. */
extern const struct dialect dialect_mercure;

/* Adds them to the answer given; request.c does so by the dialect, when it sends. */
void mercure_answer_headers(struct request *r);

#endif
