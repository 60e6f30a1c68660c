#include "mercure/discover.h"

#include "broker.h"
#include "location.h"
#include "request.h"

#include <stdio.h>

static bool is_in_use(const struct config *c)
{
    return *c->mercure_publisher_jwt_key || *c->mercure_subscriber_jwt_key ||
           c->mercure_anonymous;
}

void mercure_discover(struct request *r)
{
    char self[LOCATION_ROOM], link[LOCATION_ROOM + 64];

    if (!r->reply.response || r->reply.share || r->reply.status >= 300 ||
        !is_in_use(r->loop->broker->config))
        return;
    topic_location(request_topic(r), self);
    snprintf(link, sizeof link, "</.well-known/mercure>; rel=\"mercure\", <%s>; rel=\"self\"",
             self);
    reply_header(r, MHD_HTTP_HEADER_LINK, link);
}
