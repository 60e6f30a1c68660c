/*
 * event_json - a stored message as a CloudEvent in JSON (structured mode).
 *
 * Of an event: its attributes without their prefix, all as strings; datacontenttype; data as
 * the message's own JSON, or as a string where the content type is not JSON and the bytes are
 * UTF-8; else data_base64. A body that is not inlined is named by the extension dataref.
 *
 * A message that is no event is wrapped in one: its id is its offset, its source the topic's
 * path, its type sluice.message, its time when it was accepted.
 *
 * In both, other attributes and the key (as partitionkey) are extensions where their names
 * can be: lower case letters and digits, and not one of CloudEvents' own.
 *
 * Pure but for the growth of *o. Threads: any.
 */
#ifndef SLUICE_EVENT_JSON_H
#define SLUICE_EVENT_JSON_H

#include "out.h"
#include "record.h"

/* `href` is needed for a body in chunks. Whether it fitted is in o->full. */
void event_json_encode(struct out *o, struct bytes topic, uint64_t offset,
                       const struct record *r, const char *href);

/* Bytes that it writes, at most, of a message whose body is inlined. */
size_t event_json_most(const struct record *r);

#endif
