/* Subscriptions in the store: what they have handed out, and what leads to it. */
#include "store_fixture.h"

TestSuite(store_subs, .init = given_an_empty_store, .fini = then_it_is_gone);

static struct sub_state sub; /* as the stories know it */

static struct sub_state named(const char *name)
{
    struct sub_state s = { .created_ms = 7, .name_len = (uint8_t)strlen(name) };

    memcpy(s.name, name, s.name_len);
    s.settings = (struct sub_settings){ .lease_ms = 30000,
                                        .max_in_flight = 1000,
                                        .topic_len = 1,
                                        .topic = "t",
                                        .backoff_ms = { 1000, 2000 },
                                        .backoffs = 2,
                                        .dead_letter_len = 4,
                                        .dead_letter = "dead" };
    return s;
}

/* One with ten messages in front of which it stands at `next`. */
static void given_a_subscription(uint64_t next)
{
    sub = named("s");
    sub.next = next;
    OK(ops->begin(store));
    put_many("t", 10, 1, 0);
    OK(ops->subs->create(store, &sub));
    OK(ops->commit(store));
}

static void save_and_commit(void)
{
    OK(ops->subs->save(store, &sub));
    OK(ops->commit(store));
}

static void handed_out(struct delivery d)
{
    OK(ops->begin(store));
    OK(ops->subs->delivery_put(store, &sub, NULL, &d));
    save_and_commit();
}

static struct delivery found(uint64_t offset)
{
    struct delivery d;

    OK(ops->subs->delivery_find(store, &sub, offset, &d));
    return d;
}

static struct sub_state read_back(const char *name)
{
    struct sub_state s;

    OK(ops->read_begin(reader, 1));
    OK(ops->subs->read(reader, bytes_str(name), &s));
    ops->read_end(reader);
    return s;
}

/* In a transaction of its own; -1: there is none. */
static int64_t first_ready(void)
{
    uint64_t offset;
    enum err e;

    OK(ops->begin(store));
    e = ops->subs->first_ready(store, &sub, &offset);
    ops->abort(store);
    return e ? -1 : (int64_t)offset;
}

static int64_t first_due(int64_t now_ms)
{
    struct store_due due;
    enum err e;

    OK(ops->begin(store));
    e = ops->subs->first_due(store, now_ms, &due);
    ops->abort(store);
    return e ? -1 : (int64_t)due.offset;
}

Test(store_subs, are_read_back_as_they_were_after_a_restart)
{
    struct sub_state s;

    given_a_subscription(4);
    sub.counters.acked = 9;
    sub.counters.expired = 8;
    cr_assert(sub_extra_set(&sub.settings, SUB_PUSH_URL, bytes_str("http://example.org/")));
    OK(ops->begin(store));
    save_and_commit();
    reopen();
    s = read_back("s");
    cr_assert(eq(u64, s.id, sub.id));
    cr_assert(eq(u64, s.next, 4));
    cr_assert(eq(u64, s.counters.acked, 9));
    cr_assert(eq(u64, s.counters.expired, 8));
    cr_assert(eq(int, memcmp(&s.settings, &sub.settings, sizeof s.settings), 0));
    nothing_is_lost();
}

Test(store_subs, of_one_name_there_is_one)
{
    struct sub_state again = named("s"), nameless = named(""), out;
    uint64_t count;

    given_a_subscription(0);
    OK(ops->begin(store));
    cr_assert(eq(int, ops->subs->create(store, &again), ERR_EXISTS));
    cr_assert(eq(int, ops->subs->create(store, &nameless), ERR_BAD_INPUT));
    cr_assert(eq(int, ops->subs->find(store, bytes_str("x"), &out), ERR_NOT_FOUND));
    OK(ops->subs->count(store, &count));
    cr_assert(eq(u64, count, 1));
    OK(ops->commit(store));
}

Test(store_subs, deliveries_are_counted_by_state_and_lead_to_what_is_due_or_ready)
{
    struct delivery d = { .offset = 3, .state = DELIVERY_LEASED, .due_ms = 100 }, before;

    given_a_subscription(5);
    handed_out(d);
    handed_out((struct delivery){ .offset = 1, .state = DELIVERY_LEASED, .due_ms = 200 });
    cr_assert(eq(i64, first_due(99), -1));
    cr_assert(eq(i64, first_due(100), 3));
    OK(ops->begin(store));
    before = found(3);
    d.state = DELIVERY_READY;
    d.due_ms = 0;
    d.deliveries = 4;
    OK(ops->subs->delivery_put(store, &sub, &before, &d));
    save_and_commit();
    cr_assert(eq(i64, first_due(100), -1));
    cr_assert(eq(i64, first_due(200), 1));
    cr_assert(eq(i64, first_ready(), 3));
    reopen();
    sub = read_back("s");
    cr_assert(eq(u64, sub.in[DELIVERY_LEASED], 1));
    cr_assert(eq(u64, sub.in[DELIVERY_READY], 1));
    OK(ops->begin(store));
    cr_assert(eq(u32, found(3).deliveries, 4));
    ops->abort(store);
    nothing_is_lost();
}

Test(store_subs, what_is_dropped_leaves_nothing_behind)
{
    struct delivery d = { .offset = 3, .state = DELIVERY_READY, .due_ms = 100, .key = 5 };
    uint64_t offset;

    given_a_subscription(5);
    handed_out(d);
    OK(ops->begin(store));
    OK(ops->subs->first_of_key(store, &sub, 5, &offset));
    cr_assert(eq(u64, offset, 3));
    OK(ops->subs->delivery_drop(store, &sub, &d));
    cr_assert(eq(int, ops->subs->first_of_key(store, &sub, 5, &offset), ERR_NOT_FOUND));
    cr_assert(eq(int, ops->subs->delivery_find(store, &sub, 3, &d), ERR_NOT_FOUND));
    save_and_commit();
    cr_assert(eq(i64, first_due(1000), -1));
    cr_assert(eq(i64, first_ready(), -1));
    cr_assert(eq(u64, sub.in[DELIVERY_READY], 0));
    nothing_is_lost();
}

Test(store_subs, the_first_of_a_key_is_not_another_keys)
{
    uint64_t offset;

    given_a_subscription(9);
    handed_out((struct delivery){ .offset = 2, .state = DELIVERY_LEASED, .key = 6 });
    handed_out((struct delivery){ .offset = 7, .state = DELIVERY_HELD, .key = 5 });
    handed_out((struct delivery){ .offset = 4, .state = DELIVERY_LEASED, .key = 5 });
    OK(ops->begin(store));
    OK(ops->subs->first_of_key(store, &sub, 5, &offset));
    cr_assert(eq(u64, offset, 4));
    cr_assert(eq(int, ops->subs->first_of_key(store, &sub, 4, &offset), ERR_NOT_FOUND));
    ops->abort(store);
    nothing_is_lost();
}

Test(store_subs, renewed_it_knows_nothing_and_the_rest_goes_in_steps)
{
    struct sub_state by_id;
    struct delivery d;
    uint64_t old;

    given_a_subscription(9);
    old = sub.id;
    for (uint64_t i = 0; i < 5; i++)
        handed_out((struct delivery){
            .offset = i, .state = DELIVERY_LEASED, .due_ms = 100, .key = 5 });
    OK(ops->begin(store));
    OK(ops->subs->renew(store, &sub));
    cr_assert(eq(int, ops->subs->delivery_find(store, &sub, 3, &d), ERR_NOT_FOUND));
    cr_assert(eq(int, ops->subs->find_id(store, old, &by_id), ERR_NOT_FOUND));
    OK(ops->subs->save(store, &sub));
    OK(ops->subs->find_id(store, sub.id, &by_id));
    OK(ops->commit(store));
    cr_assert(ne(u64, sub.id, old));
    nothing_is_lost();
    cr_assert(eq(u64, empty_trash(), 10)); /* rows, and their entries by key */
    cr_assert(eq(i64, first_due(1000), -1));
    cr_assert(eq(u64, stats().next_due_ms, 0));
    nothing_is_lost();
}

Test(store_subs, removed_it_is_gone_and_its_id_is_not_used_again)
{
    uint64_t old;

    given_a_subscription(9);
    old = sub.id;
    handed_out((struct delivery){ .offset = 1, .state = DELIVERY_LEASED, .due_ms = 100 });
    OK(ops->begin(store));
    OK(ops->subs->remove(store, &sub));
    OK(ops->commit(store));
    reopen();
    sub = named("s");
    OK(ops->begin(store));
    OK(ops->subs->create(store, &sub));
    OK(ops->commit(store));
    cr_assert(gt(u64, sub.id, old));
    empty_trash();
    nothing_is_lost();
}

Test(store_subs, an_aborted_transaction_changed_nothing)
{
    struct delivery d = { .offset = 1, .state = DELIVERY_LEASED, .due_ms = 100 };
    struct sub_state before;

    given_a_subscription(9);
    before = sub;
    OK(ops->begin(store));
    OK(ops->subs->delivery_put(store, &sub, NULL, &d));
    OK(ops->subs->renew(store, &sub));
    OK(ops->subs->save(store, &sub));
    ops->abort(store);
    cr_assert(eq(u64, read_back("s").id, before.id));
    cr_assert(eq(i64, first_due(1000), -1));
    nothing_is_lost();
}

static bool add_name(void *arg, const struct sub_state *s)
{
    strcat(arg, s->name);
    strcat(arg, " ");
    return true;
}

Test(store_subs, are_listed_in_the_order_of_their_names)
{
    const char *names[] = { "b", "ab", "a", "c", "abc" };
    char text[100] = "";

    OK(ops->begin(store));
    for (unsigned i = 0; i < 5; i++) {
        sub = named(names[i]);
        OK(ops->subs->create(store, &sub));
    }
    OK(ops->commit(store));
    OK(ops->read_begin(reader, 1));
    OK(ops->subs->list(reader, bytes_str(""), bytes_str(""), add_name, text));
    OK(ops->subs->list(reader, bytes_str("a"), bytes_str("a"), add_name, text));
    ops->read_end(reader);
    cr_assert(eq(str, text, "a ab abc b c ab abc "));
}

Test(store_subs, the_secret_is_the_same_after_a_restart_and_another_one_elsewhere)
{
    uint8_t before[STORE_SECRET_LEN], after[STORE_SECRET_LEN];

    ops->subs->secret(store, before);
    reopen();
    ops->subs->secret(store, after);
    cr_assert(eq(int, memcmp(before, after, sizeof before), 0));
    close_store();
    then_it_is_gone();
    given_an_empty_store();
    ops->subs->secret(store, after);
    cr_assert(ne(int, memcmp(before, after, sizeof before), 0));
}

static enum err checked_with_a_message(int64_t deliver_ms, int64_t expires_ms)
{
    struct record r = { .time_ms = 1,
                        .deliver_ms = deliver_ms,
                        .expires_ms = expires_ms,
                        .body = bytes_str("x") };
    uint64_t offset;
    enum err e;

    OK(ops->begin(store));
    OK(ops->append(store, topic("t"), &r, &offset));
    OK(ops->commit(store));
    OK(ops->read_begin(reader, 1));
    e = ops->check(reader);
    ops->read_end(reader);
    return e;
}

Test(store_subs, the_check_finds_a_message_that_expires_before_it_may_be_delivered)
{
    OK(checked_with_a_message(99, 100));
    OK(checked_with_a_message(100, 0));
    cr_assert(eq(int, checked_with_a_message(100, 100), ERR_CORRUPT));
}
