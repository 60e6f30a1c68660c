#include "pulsar_results.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

static struct pulsar_results r;

/* All of the text, read `piece` bytes at a time. */
static const char *text_by(size_t piece)
{
    static char text[1 << 20];
    size_t len = 0, n;

    pulsar_results_rewind(&r);
    while ((n = pulsar_results_read(&r, text + len, piece)))
        len += n;
    text[len] = 0;
    return text;
}

static void is_text(const char *want)
{
    cr_assert(eq(str, (char *)text_by(4096), (char *)want));
    cr_assert(eq(str, (char *)text_by(1), (char *)want));
    cr_assert(eq(str, (char *)text_by(7), (char *)want));
}

Test(pulsar_results, of_no_messages_are_an_empty_list)
{
    is_text("{\"messagePublishResults\":[],\"schemaVersion\":0}");
}

Test(pulsar_results, name_the_offsets_of_stored_messages)
{
    r.first_offset = 9;
    r.count = 2;
    is_text("{\"messagePublishResults\":["
            "{\"messageId\":\"0:9:-1\",\"errorCode\":0,\"schemaVersion\":0},"
            "{\"messageId\":\"0:10:-1\",\"errorCode\":0,\"schemaVersion\":0}"
            "],\"schemaVersion\":0}");
}

Test(pulsar_results, of_refused_messages_take_no_offsets)
{
    r.first_offset = 4;
    r.count = 5;
    cr_assert(pulsar_results_refuse(&r, 0, "no \"payload\""));
    cr_assert(pulsar_results_refuse(&r, 2, "b"));
    cr_assert(pulsar_results_refuse(&r, 4, "c"));
    is_text("{\"messagePublishResults\":["
            "{\"messageId\":\"-1\",\"errorCode\":2,\"errorMsg\":\"no \\\"payload\\\"\","
            "\"schemaVersion\":0},"
            "{\"messageId\":\"0:4:-1\",\"errorCode\":0,\"schemaVersion\":0},"
            "{\"messageId\":\"-1\",\"errorCode\":2,\"errorMsg\":\"b\",\"schemaVersion\":0},"
            "{\"messageId\":\"0:5:-1\",\"errorCode\":0,\"schemaVersion\":0},"
            "{\"messageId\":\"-1\",\"errorCode\":2,\"errorMsg\":\"c\",\"schemaVersion\":0}"
            "],\"schemaVersion\":0}");
}

Test(pulsar_results, refuse_only_so_many)
{
    for (size_t i = 0; i < PULSAR_REFUSED_MAX; i++)
        cr_assert(pulsar_results_refuse(&r, i, "x"));
    cr_assert(not(pulsar_results_refuse(&r, PULSAR_REFUSED_MAX, "x")));
}

Test(pulsar_results, of_many_messages_need_no_room)
{
    char last[100];
    const char *text;

    r.first_offset = UINT64_MAX / 4;
    r.count = 8000;
    text = text_by(1000);
    snprintf(last, sizeof last, "\"0:%llu:-1\",\"errorCode\":0,\"schemaVersion\":0}],",
             (unsigned long long)(r.first_offset + 7999));
    cr_assert(ne(ptr, strstr(text, last), NULL));
    cr_assert(lt(sz, sizeof r, 2048));
}
