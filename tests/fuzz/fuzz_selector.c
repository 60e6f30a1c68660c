/*
 * Whatever the selector and the topic: memory and steps stay within their bounds, a selector
 * matches its own text, and one that is exact matches nothing else. Where two templates match
 * a topic each, the one after the other matches the one topic after the other.
 *
 * Four parts with a NUL between them: template, topic, template, topic.
 */
#include "mercure/selector.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* A block of its own, so that a byte too far is seen. */
static struct bytes copy(struct bytes a, struct bytes b)
{
    uint8_t *p = malloc(a.len + b.len);

    check(p || a.len + b.len == 0);
    if (a.len)
        memcpy(p, a.data, a.len);
    if (b.len)
        memcpy(p + a.len, b.data, b.len);
    return bytes_of(p, a.len + b.len);
}

/* Does it match? *template: is it one, and short enough to be joined with another. */
static bool matches(struct bytes text, struct bytes topic, bool *template)
{
    size_t bytes, steps;
    struct mercure_selector *s = mercure_selector_new(text, false, &bytes);
    enum mercure_selector_kind kind = mercure_selector_kind(s);
    bool yes = mercure_selector_walk(s, topic, &steps), same = bytes_eq(text, topic);

    check(bytes <= mercure_selector_most(text.len));
    check(steps <= MERCURE_STEPS_PER_BYTES * text.len * (topic.len + 1));
    check(bytes_eq(mercure_selector_text(s), text) && mercure_selector_matches(s, text));
    check(kind != MERCURE_SELECTOR_EXACT || yes == same);
    check(kind != MERCURE_SELECTOR_STAR || yes);
    *template = kind == MERCURE_SELECTOR_TEMPLATE && text.len <= MERCURE_TEMPLATE_MAX / 2 &&
                text.len <= 3 * MERCURE_TEMPLATE_EXPRESSIONS / 2;
    mercure_selector_free(s);
    /* its own text is matched as a text, so it says nothing of what the template matches */
    return yes && !same;
}

static void check_joined(struct bytes part[4])
{
    struct bytes text = copy(part[0], part[2]), topic = copy(part[1], part[3]);
    bool template;

    check(matches(text, topic, &template) || bytes_eq(text, topic));
    free((void *)text.data);
    free((void *)topic.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes part[4];
    bool template[2], yes;

    for (int i = 0; i < 4; i++) {
        const uint8_t *end = len && i < 3 ? memchr(data, 0, len) : NULL;
        size_t n = end ? (size_t)(end - data) : len;

        part[i] = copy(bytes_of(data, n), bytes_of(NULL, 0));
        n += end != NULL;
        data += n;
        len -= n;
    }
    yes = matches(part[0], part[1], &template[0]);
    yes &= matches(part[2], part[3], &template[1]);
    if (yes && template[0] && template[1])
        check_joined(part);
    for (int i = 0; i < 4; i++)
        free((void *)part[i].data);
    return 0;
}
