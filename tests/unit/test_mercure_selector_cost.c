/* What a selector takes: memory within its bound, and steps within theirs. */
#include "mercure/selector.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

static struct mercure_selector *selector(const char *text)
{
    size_t bytes = 0;
    struct mercure_selector *s = mercure_selector_new(bytes_str(text), false, &bytes);

    cr_assert(ne(ptr, s, NULL));
    cr_assert(le(sz, bytes, mercure_selector_most(strlen(text))));
    return s;
}

static enum mercure_selector_kind kind_of(const char *text)
{
    struct mercure_selector *s = selector(text);
    enum mercure_selector_kind kind = mercure_selector_kind(s);

    cr_assert(mercure_selector_matches(s, bytes_str(text)));
    mercure_selector_free(s);
    return kind;
}

Test(mercure_selector_cost, what_it_takes_is_within_what_was_promised)
{
    char text[2 * MERCURE_TEMPLATE_MAX + 1];
    const char *const patterns[] = { "{a}", "{a}b", "b", "{a,b}", "{+a*}/" };

    for (size_t i = 0; i < 5; i++) {
        size_t step = strlen(patterns[i]);

        for (size_t n = 0; n + step < sizeof text; n += step) {
            memcpy(text + n, patterns[i], step + 1);
            mercure_selector_free(selector(text));
        }
    }
}

Test(mercure_selector_cost, beyond_the_limits_a_template_is_a_text)
{
    char text[3 * MERCURE_TEMPLATE_EXPRESSIONS + 4] = "";
    char *longer = malloc(MERCURE_TEMPLATE_MAX + 2);

    for (int i = 0; i < MERCURE_TEMPLATE_EXPRESSIONS; i++)
        strcat(text, "{a}");
    cr_assert(eq(int, kind_of(text), MERCURE_SELECTOR_TEMPLATE));
    strcat(text, "{a}");
    cr_assert(eq(int, kind_of(text), MERCURE_SELECTOR_EXACT));
    memset(longer, 'x', MERCURE_TEMPLATE_MAX + 2);
    memcpy(longer, "{a}", 3);
    longer[MERCURE_TEMPLATE_MAX] = 0;
    cr_assert(eq(int, kind_of(longer), MERCURE_SELECTOR_TEMPLATE));
    longer[MERCURE_TEMPLATE_MAX] = 'x';
    longer[MERCURE_TEMPLATE_MAX + 1] = 0;
    cr_assert(eq(int, kind_of(longer), MERCURE_SELECTOR_EXACT));
    free(longer);
}

/* ---- what matching costs ---- */

/* `piece` so many times, then `end`. */
static char *repeated(const char *piece, size_t times, const char *end)
{
    size_t len = strlen(piece);
    char *text = malloc(len * times + strlen(end) + 1);

    for (size_t i = 0; i < times; i++)
        memcpy(text + i * len, piece, len);
    strcpy(text + len * times, end);
    return text;
}

static size_t steps_of(const char *template, const char *topic, bool yes)
{
    struct mercure_selector *s = selector(template);
    size_t steps;

    cr_assert(eq(int, mercure_selector_kind(s), MERCURE_SELECTOR_TEMPLATE));
    cr_assert(mercure_selector_walk(s, bytes_str(topic), &steps) == yes, "%.50s",
              template);
    mercure_selector_free(s);
    cr_assert(
        le(sz, steps, MERCURE_STEPS_PER_BYTES * strlen(template) * (strlen(topic) + 1)),
        "%.50s takes %zu steps", template, steps);
    return steps;
}

static size_t steps_refusing(const char *template, const char *piece, size_t times,
                             const char *end)
{
    char *topic = repeated(piece, times, end);
    size_t steps = steps_of(template, topic, false);

    free(topic);
    return steps;
}

/* What makes a backtracking matcher explode: many ways to share a topic out, none of which
 * ends well. Once all places are reached, as many more bytes are as many more steps. */
static void expect_linear(char *template, const char *piece, const char *end)
{
    size_t one = steps_refusing(template, piece, 1000, end);
    size_t two = steps_refusing(template, piece, 2000, end);
    size_t three = steps_refusing(template, piece, 3000, end);

    cr_assert(gt(sz, one, 1000), "%.50s was not walked", template);
    cr_assert(eq(sz, three - two, two - one), "%.50s", template);
    free(template);
}

Test(mercure_selector_cost, no_topic_takes_more_steps_than_its_bytes_times_the_template)
{
    expect_linear(repeated("{a}", 64, ""), "a", "!");
    expect_linear(repeated("{+a}", 64, ""), "a", "\"");
    expect_linear(repeated("{a}b", 63, "{c}"), "bbbb", "/");
    expect_linear(repeated("{a*}", 64, ""), "a=,", "/");
    expect_linear(repeated("{a,b*}", 64, ""), "a,", "/");
    expect_linear(repeated("{/a*}", 64, ""), "/", "\"");
    expect_linear(repeated("{/a,b,c,d,e,f,g}", 60, ""), "//", "\"");
    expect_linear(repeated("{.a,b,c,d,e,f,g}", 60, ""), "..a", "\"");
    expect_linear(repeated("{a}{.b*}", 32, ""), ".", "/");
    expect_linear(repeated("{+a}%41", 60, "{b}"), "%41", "%4");
}

Test(mercure_selector_cost, a_literal_that_overlaps_itself_is_within_the_bound)
{
    char *as = repeated("a", 500, "{y}!"), *template = malloc(600);

    sprintf(template, "{+x}%s", as);
    free(as);
    expect_linear(template, "a", "\"!");
}

Test(mercure_selector_cost, a_list_of_as_many_variables_as_fit_is_counted)
{
    char template[MERCURE_TEMPLATE_MAX + 1] = "{/a", *topic;
    size_t n = (MERCURE_TEMPLATE_MAX - 4) / 2;

    for (size_t i = 0; i < n; i++)
        memcpy(template + 3 + 2 * i, ",a", 2);
    strcpy(template + 3 + 2 * n, "}");
    topic = repeated("/", n + 1, "x");
    steps_of(template, topic, true);
    free(topic);
    topic = repeated("/", n + 2, "");
    steps_of(template, topic, false);
    free(topic);
}

Test(mercure_selector_cost, most_topics_are_refused_without_a_step)
{
    cr_assert(eq(
        sz,
        steps_of("https://example.com/books/{id}", "https://example.com/cars/1", false),
        0));
    cr_assert(
        eq(sz, steps_of("https://example.com/{id}/x", "https://example.com/1/y", false),
           0));
}
