/*
 * A walk along the topic with the set of all places of the template that its first
 * bytes can have led to: a nondeterministic automaton, whose places are kept as bits
 * and numbered by the template's bytes. So a step back is never taken, and what a byte
 * of the topic costs is bounded by the places.
 *
 *   literal      a place for each of its bytes: the next byte must be that one
 *   expression   [the place before its prefix]  run 0  run 1  ...  run n - 1
 *                and where any number of runs may follow: run 0, and run 1 for all of
 * the others
 *
 *  1. A %XX of the topic is one character of three bytes. It must be well formed
 * everywhere: whatever takes a %, a literal or a run, takes it with its two digits.
 *  2. An expression may match nothing, and a run may be empty; so where an expression's
 * first place, or any of its runs, is in the set, the first place behind the expression
 * is, too.
 *  3. Of the runs of an expression that counts them only the first in the set matters:
 * it is allowed everything that later ones are.
 */
#include "template.h"

#define WORDS (MERCURE_TEMPLATE_MAX / 64 + 1)

struct walk {
    const struct template_form *t;
    const struct template_part *parts;
    const uint8_t *text; /* of place 0 */
    size_t words;
    size_t steps;
    uint64_t sets[2][WORDS];
    uint64_t *now, *next;
};

static bool has(const uint64_t *set, size_t place)
{
    return set[place / 64] >> place % 64 & 1;
}

static void put(uint64_t *set, size_t place)
{
    set[place / 64] |= (uint64_t)1 << place % 64;
}

/* The first place in [from, to) that is in the set, or `to`. */
static size_t first_in(struct walk *w, size_t from, size_t to)
{
    while (from < to) {
        uint64_t rest = w->now[from / 64] >> from % 64;

        w->steps++;
        if (rest) {
            from += (size_t)__builtin_ctzll(rest);
            return from < to ? from : to;
        }
        from = (from / 64 + 1) * 64;
    }
    return to;
}

/* The next character may begin with part p, or behind it if that can match nothing; the
 * place behind the last part is the end. */
static void enter(struct walk *w, size_t p)
{
    for (; p < w->t->parts; p++) {
        w->steps++;
        if (has(w->next, w->parts[p].at))
            return; /* and all that follows from it */
        put(w->next, w->parts[p].at);
        if (!w->parts[p].first)
            return;
    }
    put(w->next, w->t->places);
}

static void step_literal(struct walk *w, size_t p, const uint8_t *c, size_t len)
{
    size_t end = w->parts[p].at + w->parts[p].count;
    size_t at = w->parts[p].at;

    while ((at = first_in(w, at, end)) < end) {
        w->steps++;
        if (end - at >= len && memcmp(w->text + at, c, len) == 0) {
            if (at + len == end)
                enter(w, p + 1);
            else
                put(w->next, at + len);
        }
        at++;
    }
}

static bool in_run(uint8_t run, const uint8_t *c, size_t len)
{
    uint8_t narrowest = template_chars[*c] & TEMPLATE_RUN;

    return len > 1 || (narrowest && narrowest <= run);
}

/* Into a run, which may be empty. */
static void enter_run(struct walk *w, size_t p, size_t place)
{
    put(w->next, place);
    enter(w, p + 1);
}

static void step_counted(struct walk *w, size_t p, size_t runs, const uint8_t *c,
                         size_t len)
{
    const struct template_part *part = &w->parts[p];
    size_t last = runs + part->count, at = first_in(w, runs, last + 1);

    if (at > last)
        return;
    if (in_run(part->more, c, len))
        enter_run(w, p, at);
    else if (*c == (uint8_t)part->separator && at < last)
        enter_run(w, p, at + 1);
}

static void step_any(struct walk *w, size_t p, size_t runs, const uint8_t *c,
                     size_t len)
{
    const struct template_part *part = &w->parts[p];
    bool first = has(w->now, runs), later = has(w->now, runs + 1);

    w->steps += 2;
    if (first && in_run(part->first, c, len))
        enter_run(w, p, runs);
    if (((first || later) && *c == (uint8_t)part->separator) ||
        (later && in_run(part->more, c, len)))
        enter_run(w, p, runs + 1);
}

static void step_expression(struct walk *w, size_t p, const uint8_t *c, size_t len)
{
    const struct template_part *part = &w->parts[p];
    size_t runs = part->at;

    if (part->prefix) {
        runs++;
        if (has(w->now, part->at) && *c == (uint8_t)part->prefix)
            enter_run(w, p, runs);
    }
    if (part->count == TEMPLATE_ANY)
        step_any(w, p, runs, c, len);
    else
        step_counted(w, p, runs, c, len);
}

/* One character of the topic. False: it leads nowhere. */
static bool step(struct walk *w, const uint8_t *c, size_t len)
{
    uint64_t *was = w->now, any = 0;

    for (size_t p = 0; p < w->t->parts; p++) {
        w->steps++;
        if (w->parts[p].first)
            step_expression(w, p, c, len);
        else
            step_literal(w, p, c, len);
    }
    w->now = w->next;
    w->next = was;
    memset(was, 0, w->words * sizeof *was);
    for (size_t i = 0; i < w->words; i++)
        any |= w->now[i];
    return any;
}

/* Of the character at p; 0: a % that is not followed by two digits. */
static size_t char_len(const uint8_t *p, const uint8_t *end)
{
    if (*p != '%')
        return 1;
    return end - p >= 3 && template_chars[p[1]] & template_chars[p[2]] & TEMPLATE_HEX
               ? 3
               : 0;
}

/* What is between the literal ends. */
static bool walk(struct walk *w, const uint8_t *p, const uint8_t *end)
{
    size_t len;

    w->words = w->t->places / 64 + 1;
    memset(w->sets[0], 0, w->words * sizeof w->sets[0][0]);
    memset(w->sets[1], 0, w->words * sizeof w->sets[1][0]);
    w->now = w->sets[0];
    w->next = w->sets[1];
    enter(w, 0);
    w->now = w->sets[1];
    w->next = w->sets[0];
    for (; p < end; p += len) {
        len = char_len(p, end);
        if (!len || !step(w, p, len))
            return false;
    }
    return has(w->now, w->t->places);
}

bool template_walk(const struct template_form *t, const struct template_part *parts,
                   const uint8_t *text, struct bytes topic, size_t *steps)
{
    const uint8_t *start = topic.data, *end = start + topic.len;
    struct walk w; /* its sets are cleared as far as they are used */
    bool matches;

    if (topic.len < (size_t)t->head + t->tail || memcmp(start, text, t->head) != 0 ||
        memcmp(end - t->tail, text + t->head + t->places, t->tail) != 0)
        return false;
    w.t = t;
    w.parts = parts;
    w.text = text + t->head;
    w.steps = 0;
    matches = walk(&w, start + t->head, end - t->tail);
    *steps += w.steps;
    return matches;
}
