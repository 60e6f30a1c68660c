#include "mercure/selector.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#define ALL(...)                                                                       \
    (const char *const[])                                                              \
    {                                                                                  \
        __VA_ARGS__, NULL                                                              \
    }

static struct mercure_selector *selector(const char *text)
{
    size_t bytes = 0;
    struct mercure_selector *s = mercure_selector_new(bytes_str(text), false, &bytes);

    cr_assert(ne(ptr, s, NULL));
    cr_assert(le(sz, bytes, mercure_selector_most(strlen(text))));
    return s;
}

static bool match(const char *text, const char *topic)
{
    struct mercure_selector *s = selector(text);
    bool yes = mercure_selector_matches(s, bytes_str(topic));

    mercure_selector_free(s);
    return yes;
}

static void expect_all(const char *text, const char *const *topics, bool yes)
{
    for (; *topics; topics++)
        cr_assert(match(text, *topics) == yes, "%s %s '%s'", text,
                  yes ? "must match" : "must not match", *topics);
}

static void expect(const char *text, const char *const *in, const char *const *out)
{
    expect_all(text, in, true);
    expect_all(text, out, false);
}

static enum mercure_selector_kind kind_of(struct bytes text, bool exact_only)
{
    size_t bytes;
    struct mercure_selector *s = mercure_selector_new(text, exact_only, &bytes);
    enum mercure_selector_kind kind = mercure_selector_kind(s);

    cr_assert(bytes_eq(mercure_selector_text(s), text));
    mercure_selector_free(s);
    return kind;
}

static bool is_template(const char *text)
{
    return kind_of(bytes_str(text), false) == MERCURE_SELECTOR_TEMPLATE;
}

/* Still a selector: of the topic that is the same text, and of no other. */
static void expect_literal(const char *text)
{
    char other[200];

    cr_assert(kind_of(bytes_str(text), false) == MERCURE_SELECTOR_EXACT, "%s", text);
    cr_assert(match(text, text), "%s", text);
    snprintf(other, sizeof other, "%sx", text);
    cr_assert(not(match(text, other)), "%s", text);
}

/* ---- what a selector may be ---- */

Test(mercure_selector, a_star_is_every_topic)
{
    cr_assert(eq(int, kind_of(bytes_str("*"), false), MERCURE_SELECTOR_STAR));
    expect_all("*", ALL("*", "", "https://example.com/books/1", "any % text {"), true);
    expect("**", ALL("**"), ALL("*", "", "x"));
}

Test(mercure_selector, a_text_is_that_topic_byte_for_byte)
{
    expect("https://example.com/foo", ALL("https://example.com/foo"),
           ALL("https://example.com/foo/", "https://example.com/fo", "",
               "https://example.com/FOO", "https://example.com/f%6fo"));
    expect("", ALL(""), ALL("a"));
    expect("a b\"<>", ALL("a b\"<>"), ALL("a b"));
}

Test(mercure_selector, an_exact_one_is_never_a_template_but_a_star_is_still_all)
{
    struct bytes text = bytes_str("https://example.com/{id}");
    size_t bytes;
    struct mercure_selector *s = mercure_selector_new(text, true, &bytes);

    cr_assert(eq(int, mercure_selector_kind(s), MERCURE_SELECTOR_EXACT));
    cr_assert(mercure_selector_matches(s, text));
    cr_assert(not(mercure_selector_matches(s, bytes_str("https://example.com/1"))));
    mercure_selector_free(s);
    cr_assert(eq(int, kind_of(bytes_str("*"), true), MERCURE_SELECTOR_STAR));
}

Test(mercure_selector, a_template_matches_its_own_text_too)
{
    const char *text = "https://example.com/{x}";

    expect(text, ALL(text, "https://example.com/1"), ALL("https://example.com/{y}"));
}

Test(mercure_selector, a_text_may_hold_a_nul)
{
    struct mercure_selector *s;
    size_t bytes;

    cr_assert(eq(int, kind_of(bytes_of("a\0{b}", 6), false), MERCURE_SELECTOR_EXACT));
    s = selector("a{b}");
    cr_assert(not(mercure_selector_matches(s, bytes_of("a\0", 2))));
    cr_assert(mercure_selector_matches(s, bytes_of("a\0", 1)));
    mercure_selector_free(s);
    s = mercure_selector_new(bytes_of(NULL, 0), false, &bytes);
    cr_assert(mercure_selector_matches(s, bytes_of(NULL, 0)));
    mercure_selector_free(s);
    s = selector("{b}");
    cr_assert(mercure_selector_matches(s, bytes_of(NULL, 0)));
    mercure_selector_free(s);
}

/* ---- what a template matches ---- */

Test(mercure_selector, the_examples_of_the_specification)
{
    expect("https://example.com/{foo}/bar",
           ALL("https://example.com/foo/bar", "https://example.com//bar"),
           ALL("https://example.com/foo/bar/baz", "https://example.com/foo/baz",
               "https://example.com/a/b/bar", "http://example.com/foo/bar"));
    expect("https://example.com/books/{id}",
           ALL("https://example.com/books/1", "https://example.com/books/",
               "https://example.com/books/a-b_c.d~e,f"),
           ALL("https://example.com/books", "https://example.com/books/1/reviews",
               "https://example.com/books/1?a", "https://example.com/authors/1"));
    expect("https://example.com/{selector}/{id}",
           ALL("https://example.com/a/1", "https://example.com//"),
           ALL("https://example.com/a", "https://example.com/a/1/2"));
    expect("/.well-known/mercure/subscriptions{/topic}{/subscriber}",
           ALL("/.well-known/mercure/subscriptions",
               "/.well-known/mercure/subscriptions/",
               "/.well-known/mercure/subscriptions/https%3A%2F%2Fa/urn%3Auuid%3A1"),
           ALL("/.well-known/mercure/subscriptions/a/b/c",
               "/.well-known/mercure/subscriptionsa"));
}

Test(mercure_selector, a_simple_expression_does_not_cross_reserved_characters)
{
    expect("{a}", ALL("", "a", "A-Z.0_9~", "a,b", "%2F", "%2f%2Fx"),
           ALL("/", "a/b", "a:b", "a=b", "?", "#", "a b", "%", "%2", "%2x", "%x2", "a%",
               "\xc3\xa9"));
    expect("{a,b}", ALL("", "a", "a,b", "a,b,c", ",,,"), ALL("a=b", "a/b", "a;b"));
    expect("{a*}", ALL("", "a", "a=1", "a=1,b=2,c"), ALL("a/b", "a=1&b=2"));
}

Test(mercure_selector,
     where_the_second_variable_is_exploded_the_first_run_has_no_equals)
{
    expect("{a,b*}", ALL("", "a", "a,b=1", ",b=1", "a,b=1,c=2"), ALL("a=1", "a=1,b"));
    expect("{a*,b}", ALL("a=1,b=2"), ALL("a/"));
    expect("{/a,b*}", ALL("/a", "/a/b=1", "/a/b=1/c", "/a,b"), ALL("/a=1", "/a=1/b"));
    expect("{+a,b*}", ALL("a=1", "a,b=1"), ALL("\"", "a b"));
}

Test(mercure_selector, plus_takes_reserved_characters_too)
{
    expect("{+a}",
           ALL("", "https://example.com/a?b=c&d#e", "!$&'()*+,;=", ":/?#[]@", "%41"),
           ALL("a b", "%4", "\"", "<", "|", "\xc3\xa9"));
    expect("https://example.com/{+path}",
           ALL("https://example.com/", "https://example.com/a/b/c?d#e"),
           ALL("https://example.org/a"));
    expect("{+a}/end", ALL("/end", "a/end", "a/end/b/end"), ALL("a/end/", "end"));
}

Test(mercure_selector, hash_begins_a_fragment_or_nothing)
{
    expect("/a{#b}", ALL("/a", "/a#", "/a#b/c?d", "/a##", "/a#b,c"),
           ALL("/ab", "/a/", "/a# "));
    expect("{#a,b}", ALL("", "#", "#a,b,c"), ALL("a", ",#"));
}

Test(mercure_selector, dot_begins_a_label)
{
    expect("/a{.b}", ALL("/a", "/a.", "/a.json", "/a.b.c"),
           ALL("/ajson", "/a/b", "/a.b=c"));
    expect("/a{.b*}", ALL("/a", "/a.b=c", "/a.b.c=d"), ALL("/a/b"));
    expect("/a{.b,c*}", ALL("/a.b", "/a.b.c=d"), ALL("/a.b=c"));
}

Test(mercure_selector, slash_begins_segments_as_many_as_variables)
{
    expect("/a{/b}", ALL("/a", "/a/", "/a/b", "/a/b,c"),
           ALL("/a/b/", "/a/b/c", "/ab", "/a/b=c"));
    expect("/a{/b,c,d}", ALL("/a", "/a/", "/a/b/c", "/a///", "/a/b/c/d"),
           ALL("/a////", "/a/b/c/d/e", "/a/b=c"));
    expect("/a{/b*}", ALL("/a", "/a/b/c/d/e/f/g", "/a//////", "/a/b=c/d=e"),
           ALL("/ab", "/a/b?c"));
    expect("/a{/b,c*}/z", ALL("/a/z", "/a/b/z", "/a/b/c/d/z", "/a/z/z"),
           ALL("/a", "/a/b/z/y"));
}

Test(mercure_selector, semicolon_begins_parameters)
{
    expect("/a{;b}", ALL("/a", "/a;", "/a;b", "/a;b=1", "/a;x=1,2"),
           ALL("/a;b;c", "/a/b", "/ab"));
    expect("/a{;b,c}", ALL("/a;b=1;c=2", "/a;;"), ALL("/a;b;c;d", "/a;b&c"));
    expect("/a{;b*}", ALL("/a;b;c;d=1"), ALL("/a;b;c&"));
}

Test(mercure_selector, question_mark_begins_a_query)
{
    expect("/a{?b}", ALL("/a", "/a?", "/a?b=1", "/a?other=2"),
           ALL("/a?b=1&c=2", "/a&b=1", "/ab=1"));
    expect("/a{?b,c}", ALL("/a?b=1&c=2", "/a?&"), ALL("/a?b=1&c=2&d=3", "/a?b?c"));
    expect("/a{?b*}", ALL("/a?b=1&c=2&d=3&e"), ALL("/a&b=1", "/a?b/c"));
}

Test(mercure_selector, ampersand_continues_a_query)
{
    expect("/a?x=1{&b}", ALL("/a?x=1", "/a?x=1&", "/a?x=1&b=2"),
           ALL("/a?x=1&b=2&c=3", "/a?x=1b"));
    expect("/a?x=1{&b,c}", ALL("/a?x=1&b=2&c=3"), ALL("/a?x=1&b&c&d"));
    expect("/a?x{&b*}", ALL("/a?x&b&c&d=1"), ALL("/a?x?b"));
}

Test(mercure_selector, a_length_is_not_enforced)
{
    expect("/{a:3}/{b:9999}", ALL("/abcdef/b", "//", "/a/b"), ALL("/a/b/c"));
    expect("{/a:1,b*}", ALL("/aaa/b=1/c"), ALL("/a=1"));
}

Test(mercure_selector, a_variable_may_differ_from_itself)
{
    expect("/{a}/{a}", ALL("/1/1", "/1/2"), ALL("/1"));
}

Test(mercure_selector, an_encoded_character_is_one_and_is_not_decoded)
{
    expect("/%41{a}", ALL("/%41", "/%41%42"), ALL("/A", "/%4142%", "/%61"));
    expect("/%e9{a}", ALL("/%e9x"), ALL("/%E9x"));
    /* its digits are not literal text */
    expect("{a}41", ALL("41", "x41", "%4141"), ALL("%41", "x%41"));
    expect("{a}1{b}", ALL("1", "%411"), ALL("%41", "%31"));
    expect("{a}%41{b}", ALL("%41", "%42%41%43"), ALL("%4241", "41", "%4%41"));
}

Test(mercure_selector, expressions_side_by_side_share_what_there_is)
{
    expect("{a}{b}{c}", ALL("", "abc"), ALL("a/b"));
    expect("{a}{/b}{.c}{?d}{&e}{#f}",
           ALL("", "a", "/b", "a/b.c?d=1&e=2#f/g", ".c", "?d&e", "#", "a.c#f"),
           ALL("a/b/c", "a#f\"", "a&e?d"));
    expect("{a}ab{b}", ALL("ab", "aab", "abab", "xaabx"), ALL("ba", "aa", "b"));
    expect("{a}aab{b}/", ALL("aaab/", "aabaab/", "aaaab/"), ALL("aab", "abab/"));
}

Test(mercure_selector, both_ends_must_be_there_without_sharing_bytes)
{
    expect("abc{x}cba", ALL("abccba", "abcxcba"), ALL("abcba", "abc", "cba", ""));
}

Test(mercure_selector, text_beyond_ascii_is_literal_only)
{
    expect("/\xc3\xa9/{a}", ALL("/\xc3\xa9/1"), ALL("/\xc3\xa8/1", "/e/1", "/\xc3/1"));
    cr_assert(is_template("\xe2\x82\xac{a}\xf0\x90\x80\x80"));
}

/* ---- what is no template ---- */

Test(mercure_selector, an_invalid_template_is_a_text_like_any_other)
{
    const char *const texts[] = {
        "{",
        "}",
        "a}",
        "{a",
        "{}",
        "{+}",
        "{a}}",
        "{{a}}",
        "{a}{",
        "{,a}",
        "{a,}",
        "{a,,b}",
        "{a b}",
        "{ a}",
        "{a-b}",
        "{=a}",
        "{!a}",
        "{@a}",
        "{|a}",
        "{++a}",
        "{+/a}",
        "{a:}",
        "{a:0}",
        "{a:01}",
        "{a:x}",
        "{a:10000}",
        "{a:1*}",
        "{a*:1}",
        "{a**}",
        "{*}",
        "{:1}",
        "{a:-1}",
        "{.}",
        "{a.}",
        "{a..b}",
        "{..a}",
        "{a%}",
        "{a%4}",
        "{a%4g}",
        "{\xc3\xa9}",
        "a b{c}",
        "\"{c}",
        "'{c}",
        "%{c}",
        "%4{c}",
        "%4g{c}",
        "<{c}",
        ">{c}",
        "\\{c}",
        "^{c}",
        "`{c}",
        "|{c}",
        "}{c}",
        "\n{c}",
        "\x7f{c}",
        "{c}%",
        "{c}%4",
        "{c}\xff",
        "\xc3{c}",
        "{a}\xed\xa0\x80",
        "{c}\xc2\x85",
        "{c}\xef\xb7\x90",
        "{c}\xef\xbf\xbd",
        "{c}\xf0\x9f\xbf\xbe",
        "{c}\xf3\xa0\x80\x81",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect_literal(texts[i]);
}

Test(mercure_selector, what_a_template_may_hold)
{
    const char *const texts[] = {
        "{a}",
        "{A_0}",
        "{0}",
        "{_}",
        "{a.b.c}",
        "{%41}",
        "{a%41b}",
        "{a.%41}",
        "{a:1}",
        "{a:9999}",
        "{a*}",
        "{a:3,b*,c}",
        "{+a,b}",
        "{#a}",
        "{.a}",
        "{/a}",
        "{;a}",
        "{?a}",
        "{&a}",
        "!#$&()*+,-./09:;{a}",
        "=?@AZ[]_az~{a}",
        "{a}{b}",
        "%41%aF{a}",
        "{c}\xc2\xa0",
        "{c}\xee\x80\x80",
        "{c}\xef\xa4\x80",
        "{c}\xf4\x8f\xbf\xbd",
        "{c}\xf3\xa1\x80\x80",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_assert(is_template(texts[i]), "%s", texts[i]);
}
