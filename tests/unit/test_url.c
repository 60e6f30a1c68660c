#include "url.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

static const char *const verbs[] = { "batch", "purge", NULL };

/* Segments joined by blanks, then "!verb". */
static void expect_split(const char *path, const char *shown)
{
    struct url_path u;
    char text[256] = "";
    size_t n = 0;

    cr_assert(url_split(bytes_str(path), verbs, &u), "%s", path);
    for (size_t i = 0; i < u.count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "[%.*s]",
                              (int)u.segments[i].len, (const char *)u.segments[i].data);
    if (u.verb.len)
        snprintf(text + n, sizeof text - n, "!%.*s", (int)u.verb.len,
                 (const char *)u.verb.data);
    cr_assert(eq(str, text, (char *)shown));
}

static void expect_decoded(bool (*decode)(struct bytes, char *, size_t *),
                           const char *in, const char *text, size_t text_len)
{
    char out[64];
    size_t len;

    strcpy(out, in);
    cr_assert(decode(bytes_of(out, strlen(in)), out, &len), "%s", in);
    cr_assert(bytes_eq(bytes_of(out, len), bytes_of(text, text_len)), "%s", in);
}

static bool decodes(const char *in)
{
    char out[64];
    size_t len;

    return url_decode_segment(bytes_str(in), out, &len);
}

static void expect_encoded(const char *name, const char *segment)
{
    char out[64] = "";

    url_encode_segment(bytes_str(name), out);
    cr_assert(eq(str, out, (char *)segment));
    cr_assert(eq(sz, url_encoded_len(bytes_str(name)), strlen(segment)));
    expect_decoded(url_decode_segment, out, name, strlen(name));
}

Test(url, a_path_is_split_while_it_is_encoded)
{
    expect_split("/", "[]");
    expect_split("/healthz", "[healthz]");
    expect_split("/v1/topics/a%2Fb/messages/42", "[v1][topics][a%2Fb][messages][42]");
    expect_split("/v1//x/", "[v1][][x][]");
}

Test(url, the_last_segment_may_end_in_a_known_verb)
{
    expect_split("/v1/topics/t/messages:batch", "[v1][topics][t][messages]!batch");
    expect_split("/v1/topics/t:purge", "[v1][topics][t]!purge");
    expect_split("/v1/topics/a:b:purge", "[v1][topics][a:b]!purge");
    expect_split("/v1/topics/:purge", "[v1][topics][]!purge");
}

Test(url, other_colons_belong_to_the_name)
{
    expect_split("/v1/topics/a:b", "[v1][topics][a:b]");
    expect_split("/v1/topics/a:", "[v1][topics][a:]");
    expect_split("/v1/topics/a%3Apurge", "[v1][topics][a%3Apurge]");
    expect_split("/v1/topics/a:purge/messages", "[v1][topics][a:purge][messages]");
    expect_split("/v1/topics/a:Purge", "[v1][topics][a:Purge]");
    expect_split("/v1/topics/a:purge:x", "[v1][topics][a:purge:x]");
    expect_split("/v1/topics/a:pur%67e", "[v1][topics][a:pur%67e]");
}

Test(url, refuses_paths_no_route_could_have)
{
    struct url_path u;

    cr_assert(not(url_split(bytes_str(""), verbs, &u)));
    cr_assert(not(url_split(bytes_str("*"), verbs, &u)));
    cr_assert(not(url_split(bytes_str("v1/topics"), verbs, &u)));
    cr_assert(url_split(bytes_str("/1/2/3/4/5/6/7/8"), verbs, &u));
    cr_assert(not(url_split(bytes_str("/1/2/3/4/5/6/7/8/9"), verbs, &u)));
    cr_assert(not(url_split(bytes_str("/1/2/3/4/5/6/7/8/"), verbs, &u)));
}

Test(url, decodes_percents_and_a_plus_only_in_queries)
{
    expect_decoded(url_decode_segment, "a%2Fb%2fc", "a/b/c", 5);
    expect_decoded(url_decode_segment, "a+b%20c", "a+b c", 5);
    expect_decoded(url_decode_segment, "%00%ff", "\0\xff", 2);
    expect_decoded(url_decode_segment, "%2541", "%41", 3);
    expect_decoded(url_decode_segment, "", "", 0);
    expect_decoded(url_decode_query, "a+b%2Bc", "a b+c", 5);
}

Test(url, a_broken_percent_is_refused)
{
    cr_assert(decodes("%41"));
    cr_assert(not(decodes("%")));
    cr_assert(not(decodes("%4")));
    cr_assert(not(decodes("%4g")));
    cr_assert(not(decodes("%g4")));
    cr_assert(not(decodes("%%41")));
    cr_assert(not(decodes("a% 1")));
}

Test(url, names_are_encoded_so_that_they_come_back)
{
    expect_encoded("orders-1._~Z", "orders-1._~Z");
    expect_encoded("a/b:c d", "a%2Fb%3Ac%20d");
    expect_encoded("100%+?#&", "100%25%2B%3F%23%26");
    expect_encoded("\xc3\xa9", "%C3%A9");
}

Test(url, a_name_is_1_to_255_bytes_of_plain_utf8)
{
    char name[256];

    memset(name, 'n', sizeof name);
    cr_assert(eq(ptr, (void *)url_name_wrong(bytes_of(name, 1)), NULL));
    cr_assert(eq(ptr, (void *)url_name_wrong(bytes_of(name, 255)), NULL));
    cr_assert(eq(ptr, (void *)url_name_wrong(bytes_str("a/b:c \xc3\xa9")), NULL));
    cr_assert(eq(str, (char *)url_name_wrong(bytes_of(name, 256)),
                 "a name may have at most 255 bytes"));
    cr_assert(
        eq(str, (char *)url_name_wrong(bytes_of(name, 0)), "a name must not be empty"));
    cr_assert(
        eq(str, (char *)url_name_wrong(bytes_str("\xff")), "a name must be UTF-8"));
    cr_assert(eq(str, (char *)url_name_wrong(bytes_str("a\nb")),
                 "a name must have no control characters"));
    cr_assert(eq(str, (char *)url_name_wrong(bytes_of("a\0b", 3)),
                 "a name must have no control characters"));
    cr_assert(eq(str, (char *)url_name_wrong(bytes_str("\x7f")),
                 "a name must have no control characters"));
    cr_assert(eq(str, (char *)url_name_wrong(bytes_str("\xc2\x85")),
                 "a name must have no control characters"));
}
