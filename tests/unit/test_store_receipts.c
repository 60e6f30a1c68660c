/* What was answered to who published under a key: kept as long as it was said, and no longer. */
#include "store_fixture.h"

TestSuite(store_receipts, .init = given_an_empty_store, .fini = then_it_is_gone);

static void keep(const char *name, const char *key, uint64_t offset, int64_t until_ms)
{
    struct receipt r = { .first_offset = offset, .count = 1, .until_ms = until_ms };

    OK(ops->receipts->put(store, topic(name), bytes_str(key), &r));
}

static enum err find(const char *name, const char *key, struct receipt *out)
{
    return ops->receipts->find(store, topic(name), bytes_str(key), out);
}

static uint64_t how_many(void)
{
    uint64_t count;

    OK(ops->receipts->count(store, &count));
    return count;
}

static void append(const char *name, unsigned times)
{
    struct record r = { .time_ms = 1 };
    uint64_t offset;

    while (times--)
        OK(ops->append(store, topic(name), &r, &offset));
}

Test(store_receipts, a_receipt_says_all_that_was_answered_after_a_restart_too)
{
    struct receipt said = { 3, 2, 1767225600123, 1767225660123, 60000, 1767226200123, "a print of 16 b" };
    struct receipt found;

    OK(ops->begin(store));
    append("t", 5);
    OK(ops->receipts->put(store, topic("t"), bytes_str("k"), &said));
    OK(ops->commit(store));
    reopen();
    OK(ops->read_begin(reader, 1));
    OK(ops->receipts->read(reader, 1, bytes_str("k"), &found));
    cr_assert(eq(int, ops->receipts->read(reader, 1, bytes_str("kk"), &found), ERR_NOT_FOUND));
    cr_assert(eq(int, ops->receipts->read(reader, 2, bytes_str("k"), &found), ERR_NOT_FOUND));
    OK(ops->receipts->read(reader, 1, bytes_str("k"), &found));
    ops->read_end(reader);
    cr_assert(eq(int, memcmp(&found, &said, sizeof said), 0));
    nothing_is_lost();
}

Test(store_receipts, keys_have_1_to_255_bytes)
{
    static char key[STORE_RECEIPT_KEY_MAX + 1];
    struct receipt r = { .until_ms = 5 }, found;

    OK(ops->begin(store));
    for (size_t len = 1; len <= STORE_RECEIPT_KEY_MAX; len += 127)
        OK(ops->receipts->put(store, topic("t"), bytes_of(key, len), &r));
    cr_assert(eq(u64, how_many(), 3));
    cr_assert(eq(int, ops->receipts->put(store, topic("t"), bytes_of(key, 0), &r), ERR_BAD_INPUT));
    cr_assert(eq(int, ops->receipts->put(store, topic("t"), bytes_of(key, sizeof key), &r), ERR_BAD_INPUT));
    cr_assert(eq(int, ops->receipts->find(store, topic("t"), bytes_of(key, 2), &found), ERR_NOT_FOUND));
    OK(ops->commit(store));
    nothing_is_lost();
}

Test(store_receipts, go_when_their_time_is_over_in_bounded_steps)
{
    struct receipt found;
    unsigned gone;

    OK(ops->begin(store));
    append("t", 4);
    append("u", 4);
    keep("t", "a", 0, 1000);
    keep("u", "a", 1, 900);
    keep("t", "b", 2, 1001);
    keep("t", "c", 3, 500);
    OK(ops->commit(store));
    cr_assert(eq(i64, stats().next_due_ms, 500));
    cr_assert(eq(u64, stats().receipts, 4));
    OK(ops->begin(store));
    OK(ops->receipts->expire_step(store, 1000, 2, &gone));
    cr_assert(eq(uint, gone, 2));
    OK(find("t", "a", &found));
    cr_assert(eq(int, find("u", "a", &found), ERR_NOT_FOUND));
    OK(ops->receipts->expire_step(store, 1000, 2, &gone));
    cr_assert(eq(uint, gone, 1));
    OK(ops->receipts->expire_step(store, 1000, 2, &gone));
    cr_assert(eq(uint, gone, 0));
    OK(find("t", "b", &found));
    OK(ops->commit(store));
    cr_assert(eq(i64, stats().next_due_ms, 1001));
    nothing_is_lost();
}

Test(store_receipts, a_key_has_one_receipt_the_newest)
{
    struct receipt found;
    unsigned gone;

    OK(ops->begin(store));
    append("t", 2);
    keep("t", "k", 0, 1000);
    keep("t", "k", 1, 2000);
    OK(ops->receipts->expire_step(store, 1000, 10, &gone));
    cr_assert(eq(uint, gone, 0));
    OK(find("t", "k", &found));
    cr_assert(eq(u64, found.first_offset, 1));
    keep("t", "k", 1, 2000);
    cr_assert(eq(u64, how_many(), 1));
    OK(ops->commit(store));
    nothing_is_lost();
}

Test(store_receipts, outlive_their_messages)
{
    struct receipt found;
    struct store_step step;

    OK(ops->begin(store));
    append("t", 1);
    keep("t", "k", 0, 1000);
    OK(ops->remove_step(store, topic("t"), 1, 10, &step));
    OK(find("t", "k", &found));
    OK(ops->commit(store));
    nothing_is_lost();
}

Test(store_receipts, of_a_topic_that_is_deleted_are_found_by_nobody_and_go_at_their_time)
{
    struct receipt found;
    unsigned gone;

    OK(ops->begin(store));
    append("t", 1);
    keep("t", "k", 0, 1000);
    OK(ops->topic_delete(store, topic("t")));
    append("t", 1);
    cr_assert(eq(int, find("t", "k", &found), ERR_NOT_FOUND));
    cr_assert(eq(u64, how_many(), 1));
    OK(ops->commit(store));
    nothing_is_lost();
    OK(ops->begin(store));
    OK(ops->receipts->expire_step(store, 1000, 10, &gone));
    cr_assert(eq(uint, gone, 1));
    OK(ops->commit(store));
    nothing_is_lost();
}

Test(store_receipts, a_transaction_that_is_given_up_leaves_none)
{
    OK(ops->begin(store));
    append("t", 1);
    keep("t", "k", 0, 1000);
    ops->abort(store);
    cr_assert(eq(u64, stats().receipts, 0));
    nothing_is_lost();
}
