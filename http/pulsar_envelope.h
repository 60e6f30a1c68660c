/*
 * pulsar_envelope - the outside of a Pulsar produce request: everything but its messages.
 *
 * The whole text is scanned, so what is not JSON is found here, before anything is changed.
 * The messages themselves are only found: pulsar_pack takes them apart.
 *
 *   messages       the array; must be there
 *   producerName   text of at most PULSAR_PRODUCER_MAX bytes without control characters
 *   schemaVersion  -1 ("not given") or 0
 *   valueSchema    absent, "" or a schema info (a JSON object in a string) of the type
 *                  STRING or BYTES
 *   keySchema      absent, "" or the type STRING
 *
 * Pure: no allocation; strings are unescaped where they stand. Threads: any.
 */
#ifndef SLUICE_PULSAR_ENVELOPE_H
#define SLUICE_PULSAR_ENVELOPE_H

#include "base/bytes.h"
#include "base/err.h"

#define PULSAR_REASON_ROOM  200
#define PULSAR_PRODUCER_MAX 255

struct pulsar_envelope { /* views into the text */
    struct bytes messages; /* the array, from its opening bracket to its closing one */
    struct bytes producer; /* empty: none was given */
    bool is_bytes;         /* payloads are BYTES, else STRING */
};

/* ERR_BAD_INPUT: `reason` says why. */
MUST_CHECK enum err pulsar_open_envelope(uint8_t *text, size_t len,
                                         struct pulsar_envelope *e,
                                         char reason[PULSAR_REASON_ROOM]);

#endif
