/*
 * event - CloudEvents 1.0: what makes a message an event, and its attributes as headers.
 *
 * An event is a message that has the attributes ce-specversion (1.0), ce-id, ce-source and
 * ce-type; its others are called ce-<name> as well. Its datacontenttype is the message's
 * content type. By which door it came does not matter.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_EVENT_H
#define SLUICE_EVENT_H

#include "base/bytes.h"
#include "base/err.h"

#define EVENT_PREFIX     "ce-"
#define EVENT_PREFIX_LEN 3u
#define EVENT_NAME_MAX   100 /* bytes, without the prefix */

enum event_mode {
    EVENT_BINARY,     /* one message; an event if its headers say so */
    EVENT_STRUCTURED, /* application/cloudevents+json */
    EVENT_BATCHED,    /* application/cloudevents-batch+json */
    EVENT_UNKNOWN,    /* an event in a form that we cannot read */
};

enum event_mode event_mode_of(struct bytes content_type);

/* Does the name of an attribute (of the store's, or a header's) begin with ce-, in any case? */
bool event_has_prefix(struct bytes name);

/* Below, names are without the prefix. */

/* Which of the required ones it is, as a bit of EVENT_REQUIRED; 0: none. */
#define EVENT_REQUIRED 15u
unsigned event_required(struct bytes name);
/* The first of those that are not there. */
const char *event_missing(unsigned seen);

/* NULL, or what is wrong with this attribute. */
const char *event_wrong(struct bytes name, struct bytes value);

/* Is a message with this list of attributes (record.h) an event? */
bool event_is(struct bytes attributes);

/* What the HTTP binding makes of a value in a header, and back. event_decode writes at most
 * value.len bytes; false: a % without two hexadecimal digits. event_encode writes
 * event_encoded_len bytes. */
MUST_CHECK bool event_decode(struct bytes value, uint8_t *out, size_t *len);
size_t event_encoded_len(struct bytes value);
void event_encode(struct bytes value, char *out);

#endif
