/*
 * subscription - a subscriber and one topic selector of it, as URL and as JSON-LD.
 *
 *   /.well-known/mercure/subscriptions/{topic}/{subscriber}     both percent-encoded fully
 *
 * Pure but for the growth of an out. Threads: any.
 */
#ifndef SLUICE_MERCURE_SUBSCRIPTION_H
#define SLUICE_MERCURE_SUBSCRIPTION_H

#include "out.h"

#define MERCURE_SUBSCRIPTIONS "/.well-known/mercure/subscriptions"

struct mercure_subscription { /* views */
    struct bytes topic;       /* the selector, any bytes */
    struct bytes subscriber;  /* urn:uuid:... */
    struct bytes payload;     /* JSON, of its token; empty: none */
    bool active;
};

/* With the first `count` of topic and subscriber. */
void mercure_put_subscriptions_url(struct out *o, const struct bytes *names, unsigned count);
void mercure_put_subscription_url(struct out *o, const struct mercure_subscription *s);
size_t mercure_subscription_url_len(const struct mercure_subscription *s);

/* The data of the update that tells of it: an object of its own, in lines. */
void mercure_put_subscription_event(struct out *o, const struct mercure_subscription *s);

/* The same in one line, as the API has it; what is empty is left out. */
void mercure_put_subscription(struct out *o, const struct mercure_subscription *s,
                              struct bytes context, struct bytes last_event_id);

#define MERCURE_CONTEXT "https://mercure.rocks/"

/* More than either of them writes, beside context and id. */
size_t mercure_subscription_most(const struct mercure_subscription *s);

#endif
