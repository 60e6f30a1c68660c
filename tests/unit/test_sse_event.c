#include "sse_event.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

static struct out o;
static struct record r;

static void given_a_text(void)
{
    out_init(&o, 1 << 16);
    r = (struct record){ .time_ms = 1767323045678,
                         .content_type = { "text/plain", 10 },
                         .body = { "hi", 2 } };
}

static void done(void)
{
    out_fini(&o);
}

TestSuite(sse_event, .init = given_a_text, .fini = done);

/* The one chunk that was written holds this, and its size is true. */
static void expect_chunk(const char *inside)
{
    char size[24];

    cr_assert(not(o.full));
    snprintf(size, sizeof size, "%08zx\r\n", strlen(inside));
    cr_assert(eq(sz, o.len, SSE_CHUNK_HEAD + strlen(inside) + SSE_CHUNK_TAIL));
    cr_assert(bytes_eq(bytes_of(o.data, SSE_CHUNK_HEAD), bytes_str(size)));
    cr_assert(eq(sz, sse_chunk_size(o.data), strlen(inside)));
    cr_assert(bytes_eq(bytes_of(o.data + SSE_CHUNK_HEAD, strlen(inside)), bytes_str(inside)),
              "%.*s", (int)o.len, o.data);
    cr_assert(bytes_eq(bytes_of(o.data + o.len - 2, 2), bytes_str("\r\n")));
}

static void expect_event(struct bytes body, const char *inside)
{
    r.body = body;
    out_rewind(&o, 0);
    sse_put_event(&o, 42, &r, NULL, false);
    expect_chunk(inside);
    cr_assert(le(sz, o.len, sse_event_most(&r, false)));
}

static void expect_text(const char *body, const char *inside)
{
    expect_event(bytes_str(body), inside);
}

Test(sse_event, has_the_offset_for_its_id)
{
    expect_text("hi", "id: 42\ndata: hi\n\n");
}

Test(sse_event, has_data_though_the_body_is_empty)
{
    expect_text("", "id: 42\ndata:\n\n");
    expect_event(bytes_of(NULL, 0), "id: 42\ndata:\n\n");
}

Test(sse_event, has_a_data_line_for_each_line_whatever_ends_it)
{
    expect_text("a\nb", "id: 42\ndata: a\ndata: b\n\n");
    expect_text("a\rb", "id: 42\ndata: a\ndata: b\n\n");
    expect_text("a\r\nb", "id: 42\ndata: a\ndata: b\n\n");
    expect_text("a\n\rb", "id: 42\ndata: a\ndata:\ndata: b\n\n");
    expect_text("a\r\r\nb", "id: 42\ndata: a\ndata:\ndata: b\n\n");
    expect_text("a\n", "id: 42\ndata: a\ndata:\n\n");
    expect_text("\r", "id: 42\ndata:\ndata:\n\n");
    expect_text("id: 1\n\nevent: x", "id: 42\ndata: id: 1\ndata:\ndata: event: x\n\n");
}

Test(sse_event, gives_bytes_as_base64_and_says_so)
{
    expect_event(bytes_of("\xff\0\1", 3), "id: 42\nevent: base64\ndata: /wAB\n\n");
    expect_event(bytes_of("a\xff", 2), "id: 42\nevent: base64\ndata: Yf8=\n\n");
}

Test(sse_event, gives_the_place_of_a_large_message)
{
    r.blob_id = 7;
    r.blob_size = 300000;
    sse_put_event(&o, 42, &r, "/v1/topics/t/messages/42", false);
    expect_chunk("id: 42\nevent: large\ndata: {\"href\":\"/v1/topics/t/messages/42\","
                 "\"size\":300000,\"content_type\":\"text/plain\"}\n\n");
    cr_assert(le(sz, o.len, sse_event_most(&r, false)));
}

Test(sse_event, puts_the_whole_message_into_an_envelope_of_one_line)
{
    r.content_type = bytes_str("application/json");
    r.body = bytes_str("{\n\"a\":1\r\n}");
    sse_put_event(&o, 42, &r, NULL, true);
    expect_chunk("id: 42\ndata: {\"offset\":42,\"time\":\"2026-01-02T03:04:05.678Z\","
                 "\"content_type\":\"application/json\",\"data\":{ \"a\":1  }}\n\n");
    cr_assert(le(sz, o.len, sse_event_most(&r, true)));
}

Test(sse_event, is_never_longer_than_was_said)
{
    static const char *const units[] = { "\n", "\r\n", "\r", "a\n", "\1", "\"", "\xff", "\xc3\xa6" };
    char body[6000], id[RECORD_ID_MAX];

    memset(id, 1, sizeof id);
    r.id = bytes_of(id, sizeof id);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t len = 0;

        for (; len + 2 < sizeof body; len += strlen(units[i]))
            memcpy(body + len, units[i], strlen(units[i]));
        r.body = bytes_of(body, len);
        for (int envelope = 0; envelope < 2; envelope++) {
            out_rewind(&o, 0);
            sse_put_event(&o, UINT64_MAX, &r, NULL, envelope);
            cr_assert(not(o.full));
            cr_assert(le(sz, o.len, sse_event_most(&r, envelope)));
        }
    }
}

Test(sse_event, tells_what_was_skipped_with_the_id_of_the_last)
{
    sse_put_skipped(&o, 2, 6);
    expect_chunk("id: 5\nevent: skipped\ndata: {\"skipped\":4,\"next\":6}\n\n");
    out_rewind(&o, 0);
    sse_put_skipped(&o, 1, UINT64_MAX);
    cr_assert(le(sz, o.len, SSE_SKIPPED_MOST));
}

Test(sse_event, tells_an_id_that_was_never_given_without_a_new_one)
{
    sse_put_unknown(&o, 99, 3);
    expect_chunk("event: unknown\ndata: {\"unknown\":99,\"earliest\":3}\n\n");
}
