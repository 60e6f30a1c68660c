/* Cursors: how far subscriptions have come, and what lies in front of them. */
#include "store_fixture.h"

TestSuite(store_cursors, .init = given_an_empty_store, .fini = then_it_is_gone);

static void create(const char *topic_name, const char *name, uint64_t next)
{
    OK(ops->begin(store));
    OK(ops->cursor_create(store, topic(topic_name), bytes_str(name), next, 7));
    OK(ops->commit(store));
}

static void move(const char *topic_name, const char *name, uint64_t next)
{
    OK(ops->begin(store));
    OK(ops->cursor_move(store, topic(topic_name), bytes_str(name), next));
    OK(ops->commit(store));
}

/* As a reader sees it; -1: there is none. */
static int64_t next_of(const char *topic_name, const char *name)
{
    struct cursor_state c;
    struct topic_state t;
    enum err e;

    OK(ops->read_begin(reader, 1));
    OK(ops->read_topic(reader, bytes_str(topic_name), &t));
    e = ops->read_cursor(reader, t.id, bytes_str(name), &c);
    ops->read_end(reader);
    cr_assert(e == ERR_OK || e == ERR_NOT_FOUND);
    return e ? -1 : (int64_t)c.next;
}

static uint64_t count(void)
{
    uint64_t n;

    OK(ops->begin(store));
    OK(ops->cursors(store, &n));
    ops->abort(store);
    return n;
}

Test(store_cursors, are_kept_by_topic_and_name)
{
    publish("a", "1", 1, 0);
    publish("b", "1", 1, 0);
    create("a", "s", 0);
    create("a", "s2", 1);
    create("b", "s", 1);
    move("a", "s", 1);
    move("a", "s2", 0);
    cr_assert(eq(i64, next_of("a", "s"), 1));
    cr_assert(eq(i64, next_of("a", "s2"), 0));
    cr_assert(eq(i64, next_of("b", "s"), 1));
    cr_assert(eq(i64, next_of("b", "s2"), -1));
    cr_assert(eq(u64, count(), 3));
    nothing_is_lost();
}

Test(store_cursors, stand_where_they_stood_after_a_restart)
{
    publish("a", "1", 1, 0);
    create("a", "s", 0);
    move("a", "s", 1);
    reopen();
    cr_assert(eq(i64, next_of("a", "s"), 1));
    nothing_is_lost();
}

Test(store_cursors, an_abort_leaves_them_where_they_were)
{
    publish("a", "1", 1, 0);
    create("a", "s", 0);
    OK(ops->begin(store));
    OK(ops->cursor_move(store, topic("a"), bytes_str("s"), 1));
    OK(ops->cursor_create(store, topic("a"), bytes_str("new"), 1, 7));
    ops->abort(store);
    cr_assert(eq(i64, next_of("a", "s"), 0));
    cr_assert(eq(i64, next_of("a", "new"), -1));
}

Test(store_cursors, what_is_not_there_or_there_already_is_told)
{
    char name[STORE_CURSOR_NAME_MAX + 1];
    struct bytes too_long = bytes_of(memset(name, 'n', sizeof name), sizeof name);
    struct store_topic *t;
    struct cursor_state c;

    create("a", "s", 0);
    OK(ops->begin(store));
    t = topic("a");
    cr_assert(eq(int, ops->cursor_find(store, t, bytes_str("no"), &c), ERR_NOT_FOUND));
    cr_assert(eq(int, ops->cursor_move(store, t, bytes_str("no"), 0), ERR_NOT_FOUND));
    cr_assert(eq(int, ops->cursor_delete(store, t, bytes_str("no")), ERR_NOT_FOUND));
    cr_assert(eq(int, ops->cursor_create(store, t, bytes_str("s"), 0, 1), ERR_EXISTS));
    cr_assert(eq(int, ops->cursor_create(store, t, too_long, 0, 1), ERR_BAD_INPUT));
    cr_assert(eq(int, ops->cursor_create(store, t, bytes_of("", 0), 0, 1), ERR_BAD_INPUT));
    too_long.len--;
    OK(ops->cursor_create(store, t, too_long, 0, 1));
    OK(ops->cursor_delete(store, t, bytes_str("s")));
    OK(ops->commit(store)); /* none of these refusals spoilt it */
    cr_assert(eq(i64, next_of("a", "s"), -1));
    cr_assert(eq(u64, count(), 1));
}

Test(store_cursors, a_topic_has_a_bounded_number_of_them)
{
    struct store_topic *t;
    char name[16];

    create("b", "before", 0);
    OK(ops->begin(store));
    t = topic("a");
    topic("c");
    for (unsigned i = 0; i < STORE_TOPIC_CURSORS_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        OK(ops->cursor_create(store, t, bytes_str(name), 0, 1));
    }
    cr_assert(eq(int, ops->cursor_create(store, t, bytes_str("x"), 0, 1), ERR_FULL));
    OK(ops->cursor_create(store, topic("c"), bytes_str("x"), 0, 1));
    OK(ops->commit(store));
    cr_assert(eq(u64, count(), STORE_TOPIC_CURSORS_MAX + 2));
}

Test(store_cursors, go_with_their_topic_and_no_others)
{
    create("before", "s", 0);
    create("a", "s", 0);
    create("a", "t", 0);
    create("behind", "s", 0);
    delete_topic("a");
    cr_assert(eq(u64, count(), 2));
    publish("a", "a new life", 1, 0);
    cr_assert(eq(i64, next_of("a", "s"), -1));
    cr_assert(eq(i64, next_of("before", "s"), 0));
    cr_assert(eq(i64, next_of("behind", "s"), 0));
    nothing_is_lost();
}

/* ---- what lies in front ---- */

/* Its offset, or what went wrong, negative. */
static int64_t first(const char *name, uint64_t offset, int64_t now_ms, unsigned max)
{
    struct store_entry m;
    enum err e;

    OK(ops->begin(store));
    e = ops->log_first(store, topic(name), offset, now_ms, max, &m);
    ops->abort(store);
    return e ? -(int64_t)e : (int64_t)m.offset;
}

Test(store_cursors, the_first_message_is_the_next_one_that_is_not_due)
{
    publish("a", "0", 1, 10);
    publish("a", "1", 1, 0);
    publish("b", "another topic's", 1, 0);
    publish("a", "2", 1, 10);
    publish("a", "3", 1, 20);
    cr_assert(eq(i64, first("a", 0, 9, 9), 0));
    cr_assert(eq(i64, first("a", 0, 10, 9), 1));
    cr_assert(eq(i64, first("a", 2, 10, 9), 3));
    cr_assert(eq(i64, first("a", 2, 20, 9), -ERR_NOT_FOUND));
    cr_assert(eq(i64, first("a", 4, 1, 9), -ERR_NOT_FOUND));
}

Test(store_cursors, no_more_than_so_many_are_skipped_at_once)
{
    struct store_entry m;

    OK(ops->begin(store));
    put_many("a", 5, 1, 10);
    put("a", "alive", 1, 0);
    cr_assert(eq(int, ops->log_first(store, topic("a"), 0, 10, 3, &m), ERR_BUSY));
    cr_assert(eq(u64, m.offset, 3));
    OK(ops->log_first(store, topic("a"), m.offset, 10, 3, &m));
    cr_assert(eq(u64, m.offset, 5));
    OK(ops->commit(store));
}

/* A record that an append has parked for the transaction must be seen all the same. */
Test(store_cursors, what_the_same_transaction_appended_is_in_front_too)
{
    struct store_entry m;

    publish("a", "0", 1, 0);
    publish("b", "0", 1, 0);
    OK(ops->begin(store));
    put("a", "1", 1, 0);
    OK(ops->log_first(store, topic("b"), 0, 1, 3, &m));
    cr_assert(eq(u64, m.offset, 0));
    OK(ops->log_first(store, topic("a"), 1, 1, 3, &m));
    cr_assert(eq(u64, m.offset, 1));
    OK(ops->commit(store));
    nothing_is_lost();
}
