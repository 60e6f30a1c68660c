#include "mercure/update.h"

#include "base/text.h"
#include "packed.h"
#include "sse_event.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct record r;
static struct mercure_update u;
static struct out o;
static char buf[1 << 20];

static void setup(void)
{
    r = (struct record){ .id = bytes_str("i"), .key = bytes_str("t") };
    u = (struct mercure_update){ .id = bytes_str("i"), .topic = bytes_str("t") };
    out_init_in(&o, buf, sizeof buf);
}

TestSuite(mercure_update, .init = setup, .timeout = 20);

static void expect(struct bytes got, const char *wanted)
{
    cr_assert(bytes_eq(got, bytes_str(wanted)), "%.*s", (int)got.len, (const char *)got.data);
}

/* ---- records ---- */

/* The update as a record would have it: what a publish packs, without its tags. */
static struct bytes attributes_of(const struct mercure_update *from)
{
    static uint8_t packed[512], list[512];
    size_t len = mercure_update_attributes_put(from, packed), n = 0;
    struct bytes at = bytes_of(packed, len), name, value;

    cr_assert(eq(sz, len, mercure_update_attributes_len(from)));
    cr_assert(le(sz, len, MERCURE_ATTRIBUTES_FRAME + from->alternates.len + from->type.len));
    while (packed_attribute(&at, &name, &value))
        n += attribute_put(list + n, name, value);
    cr_assert(eq(sz, at.len, 0));
    return bytes_of(list, n);
}

static void expect_same(struct mercure_update from)
{
    r = (struct record){ .id = from.id,
                         .key = from.topic,
                         .attributes = attributes_of(&from),
                         .body = from.data };
    cr_assert(eq(int, mercure_update_of(&r, &u), ERR_OK));
    cr_assert(bytes_eq(u.id, from.id));
    cr_assert(bytes_eq(u.topic, from.topic));
    cr_assert(bytes_eq(u.alternates, from.alternates));
    cr_assert(bytes_eq(u.type, from.type));
    cr_assert(bytes_eq(u.data, from.data));
    cr_assert(eq(u64, u.retry, from.retry));
    cr_assert(eq(int, u.is_private, from.is_private));
}

Test(mercure_update, comes_back_from_its_record)
{
    expect_same((struct mercure_update){ .id = bytes_str("urn:uuid:1"),
                                         .topic = bytes_str("https://example.com/1"),
                                         .alternates = bytes_str("a\nb"),
                                         .type = bytes_str("book"),
                                         .data = bytes_str("x\ny"),
                                         .retry = UINT64_MAX,
                                         .is_private = true });
    expect_same((struct mercure_update){ .id = bytes_str("i"), .topic = bytes_str("t") });
    expect_same((struct mercure_update){
        .id = bytes_str("i"), .topic = bytes_str("t"), .retry = 1, .type = bytes_str("e") });
    expect_same((struct mercure_update){
        .id = bytes_str("i"), .topic = bytes_str("t"), .is_private = true });
}

Test(mercure_update, without_more_than_a_topic_has_no_attributes)
{
    cr_assert(eq(sz, mercure_update_attributes_len(&u), 0));
}

Test(mercure_update, is_a_record_with_an_id_and_a_key_and_its_body)
{
    cr_assert(eq(int, mercure_update_of(&r, &u), ERR_OK));
    r.id.len = 0;
    cr_assert(eq(int, mercure_update_of(&r, &u), ERR_NOT_FOUND));
    r.id.len = 1;
    r.key.len = 0;
    cr_assert(eq(int, mercure_update_of(&r, &u), ERR_NOT_FOUND));
    r.key.len = 1;
    r.blob_id = 1;
    cr_assert(eq(int, mercure_update_of(&r, &u), ERR_NOT_FOUND));
}

Test(mercure_update, passes_over_attributes_that_are_not_its_own)
{
    uint8_t list[200];
    size_t n = attribute_put(list, bytes_str("mercure"), bytes_str("x"));

    n += attribute_put(list + n, bytes_str("mercure-type"), bytes_str("e"));
    n += attribute_put(list + n, bytes_str("mercure-retry"), bytes_str("soon"));
    r.attributes = bytes_of(list, n);
    cr_assert(eq(int, mercure_update_of(&r, &u), ERR_OK));
    expect(u.type, "e");
    cr_assert(eq(u64, u.retry, 0));
}

/* ---- topics ---- */

static void expect_topics(const char *alternates, const char *joined)
{
    char got[200] = "";
    struct mercure_topics at;
    struct bytes topic;

    u.alternates = bytes_str(alternates);
    at = mercure_topics(&u);
    while (mercure_topics_next(&at, &topic)) {
        strncat(got, topic.data, topic.len);
        strcat(got, "|");
    }
    cr_assert(eq(str, got, (char *)(uintptr_t)joined));
    cr_assert(not(mercure_topics_next(&at, &topic)));
}

Test(mercure_update, has_its_canonical_topic_first)
{
    expect_topics("", "t|");
    expect_topics("a", "t|a|");
    expect_topics("a\nbb\nc", "t|a|bb|c|");
}

/* ---- events ---- */

static void expect_event(const char *inside)
{
    out_rewind(&o, 0);
    mercure_put_event(&o, &u);
    cr_assert(not(o.full));
    cr_assert(eq(sz, sse_chunk_size(o.data), strlen(inside)));
    cr_assert(eq(sz, o.len, SSE_CHUNK_HEAD + strlen(inside) + SSE_CHUNK_TAIL));
    expect(bytes_of(o.data + SSE_CHUNK_HEAD, strlen(inside)), inside);
    cr_assert(le(sz, o.len, mercure_event_most(&u)));
}

Test(mercure_update, as_an_event_has_its_fields_in_the_hubs_order)
{
    u.data = bytes_str("d");
    expect_event("id: i\ndata: d\n\n");
    u.type = bytes_str("book");
    u.retry = 1500;
    u.is_private = true;
    u.alternates = bytes_str("a\nb");
    expect_event("event: book\nretry: 1500\nid: i\ndata: d\n\n");
}

Test(mercure_update, as_an_event_has_a_data_line_also_for_nothing)
{
    expect_event("id: i\ndata: \n\n");
}

Test(mercure_update, as_an_event_has_a_data_line_for_each_line_whatever_ends_it)
{
    u.data = bytes_str("a\nb\rc\r\nd\n\rid: x");
    expect_event("id: i\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: id: x\n\n");
    u.data = bytes_str("a\n");
    expect_event("id: i\ndata: a\ndata: \n\n");
    u.data = bytes_str("\r");
    expect_event("id: i\ndata: \ndata: \n\n");
}

Test(mercure_update, as_an_event_is_never_longer_than_was_said)
{
    static const char *const units[] = { "\n", "\r\n", "\r", "a\n", "\xc3\xa6" };
    char data[6000], name[255];

    memset(name, 'n', sizeof name);
    u.id = u.type = bytes_of(name, sizeof name);
    u.retry = UINT64_MAX;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (size_t len = 0, n = strlen(units[i]); len + n <= sizeof data; len += n) {
            memcpy(data + len, units[i], n);
            u.data = bytes_of(data, len + n);
            out_rewind(&o, 0);
            mercure_put_event(&o, &u);
            cr_assert(not(o.full));
            cr_assert(le(sz, o.len, mercure_event_most(&u)));
            len += len / 16 * n;
        }
}
