/* Selectors and sets of them: shared by those who want the same, paid for, and told of what is for
 * them. */
#include "mercure/set.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#define LIMIT ((size_t)1 << 20)

static struct ledger *ledger;
static struct mercure_sets sets;
static struct mercure_set *hit[64];
static unsigned hits;

static void given_sets(void)
{
    static const uint8_t secret[16] = "0123456789abcde";

    ledger = ledger_new(LIMIT);
    mercure_sets_init(&sets, ledger, LIMIT, secret);
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
    cr_assert(eq(sz, sets.bytes, 0));
    cr_assert(zero(ptr, sets.templates));
    ledger_free(ledger);
}

TestSuite(mercure_set, .init = given_sets);

static enum err join(const char *topic, const char *other, const char *claim,
                     struct mercure_set **out)
{
    struct bytes topics[] = { bytes_str(topic), bytes_str(other ? other : "") };
    struct bytes claims[] = { bytes_str(claim ? claim : "") };
    struct mercure_wish wish = { .topics = topics,
                                 .topic_count = other ? 2 : 1,
                                 .claims = claims,
                                 .claim_count = claim ? 1 : 0 };

    return mercure_sets_join(&sets, &wish, out);
}

/* Asks for one or two topics, with a token for private ones or without. */
static struct mercure_set *asks(const char *topic, const char *other, const char *claim)
{
    struct mercure_set *s = NULL;

    cr_assert(eq(int, join(topic, other, claim, &s), ERR_OK));
    return s;
}

static struct mercure_set *asks_exactly(const char *topic)
{
    struct bytes exact = bytes_str(topic);
    struct mercure_wish wish = { .exact = &exact, .exact_count = 1 };
    struct mercure_set *s = NULL;

    cr_assert(eq(int, mercure_sets_join(&sets, &wish, &s), ERR_OK));
    return s;
}

static void on_hit(void *arg, struct mercure_set *s)
{
    cr_assert(eq(ptr, arg, &sets));
    hit[hits++] = s;
}

static void publish(const char *topic, const char *alternates, bool is_private)
{
    struct mercure_update u = { .id = bytes_str("1"),
                                .topic = bytes_str(topic),
                                .alternates = bytes_str(alternates),
                                .is_private = is_private };

    hits = 0;
    mercure_sets_match(&sets, &u, on_hit, &sets);
    for (unsigned i = 0; i < hits; i++)
        cr_assert(mercure_set_wants(hit[i], &u));
}

static unsigned times_told(const struct mercure_set *s)
{
    unsigned times = 0;

    for (unsigned i = 0; i < hits; i++)
        times += hit[i] == s;
    return times;
}

#define TOLD(s)     cr_assert(eq(uint, times_told(s), 1))
#define NOT_TOLD(s) cr_assert(eq(uint, times_told(s), 0))

Test(mercure_set, is_one_for_all_who_want_the_same)
{
    struct mercure_set *a = asks("x", "y{z}", NULL), *b = asks("y{z}", "x", NULL);
    struct mercure_set *c = asks("x", NULL, NULL), *d = asks("x", "x", NULL);
    struct mercure_set *e = asks("x", NULL, "x");

    cr_assert(eq(ptr, a, b), "in whatever order they name it");
    cr_assert(eq(ptr, c, d), "a topic that is named twice is one");
    cr_assert(ne(ptr, a, c));
    cr_assert(ne(ptr, c, e), "with a token it may see more");
    mercure_set_leave(a);
    mercure_set_leave(b);
    mercure_set_leave(c);
    mercure_set_leave(d);
    mercure_set_leave(e);
    then_all_is_given_back();
}

Test(mercure_set, costs_nothing_more_for_those_who_want_the_same)
{
    struct mercure_set *first = asks("x", "{y}", "*");
    size_t before = paid();

    for (int i = 0; i < 1000; i++)
        cr_assert(eq(ptr, asks("x", "{y}", "*"), first));
    cr_assert(eq(sz, paid(), before));
    for (int i = 0; i <= 1000; i++)
        mercure_set_leave(first);
    then_all_is_given_back();
}

Test(mercure_set, is_told_once_whichever_of_its_selectors_and_topics_match)
{
    struct mercure_set *s = asks("/books/{id}", "/books/1", NULL);

    publish("/books/1", "/books/2\n/books/3", false);
    TOLD(s);
    publish("/other", "/books/3", false);
    TOLD(s);
    publish("/other", "", false);
    NOT_TOLD(s);
    mercure_set_leave(s);
    then_all_is_given_back();
}

Test(mercure_set, is_not_told_what_others_want)
{
    struct mercure_set *one = asks("/users/1", NULL, NULL), *two = asks("/users/2", NULL, NULL);
    struct mercure_set *all = asks("*", NULL, NULL);

    publish("/users/1", "", false);
    TOLD(one);
    NOT_TOLD(two);
    TOLD(all);
    mercure_set_leave(one);
    publish("/users/1", "", false);
    cr_assert(eq(uint, hits, 1));
    TOLD(all);
    mercure_set_leave(two);
    mercure_set_leave(all);
    then_all_is_given_back();
}

Test(mercure_set, sees_private_updates_by_its_token_only)
{
    struct mercure_set *without = asks("*", NULL, NULL);
    struct mercure_set *with = asks("*", NULL, "/mine/{x}");
    struct mercure_set *elsewhere = asks("/mine/2", NULL, "/else");

    publish("/mine/1", "", true);
    NOT_TOLD(without);
    TOLD(with);
    NOT_TOLD(elsewhere);
    publish("/not", "/mine/2\n/else", true);
    NOT_TOLD(without);
    TOLD(with);
    TOLD(elsewhere); /* one topic is asked for, another is allowed */
    publish("/mine/2", "", false);
    TOLD(without);
    TOLD(elsewhere);
    mercure_set_leave(without);
    mercure_set_leave(with);
    mercure_set_leave(elsewhere);
    then_all_is_given_back();
}

Test(mercure_set, takes_a_template_at_its_word_where_that_is_asked)
{
    struct mercure_set *word = asks_exactly("/{x}"), *any = asks("/{x}", NULL, NULL);

    cr_assert(ne(ptr, word, any));
    publish("/1", "", false);
    NOT_TOLD(word);
    TOLD(any);
    publish("/{x}", "", false);
    TOLD(word);
    TOLD(any);
    mercure_set_leave(word);
    mercure_set_leave(any);
    then_all_is_given_back();
}

Test(mercure_set, refuses_what_is_beyond_its_share)
{
    struct mercure_set *kept[100], *refused = NULL;
    char topic[32];
    unsigned count = 0;

    sets.most = 4096;
    for (; count < 100; count++) {
        snprintf(topic, sizeof topic, "/users/%u", count);
        if (join(topic, NULL, NULL, &kept[count]))
            break;
    }
    cr_assert(gt(uint, count, 5));
    cr_assert(lt(uint, count, 100));
    cr_assert(le(sz, paid(), 4096));
    cr_assert(eq(int, join("/one/more", "/and/{more}", "*", &refused), ERR_BUSY));
    cr_assert(eq(sz, paid(), sets.bytes), "what was taken for it has been given back");
    publish("/users/0", "", false);
    TOLD(kept[0]);
    while (count)
        mercure_set_leave(kept[--count]);
    then_all_is_given_back();
}

/* Against asking each set by itself. */
Test(mercure_set, tells_those_and_only_those_who_want_it)
{
    static const char *const words[] = { "/a", "/b", "/a/1", "/{x}", "/a/{x}", "*", "/b{/x}" };
    static const char *const topics[] = { "/a", "/b", "/a/1", "/{x}", "/b/2", "/c" };
    struct mercure_set *s[40];
    unsigned random = 7;

    for (unsigned i = 0; i < 40; i++) {
        random = random * 1103515245 + 12345;
        s[i] = asks(words[random / 7 % 7], words[random / 512 % 7],
                    random >> 16 & 1 ? words[random / 4096 % 7] : NULL);
    }
    for (unsigned i = 0; i < 500; i++) {
        struct mercure_update u = { .id = bytes_str("1") };

        random = random * 1103515245 + 12345;
        u.topic = bytes_str(topics[random / 7 % 6]);
        u.alternates = bytes_str(random >> 20 & 1 ? topics[random / 512 % 6] : "");
        u.is_private = random >> 21 & 1;
        hits = 0;
        mercure_sets_match(&sets, &u, on_hit, &sets);
        for (unsigned k = 0; k < 40; k++)
            cr_assert(eq(uint, times_told(s[k]), mercure_set_wants(s[k], &u)));
    }
    for (unsigned i = 0; i < 40; i++)
        mercure_set_leave(s[i]);
    then_all_is_given_back();
}

/* ---- templates, which cost more than texts ---- */

static enum err join_long(unsigned topics, unsigned claims, const char *end,
                          struct mercure_set **out)
{
    static char texts[20][1025];
    struct bytes all[20];
    struct mercure_wish wish = { .topics = all,
                                 .topic_count = topics,
                                 .claims = all + topics,
                                 .claim_count = claims };

    for (unsigned i = 0; i < topics + claims; i++) {
        memset(texts[i], 'a' + (int)i, 1024);
        memcpy(texts[i] + 1024 - strlen(end), end, strlen(end));
        all[i] = bytes_of(texts[i], 1024);
    }
    return mercure_sets_join(&sets, &wish, out);
}

Test(mercure_set, the_templates_of_one_wish_are_bounded)
{
    struct mercure_set *most, *none, *texts;

    cr_assert(eq(int, join_long(8, 8, "{x}", &most), ERR_OK));
    mercure_set_leave(most);
    cr_assert(eq(int, join_long(9, 0, "{x}", &none), ERR_TOO_BIG));
    cr_assert(eq(int, join_long(1, 9, "{x}", &none), ERR_TOO_BIG));
    cr_assert(eq(sz, paid(), 0));
    cr_assert(eq(int, join_long(10, 10, "xyz", &texts), ERR_OK));
    mercure_set_leave(texts);
    then_all_is_given_back();
}

Test(mercure_set, counts_what_matching_took)
{
    struct mercure_set *a = asks("https://example.com/{id}", "b", NULL);
    struct mercure_update u = { .id = bytes_str("i"),
                                .topic = bytes_str("https://example.com/1"),
                                .alternates = bytes_str("c\nd") };

    cr_assert(mercure_set_wants(a, &u));
    cr_assert(ge(u64, sets.work, 1));
    sets.work = 0;
    u.topic = bytes_str("e");
    cr_assert(not(mercure_set_wants(a, &u)));
    cr_assert(eq(u64, sets.work, 6)); /* two selectors, three topics, no steps */
    mercure_set_leave(a);
    then_all_is_given_back();
}
