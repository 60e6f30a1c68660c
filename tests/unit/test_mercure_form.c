#include "mercure/form.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct mercure_form f;
static uint8_t *text; /* on the heap, where ASan guards its end */

static enum err read_bytes(const char *form, size_t len)
{
    free(text);
    text = malloc(len);
    memcpy(text, form, len);
    return mercure_form_read(text, len, &f);
}

static void given(const char *form)
{
    cr_assert(eq(int, read_bytes(form, strlen(form)), ERR_OK), "%s", form);
}

static void is_refused(const char *form)
{
    cr_assert(eq(int, read_bytes(form, strlen(form)), ERR_BAD_INPUT), "%s", form);
}

static void expect(struct bytes got, const char *wanted)
{
    cr_assert(bytes_eq(got, bytes_str(wanted)), "%.*s", (int)got.len,
              (const char *)got.data);
}

static void expect_topics(const char *first, const char *second)
{
    cr_assert(eq(sz, f.topic_count, (size_t)(first != NULL) + (second != NULL)));
    if (first)
        expect(f.topics[0], first);
    if (second)
        expect(f.topics[1], second);
}

TestSuite(mercure_form, .timeout = 20);

Test(mercure_form, has_fields_in_any_order)
{
    given("data=d&id=i&topic=t&retry=5&type=e&private=on&topic=u");
    expect_topics("t", "u");
    expect(f.id, "i");
    expect(f.type, "e");
    expect(f.retry, "5");
    expect(f.data, "d");
    cr_assert(f.is_private);
}

Test(mercure_form, of_nothing_has_no_fields)
{
    given("");
    expect_topics(NULL, NULL);
    expect(f.data, "");
    cr_assert(not(f.is_private));
    given("&&&");
    expect_topics(NULL, NULL);
}

Test(mercure_form, undoes_percent_and_plus)
{
    given("topic=https%3A%2F%2Fexample.com%2f1&data=a+b%2Bc%0D%0A%00%C3%A6");
    expect_topics("https://example.com/1", NULL);
    cr_assert(bytes_eq(f.data, bytes_of("a b+c\r\n\0\xc3\xa6", 10)));
}

Test(mercure_form, undoes_them_in_names_too)
{
    given("to%70ic=a&%64ata=b&da+ta=c");
    expect_topics("a", NULL);
    expect(f.data, "b");
}

Test(mercure_form, takes_all_behind_the_first_equals_sign_for_the_value)
{
    given("data=a=b==&topic==");
    expect(f.data, "a=b==");
    expect_topics("=", NULL);
}

Test(mercure_form, takes_an_encoded_separator_for_a_letter)
{
    given("data=a%26topic%3Dx&topic=t%3D");
    expect(f.data, "a&topic=x");
    expect_topics("t=", NULL);
}

Test(mercure_form, is_private_whatever_the_field_says)
{
    given("private");
    cr_assert(f.is_private);
    given("private=");
    cr_assert(f.is_private);
    given("private=false");
    cr_assert(f.is_private);
    given("Private=on&privat=on");
    cr_assert(not(f.is_private));
}

Test(mercure_form, takes_the_first_of_fields_that_come_again)
{
    given("id=1&id=2&type=&type=x&data=a&data=b&retry=3&retry=4");
    expect(f.id, "1");
    expect(f.type, "");
    expect(f.data, "a");
    expect(f.retry, "3");
}

Test(mercure_form, passes_over_what_it_does_not_know)
{
    given("=x&topics=a&TOPIC=b&q&topic=t&=");
    expect_topics("t", NULL);
}

Test(mercure_form, keeps_an_empty_topic)
{
    given("topic=&topic");
    expect_topics("", "");
}

Test(mercure_form, counts_topics_beyond_those_it_keeps)
{
    char many[(MERCURE_MOST_TOPICS + 5) * 8] = "";
    size_t len = 0;

    for (int i = 0; i < MERCURE_MOST_TOPICS + 5; i++, len += 8)
        memcpy(many + len, "topic=t&", 8);
    cr_assert(eq(int, read_bytes(many, len), ERR_OK));
    cr_assert(eq(sz, f.topic_count, MERCURE_MOST_TOPICS + 5));
    expect(f.topics[MERCURE_MOST_TOPICS - 1], "t");
}

Test(mercure_form, refuses_what_is_not_well_encoded)
{
    is_refused("data=%");
    is_refused("data=%1");
    is_refused("data=%zz");
    is_refused("data=%1&topic=2");
    is_refused("%=x");
    is_refused("unknown=%g1&topic=t");
}
