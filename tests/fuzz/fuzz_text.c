/* What text parses, it formats back to the same value; the rest it refuses in peace. */
#include "base/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void durations(struct bytes t)
{
    char out[TEXT_NUMBER_ROOM];
    uint64_t ms, again;

    if (!text_parse_duration(t, &ms))
        return;
    check(text_parse_duration(bytes_of(out, text_format_duration(out, ms)), &again));
    check(again == ms);
}

static void sizes(struct bytes t)
{
    char out[TEXT_NUMBER_ROOM];
    uint64_t n, again;

    if (!text_parse_size(t, &n))
        return;
    check(text_parse_size(bytes_of(out, text_format_size(out, n)), &again));
    check(again == n);
}

static void times(struct bytes t)
{
    static const int64_t first = -62167219200000, last = 253402300799999;
    char out[TEXT_TIME_LEN + 1];
    int64_t ms, again;

    if (!text_parse_time(t, &ms))
        return;
    check(ms > first - 86400000 && ms <= last + 86400000); /* offsets reach outside */
    text_format_time(out, ms);
    check(text_parse_time(bytes_str(out), &again));
    check(again == (ms < first ? first : ms > last ? last : ms));
}

static void any_moment(const uint8_t *data, size_t len)
{
    char out[TEXT_TIME_LEN + 1];
    int64_t ms;

    if (len < sizeof ms)
        return;
    memcpy(&ms, data, sizeof ms);
    text_format_time(out, ms);
    check(text_parse_time(bytes_str(out), &ms));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes t = bytes_of(data, len);
    uint64_t n;

    durations(t);
    sizes(t);
    times(t);
    any_moment(data, len);
    if (text_parse_u64(t, 10, 1000, &n))
        check(n >= 10 && n <= 1000);
    check(!text_is_plain(t) || text_is_utf8(t));
    return 0;
}
