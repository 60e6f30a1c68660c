/*
 * batch - the body of a batch publish, turned into packed messages in place.
 *
 * Two forms: NDJSON, one object per line (empty lines are skipped, CRLF is fine); and
 * one JSON text, {"messages":[...]} or the array alone. Each object has
 *   data           any JSON value. A string is stored as its text, as text/plain; any other
 *                  value as the bytes it was written in, as application/json
 *   data_base64    instead of data: bytes, without a content type
 * and, if it likes,
 *   key, content_type (overrides the above), attributes (an object of strings)
 *   ttl            a number of seconds or a duration string
 *   deliver_after  likewise, or
 *   deliver_at     a time of RFC 3339
 * and nothing else; no member twice. The answer is all messages or the first error.
 *
 * The messages are packed (see packed.h) into the front of the very buffer that holds
 * the text, so a batch costs no memory beyond the bytes that were granted for its body.
 *
 * Pure: no allocation. Threads: any.
 */
#ifndef SLUICE_BATCH_H
#define SLUICE_BATCH_H

#include "base/bytes.h"
#include "base/err.h"

#define BATCH_REASON_ROOM 160

/* An element whose text is longer is refused: its packing might not fit in place. */
#define BATCH_ELEMENT_MAX ((1u << 28) - 1)
/* The same for attributes, whatever the limits below say. */
#define BATCH_NAME_MAX  ((1u << 14) - 1)
#define BATCH_VALUE_MAX ((1u << 21) - 1)

struct batch_limits { /* all are meant as they stand: 0 is none at all */
    size_t max_messages;
    size_t max_body_bytes; /* of one message */
    size_t max_key_bytes;
    size_t max_content_type_bytes;
    size_t max_attributes; /* of one message */
    size_t max_attribute_name_bytes;
    size_t max_attribute_value_bytes;
};

struct batch_result {
    size_t count;
    size_t packed_len;   /* the messages are buf[0..packed_len) */
    uint64_t body_bytes; /* of all messages */
    bool delayed;        /* some of them say when they are to be delivered */

    /* After an error: the element, counted from 0 (the number of those before it, when
     * the trouble is between elements); the place in the body, in bytes; and a sentence
     * for people that names both where it helps. */
    size_t index;
    size_t at;
    char reason[BATCH_REASON_ROOM];
};

/* ERR_BAD_INPUT: not of the form, or empty. ERR_TOO_BIG: a body over max_body_bytes, or
 * more than max_messages. After an error the buffer holds nothing of use. */
MUST_CHECK enum err batch_pack_ndjson(uint8_t *buf, size_t len,
                                      const struct batch_limits *limits,
                                      struct batch_result *result);
MUST_CHECK enum err batch_pack_json(uint8_t *buf, size_t len,
                                    const struct batch_limits *limits,
                                    struct batch_result *result);

#endif
