/*
 * encode - a stored message as the JSON object of the read API.
 *
 *   {"offset":42,"id":"...","time":"...","expires_at":"...","deliver_at":"...","key":"...",
 *    "content_type":"...","attributes":{"n":"v"},"data":...}
 *
 * expires_at is left out for a message that never expires, deliver_at for one that was not
 * delayed, id, key and attributes when there is none. The body is one of "data": its own JSON text, unchanged, when its
 * content type is JSON and its bytes are exactly one valid JSON text (span_is_json);
 * else a string when they are UTF-8; "data_base64": any other bytes; "href" and "size":
 * a body that is not given inline.
 *
 * Pure but for the growth of *o. Threads: any.
 */
#ifndef SLUICE_ENCODE_H
#define SLUICE_ENCODE_H

#include "out.h"
#include "record.h"

/* `href` is needed when the body is not inlined: inline_body is false, or it is kept in
 * chunks. `one_line` is for NDJSON: line breaks between the tokens of a JSON body
 * become spaces (inside its strings there are none). Whether it fitted is in o->full.
 */
void encode_message(struct out *o, uint64_t offset, const struct record *r,
                    bool inline_body, const char *href, bool one_line);

/* Bytes that encode_message writes of a body, at most. */
size_t encode_body_most(struct bytes body);

/* application/json or a type that ends in +json, in any case, whatever its parameters.
 */
bool encode_type_is_json(struct bytes content_type);

#endif
