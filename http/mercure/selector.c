#include "selector.h"

#include "template.h"

#include <stdlib.h>

struct mercure_selector {
    size_t len;
    enum mercure_selector_kind kind;
    struct template_form form;    /* of a template; its text follows its parts */
    struct template_part parts[]; /* none of the others */
};

/* What malloc takes for so many bytes: a word of its own, and all in steps of 16. */
static size_t heap_bytes(size_t parts, size_t text_len)
{
    size_t bytes = sizeof(struct mercure_selector) +
                   parts * sizeof(struct template_part) + text_len;

    return (bytes + sizeof(size_t) + 15) & ~(size_t)15;
}

/* An expression has three bytes or more, and between two there is at most one literal,
 * of one byte or more. */
size_t mercure_selector_most(size_t text_len)
{
    size_t parts = text_len > MERCURE_TEMPLATE_MAX ? 0 : (text_len + 1) / 2;

    return heap_bytes(parts < TEMPLATE_PARTS ? parts : TEMPLATE_PARTS, text_len);
}

struct mercure_selector *mercure_selector_new(struct bytes text, bool exact_only,
                                              size_t *bytes)
{
    enum mercure_selector_kind kind = MERCURE_SELECTOR_EXACT;
    struct template_part parts[TEMPLATE_PARTS];
    struct template_form form = { 0 };
    struct mercure_selector *s;

    if (bytes_eq(text, bytes_str("*")))
        kind = MERCURE_SELECTOR_STAR;
    else if (!exact_only && template_parse(text, &form, parts))
        kind = MERCURE_SELECTOR_TEMPLATE;
    else
        memset(&form, 0, sizeof form);
    s = malloc(sizeof *s + form.parts * sizeof parts[0] + text.len);
    if (!s)
        return NULL;
    s->len = text.len;
    s->kind = kind;
    s->form = form;
    memcpy(s->parts, parts, form.parts * sizeof parts[0]);
    if (text.len)
        memcpy(s->parts + form.parts, text.data, text.len);
    *bytes = heap_bytes(form.parts, text.len);
    return s;
}

void mercure_selector_free(struct mercure_selector *s)
{
    free(s);
}

bool mercure_selector_walk(const struct mercure_selector *s, struct bytes topic,
                           size_t *steps)
{
    struct bytes text = mercure_selector_text(s);

    *steps = 0;
    if (s->kind == MERCURE_SELECTOR_STAR || bytes_eq(text, topic))
        return true;
    if (!topic.len)
        topic = bytes_str(""); /* it may have pointed nowhere */
    return s->kind == MERCURE_SELECTOR_TEMPLATE &&
           template_walk(&s->form, s->parts, text.data, topic, steps);
}

bool mercure_selector_matches(const struct mercure_selector *s, struct bytes topic)
{
    size_t steps;

    return mercure_selector_walk(s, topic, &steps);
}

struct bytes mercure_selector_text(const struct mercure_selector *s)
{
    return bytes_of(s->parts + s->form.parts, s->len);
}

enum mercure_selector_kind mercure_selector_kind(const struct mercure_selector *s)
{
    return s->kind;
}
