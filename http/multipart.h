/*
 * multipart - messages as the parts of a multipart/mixed body (RFC 2046): raw bytes, each with
 * its headers.
 *
 *   --BOUNDARY
 *   Content-Type: image/png
 *   Content-Length: 1234
 *   Message-Offset: 42
 *   Message-Time: 2026-01-31T12:00:00.000Z
 *   Message-Key: user-42
 *
 *   ...
 *   --BOUNDARY--
 *
 * The boundary is drawn for each answer: a publisher cannot know it, so no message looks like
 * the end of a part. A body that is not given inline is a message/external-body with its size
 * and where it is.
 *
 * Pure but for the growth of *o and the drawing. Threads: any.
 */
#ifndef SLUICE_MULTIPART_H
#define SLUICE_MULTIPART_H

#include "out.h"
#include "record.h"

#define MULTIPART_BOUNDARY 32 /* characters */

void multipart_draw(char boundary[MULTIPART_BOUNDARY + 1]);

/* `href` is needed when the body is kept in chunks. Whether it fitted is in o->full. */
void multipart_part(struct out *o, const char *boundary, uint64_t offset,
                    const struct record *r, const char *href);

void multipart_end(struct out *o, const char *boundary);

#endif
