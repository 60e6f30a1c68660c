/*
 * url - paths and names: splitting, percent-decoding, topic names.
 *
 * A path is split at its slashes while it is still encoded, so a %2F inside a topic
 * name stays inside it; then each segment is decoded on its own.
 *
 *   /v1/topics/a%2Fb/messages:batch  ->  "v1" "topics" "a%2Fb" "messages", verb "batch"
 *
 * The last segment may end in ":verb", but names may hold colons too. It is a verb only
 * when what follows the last raw colon is one the router knows; an encoded colon (%3A)
 * is always part of the name. A topic called "x:purge" is reached as x%3Apurge.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_URL_H
#define SLUICE_URL_H

#include "base/bytes.h"
#include "base/err.h"

#define URL_SEGMENTS 8 /* more than any route has */
#define URL_NAME_MAX 255

struct url_path {
    struct bytes segments[URL_SEGMENTS]; /* still encoded, views into the path */
    size_t count;
    struct bytes verb; /* empty: none */
};

/* `path` begins with a slash and has no query. Two slashes in a row, or one at the end,
 * make an empty segment, which no route matches. `verbs` ends with NULL. False: it does
 * not begin with a slash, or has more than URL_SEGMENTS segments. */
MUST_CHECK bool url_split(struct bytes path, const char *const *verbs,
                          struct url_path *out);

/* Undoes %XX into `out`, which may be in.data itself; *len is at most in.len. Strict: a
 * % that two hexadecimal digits do not follow is false. A plus is a plus in a segment
 * and a space in a query value. */
MUST_CHECK bool url_decode_segment(struct bytes in, char *out, size_t *len);
MUST_CHECK bool url_decode_query(struct bytes in, char *out, size_t *len);

/* Encodes a name as one segment: letters, digits and -._~ stay, all else becomes %XX,
 * so that no colon is taken for a verb's. Writes url_encoded_len(in) bytes, no NUL. */
size_t url_encoded_len(struct bytes in);
void url_encode_segment(struct bytes in, char *out);

/* NULL when `name` (decoded) may be a topic's name; else what is wrong with it: 1 to
 * 255 bytes of UTF-8, no control characters (C0, DEL and C1). */
const char *url_name_wrong(struct bytes name);

#endif
