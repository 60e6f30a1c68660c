/* Active subscribers: who is in the list, what each reader of it passes, what it takes. */
#include "mercure/registry.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST ((size_t)64 << 10)

static const uint8_t secret[16] = "0123456789abcde";
static struct ledger *ledger;
static struct mercure_registry *all;

static void given_a_registry(void)
{
    ledger = ledger_new(2 * MOST);
    all = mercure_registry_new(ledger, MOST, 1, secret);
}

static struct mercure_registry_figures figures(void)
{
    struct mercure_registry_figures f;

    mercure_registry_read(all, &f);
    return f;
}

static size_t paid(void)
{
    struct ledger_figures f;

    ledger_read(ledger, &f);
    return f.used;
}

static void then_all_is_given_back(void)
{
    cr_assert(eq(sz, paid(), 0));
    cr_assert(eq(sz, figures().bytes, 0));
    cr_assert(eq(sz, figures().subscribers, 0));
    mercure_registry_free(all);
    ledger_free(ledger);
}

TestSuite(mercure_registry, .init = given_a_registry);

static struct mercure_entry *made(const char *topic, const char *other, const char *payload)
{
    struct bytes topics[] = { bytes_str(topic), bytes_str(other ? other : "") };
    struct mercure_entry *e = NULL;

    cr_assert(zero(int, mercure_entry_new(all, topics, other ? 2 : 1,
                                          bytes_str(payload ? payload : ""), &e)));
    return e;
}

static struct mercure_entry *enters(const char *topic, const char *other)
{
    struct mercure_entry *e = made(topic, other, NULL);

    mercure_registry_enter(e);
    return e;
}

static void leaves(struct mercure_entry *e)
{
    mercure_registry_leave(e);
    mercure_entry_free(e);
}

/* ---- a reader ---- */

struct reader {
    struct mercure_cursor at;
    char seen[4096]; /* topics, each with a blank */
    unsigned count, most; /* that it takes at once */
    bool ended;
};

static bool takes(void *arg, const struct mercure_subscription *s)
{
    struct reader *r = arg;

    if (r->count == r->most)
        return false;
    r->count++;
    strncat(r->seen, s->topic.data, s->topic.len);
    strcat(r->seen, " ");
    return true;
}

static struct reader begins(unsigned most)
{
    return (struct reader){ .at = mercure_registry_begin(all), .most = most };
}

static void reads_on(struct reader *r)
{
    r->count = 0;
    r->ended = !mercure_registry_walk(all, &r->at, takes, r);
}

static unsigned times(const char *text, const char *part)
{
    unsigned n = 0;

    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

Test(mercure_registry, a_reader_passes_everybody_once_however_little_it_takes)
{
    struct mercure_entry *e[] = { enters("a1", "a2"), enters("b1", "b2"), enters("c1", NULL) };
    struct reader r = begins(1);

    for (int i = 0; i < 6 && !r.ended; i++)
        reads_on(&r);
    cr_assert(r.ended);
    cr_assert(eq(sz, strlen(r.seen), 15));
    cr_assert(eq(int, times(r.seen, "a1 ") + times(r.seen, "a2 ") + times(r.seen, "b1 ") +
                          times(r.seen, "b2 ") + times(r.seen, "c1 "), 5));
    for (int i = 0; i < 3; i++)
        leaves(e[i]);
    then_all_is_given_back();
}

Test(mercure_registry, who_comes_while_it_is_read_is_not_passed)
{
    struct mercure_entry *a = enters("a", NULL), *b;
    struct reader r = begins(100);

    b = enters("b", NULL);
    reads_on(&r);
    cr_assert(eq(str, r.seen, "a "));
    leaves(a);
    leaves(b);
    then_all_is_given_back();
}

Test(mercure_registry, who_leaves_in_the_middle_of_its_topics_takes_the_reader_on)
{
    struct mercure_entry *a = enters("a1", "a2"), *b = enters("b1", "b2");
    struct reader r = begins(1);
    bool a_first;

    reads_on(&r);
    a_first = r.seen[0] == 'a';
    leaves(a_first ? a : b);
    r.most = 100;
    reads_on(&r);
    cr_assert(r.ended);
    cr_assert(eq(str, r.seen, a_first ? "a1 b1 b2 " : "b1 a1 a2 "));
    leaves(a_first ? b : a);
    then_all_is_given_back();
}

Test(mercure_registry, a_thousand_come_and_go_and_those_who_stay_are_passed)
{
    struct mercure_entry *stay = enters("stays", NULL), *others[100];
    struct reader r = begins(1);
    unsigned rounds = 0;

    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 100; i++)
            others[i] = enters("goes", NULL);
        if (!r.ended)
            reads_on(&r);
        rounds++;
        for (int i = 0; i < 100; i++)
            leaves(others[i]);
    }
    cr_assert(r.ended);
    cr_assert(eq(int, rounds, 10));
    cr_assert(eq(str, r.seen, "stays "));
    leaves(stay);
    then_all_is_given_back();
}

static void remember(void *arg, const struct mercure_subscription *s)
{
    *(struct mercure_subscription *)arg = *s;
}

Test(mercure_registry, one_is_found_by_its_name_and_its_topic)
{
    struct mercure_entry *a = enters("x", "longer"), *b = enters("x", NULL);
    struct bytes id = bytes_of(a->id, MERCURE_URN_LEN);
    struct mercure_subscription s;

    cr_assert(mercure_registry_find(all, bytes_str("longer"), id, remember, &s));
    cr_assert(bytes_eq(s.topic, bytes_str("longer")));
    cr_assert(bytes_eq(s.subscriber, id));
    cr_assert(mercure_registry_find(all, bytes_str("x"), id, remember, &s));
    cr_assert(not(mercure_registry_find(all, bytes_str("y"), id, remember, &s)));
    cr_assert(not(mercure_registry_find(all, bytes_str("x"), bytes_str("urn:uuid:1"),
                                        remember, &s)));
    leaves(a);
    cr_assert(not(mercure_registry_find(all, bytes_str("x"), bytes_str("x"), remember, &s)));
    leaves(b);
    then_all_is_given_back();
}

Test(mercure_registry, a_text_counts_once)
{
    struct mercure_entry *e = made("same", "same", NULL);

    cr_assert(eq(int, e->count, 1));
    mercure_entry_free(e);
    then_all_is_given_back();
}

Test(mercure_registry, texts_are_copied)
{
    char topic[] = "topic", payload[] = "{\"a\":1}";
    struct mercure_entry *e = made(topic, NULL, payload);
    struct mercure_subscription s;

    memset(topic, 'x', sizeof topic - 1);
    memset(payload, 'x', sizeof payload - 1);
    s = mercure_entry_view(e, 0, true);
    cr_assert(bytes_eq(s.topic, bytes_str("topic")));
    cr_assert(bytes_eq(s.payload, bytes_str("{\"a\":1}")));
    mercure_entry_free(e);
    then_all_is_given_back();
}

Test(mercure_registry, all_together_take_no_more_than_their_share)
{
    struct mercure_entry *e[MOST / 1024 + 1];
    struct bytes payload;
    unsigned count = 0;
    char text[1024];
    enum err err;

    memset(text, '1', sizeof text);
    payload = bytes_of(text, sizeof text);
    do {
        struct bytes topic = bytes_str("t");

        err = mercure_entry_new(all, &topic, 1, payload, &e[count]);
        count += !err;
    } while (!err);
    cr_assert(eq(int, err, ERR_BUSY));
    cr_assert(ge(int, (int)count, 40));
    cr_assert(eq(sz, paid(), figures().bytes));
    cr_assert(le(sz, paid(), MOST));
    while (count)
        mercure_entry_free(e[--count]);
    then_all_is_given_back();
}

Test(mercure_registry, a_ledger_that_is_full_refuses_as_well)
{
    struct grant others = { 0 };
    struct mercure_entry *e;
    struct bytes topic = bytes_str("t");

    cr_assert(zero(int, ledger_reserve(ledger, 2 * MOST, &others)));
    cr_assert(eq(int, mercure_entry_new(all, &topic, 1, bytes_str(""), &e), ERR_BUSY));
    ledger_release(&others);
    then_all_is_given_back();
}

Test(mercure_registry, it_knows_the_largest_document_of_those_who_are_there)
{
    struct mercure_entry *large = made("a", NULL, "\"a long payload, of some forty characters\""), *small;
    size_t most;

    mercure_registry_enter(large);
    small = enters("b", NULL);
    most = mercure_registry_begin(all).largest;
    leaves(large);
    cr_assert(eq(sz, mercure_registry_begin(all).largest, most));
    leaves(small);
    cr_assert(zero(sz, mercure_registry_begin(all).largest));
    small = enters("b", NULL);
    cr_assert(lt(sz, mercure_registry_begin(all).largest, most));
    leaves(small);
    then_all_is_given_back();
}

Test(mercure_registry, what_has_been_told_is_known_by_its_last_place)
{
    uint64_t next;

    cr_assert(mercure_registry_is_told(all, &next));
    cr_assert(eq(u64, next, 1));
    mercure_registry_untold(all);
    mercure_registry_untold(all);
    mercure_registry_told(all, 7);
    cr_assert(not(mercure_registry_is_told(all, &next)));
    mercure_registry_told(all, 5); /* another loop's, of before */
    cr_assert(mercure_registry_is_told(all, &next));
    cr_assert(eq(u64, next, 7));
    then_all_is_given_back();
}
