/*
 * text - the text forms that settings, headers and JSON share: durations, sizes, times,
 * whole numbers, and what counts as text at all.
 *
 * Parsing is strict: the whole of the text must be of the form, or the answer is false
 * and *out is unchanged. Formatting writes a NUL and returns the length without it;
 * what it writes parses back to the same value.
 *
 * Pure: no locale, no allocation. Threads: any.
 */
#ifndef SLUICE_TEXT_H
#define SLUICE_TEXT_H

#include "bytes.h"
#include "err.h"

#define TEXT_NUMBER_ROOM 24 /* any formatted duration or size, with its NUL */
#define TEXT_TIME_LEN    24 /* 2026-01-02T03:04:05.678Z */

/* Digits only, between min and max. */
MUST_CHECK bool text_parse_u64(struct bytes t, uint64_t min, uint64_t max,
                               uint64_t *out);

/* 500ms, 30s, 5m, 2h, 7d, or a bare number of seconds. Decimals (1.5s) are fine where
 * they come to whole milliseconds. */
MUST_CHECK bool text_parse_duration(struct bytes t, uint64_t *ms);
size_t text_format_duration(char out[TEXT_NUMBER_ROOM], uint64_t ms);

/* 64KiB, 5MiB, 2GiB, 1TiB, 100B or 100. Powers of 1024 only: 10MB is refused, because
 * people disagree about what it means. Written with a unit, always. */
MUST_CHECK bool text_parse_size(struct bytes t, uint64_t *bytes);
size_t text_format_size(char out[TEXT_NUMBER_ROOM], uint64_t bytes);

/* RFC 3339, with Z or a numeric offset; digits past the millisecond are cut. A leap
 * second is the first moment of the next minute. */
MUST_CHECK bool text_parse_time(struct bytes t, int64_t *ms);
/* Always TEXT_TIME_LEN characters and a NUL; years outside 0 to 9999 show as the
 * nearest moment inside. */
void text_format_time(char out[TEXT_TIME_LEN + 1], int64_t ms);

/* The same without the NUL, for writing into the middle of something. */
void text_put_time(char out[TEXT_TIME_LEN], int64_t ms);

/* Decimal digits of v into out, no NUL; how many (at most 20). */
size_t text_put_u64(char out[20], uint64_t v);

/* Well-formed UTF-8: nothing over-long, no surrogates, nothing above U+10FFFF. NUL is a
 * character like any other. */
bool text_is_utf8(struct bytes t);

/* Well-formed UTF-8 without control characters: no C0 (tab and newline included), no
 * DEL, no C1 (U+0080 to U+009F). What a name or a header value may be. */
bool text_is_plain(struct bytes t);

/* Bytes (2 to 4) of the well-formed character above U+007F at p, or 0 when there is
 * none. p < end. In the header because string scanners call it for every such
 * character. */
static inline size_t text_wide_len(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    uint8_t c = p[0];

    if (left < 2 || (p[1] & 0xc0) != 0x80)
        return 0;
    if (c < 0xe0)
        return c >= 0xc2 ? 2 : 0;
    if (left < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    if (c < 0xf0)
        return (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ? 0 : 3;
    if (left < 4 || (p[3] & 0xc0) != 0x80 || c > 0xf4)
        return 0;
    return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

#endif
