#include "sse_lines.h"

#define WINDOW 128 /* most lines are shorter */

/* Up to the CR or LF that comes first. Looks ahead by no more than it has passed
 * already, so that a text of nothing but CRs is not read to its end for each of them.
 */
static size_t line_len(const char *p, size_t len)
{
    for (size_t at = 0, window = WINDOW; at < len; at += window, window *= 2) {
        size_t n = len - at < window ? len - at : window;
        const char *lf = memchr(p + at, '\n', n);
        const char *cr = memchr(p + at, '\r', lf ? (size_t)(lf - (p + at)) : n);

        if (cr || lf)
            return (size_t)((cr ? cr : lf) - p);
    }
    return len;
}

bool sse_next_line(struct bytes *text, struct bytes *line)
{
    const char *p = text->data;
    size_t len = line_len(p, text->len), taken;

    *line = bytes_of(p, len);
    if (len == text->len)
        return false;
    taken = len + (p[len] == '\r' && len + 1 < text->len && p[len + 1] == '\n' ? 2 : 1);
    *text = bytes_of(p + taken, text->len - taken);
    return true;
}
