/*
 * setting - the setting `push` of a subscription, in JSON, both ways.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_PUSH_SETTING_H
#define SLUICE_PUSH_SETTING_H

#include "push/view.h"
#include "request.h"

#include <cjson/cJSON.h>

/* {"url":"https://..."}, or null, or NULL for not given: then it has no URL. False: a problem
 * was given. */
bool push_setting_read(struct request *r, const cJSON *push, struct sub_settings *to);

/* What push_setting_write writes beside the URL, at most. */
#define PUSH_VIEW_TEXT_MAX (6 * PUSH_ERROR_SIZE + 128)

/* The value: null, or {"url":...,"last_error":...,"failing_since":...}. */
void push_setting_write(struct out *o, const struct sub_settings *s, const struct push_view *v);

#endif
