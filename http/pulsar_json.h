/*
 * pulsar_json - the members of a JSON object that are wanted, where they stand in the text.
 *
 * Nothing is built: an object is walked once and the spans of the wanted members are kept,
 * so that a hostile document costs the bytes of its text and no more. As with the JSON
 * library that Pulsar uses, other members are skipped, null is as good as nothing, and of
 * members with the same name the last one counts.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_PULSAR_JSON_H
#define SLUICE_PULSAR_JSON_H

#include "span.h"

struct pulsar_member {
    const char *name;
    enum span_kind kind; /* SPAN_NULL: not there, or null */
    struct bytes raw;    /* as in span_value */
};

/* Moves *at past an object and fills in the members wanted. Answers as span_value does. */
MUST_CHECK const char *pulsar_pick(struct bytes *at, struct pulsar_member *wanted,
                                   size_t count);

/* The text of a string, unescaped where it stands in the buffer, which must be the
 * caller's to change; at most once for each span. False: not a string, or half a surrogate
 * pair in it. */
MUST_CHECK bool pulsar_text(const struct pulsar_member *m, struct bytes *text);

/* A whole number of 64 bits, or a string of one. */
MUST_CHECK bool pulsar_integer(const struct pulsar_member *m, int64_t *value);

#endif
