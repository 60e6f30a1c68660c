/*
 * namespace_json - settings and state of a namespace as JSON, both ways.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_NAMESPACE_JSON_H
#define SLUICE_NAMESPACE_JSON_H

#include "namespace_change.h"
#include "request.h"

/* Room that namespace_json_write needs at most. */
#define NAMESPACE_TEXT_MAX (STORE_TOPIC_NAME_MAX * 6 + 512)

/* Reads {"ttl":...,"max_bytes":...} and the like into c->settings and c->set; null stands
 * for the default. False: a problem was given. */
bool namespace_json_settings(struct request *r, struct namespace_change *c);

void namespace_json_write(struct out *o, const struct namespace_state *n);

#endif
