/*
 * packed - messages on their way to the writer, packed one after another in one buffer.
 *
 * A door (native, NDJSON batch, a dialect) packs what it parsed; the writer walks it once.
 * The packing of a message parsed from JSON text is never longer than that text, so a
 * batch is packed in place, in the buffer whose bytes the ledger granted before they were
 * read.
 *
 *   message := varint length of the fields that follow, fields
 *   field   := tag, value
 *   PACKED_BODY, PACKED_KEY, PACKED_CONTENT_TYPE : varint length, bytes
 *   PACKED_ATTRIBUTE : varint name length, name, varint value length, value
 *   PACKED_TTL_MS, PACKED_DELIVER_AFTER_MS, PACKED_DELIVER_AT_MS : varint
 *   PACKED_JSON, PACKED_TEXT : no value; a content type said in one byte
 *   PACKED_JSON_BODY, PACKED_TEXT_BODY : as PACKED_BODY, and one of these, in one tag
 *
 * Fields come in any order, each at most once but PACKED_ATTRIBUTE, and of the two delays one.
 * All PACKED_ATTRIBUTE fields of a message stand together. A message without PACKED_BODY has an
 * empty body.
 *
 * The length prefix of a message may be padded: a varint with continuation bytes whose
 * last byte is 0 is accepted, so that a packer can reserve its place beforehand.
 */
#ifndef SLUICE_PACKED_H
#define SLUICE_PACKED_H

#include "base/bytes.h"
#include "base/err.h"

enum packed_tag {
    PACKED_BODY = 1,
    PACKED_KEY = 2,
    PACKED_CONTENT_TYPE = 3,
    PACKED_ATTRIBUTE = 4,
    PACKED_TTL_MS = 5,
    PACKED_JSON = 6, /* application/json */
    PACKED_TEXT = 7, /* text/plain; charset=utf-8 */
    PACKED_JSON_BODY = 8,
    PACKED_TEXT_BODY = 9,
    PACKED_DELIVER_AFTER_MS = 10,
    PACKED_DELIVER_AT_MS = 11,
};

enum packed_delay_kind { PACKED_NO_DELAY, PACKED_DELAY_AFTER, PACKED_DELAY_UNTIL };

struct packed_delay { /* when subscriptions may hand it out; see publish_delay.h */
    enum packed_delay_kind kind; /* PACKED_NO_DELAY: it was not said */
    uint64_t ms;                 /* from when it is stored; or the time itself */
};

struct packed_message {      /* views into the packed buffer */
    struct bytes body;
    struct bytes id; /* never packed: a batch's have none */
    struct bytes key;
    struct bytes content_type; /* static text for PACKED_JSON and PACKED_TEXT */
    struct bytes attributes;   /* the run of fields, tags included; see packed_attribute */
    bool has_ttl;
    uint64_t ttl_ms;
    struct packed_delay delay;
};

/* Moves *at past one message. ERR_NOT_FOUND at the end; ERR_CORRUPT is our own bug. */
MUST_CHECK enum err packed_next(struct bytes *at, struct packed_message *m);

/* Walks m->attributes. False at the end. */
bool packed_attribute(struct bytes *at, struct bytes *name, struct bytes *value);

/* Writes one PACKED_ATTRIBUTE field, packed_attribute_len bytes; how many that was. */
size_t packed_attribute_len(struct bytes name, struct bytes value);
size_t packed_attribute_put(uint8_t *out, struct bytes name, struct bytes value);

#endif
