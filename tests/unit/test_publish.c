#include "writer_fixture.h"


TestSuite(publish, .init = given_a_writer, .fini = remove_data_dir, .timeout = 120);

static struct publish *message_for(const char *body, uint64_t ttl_ms)
{
    struct publish *p = message("t", body);

    p->one.has_ttl = true;
    p->one.ttl_ms = ttl_ms;
    return p;
}

/* The first message at or after an offset, as text. */
static const char *body_at(const char *name, uint64_t offset)
{
    static char text[64];
    struct store_entry m;
    uint64_t id = state(name).id;

    OK(ops->read_begin(reader, 1));
    OK(ops->read_seek(reader, id, offset, &m));
    snprintf(text, sizeof text, "%.*s", (int)m.record.body.len,
             (const char *)m.record.body.data);
    ops->read_end(reader);
    return text;
}

Test(publish, tells_where_and_when_it_was_stored)
{
    struct publish p;

    OK(sent(message("t", "zero"), NULL));
    OK(sent(message("t", "one"), &p));
    cr_assert(eq(u64, p.first_offset, 1));
    cr_assert(eq(i64, p.time_ms, NOW));
    cr_assert(eq(i64, p.expires_ms, 0));
    cr_assert(eq(str, (char *)body_at("t", 1), "one"));
    then_everything_is_given_back();
}

Test(publish, a_topic_comes_with_its_first_message_only_where_it_may)
{
    struct publish *p = message("t", "x"), result;

    p->auto_create = false;
    cr_assert(eq(int, sent(p, &result), ERR_NOT_FOUND));
    cr_assert(eq(int, result.refusal, PUBLISH_NO_TOPIC));
    cr_assert(eq(u64, stats().topics, 0));
    OK(sent(message("t", "x"), NULL));
    then_everything_is_given_back();
}

Test(publish, a_batch_is_stored_as_one_with_offsets_in_a_row)
{
    struct publish p;

    OK(sent(message("t", "first"), NULL));
    OK(sent(batch("t", "a b c"), &p));
    cr_assert(eq(u64, p.first_offset, 1));
    cr_assert(eq(str, (char *)body_at("t", 3), "c"));
    cr_assert(eq(u64, state("t").live_bytes, 8));
    then_everything_is_given_back();
}

Test(publish, of_a_batch_that_breaks_off_nothing_is_stored)
{
    fail_after(FAULT_APPEND, 2, ERR_IO, 1);
    cr_assert(eq(int, sent(batch("t", "a b c d"), NULL), ERR_IO));
    cr_assert(eq(u64, stats().counters.accepted, 0));
    cr_assert(eq(u64, stats().topics, 0));
    OK(sent(batch("t", "a b c d"), NULL));
    cr_assert(eq(str, (char *)offsets("t", false), "0 1 2 3"));
    then_everything_is_given_back();
}

Test(publish, a_full_store_refuses_and_says_so)
{
    struct publish result;

    fail_next(FAULT_ROOM, ERR_FULL, 1);
    cr_assert(eq(int, sent(message("t", "x"), &result), ERR_FULL));
    cr_assert(eq(int, result.refusal, PUBLISH_STORE_FULL));
    fail_next(FAULT_COMMIT, ERR_FULL, 1);
    cr_assert(eq(int, sent(message("t", "x"), &result), ERR_FULL));
    cr_assert(eq(int, result.refusal, PUBLISH_STORE_FULL));
    then_everything_is_given_back();
}

/* ---- compare and append ---- */

static struct publish *message_at(const char *name, uint64_t next, const char *body)
{
    struct publish *p = message(name, body);

    p->has_if_next = true;
    p->if_next = next;
    return p;
}

Test(publish, is_appended_where_its_publisher_expects_the_end)
{
    struct publish result;

    OK(sent(message_at("t", 0, "zero"), NULL)); /* and the topic comes with it */
    OK(sent(message_at("t", 1, "one"), &result));
    cr_assert(eq(u64, result.first_offset, 1));
    cr_assert(eq(int, sent(message_at("t", 1, "late"), &result), ERR_EXISTS));
    cr_assert(eq(int, result.refusal, PUBLISH_NEXT_DIFFERS));
    cr_assert(eq(u64, result.next, 2));
    cr_assert(eq(str, (char *)offsets("t", false), "0 1"));
    then_everything_is_given_back();
}

Test(publish, of_those_who_expect_the_same_end_in_one_turn_the_first_is_appended)
{
    struct publish *first = message_at("t", 0, "first"), *second = message_at("t", 0, "second");

    hold_the_writer();
    publish_submit(first, NULL);
    publish_submit(second, NULL);
    let_it_go();
    deliver(2);
    OK(first->outcome);
    cr_assert(eq(int, second->outcome, ERR_EXISTS));
    cr_assert(eq(u64, second->next, 1));
    cr_assert(eq(str, (char *)body_at("t", 0), "first"));
    publish_free(first);
    publish_free(second);
    then_everything_is_given_back();
}

Test(publish, a_topic_that_is_expected_to_have_messages_is_not_made)
{
    struct publish result;

    cr_assert(eq(int, sent(message_at("t", 1, "x"), &result), ERR_EXISTS));
    cr_assert(eq(u64, result.next, 0));
    cr_assert(eq(u64, stats().topics, 0));
    then_everything_is_given_back();
}

Test(publish, offsets_that_an_earlier_life_of_the_topic_used_are_expected_to_be_used)
{
    struct publish result;
    struct store_topic *t;

    OK(sent(message("t", "a"), NULL));
    writer_stop(writer);
    OK(ops->begin(store));
    OK(ops->topic_find(store, bytes_str("t"), &t));
    OK(ops->topic_delete(store, t));
    OK(ops->commit(store));
    start_writer();
    cr_assert(eq(int, sent(message_at("t", 0, "x"), &result), ERR_EXISTS));
    cr_assert(eq(u64, result.next, 1));
    cr_assert(eq(u64, stats().topics, 0));
    OK(sent(message_at("t", 1, "x"), &result));
    cr_assert(eq(u64, result.first_offset, 1));
    then_everything_is_given_back();
}

/* ---- accounting ---- */

Test(publish, asks_for_room_for_its_key_and_attributes_as_well)
{
    struct publish *p = message("t", ""), result;
    static char key[3000], attributes[5000];

    attributes[0] = PACKED_ATTRIBUTE;
    attributes[1] = 1;
    attributes[2] = 'n';
    varint_put((uint8_t *)attributes + 3, sizeof attributes - 5);
    p->one.key = bytes_of(key, sizeof key);
    p->one.attributes = bytes_of(attributes, sizeof attributes);
    OK(sent(p, &result));
    cr_assert(atomic_load(&room_asked) >= 8000);
    cr_assert(result.job.cost >= 8000);
    then_everything_is_given_back();
}

Test(publish, a_message_is_stored_with_its_id_which_is_paid_for)
{
    struct publish *p = message("t", "hello"), with, without;
    char id[RECORD_ID_MAX];
    uint64_t offset;

    memset(id, 'i', sizeof id);
    OK(sent(message("t", "hello"), &without));
    p->one.id = bytes_of(id, sizeof id);
    OK(sent(p, &with));
    OK(ops->read_begin(reader, 1));
    OK(ops->read_find_id(reader, 1, bytes_of(id, sizeof id), &offset));
    ops->read_end(reader);
    cr_assert(eq(u64, offset, 1));
    cr_assert(with.job.cost >= without.job.cost + 3 * sizeof id);
    then_everything_is_given_back();
}

Test(publish, a_batch_asks_for_room_for_all_that_is_packed)
{
    struct publish *p = batch("t", "a b c"), result;

    p->total_bytes = 0; /* as of a batch that has keys and attributes only */
    OK(sent(p, &result));
    cr_assert(atomic_load(&room_asked) >= result.body_len);
    then_everything_is_given_back();
}

/* The attributes of a message as text: a=1 b=2 */
static const char *attributes_at(const char *name, uint64_t offset)
{
    static char text[128];
    struct bytes list, n, v;
    struct store_entry m;
    uint64_t id = state(name).id;

    text[0] = 0;
    OK(ops->read_begin(reader, 1));
    OK(ops->read_seek(reader, id, offset, &m));
    list = m.record.attributes;
    while (attribute_next(&list, &n, &v))
        sprintf(text + strlen(text), "%s%.*s=%.*s", *text ? " " : "", (int)n.len,
                (const char *)n.data, (int)v.len, (const char *)v.data);
    ops->read_end(reader);
    return text;
}

static struct publish *batch_of_two_that_share(struct bytes attributes)
{
    static const uint8_t first[] = { 9, PACKED_BODY, 1, 'x', PACKED_ATTRIBUTE, 1, 'o', 2,
                                     '1', '2' };
    static const uint8_t second[] = { 3, PACKED_BODY, 1, 'y' };
    struct publish *p = message("t", "large enough for both");

    p->batch = true;
    memcpy(p->body, first, sizeof first);
    memcpy(p->body + sizeof first, second, sizeof second);
    p->body_len = sizeof first + sizeof second;
    p->count = 2;
    p->total_bytes = 2;
    p->one.attributes = attributes;
    return p;
}

Test(publish, a_batchs_attributes_go_to_all_of_its_messages)
{
    uint8_t shared[] = { PACKED_ATTRIBUTE, 1, 'S', 1, '3' };

    OK(sent(batch_of_two_that_share(bytes_of(shared, sizeof shared)), NULL));
    cr_assert(eq(str, (char *)attributes_at("t", 0), "o=12 s=3"));
    cr_assert(eq(str, (char *)attributes_at("t", 1), "s=3"));
    then_everything_is_given_back();
}

Test(publish, a_batchs_attributes_are_paid_once_for_each_message)
{
    uint8_t shared[] = { PACKED_ATTRIBUTE, 1, 's', 1, '3' };
    struct publish with, without;

    OK(sent(batch_of_two_that_share(bytes_of(shared, sizeof shared)), &with));
    OK(sent(batch_of_two_that_share(bytes_of(shared, 0)), &without));
    cr_assert(eq(sz, with.job.cost, without.job.cost + 2 * sizeof shared));
    then_everything_is_given_back();
}

/* ---- ttl ---- */

Test(publish, a_message_lives_as_long_as_it_says)
{
    struct publish p;

    OK(sent(message_for("x", 5000), &p));
    cr_assert(eq(i64, p.expires_ms, NOW + 5000));
    then_everything_is_given_back();
}

Test(publish, the_topics_ttl_stands_in_for_a_missing_one_and_caps_a_longer_one)
{
    struct publish p;

    given_topic("t", (struct topic_settings){ .ttl_ms = 1000 });
    OK(sent(message("t", "x"), &p));
    cr_assert(eq(i64, p.expires_ms, NOW + 1000));
    OK(sent(message_for("x", 5000), &p));
    cr_assert(eq(i64, p.expires_ms, NOW + 1000));
    OK(sent(message_for("x", 500), &p));
    cr_assert(eq(i64, p.expires_ms, NOW + 500));
    then_everything_is_given_back();
}

Test(publish, the_brokers_ttl_stands_in_for_the_topics)
{
    cr_assert(eq(u64, publish_ttl(0, 0, false, 0), UINT64_MAX));
    cr_assert(eq(u64, publish_ttl(0, 30, false, 0), 30));
    cr_assert(eq(u64, publish_ttl(0, 30, true, 40), 40));
    cr_assert(eq(u64, publish_ttl(7, 30, false, 0), 7));
    cr_assert(eq(u64, publish_ttl(7, 5, true, 6), 6));
    cr_assert(eq(u64, publish_ttl(0, 0, true, 0), 0));
    then_everything_is_given_back();
}

Test(publish, a_ttl_beyond_all_time_is_for_ever)
{
    struct publish p;

    OK(sent(message_for("x", (uint64_t)INT64_MAX), &p));
    cr_assert(eq(i64, p.expires_ms, 0));
    OK(sent(message_for("x", (uint64_t)INT64_MAX - NOW), &p));
    cr_assert(eq(i64, p.expires_ms, INT64_MAX));
    then_everything_is_given_back();
}

Test(publish, a_clock_that_goes_back_moves_no_message_back)
{
    struct publish p;

    OK(sent(message("t", "x"), NULL));
    clock_fake_wall_ms(NOW - 500);
    OK(sent(message("t", "y"), &p));
    cr_assert(eq(i64, p.time_ms, NOW));
    then_everything_is_given_back();
}

/* ---- what is kept ---- */

Test(publish, keeps_attribute_names_in_lower_case_and_everything_else_as_it_came)
{
    static const char packed[] = "\x04\x03" "X-A" "\x02" "Vv" "\x04\x01" "Q" "\x00";
    struct publish *p = message("t", "x");
    struct bytes name, value, list;
    struct store_entry m;
    uint64_t id;
    char *own = malloc(sizeof packed);

    memcpy(own, packed, sizeof packed);
    p->one.key = bytes_str("Key");
    p->one.content_type = bytes_str("Text/Plain");
    p->one.attributes = bytes_of(own, sizeof packed - 1);
    OK(sent(p, NULL));
    free(own);
    id = state("t").id;
    OK(ops->read_begin(reader, 1));
    OK(ops->read_seek(reader, id, 0, &m));
    cr_assert(bytes_eq(m.record.key, bytes_str("Key")));
    cr_assert(bytes_eq(m.record.content_type, bytes_str("Text/Plain")));
    list = m.record.attributes;
    cr_assert(attribute_next(&list, &name, &value));
    cr_assert(bytes_eq(name, bytes_str("x-a")) && bytes_eq(value, bytes_str("Vv")));
    cr_assert(attribute_next(&list, &name, &value));
    cr_assert(bytes_eq(name, bytes_str("q")) && value.len == 0);
    cr_assert(not(attribute_next(&list, &name, &value)));
    ops->read_end(reader);
    then_everything_is_given_back();
}

/* ---- nothing is lost ---- */

static unsigned random_state = 7;

static unsigned any(unsigned below)
{
    return (unsigned)rand_r(&random_state) % below;
}

static void something_happens(int64_t *now_ms)
{
    static const char *const names[] = { "quota", "drop", "ttl", "plain" };
    const char *name = names[any(4)];
    struct publish *p = any(3) ? message(name, "some body") : batch(name, "a bb ccc dddd");
    enum err e;

    p->one.has_ttl = any(2);
    p->one.ttl_ms = any(300);
    if (any(15) == 0)
        fail_next((enum fault)any(FAULT_BLOB_WRITE), ERR_IO, 1);
    e = sent(p, NULL);
    cr_assert(e == ERR_OK || e == ERR_FULL || e == ERR_IO);
    *now_ms += any(40);
    clock_fake_wall_ms(*now_ms);
}

static void topics_add_up(void)
{
    static const char *const names[] = { "quota", "drop", "ttl" };

    for (int i = 0; i < 3; i++) {
        struct topic_state s = state(names[i]);

        cr_assert(eq(u64, s.counters.accepted,
                     s.live + s.counters.expired + s.counters.removed));
        cr_assert(s.settings.max_bytes == 0 || s.live_bytes <= s.settings.max_bytes);
    }
}

/* Seeded: the same walk every time, but for what the sweep had done already. */
Test(publish, accepted_is_live_and_expired_and_removed_after_whatever_happened)
{
    int64_t now_ms = NOW;

    given_topic("quota", (struct topic_settings){ .max_bytes = 200 });
    given_topic("drop", (struct topic_settings){
                            .max_bytes = 100, .overflow = STORE_OVERFLOW_DROP_OLDEST });
    given_topic("ttl", (struct topic_settings){ .ttl_ms = 100 });
    for (unsigned i = 0; i < 2000; i++) {
        something_happens(&now_ms);
        if (i % 100 == 0) {
            nothing_is_lost();
            topics_add_up();
        }
    }
    fail_next(FAULT_COMMIT, ERR_OK, 0);
    topics_add_up();
    then_everything_is_given_back();
}
