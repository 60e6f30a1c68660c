/*
 * span - a strict JSON scanner: says where a value ends, and builds nothing.
 *
 * A message's JSON must come back byte for byte, so what is kept of a value is the span
 * of text it came in. The grammar is that of RFC 8259 and nothing beside it: no 01, no
 * raw control characters in strings, no comments, no trailing commas, no byte order
 * mark; the text must be UTF-8; arrays and objects nest at most SPAN_DEPTH deep.
 *
 * An escape of half a surrogate pair ("\ud800") is within that grammar and is accepted
 * by the scanner, so that such a message passes unchanged; it has no UTF-8 form, so
 * span_unescape refuses it.
 *
 * Every function reads from the front of *at and moves *at past what it took. It
 * answers NULL, or a short reason in plain English, and then *at begins at the byte
 * that is wrong. Spans point into the text given.
 *
 * Pure: no allocation; recursion is bounded by SPAN_DEPTH. Threads: any.
 */
#ifndef SLUICE_SPAN_H
#define SLUICE_SPAN_H

#include "base/bytes.h"
#include "base/err.h"

#define SPAN_DEPTH 128

enum span_kind {
    SPAN_NULL,
    SPAN_FALSE,
    SPAN_TRUE,
    SPAN_NUMBER,
    SPAN_STRING,
    SPAN_ARRAY,
    SPAN_OBJECT,
};

/* Exactly one JSON text, with whitespace around it or none. */
bool span_is_json(struct bytes text);

/* Leading whitespace, then one value of any kind. A string's span has its quotes. */
MUST_CHECK const char *span_value(struct bytes *at, struct bytes *raw,
                                  enum span_kind *kind);

/* Whitespace up to the end of the text. */
MUST_CHECK const char *span_end(struct bytes *at);

/*
 * Walking one level by hand, values one at a time:
 *
 *   why = span_open(&at, '{', &more);
 *   while (!why && more) {
 *       if (!(why = span_name(&at, &name)) && !(why = span_value(&at, &raw, &kind)))
 *           why = span_more(&at, '}', &more);
 *       ...
 *   }
 *
 * An array is walked with '[', ']' and without span_name.
 */

/* The opening bracket. *more: something follows; else the closing one was taken too. */
MUST_CHECK const char *span_open(struct bytes *at, char bracket, bool *more);

/* A member's name, its quotes included, and the colon after it. */
MUST_CHECK const char *span_name(struct bytes *at, struct bytes *name);

/* What follows a value: a comma, and *more; or the closing bracket. */
MUST_CHECK const char *span_more(struct bytes *at, char close, bool *more);

/* One whole member: name, value and what follows it. */
MUST_CHECK const char *span_member(struct bytes *at, struct bytes *name,
                                   struct bytes *raw, enum span_kind *kind, bool *more);

/* The text of a string that the scanner took, quotes and escapes undone. *len is at
 * most raw.len - 2. `out` may be anywhere at or before raw.data + 1 in the same buffer:
 * it is written front to back, behind the reading. \u0000 becomes a NUL byte. */
MUST_CHECK const char *span_unescape(struct bytes raw, uint8_t *out, size_t *len);

/* The first byte in [p, end) that a JSON string may not simply hold, or that begins a
 * character above U+007F; end when there is none. */
const uint8_t *span_skip_plain(const uint8_t *p, const uint8_t *end);

/* Is this string, as the scanner took it, the same text as `plain` (at most 64 bytes)?
 */
bool span_string_is(struct bytes raw, const char *plain);

#endif
