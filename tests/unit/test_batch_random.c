#include "batch_fixture.h"

TestSuite(batch_random, .init = given_some_limits);

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
    uint64_t delay_ms;
    char delay_sign; /* 0: none */
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

/* "name":30, "name":"30s" and so on. */
static uint64_t write_duration(struct out *o, const char *name)
{
    static const uint64_t scales[] = { 1, 1000, 60000, 3600000, 86400000 };
    static const char *units[] = { "ms", "s", "m", "h", "d" };
    unsigned unit = pick(5);
    uint64_t n = pick(2) ? pick(10) : (uint64_t)rand() >> pick(31);
    bool bare = unit == 1 && pick(2);

    out_text(o, "\"");
    out_text(o, name);
    out_text(o, bare ? "\":" : "\":\"");
    out_u64(o, n);
    out_text(o, bare ? "" : units[unit]);
    out_text(o, bare ? "" : "\"");
    return n * scales[unit];
}

static void write_ttl(struct out *o, struct expected *x, bool typed)
{
    (void)typed;
    x->has_ttl = true;
    x->ttl_ms = write_duration(o, "ttl");
}

static void write_delay(struct out *o, struct expected *x, bool typed)
{
    (void)typed;
    x->delay_sign = pick(2) ? '+' : '@';
    if (x->delay_sign == '+') {
        x->delay_ms = write_duration(o, "deliver_after");
        return;
    }
    out_text(o, "\"deliver_at\":");
    x->delay_ms = (uint64_t)rand();
    out_time(o, (int64_t)x->delay_ms);
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
    if (x->delay_sign) {
        out_text(o, x->delay_sign == '+' ? "|+" : "|@");
        out_u64(o, x->delay_ms);
    }
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
        write_delay,
    };
    static struct expected x;
    unsigned used = pick(32) << 1 | 1, order[6] = { 0, 1, 2, 3, 4, 5 }, written = 0;

    memset(&x, 0, sizeof x);
    out_init(&x.attributes, 4096);
    out_text(o, "{");
    for (unsigned i = 0; i < 6; i++) {
        unsigned k = i + pick(6 - i), field = order[k];

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

Test(batch_random, whatever_is_written_is_what_is_packed, .timeout = 120)
{
    limits = (struct batch_limits){ 4, 1000, 1000, 1000, 4, 1000, 1000 };
    srand(5);
    for (unsigned i = 0; i < 20000; i++) {
        expect_any_batch(batch_pack_ndjson, "", "\n", "");
        expect_any_batch(batch_pack_json, "[", ",", "]");
        expect_any_batch(batch_pack_json, "{\"messages\":[", ",", "]}");
    }
}
