/*
 * topic_json - topic settings and state as JSON, both ways.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_TOPIC_JSON_H
#define SLUICE_TOPIC_JSON_H

#include "request.h"
#include "topic_change.h"

struct cJSON;

/* The body, complete, as one object; an empty body is an empty object. NULL: a problem was
 * given. The caller frees it with cJSON_Delete. */
struct cJSON *topic_json_object(struct request *r);

/* Reads {"ttl":...,"max_bytes":...} and the like into c->settings and c->set; null
 * stands for the default. False: a problem was given. */
bool topic_json_settings(struct request *r, struct topic_change *c);

/* Reads {"before_offset":n} | {"before_time":"..."} | {"all":true} into c->before_offset,
 * or into *time_ms (else -1). False: a problem was given. */
bool topic_json_purge(struct request *r, struct topic_change *c, int64_t *time_ms);

/* One topic as the API shows it. oldest_ms 0: it has no message. */
void topic_json_write(struct out *o, const struct topic_state *t, uint64_t earliest,
                      int64_t oldest_ms);

#endif
