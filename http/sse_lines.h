/*
 * sse_lines - the lines of a text, as Server-Sent Events count them.
 *
 * A line ends in LF, CR or CRLF, and each is a `data:` of its own: a client that joins them
 * with LF has the text back, with LF for each line's end. An empty text is one empty line.
 *
 *   while (sse_next_line(&text, &line))
 *       put(line);
 *   put(line);                             the last, which nothing ends
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_SSE_LINES_H
#define SLUICE_SSE_LINES_H

#include "base/bytes.h"

/* Takes the next line, without its end, from *text; false when that was the last. */
bool sse_next_line(struct bytes *text, struct bytes *line);

#endif
