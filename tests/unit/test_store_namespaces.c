/* Namespaces: which topics they hold, and that their figures stay true. */
#include "store_fixture.h"

TestSuite(store_namespaces, .init = given_an_empty_store, .fini = then_it_is_gone);

static struct store_namespace *created(const char *prefix)
{
    struct namespace_settings none = {0};
    struct store_namespace *n;

    OK(ops->namespace_create(store, bytes_str(prefix), &none, 1, &n));
    return n;
}

static void given_namespace(const char *prefix)
{
    bool more;

    OK(ops->begin(store));
    OK(ops->namespace_count(store, created(prefix), 1000, &more));
    cr_assert(not(more));
    OK(ops->commit(store));
}

static struct store_namespace *found(const char *prefix)
{
    struct store_namespace *n;

    OK(ops->namespace_find(store, bytes_str(prefix), &n));
    return n;
}

/* "topics messages bytes", as a reader sees it; "none". */
static const char *figures(const char *prefix)
{
    static char text[64];
    struct namespace_state n;
    enum err e;

    OK(ops->read_begin(reader, 1));
    e = ops->read_namespace(reader, bytes_str(prefix), &n);
    ops->read_end(reader);
    cr_assert(e == ERR_OK || e == ERR_NOT_FOUND);
    if (e)
        return "none";
    snprintf(text, sizeof text, "%d %d %d", (int)n.topics, (int)n.live, (int)n.live_bytes);
    return text;
}

#define FIGURES(prefix, expected) cr_assert(eq(str, (char *)figures(prefix), expected))

Test(store_namespaces, hold_all_topics_whose_names_begin_with_their_prefix)
{
    given_namespace("a/");
    publish("a", "not this one", 1, 0);
    publish("a/x", "12", 1, 0);
    publish("a/y", "345", 1, 0);
    publish("b", "nor this", 1, 0);
    FIGURES("a/", "2 2 5");
    nothing_is_lost();
}

Test(store_namespaces, count_what_was_there_before_them)
{
    publish("a/x", "12", 1, 0);
    publish("a/y", "345", 1, 0);
    given_namespace("a/");
    FIGURES("a/", "2 2 5");
    nothing_is_lost();
}

Test(store_namespaces, lose_what_expires_is_purged_and_goes_with_its_topic)
{
    given_namespace("a");
    publish_many("a1", 10, 1, 100);
    publish_many("a2", 10, 1, 0);
    expire(1000, 4);
    FIGURES("a", "2 16 64");
    nothing_is_lost();
    expire(1000, 100);
    purge("a2", 3, 100);
    FIGURES("a", "2 7 28");
    delete_topic("a2");
    FIGURES("a", "1 0 0");
    nothing_is_lost();
}

Test(store_namespaces, may_lie_in_one_another_and_all_count)
{
    given_namespace("a");
    given_namespace("a/b");
    publish("a/b/c", "xyz", 1, 0);
    publish("a/c", "x", 1, 0);
    FIGURES("a", "2 2 4");
    FIGURES("a/b", "1 1 3");
    OK(ops->begin(store));
    OK(ops->namespace_delete(store, found("a")));
    OK(ops->commit(store));
    publish("a/b/c", "x", 1, 0);
    FIGURES("a", "none");
    FIGURES("a/b", "1 2 4");
    nothing_is_lost();
}

Test(store_namespaces, are_found_again_after_a_restart)
{
    struct namespace_settings set = {.ttl_ms = 1,
                                     .max_bytes = 2,
                                     .max_messages = 3,
                                     .max_topics = 4,
                                     .overflow = STORE_OVERFLOW_HOLD};
    struct namespace_state n;

    given_namespace("a");
    publish("a1", "123", 1, 0);
    OK(ops->begin(store));
    OK(ops->namespace_configure(store, found("a"), &set));
    OK(ops->commit(store));
    reopen();
    publish("a2", "45", 1, 0);
    FIGURES("a", "2 2 5");
    OK(ops->read_begin(reader, 1));
    OK(ops->read_namespace(reader, bytes_str("a"), &n));
    ops->read_end(reader);
    cr_assert(eq(u64, n.settings.ttl_ms, 1));
    cr_assert(eq(u64, n.settings.max_bytes, 2));
    cr_assert(eq(u64, n.settings.max_messages, 3));
    cr_assert(eq(u64, n.settings.max_topics, 4));
    cr_assert(eq(int, n.settings.overflow, STORE_OVERFLOW_HOLD));
    nothing_is_lost();
}

Test(store_namespaces, forget_what_an_aborted_transaction_did)
{
    bool more;

    given_namespace("a");
    publish("a1", "1", 1, 0);
    OK(ops->begin(store));
    put("a1", "22", 1, 0);
    put("a2", "33", 1, 0);
    OK(ops->namespace_count(store, created("b"), 10, &more));
    OK(ops->namespace_delete(store, found("a")));
    ops->abort(store);
    FIGURES("a", "1 1 1");
    FIGURES("b", "none");
    publish("a1", "1", 1, 0);
    publish("b1", "1", 1, 0);
    FIGURES("a", "1 2 2");
    nothing_is_lost();
}

/* ---- counting ---- */

static void count_one_more(const char *prefix, bool expect_more)
{
    bool more;

    OK(ops->namespace_count(store, found(prefix), 1, &more));
    cr_assert(eq(int, more, expect_more));
}

Test(store_namespaces, are_seen_once_they_are_counted)
{
    publish("a1", "1", 1, 0);
    publish("a2", "22", 1, 0);
    OK(ops->begin(store));
    created("a");
    count_one_more("a", true);
    OK(ops->commit(store));
    FIGURES("a", "none");
    OK(ops->begin(store));
    count_one_more("a", false);
    OK(ops->commit(store));
    FIGURES("a", "2 2 3");
    nothing_is_lost();
}

Test(store_namespaces, count_each_change_once_while_they_are_counted)
{
    publish("a1", "1", 1, 0);
    publish("a3", "22", 1, 0);
    publish("a5", "333", 1, 0);
    OK(ops->begin(store));
    created("a");
    count_one_more("a", true);
    put("a1", "behind the count", 1, 0);
    put("a5", "before it", 1, 0);
    put("a0", "new, behind", 1, 0);
    put("a2", "new, before", 1, 0);
    OK(ops->commit(store));
    OK(ops->begin(store));
    count_one_more("a", true); /* a2 */
    put("a2", "again", 1, 0);
    OK(ops->topic_delete(store, topic("a3")));
    OK(ops->topic_delete(store, topic("a1")));
    count_one_more("a", false); /* a5 */
    OK(ops->commit(store));
    FIGURES("a", "3 5 39");
    nothing_is_lost();
}

Test(store_namespaces, that_were_not_counted_to_the_end_are_gone_after_a_restart)
{
    publish("a1", "1", 1, 0);
    publish("a2", "1", 1, 0);
    OK(ops->begin(store));
    created("a");
    count_one_more("a", true);
    OK(ops->commit(store));
    reopen();
    OK(ops->begin(store));
    created("a");
    ops->abort(store);
    given_namespace("a");
    FIGURES("a", "2 2 2");
    nothing_is_lost();
}

Test(store_namespaces, that_are_counting_go_with_an_aborted_transaction)
{
    publish("a1", "1", 1, 0);
    publish("a2", "1", 1, 0);
    OK(ops->begin(store));
    created("a");
    count_one_more("a", true);
    OK(ops->commit(store));
    OK(ops->begin(store));
    put("a2", "1", 1, 0);
    ops->abort(store);
    given_namespace("a");
    FIGURES("a", "2 2 2");
    nothing_is_lost();
}

/* ---- bounds ---- */

Test(store_namespaces, need_a_prefix_that_a_name_can_have)
{
    struct namespace_settings none = {0};
    struct store_namespace *n;
    char longest[300];

    memset(longest, 'x', sizeof longest);
    OK(ops->begin(store));
    cr_assert(eq(int, ops->namespace_create(store, bytes_of("", 0), &none, 1, &n),
                 ERR_BAD_INPUT));
    cr_assert(eq(int, ops->namespace_create(store, bytes_of(longest, 256), &none, 1, &n),
                 ERR_BAD_INPUT));
    OK(ops->namespace_create(store, bytes_of(longest, 255), &none, 1, &n));
    cr_assert(eq(int, ops->namespace_create(store, bytes_of(longest, 255), &none, 1, &n),
                 ERR_EXISTS));
    OK(ops->commit(store));
}

Test(store_namespaces, lie_four_deep_at_most)
{
    struct namespace_settings none = {0};
    const struct namespace_state *of[STORE_NAMESPACE_DEPTH];
    struct store_namespace *n;

    OK(ops->begin(store));
    created("abc");
    created("a");
    created("abcd");
    created("ab");
    created("abx");
    cr_assert(eq(int, ops->namespace_create(store, bytes_str("abcde"), &none, 1, &n),
                 ERR_TOO_BIG));
    cr_assert(eq(int, ops->namespace_create(store, bytes_str("abcy"), &none, 1, &n), ERR_OK));
    cr_assert(eq(u32, ops->namespaces_of(store, NULL, bytes_str("abcdef"), of), 4));
    cr_assert(eq(str, (char *)of[0]->prefix, "a"));
    cr_assert(eq(str, (char *)of[3]->prefix, "abcd"));
    cr_assert(eq(u32, ops->namespaces_of(store, topic("abz"), bytes_str("abz"), of), 2));
    OK(ops->commit(store));
}

Test(store_namespaces, are_so_many_and_no_more)
{
    struct namespace_settings none = {0};
    struct store_namespace *n;
    char prefix[16];

    OK(ops->begin(store));
    for (int i = 0; i < STORE_NAMESPACES_MAX; i++) {
        bool more;

        snprintf(prefix, sizeof prefix, "%03d/", i);
        OK(ops->namespace_count(store, created(prefix), 10, &more));
    }
    cr_assert(eq(int, ops->namespace_create(store, bytes_str("x"), &none, 1, &n), ERR_FULL));
    put("007/x", "1", 1, 0);
    OK(ops->commit(store));
    FIGURES("007/", "1 1 1");
    reopen();
    FIGURES("255/", "0 0 0");
    nothing_is_lost();
}
