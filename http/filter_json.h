/*
 * filter_json - a subscription's filter as JSON, both ways: {"attributes":{"type":"paid"}},
 * or null for none.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_FILTER_JSON_H
#define SLUICE_FILTER_JSON_H

#include "request.h"

#include <cjson/cJSON.h>

/* `v` NULL or null: none. False: a problem was given. */
bool filter_json_read(struct request *r, const cJSON *v, struct sub_settings *s);

/* What is written of the settings has at most six bytes for each of theirs. */
void filter_json_write(struct out *o, const struct sub_settings *s);

#endif
