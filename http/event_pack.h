/*
 * event_pack - CloudEvents in JSON, one or an array of them, as packed messages, in place.
 *
 * As batch.h: into the front of the buffer that holds the text, which has to have
 * event_pack_slack(len) bytes more than the `len` of the text: that is moved to its end first. An event's attributes become
 * attributes ce-<name>; numbers and booleans become their text; null is as good as not there.
 * Its data is kept as it is written when it is JSON (no datacontenttype, or one of JSON), else
 * it has to be a string, whose text is the message; data_base64 is bytes.
 *
 * Pure: no allocation. Threads: any.
 */
#ifndef SLUICE_EVENT_PACK_H
#define SLUICE_EVENT_PACK_H

#include "batch.h"

static inline size_t event_pack_slack(size_t len)
{
    return len / 8 + 64;
}

MUST_CHECK enum err event_pack_one(uint8_t *buf, size_t len,
                                   const struct batch_limits *limits,
                                   struct batch_result *result);
MUST_CHECK enum err event_pack_array(uint8_t *buf, size_t len,
                                     const struct batch_limits *limits,
                                     struct batch_result *result);

#endif
