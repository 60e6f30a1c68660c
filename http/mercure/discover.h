/*
 * discover - tells readers of a native topic where the hub is.
 *
 *   Link: </.well-known/mercure>; rel="mercure", </v1/topics/orders>; rel="self"
 *
 * `self` is the topic that updates about this resource are to have; whether there are any is for
 * those who publish to the hub to say.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_MERCURE_DISCOVER_H
#define SLUICE_MERCURE_DISCOVER_H

struct request;

/* Adds it to the answer given, if there is one, it is no problem, and the hub is in use: it has a
 * key, or lets subscribers in without. */
void mercure_discover(struct request *r);

#endif
