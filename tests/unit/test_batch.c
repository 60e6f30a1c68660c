#include "batch.h"
#include "out.h"
#include "packed.h"
#include "span.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum err (*pack_fn)(uint8_t *, size_t, const struct batch_limits *,
                            struct batch_result *);

static struct batch_limits limits;
static struct batch_result result;

static void given_some_limits(void)
{
    limits = (struct batch_limits){ .max_messages = 4,
                                    .max_body_bytes = 20,
                                    .max_key_bytes = 8,
                                    .max_content_type_bytes = 16,
                                    .max_attributes = 2,
                                    .max_attribute_name_bytes = 4,
                                    .max_attribute_value_bytes = 6 };
}

/* One packed message as a line: body|type|key|ttl|name=value,... */
static void show(struct out *o, const struct packed_message *m)
{
    struct bytes attributes = m->attributes, name, value;

    out_raw(o, m->body);
    out_text(o, "|");
    out_raw(o, m->content_type);
    out_text(o, "|");
    out_raw(o, m->key);
    out_text(o, "|");
    if (m->has_ttl)
        out_u64(o, m->ttl_ms);
    out_text(o, "|");
    while (packed_attribute(&attributes, &name, &value)) {
        out_raw(o, name);
        out_text(o, "=");
        out_raw(o, value);
        out_text(o, ",");
    }
    out_text(o, "\n");
}

/* All messages of a packing, or an end in tears. */
static void show_all(struct out *o, const uint8_t *buf)
{
    struct bytes at = bytes_of(buf, result.packed_len);
    struct packed_message m;
    size_t count = 0, bodies = 0;
    enum err e;

    while (!(e = packed_next(&at, &m))) {
        show(o, &m);
        bodies += m.body.len;
        count++;
    }
    cr_assert(eq(int, e, ERR_NOT_FOUND));
    cr_assert(eq(sz, count, result.count));
    cr_assert(eq(u64, bodies, result.body_bytes));
}

static void expect_packed(pack_fn pack, const char *text, const char *shown)
{
    size_t len = strlen(text);
    uint8_t *buf = malloc(len + 1); /* on the heap, where ASan guards the end */
    struct out o;

    memcpy(buf, text, len);
    out_init(&o, 4096);
    cr_assert(eq(int, pack(buf, len, &limits, &result), ERR_OK), "%s: %s", text,
              result.reason);
    cr_assert(le(sz, result.packed_len, len));
    show_all(&o, buf);
    cr_assert(bytes_eq(bytes_of(o.data, o.len), bytes_str(shown)), "%.*s", (int)o.len,
              o.data);
    out_fini(&o);
    free(buf);
}

static void expect_refused(pack_fn pack, const char *text, enum err err, size_t index,
                           size_t at, const char *reason)
{
    char buf[512];

    strcpy(buf, text);
    cr_assert(eq(int, pack((uint8_t *)buf, strlen(text), &limits, &result), err), "%s",
              text);
    cr_assert(eq(str, result.reason, (char *)reason), "%s", text);
    cr_assert(eq(sz, result.index, index), "%s", text);
    cr_assert(eq(sz, result.at, at), "%s", text);
}

static void lines(const char *text, const char *shown)
{
    expect_packed(batch_pack_ndjson, text, shown);
}

static void json(const char *text, const char *shown)
{
    expect_packed(batch_pack_json, text, shown);
}

static void bad_line(const char *text, size_t index, size_t at, const char *reason)
{
    expect_refused(batch_pack_ndjson, text, ERR_BAD_INPUT, index, at, reason);
}

static void bad_json(const char *text, size_t index, size_t at, const char *reason)
{
    expect_refused(batch_pack_json, text, ERR_BAD_INPUT, index, at, reason);
}

TestSuite(batch, .init = given_some_limits);

Test(batch, any_json_value_is_kept_as_it_was_written)
{
    lines("{\"data\":{\"n\": 1e2 }}", "{\"n\": 1e2 }|application/json|||\n");
    lines("{\"data\":12345678901234567890}",
          "12345678901234567890|application/json|||\n");
    lines("{\"data\":null}", "null|application/json|||\n");
    lines("{\"data\":[]}", "[]|application/json|||\n");
}

Test(batch, a_string_is_stored_as_its_text)
{
    lines("{\"data\":\"a\\\"\\u00e9\\n\"}",
          "a\"\xc3\xa9\n|text/plain; charset=utf-8|||\n");
    lines("{\"data\":\"\"}", "|text/plain; charset=utf-8|||\n");
}

Test(batch, base64_is_stored_as_its_bytes_without_a_type)
{
    lines("{\"data_base64\":\"aGk=\"}", "hi||||\n");
    lines("{\"data_base64\":\"aGk\"}", "hi||||\n");
    lines("{\"data_base64\":\"\\/\\u002bA=\"}", "\xff\xe0||||\n");
    lines("{\"data_base64\":\"\"}", "||||\n");
}

Test(batch, every_field_may_stand_in_any_order)
{
    lines("{\"key\":\"k\",\"ttl\":5,\"content_type\":\"a/"
          "b\",\"attributes\":{\"x\":\"1\"},"
          "\"data\":1}",
          "1|a/b|k|5000|x=1,\n");
    lines(
        "{\"data\":1,\"attributes\":{\"x\":\"1\",\"y\":\"\"},\"content_type\":\"a/b\","
        "\"ttl\":\"5m\",\"key\":\"\\u006b\"}",
        "1|a/b|k|300000|x=1,y=,\n");
    lines("{\"content_type\":\"a/b\",\"data\":\"1\"}", "1|a/b|||\n");
    lines("{\"data_base64\":\"MQ==\",\"content_type\":\"a/b\"}", "1|a/b|||\n");
    lines("{\"attributes\":{},\"d\\u0061ta\":1}", "1|application/json|||\n");
}

Test(batch, a_ttl_is_seconds_or_a_duration)
{
    lines("{\"ttl\":0,\"data\":1}", "1|application/json||0|\n");
    lines("{\"ttl\":1.5,\"data\":1}", "1|application/json||1500|\n");
    lines("{\"ttl\":\"7d\",\"data\":1}", "1|application/json||604800000|\n");
    lines("{\"ttl\":\"60\",\"data\":1}", "1|application/json||60000|\n");
}

Test(batch, lines_may_be_empty_or_end_in_crlf_or_not_at_all)
{
    lines("\n\r\n{\"data\":1}\r\n  \n {\"data\":2} \n\n{\"data\":3}",
          "1|application/json|||\n2|application/json|||\n3|application/json|||\n");
}

Test(batch, a_json_text_is_an_array_or_wraps_one)
{
    json(" [ {\"data\":1} , {\"data\":\"x\"}\n] ",
         "1|application/json|||\nx|text/plain; charset=utf-8|||\n");
    json("{\"messages\":[{\"data\":1}]}", "1|application/json|||\n");
    json(" { \"mess\\u0061ges\" : [ {\"data\":1} ] } ", "1|application/json|||\n");
}

Test(batch, an_empty_batch_is_refused)
{
    bad_line("", 0, 0, "a batch without messages");
    bad_line("\n \r\n", 0, 4, "a batch without messages");
    bad_json("[]", 0, 2, "a batch without messages");
    bad_json("{\"messages\":[]}", 0, 15, "a batch without messages");
}

Test(batch, a_bad_line_is_named_with_its_place)
{
    bad_line("{\"data\":1}\n{\"date\":2}", 1, 12, "element 1: unknown member \"date\"");
    bad_line("{\"data\":1}\n\n{\"data\":01}", 1, 21,
             "element 1: a number may not start with 0, at byte 21");
    bad_line("{\"data\":1}{\"data\":2}", 0, 10,
             "element 0: there is more after the end of the value, at byte 10");
    bad_line("{\"data\":\n1}", 0, 8, "element 0: the text ends too early, at byte 8");
    bad_line("{\"data\":1", 0, 9, "element 0: the text ends too early, at byte 9");
    bad_line("[1]", 0, 0, "element 0: an object is expected, at byte 0");
    bad_line("{\"data\":\"\xff\"}", 0, 9, "element 0: not UTF-8, at byte 9");
    bad_line("{\"data\":1,}", 0, 10,
             "element 0: a member's name must be a string, at byte 10");
}

Test(batch, a_bad_envelope_is_explained)
{
    const char *form = "an array of messages is expected, or {\"messages\":[...]}";

    bad_json("", 0, 0, form);
    bad_json("1", 0, 0, form);
    bad_json("{}", 0, 2, "\"messages\" is missing");
    bad_json("{\"a\":1,\"messages\":[{\"data\":1}]}", 0, 5,
             "the only member beside the elements is \"messages\"");
    bad_json("{\"messages\":{}}", 0, 12, "\"messages\" must be an array");
    bad_json("{\"messages\":[{\"data\":1}],\"a\":1}", 1, 25,
             "\"messages\" must be the only member");
    bad_json("[{\"data\":1}] x", 1, 13, "there is more after the end of the value");
    bad_json("[{\"data\":1},]", 1, 12, "element 1: an object is expected, at byte 12");
    bad_json("[{\"data\":1}", 1, 11, "element 1: the text ends too early, at byte 11");
}

Test(batch, a_message_has_exactly_one_body_and_nothing_twice)
{
    bad_line("{}", 0, 0, "element 0: \"data\" or \"data_base64\" is missing");
    bad_line("{\"key\":\"k\"}", 0, 0,
             "element 0: \"data\" or \"data_base64\" is missing");
    bad_line("{\"data\":1,\"data_base64\":\"\"}", 0, 25,
             "element 0: either \"data\" or \"data_base64\", not both");
    bad_line("{\"data\":1,\"data\":1}", 0, 10, "element 0: twice the member \"data\"");
    bad_line("{\"data\":1,\"d\\u0061ta\":1}", 0, 10,
             "element 0: twice the member \"d\\u0061ta\"");
}

Test(batch, fields_of_the_wrong_form_are_refused)
{
    const char *ttl =
        "element 0: \"ttl\" must be a duration such as \"5m\" or a number of seconds";

    bad_line("{\"ttl\":-1}", 0, 7, ttl);
    bad_line("{\"ttl\":1e3}", 0, 7, ttl);
    bad_line("{\"ttl\":null}", 0, 7, ttl);
    bad_line("{\"ttl\":\"\"}", 0, 7, ttl);
    bad_line("{\"ttl\":[5]}", 0, 7, ttl);
    bad_line("{\"data_base64\":\"a\"}", 0, 15,
             "element 0: \"data_base64\" must be a string of base64");
    bad_line("{\"data_base64\":1}", 0, 15,
             "element 0: \"data_base64\" must be a string of base64");
    bad_line("{\"data\":\"\\ud800\"}", 0, 8,
             "element 0: \"data\" has half a surrogate pair, which is no text");
    bad_line("{\"key\":1}", 0, 7,
             "element 0: \"key\" must be a string without control characters");
    bad_line("{\"key\":\"a\\r\\nb\"}", 0, 7,
             "element 0: \"key\" must be a string without control characters");
    bad_line("{\"key\":\"\"}", 0, 7, "element 0: \"key\" must have 1 to 8 bytes");
    bad_line("{\"content_type\":\"a\\nb\"}", 0, 16,
             "element 0: \"content_type\" must be a string of printable ASCII");
    bad_line("{\"content_type\":\"\"}", 0, 16,
             "element 0: \"content_type\" must have 1 to 16 bytes");
    bad_line("{\"deliver_after\":1}", 0, 17,
             "element 0: \"deliver_after\" is not supported yet");
}

Test(batch, attributes_of_the_wrong_form_are_refused)
{
    const char *name =
        "element 0: an attribute's name must be a header token, and not key, "
        "offset, time or expires-at";

    bad_line("{\"attributes\":[]}", 0, 14,
             "element 0: \"attributes\" must be an object of strings");
    bad_line("{\"attributes\":{\"a\":1}}", 0, 19,
             "element 0: \"attributes\" must be an object of strings");
    bad_line("{\"attributes\":{\"\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"a b\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"a\\u0000\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"Key\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"Time\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"expires-at\":\"x\"}}", 0, 15, name);
    bad_line("{\"attributes\":{\"a\":\"\\r\\n\"}}", 0, 15,
             "element 0: an attribute's value must have no control characters");
    bad_line("{\"attributes\":{\"a\":\"1\",\"A\":\"2\"}}", 0, 23,
             "element 0: the same attribute twice");
    bad_line("{\"attributes\":{\"a\":\"\\ud800\"}}", 0, 15,
             "element 0: an attribute has half a surrogate pair");
}

Test(batch, limits_are_kept_to_the_byte)
{
    lines("{\"data\":\"12345678901234567890\",\"key\":\"12345678\"}",
          "12345678901234567890|text/plain; charset=utf-8|12345678||\n");
    lines("{\"data\":1,\"attributes\":{\"abcd\":\"123456\",\"b\":\"\"}}",
          "1|application/json|||abcd=123456,b=,\n");
    expect_refused(batch_pack_ndjson, "{\"data\":\"123456789012345678901\"}",
                   ERR_TOO_BIG, 0, 9, "element 0: a message may have at most 20 bytes");
    bad_line("{\"key\":\"123456789\"}", 0, 7,
             "element 0: \"key\" must have 1 to 8 bytes");
    bad_line("{\"content_type\":\"a/b;c=d;e=f;g=h;i\"}", 0, 16,
             "element 0: \"content_type\" must have 1 to 16 bytes");
    bad_line("{\"attributes\":{\"abcde\":\"\"}}", 0, 15,
             "element 0: an attribute's name is too long");
    bad_line("{\"attributes\":{\"a\":\"1234567\"}}", 0, 15,
             "element 0: an attribute's value is too long");
    bad_line("{\"attributes\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}", 0, 29,
             "element 0: a message may have at most 2 attributes");
}

Test(batch, the_number_of_messages_is_limited)
{
    const char *five =
        "{\"data\":1}\n{\"data\":1}\n{\"data\":1}\n{\"data\":1}\n{\"data\":1}";

    expect_refused(batch_pack_ndjson, five, ERR_TOO_BIG, 4, 44, "more than 4 messages");
}

Test(batch, a_long_unknown_name_is_cut_in_the_reason)
{
    char text[300];

    memset(text, 'n', sizeof text);
    memcpy(text, "{\"", 2);
    strcpy(text + 250, "\":1}");
    cr_assert(eq(int,
                 batch_pack_ndjson((uint8_t *)text, strlen(text), &limits, &result),
                 ERR_BAD_INPUT));
    cr_assert(lt(sz, strlen(result.reason), 100));
}

/* ---- the tightest fits: the values whose packed lengths just grew a byte ---- */

static void expect_tight(size_t digits)
{
    size_t len = digits + 9;
    uint8_t *buf = malloc(len);
    struct bytes at;
    struct packed_message m;

    memset(buf, '7', len);
    memcpy(buf, "{\"data\":", 8);
    buf[len - 1] = '}';
    limits.max_body_bytes = digits;
    cr_assert(eq(int, batch_pack_ndjson(buf, len, &limits, &result), ERR_OK));
    cr_assert(le(sz, result.packed_len, len));
    at = bytes_of(buf, result.packed_len);
    cr_assert(eq(int, packed_next(&at, &m), ERR_OK));
    cr_assert(eq(sz, m.body.len, digits));
    for (size_t i = 0; i < digits; i++)
        if (((const uint8_t *)m.body.data)[i] != '7')
            cr_fatal("byte %zu of %zu", i, digits);
    free(buf);
}

Test(batch, values_around_each_length_of_a_varint_fit)
{
    expect_tight(1);
    expect_tight(127);
    expect_tight(128);
    expect_tight(16383);
    expect_tight(16384);
    expect_tight(2097151);
    expect_tight(2097152);
    expect_tight(2097153);
}

Test(batch, a_value_of_2_mib_and_more_fills_its_text_to_the_last_byte)
{
    expect_tight(3000000);
    cr_assert(eq(sz, result.packed_len, 3000009));
}

/* ---- any batch: what was written is what is packed ---- */

static unsigned pick(unsigned n)
{
    return (unsigned)rand() % n;
}

/* Up to 5 letters, or up to 300 now and then, after what `to` holds already. */
static struct bytes random_text(char *to, size_t len, const char *letters)
{
    size_t more = pick(8) ? pick(6) : pick(300);

    for (; more; more--)
        to[len++] = letters[pick((unsigned)strlen(letters))];
    return bytes_of(to, len);
}

static void write_string(struct out *o, struct bytes plain)
{
    const char *p = plain.data;
    char escaped[8];

    out_text(o, "\"");
    for (size_t i = 0; i < plain.len; i++) {
        snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned char)p[i]);
        if (pick(6) == 0 || strchr("\"\\\n", p[i]))
            out_text(o, escaped);
        else
            out_raw(o, bytes_of(p + i, 1));
    }
    out_text(o, "\"");
}

static void write_space(struct out *o)
{
    if (pick(10) == 0)
        out_text(o, pick(2) ? " " : "\t");
}

struct expected { /* the columns of show */
    char body_text[512], type_text[512], key_text[512];
    struct bytes body, type, key;
    uint64_t ttl_ms;
    bool has_ttl;
    struct out attributes;
};

static void write_data(struct out *o, struct expected *x, bool typed)
{
    static const char *values[] = { "0",     "-1.5e3", "null",   "true",
                                    "{}",    "[1, 2]", "[[[]]]", "{\"a\":\"\\ud800\"}",
                                    "[\"\"]" };
    const char *type = "text/plain; charset=utf-8";

    out_text(o, "\"data\":");
    write_space(o);
    if (pick(2)) {
        x->body = random_text(x->body_text, 0, "abcdef \"\\\n{}[]");
        write_string(o, x->body);
    } else {
        type = "application/json";
        x->body = bytes_str(values[pick(sizeof values / sizeof values[0])]);
        out_raw(o, x->body);
    }
    if (!typed)
        x->type = bytes_str(type);
}

static void write_base64(struct out *o, struct expected *x, bool typed)
{
    (void)typed;
    x->body = random_text(x->body_text, 0, "\x01\x80\xff\xc3z");
    out_text(o, "\"data_base64\":");
    out_base64(o, x->body);
}

static void write_key(struct out *o, struct expected *x, bool typed)
{
    (void)typed;
    x->key_text[0] = 'k';
    x->key = random_text(x->key_text, 1, "abc");
    out_text(o, "\"key\":");
    write_string(o, x->key);
}

static void write_type(struct out *o, struct expected *x, bool typed)
{
    (void)typed;
    x->type_text[0] = 't';
    x->type = random_text(x->type_text, 1, "/ab;");
    out_text(o, "\"content_type\":");
    write_string(o, x->type);
}

static void write_ttl(struct out *o, struct expected *x, bool typed)
{
    static const uint64_t scales[] = { 1, 1000, 60000, 3600000, 86400000 };
    static const char *units[] = { "ms", "s", "m", "h", "d" };
    unsigned unit = pick(5);
    uint64_t n = pick(2) ? pick(10) : (uint64_t)rand() >> pick(31);
    bool bare = unit == 1 && pick(2);

    (void)typed;
    x->has_ttl = true;
    x->ttl_ms = n * scales[unit];
    out_text(o, bare ? "\"ttl\":" : "\"ttl\":\"");
    out_u64(o, n);
    out_text(o, bare ? "" : units[unit]);
    out_text(o, bare ? "" : "\"");
}

static void write_attributes(struct out *o, struct expected *x, bool typed)
{
    char name_text[512], value_text[512];
    struct bytes name, value;
    unsigned n = pick(4);

    (void)typed;
    out_text(o, "\"attributes\":{");
    for (unsigned i = 0; i < n; i++) {
        name_text[0] = (char)('a' + i); /* so that no name comes twice */
        name = random_text(name_text, 1, "xyz-");
        value = random_text(value_text, 0, "v \"\\");
        out_text(o, i ? "," : "");
        write_string(o, name);
        out_text(o, ":");
        write_string(o, value);
        out_raw(&x->attributes, name);
        out_text(&x->attributes, "=");
        out_raw(&x->attributes, value);
        out_text(&x->attributes, ",");
    }
    out_text(o, "}");
}

static void show_expected(struct out *o, const struct expected *x)
{
    out_raw(o, x->body);
    out_text(o, "|");
    out_raw(o, x->type);
    out_text(o, "|");
    out_raw(o, x->key);
    out_text(o, "|");
    if (x->has_ttl)
        out_u64(o, x->ttl_ms);
    out_text(o, "|");
    out_raw(o, bytes_of(x->attributes.data, x->attributes.len));
    out_text(o, "\n");
}

/* One body and any of the other members, in any order. */
static void write_element(struct out *o, struct out *shown)
{
    void (*fields[])(struct out *, struct expected *, bool) = {
        pick(3) ? write_data : write_base64,
        write_key,
        write_type,
        write_ttl,
        write_attributes,
    };
    static struct expected x;
    unsigned used = pick(16) << 1 | 1, order[5] = { 0, 1, 2, 3, 4 }, written = 0;

    memset(&x, 0, sizeof x);
    out_init(&x.attributes, 4096);
    out_text(o, "{");
    for (unsigned i = 0; i < 5; i++) {
        unsigned k = i + pick(5 - i), field = order[k];

        order[k] = order[i];
        if (!(used & 1u << field))
            continue;
        out_text(o, written++ ? "," : "");
        write_space(o);
        fields[field](o, &x, used & 4);
        write_space(o);
    }
    out_text(o, "}");
    show_expected(shown, &x);
    out_fini(&x.attributes);
}

static void expect_any_batch(pack_fn pack, const char *before, const char *between,
                             const char *after)
{
    struct out text, shown, packed;
    unsigned n = 1 + pick(4);
    uint8_t *buf;

    out_init(&text, 1 << 20);
    out_init(&shown, 1 << 20);
    out_init(&packed, 1 << 20);
    out_text(&text, before);
    for (unsigned i = 0; i < n; i++) {
        out_text(&text, i ? between : "");
        write_element(&text, &shown);
    }
    out_text(&text, after);
    buf = malloc(text.len);
    memcpy(buf, text.data, text.len);
    if (pack(buf, text.len, &limits, &result))
        cr_fatal("%s in %.*s", result.reason, (int)text.len, text.data);
    show_all(&packed, buf);
    if (result.packed_len > text.len ||
        !bytes_eq(bytes_of(packed.data, packed.len), bytes_of(shown.data, shown.len)))
        cr_fatal("%.*s became %.*s", (int)text.len, text.data, (int)packed.len,
                 packed.data);
    free(buf);
    out_fini(&text);
    out_fini(&shown);
    out_fini(&packed);
}

Test(batch, whatever_is_written_is_what_is_packed, .timeout = 120)
{
    limits = (struct batch_limits){ 4, 1000, 1000, 1000, 4, 1000, 1000 };
    srand(5);
    for (unsigned i = 0; i < 20000; i++) {
        expect_any_batch(batch_pack_ndjson, "", "\n", "");
        expect_any_batch(batch_pack_json, "[", ",", "]");
        expect_any_batch(batch_pack_json, "{\"messages\":[", ",", "]}");
    }
}
