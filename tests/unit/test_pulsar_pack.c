#include "pulsar_pack.h"

#include "out.h"
#include "packed.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

static struct pulsar_limits limits = { .max_messages = 200, .max_body_bytes = 16 << 20 };
static struct pulsar_results results;
static struct pulsar_packing packing;

/* One packed message as a line: body|type|key|name=value,... and its delay. */
static void show(struct out *o, const struct packed_message *m)
{
    struct bytes attributes = m->attributes, name, value;

    out_raw(o, m->body);
    out_text(o, "|");
    out_raw(o, m->content_type);
    out_text(o, "|");
    out_raw(o, m->key);
    out_text(o, "|");
    while (packed_attribute(&attributes, &name, &value)) {
        out_raw(o, name);
        out_text(o, "=");
        out_raw(o, value);
        out_text(o, ",");
    }
    if (m->delay.kind) {
        out_text(o, m->delay.kind == PACKED_DELAY_AFTER ? "|+" : "|@");
        out_u64(o, m->delay.ms);
    }
    out_text(o, "\n");
}

static enum err pack_in(uint8_t *buf, size_t len)
{
    struct pulsar_envelope e;

    results = (struct pulsar_results){ 0 };
    cr_assert(eq(int, pulsar_open_envelope(buf, len, &e, packing.reason), ERR_OK), "%s",
              packing.reason);
    return pulsar_pack(buf, &e, &limits, &results, &packing);
}

static enum err packed(const char *json, struct out *o)
{
    size_t len = strlen(json);
    uint8_t *buf = malloc(len); /* on the heap, where ASan guards its end */
    struct packed_message m;
    struct bytes at;
    enum err e;

    memcpy(buf, json, len);
    e = pack_in(buf, len);
    if (!e) {
        cr_assert(le(sz, packing.packed_len, len));
        at = bytes_of(buf, packing.packed_len);
        while (!(e = packed_next(&at, &m)))
            show(o, &m);
        cr_assert(eq(int, e, ERR_NOT_FOUND));
        cr_assert(eq(sz, packing.count + results.refused_count, results.count));
        e = ERR_OK;
    }
    free(buf);
    return e;
}

/* These messages, as an array, are packed as these lines. */
static void are(const char *messages, const char *lines)
{
    char json[2000];
    struct out o;

    snprintf(json, sizeof json, "{\"messages\":%s}", messages);
    out_init(&o, 1 << 20);
    cr_assert(eq(int, packed(json, &o), ERR_OK), "%s: %s", json, packing.reason);
    cr_assert(bytes_eq(bytes_of(o.data, o.len), bytes_str(lines)), "%.*s", (int)o.len,
              o.data);
    out_fini(&o);
}

/* A message with these members, between two good ones, is refused alone. */
static void is_refused(const char *members, const char *why)
{
    char json[20600];
    struct out o;

    snprintf(json, sizeof json,
             "{\"messages\":[{\"payload\":\"a\"},{%s},{\"payload\":\"b\"}]}", members);
    out_init(&o, 1 << 20);
    cr_assert(eq(int, packed(json, &o), ERR_OK), "%s: %s", members, packing.reason);
    cr_assert(eq(sz, results.refused_count, 1), "%s", members);
    cr_assert(eq(sz, results.refused[0].index, 1));
    cr_assert(eq(str, (char *)results.refused[0].why, (char *)why), "%s", members);
    cr_assert(eq(sz, packing.count, 2));
    out_fini(&o);
}

static void is_stored(const char *members)
{
    char json[20600];
    struct out o;

    snprintf(json, sizeof json, "{\"messages\":[{%s}]}", members);
    out_init(&o, 1 << 20);
    cr_assert(eq(int, packed(json, &o), ERR_OK), "%s: %s", members, packing.reason);
    cr_assert(eq(sz, packing.count, 1), "%s: %s", members, results.refused[0].why);
    out_fini(&o);
}

static const char *many(char with, size_t count)
{
    static char text[20000];

    memset(text, with, count);
    text[count] = 0;
    return text;
}

static void with_text(void (*expect)(const char *), const char *before, size_t count,
                      const char *after)
{
    static char members[20400];

    snprintf(members, sizeof members, "%s%s%s", before, many('x', count), after);
    expect(members);
}

#define TEXT "|text/plain; charset=utf-8|"

Test(pulsar_pack, takes_every_field_in_any_order)
{
    are("[{\"payload\":\"hello\"}]", "hello" TEXT "|\n");
    are("[{\"sequenceId\":7,\"properties\":{\"a\":\"b\",\"c\":\"\"},\"eventTime\":\"1603045262772\","
        "\"payload\":\"42\",\"key\":\"k1\"},{\"payload\":\"43\",\"eventTime\":1603045262773}]",
        "42" TEXT "k1|a=b,c=,pulsar-event-time=1603045262772,pulsar-seq=7,\n"
        "43" TEXT "|pulsar-event-time=1603045262773,\n");
}

Test(pulsar_pack, of_no_messages_is_nothing)
{
    are("[]", "");
    are(" [ ] ", "");
}

Test(pulsar_pack, keeps_bytes_without_a_type)
{
    const char *json = "{\"valueSchema\":\"{\\\"type\\\":\\\"BYTES\\\"}\","
                       "\"messages\":[{\"payload\":\"\\u0000x\"}]}";
    struct out o;

    out_init(&o, 100);
    cr_assert(eq(int, packed(json, &o), ERR_OK));
    cr_assert(bytes_eq(bytes_of(o.data, o.len), bytes_of("\0x|||\n", 6)));
    out_fini(&o);
}

Test(pulsar_pack, undoes_escapes_wherever_they_are)
{
    are("[{\"properties\":{\"\\u0061\":\"\\u00e4\"},\"\\u006bey\":\"\\u006b\",\"payload\":\"\\ud83d\\ude00\\n\"}]",
        "\xf0\x9f\x98\x80\n" TEXT "k|a=\xc3\xa4,\n");
}

Test(pulsar_pack, skips_what_pulsar_ignores)
{
    are("[{\"context\":\"x\",\"encryptionParam\":{\"k\":[1,{}]},\"payload\":\"p\",\"valueSchema\":5,"
        "\"replicationClusters\":[\"a\"],\"disableReplication\":true,\"what\":1e999}]",
        "p" TEXT "|\n");
}

Test(pulsar_pack, takes_null_for_nothing_and_the_last_of_two)
{
    are("[{\"payload\":\"a\",\"key\":null,\"properties\":null,\"eventTime\":null,"
        "\"sequenceId\":null,\"deliverAt\":null}]",
        "a" TEXT "|\n");
    are("[{\"payload\":\"a\",\"key\":\"k\",\"payload\":\"b\",\"key\":\"\"}]", "b" TEXT "|\n");
    are("[{\"payload\":null,\"payload\":\"b\"}]", "b" TEXT "|\n");
}

Test(pulsar_pack, refuses_a_message_without_a_payload_that_is_text)
{
    is_refused("", "payload is missing");
    is_refused("\"payload\":null", "payload is missing");
    is_refused("\"payload\":42", "payload must be a string");
    is_refused("\"payload\":{\"a\":1}", "payload must be a string");
    is_refused("\"payload\":\"\\udc00\"",
               "payload has half a surrogate pair, which is no text");
}

Test(pulsar_pack, refuses_a_payload_over_the_limit)
{
    limits.max_body_bytes = 3;
    is_stored("\"payload\":\"\\u0061bc\"");
    is_refused("\"payload\":\"abcd\"",
               "payload is longer than one message of a batch may be (inline_max)");
}

Test(pulsar_pack, refuses_numbers_that_are_none)
{
    const char *time = "eventTime must be whole milliseconds since 1970";
    const char *sequence = "sequenceId must be a whole number";

    is_refused("\"payload\":\"\",\"eventTime\":1.5", time);
    is_refused("\"payload\":\"\",\"eventTime\":1e3", time);
    is_refused("\"payload\":\"\",\"eventTime\":-1", time);
    is_refused("\"payload\":\"\",\"eventTime\":\"\"", time);
    is_refused("\"payload\":\"\",\"eventTime\":\" 1\"", time);
    is_refused("\"payload\":\"\",\"eventTime\":9223372036854775808", time);
    is_refused("\"payload\":\"\",\"eventTime\":true", time);
    is_refused("\"payload\":\"\",\"sequenceId\":[]", sequence);
    is_refused("\"payload\":\"\",\"sequenceId\":\"-\"", sequence);
    is_stored("\"payload\":\"\",\"sequenceId\":-9223372036854775807");
}

Test(pulsar_pack, takes_a_delay_from_now_or_from_the_event_or_as_a_time)
{
    are("[{\"payload\":\"a\",\"deliverAfterMs\":1000},{\"payload\":\"b\"},"
        "{\"payload\":\"c\",\"deliverAfterMs\":\"1000\",\"eventTime\":\"\\u0035\"},"
        "{\"deliverAt\":1603045262772,\"deliverAfterMs\":7,\"payload\":\"d\"}]",
        "a" TEXT "||+1000\nb" TEXT "|\nc" TEXT "|pulsar-event-time=5,|@1005\nd" TEXT
        "||@1603045262772\n");
    cr_assert(packing.delayed);
    are("[{\"payload\":\"a\",\"deliverAt\":0,\"deliverAfterMs\":0,\"eventTime\":5}]",
        "a" TEXT "|pulsar-event-time=5,\n");
    cr_assert(not(packing.delayed));
}

Test(pulsar_pack, the_longest_delay_finds_its_place)
{
    is_stored("\"payload\":\"\",\"deliverAfterMs\":1,\"eventTime\":9223372036854775806");
    is_stored("\"payload\":\"\",\"deliverAt\":9223372036854775806");
}

Test(pulsar_pack, refuses_a_delay_that_is_none)
{
    is_refused("\"payload\":\"\",\"deliverAt\":-1",
               "deliverAt must be whole milliseconds since 1970");
    is_refused("\"payload\":\"\",\"deliverAfterMs\":\"soon\"",
               "deliverAfterMs must be whole milliseconds");
    is_refused("\"payload\":\"\",\"deliverAfterMs\":-5", "deliverAfterMs must be whole milliseconds");
}

static void key_is_too_long(const char *members)
{
    is_refused(members, "key is longer than 1024 bytes");
}

Test(pulsar_pack, refuses_a_key_that_is_none)
{
    const char *why = "key must be a string without control characters";

    is_refused("\"payload\":\"\",\"key\":1", why);
    is_refused("\"payload\":\"\",\"key\":\"\\n\"", why);
    is_refused("\"payload\":\"\",\"key\":\"\\ud800\"", why);
    with_text(is_stored, "\"payload\":\"\",\"key\":\"", 1024, "\"");
    with_text(key_is_too_long, "\"payload\":\"\",\"key\":\"", 1025, "\"");
}

Test(pulsar_pack, refuses_properties_that_are_none)
{
    const char *form = "properties must be an object of strings";
    const char *name = "a property's name must be a header token, and not key, offset, time, "
                       "expires-at or pulsar-...";

    is_refused("\"payload\":\"\",\"properties\":[]", form);
    is_refused("\"payload\":\"\",\"properties\":\"\"", form);
    is_refused("\"payload\":\"\",\"properties\":{\"a\":1}", form);
    is_refused("\"payload\":\"\",\"properties\":{\"a\":null}", form);
    is_refused("\"payload\":\"\",\"properties\":{\"\\ud800\":\"\"}", form);
    is_refused("\"payload\":\"\",\"properties\":{\"\":\"\"}", name);
    is_refused("\"payload\":\"\",\"properties\":{\"a b\":\"\"}", name);
    is_refused("\"payload\":\"\",\"properties\":{\"Time\":\"\"}", name);
    is_refused("\"payload\":\"\",\"properties\":{\"Pulsar-Seq\":\"1\"}", name);
    is_refused("\"payload\":\"\",\"properties\":{\"a\":\"\\r\"}",
               "a property's value must have no control characters");
    is_refused("\"payload\":\"\",\"properties\":{\"a\":\"1\",\"b\":\"\",\"A\":\"1\"}",
               "the same property twice; their names know no case");
}

static void name_is_too_long(const char *members)
{
    is_refused(members, "a property's name is longer than 128 bytes");
}

static void properties_are_too_much(const char *members)
{
    is_refused(members, "properties can be 64, and 8192 bytes together");
}

Test(pulsar_pack, refuses_properties_over_their_limits)
{
    char members[2000] = "\"payload\":\"\",\"properties\":{";

    with_text(is_stored, "\"payload\":\"\",\"properties\":{\"", 128, "\":\"\"}");
    with_text(name_is_too_long, "\"payload\":\"\",\"properties\":{\"", 129, "\":\"\"}");
    with_text(is_stored, "\"payload\":\"\",\"properties\":{\"a\":\"", 8191, "\"}");
    with_text(properties_are_too_much, "\"payload\":\"\",\"properties\":{\"a\":\"", 8192, "\"}");
    for (int i = 0; i < 64; i++)
        sprintf(members + strlen(members), "\"%d\":\"\",", i);
    strcpy(members + strlen(members) - 1, "}");
    is_stored(members);
    strcpy(members + strlen(members) - 1, ",\"x\":\"\"}");
    properties_are_too_much(members);
}

/* Its limits of names and values hold for the text, not for how it was written. */
Test(pulsar_pack, has_room_for_the_longest_of_everything)
{
    static char members[60000];
    size_t n = (size_t)sprintf(members, "\"eventTime\":\"9223372036854775807\","
                                        "\"sequenceId\":-9223372036854775807,\"payload\":\"\","
                                        "\"key\":\"");

    for (int i = 0; i < 1024; i++)
        n += (size_t)sprintf(members + n, "\\u0061");
    n += (size_t)sprintf(members + n, "\",\"properties\":{");
    for (int i = 0; i < 64; i++)
        n += (size_t)sprintf(members + n, "%s\"%0128d\":\"\"", i ? "," : "", i);
    strcpy(members + n, "}");
    is_stored(members);
}

Test(pulsar_pack, is_refused_whole_when_a_message_is_no_object)
{
    struct out o = { 0 };

    cr_assert(eq(int, packed("{\"messages\":[{\"payload\":\"\"},1]}", &o), ERR_BAD_INPUT));
    cr_assert(eq(str, packing.reason, "message 1 is not an object"));
    cr_assert(eq(int, packed("{\"messages\":[[]]}", &o), ERR_BAD_INPUT));
    cr_assert(eq(int, packed("{\"messages\":[null]}", &o), ERR_BAD_INPUT));
}

static char *wrong_messages(size_t count)
{
    static char json[1000];
    char *at = stpcpy(json, "{\"messages\":[");

    while (count--)
        at = stpcpy(at, count ? "{}," : "{}]}");
    return json;
}

Test(pulsar_pack, is_refused_whole_when_too_many_messages_are_wrong)
{
    struct out o = { 0 };

    cr_assert(eq(int, packed(wrong_messages(64), &o), ERR_OK));
    cr_assert(eq(sz, packing.count, 0));
    cr_assert(eq(int, packed(wrong_messages(65), &o), ERR_BAD_INPUT));
    cr_assert(eq(str, packing.reason,
                 "more than 64 messages are wrong, the first is message 0: payload is "
                 "missing"));
}

Test(pulsar_pack, counts_wrong_messages_against_the_limit_as_well)
{
    struct out o = { 0 };

    limits.max_messages = 10;
    cr_assert(eq(int, packed(wrong_messages(10), &o), ERR_OK));
    cr_assert(eq(int, packed(wrong_messages(11), &o), ERR_TOO_BIG));
    cr_assert(eq(str, packing.reason, "more than 10 messages"));
}

/* ---- it fits in place ---- */

/* The message that leaves least room, a payload of this length and both numbers of one
 * digit, more often than the envelope's own bytes could make up for. Text that was written
 * over before it was read would not be found to be this again. */
static void tightest(size_t payload, size_t count)
{
    const char *tail = "\",\"eventTime\":1,\"sequenceId\":1}";
    size_t each = 13 + payload + strlen(tail), len = 0;
    uint8_t *buf = malloc(20 + count * (each + 1));

    len += (size_t)sprintf((char *)buf, "{\"messages\":[");
    for (size_t i = 0; i < count; i++) {
        len += (size_t)sprintf((char *)buf + len, "%s{\"payload\":\"", i ? "," : "");
        memset(buf + len, 'x', payload);
        len += payload;
        len += (size_t)sprintf((char *)buf + len, "%s", tail);
    }
    len += (size_t)sprintf((char *)buf + len, "]}");
    cr_assert(eq(int, pack_in(buf, len), ERR_OK));
    cr_assert(eq(sz, packing.count, count));
    cr_assert(eq(u64, packing.body_bytes, count * payload));
    free(buf);
}

Test(pulsar_pack, never_writes_past_what_it_has_read)
{
    tightest(0, 200);
    tightest(1, 200);
    tightest(80, 200);
    tightest(127, 200);
    tightest(128, 200);
    tightest(16383, 100);
    tightest(16384, 100);
    tightest((1 << 21) - 1, 20);
    tightest(1 << 21, 20);
}
