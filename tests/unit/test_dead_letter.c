/* What a subscription gives up, and where it goes. */
#include "delivery_fixture.h"

#include "config.h"
#include "dead_letter.h"
#include "redrive.h"

TestSuite(dead_letter, .init = given_a_writer, .fini = remove_data_dir);

Test(dead_letter, a_dead_letter_is_there_when_the_message_is_finished)
{
    given_a_subscription(dying_at(2));
    say("", "a", 0);
    DONE(settle(SETTLE_NACK, one()));
    cr_assert(eq(u64, stats().topics, 1)); /* not before it is wanted */
    one();
    passes(1000);
    cr_assert(eq(u64, state("dead").live, 1));
    COME("");
    cr_assert(eq(u64, as_it_is().counters.dead, 1));
    then_everything_is_given_back();
}

/* Neither half may be there without the other. */
Test(dead_letter, when_the_dead_letter_cannot_be_written_the_message_is_not_finished)
{
    struct lease l;
    struct settle *c = settlement(SETTLE_REJECT, 1);

    given_a_subscription(dying_at(0));
    say("", "a", 0);
    l = one();
    fail_next(FAULT_COMMIT, ERR_IO, 1);
    c->items[0].lease = l;
    settle_submit(writer, c);
    deliver(1);
    cr_assert(eq(int, c->outcome, ERR_IO));
    job_free(&c->job);
    cr_assert(eq(u64, stats().topics, 1));
    DONE(settle(SETTLE_REJECT, l));
    cr_assert(eq(u64, state("dead").live, 1));
    then_everything_is_given_back();
}

Test(dead_letter, while_the_store_is_full_what_is_given_up_waits)
{
    given_a_subscription(dying_at(0));
    say("", "a", 0);
    struct lease l = one();

    fail_next(FAULT_ROOM, ERR_FULL, 1);
    DONE(settle(SETTLE_REJECT, l));
    cr_assert(eq(u64, as_it_is().in[DELIVERY_WAITING], 1));
    COME("");
    passes(4999);
    cr_assert(eq(u64, stats().topics, 1));
    passes(1);
    cr_assert(eq(u64, state("dead").live, 1));
    cr_assert(eq(u64, as_it_is().in[DELIVERY_WAITING], 0));
    then_everything_is_given_back();
}

/* In turns of a megabyte: what is copied is in no ledger. */
Test(dead_letter, many_large_ones_are_given_up_in_several_turns)
{
    char body[300001];
    struct settle *c = settlement(SETTLE_REJECT, 10);

    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = 0;
    given_a_subscription(dying_at(1));
    for (unsigned i = 0; i < 10; i++) {
        say("", body, 0);
        c->items[i].lease = one();
    }
    c->count = 5;
    settle_submit(writer, c);
    deliver(1);
    OK(c->outcome);
    cr_assert(eq(u32, c->settled, 5));
    job_free(&c->job);
    cr_assert(eq(u64, state("dead").live, 5));
    passes(1000); /* the others' leases run out */
    for (unsigned i = 0; i < 4; i++)
        a_turn_passes();
    cr_assert(eq(u64, state("dead").live, 10));
    cr_assert(eq(u64, as_it_is().counters.dead, 10));
    cr_assert(ge(sz, writer_pages_bytes(writer), 2 * 3 * strlen(body))); /* three in a turn */
    then_everything_is_given_back();
}

/* The writer's line has room for a batch twice: as it came, and as pages. */
Test(dead_letter, where_batches_are_small_fewer_are_given_up_in_a_turn)
{
    const struct config small = { .max_batch_bytes = 64 << 10 };
    struct turn t = { .config = &small, .copied_bytes = 1 };

    cr_assert(not(dead_letter_turn_is_full(&t, (32 << 10) - 1)));
    cr_assert(dead_letter_turn_is_full(&t, 32 << 10));
    t.config = NULL;
    cr_assert(not(dead_letter_turn_is_full(&t, (1 << 20) - 1)));
    cr_assert(dead_letter_turn_is_full(&t, 1 << 20));
    t = (struct turn){ .config = &small };
    cr_assert(not(dead_letter_turn_is_full(&t, 1 << 20))); /* one alone always */
}

static const char *id_at(const char *topic_name, uint64_t offset)
{
    static char text[RECORD_ID_MAX + 1];
    uint64_t id = state(topic_name).id;
    struct store_entry m;

    OK(ops->read_begin(reader, 1));
    OK(ops->read_seek(reader, id, offset, &m));
    cr_assert(eq(u64, m.offset, offset));
    snprintf(text, sizeof text, "%.*s", (int)m.record.id.len, (const char *)m.record.id.data);
    ops->read_end(reader);
    return text;
}

static unsigned redriven(void)
{
    struct redrive c = { .name = "s", .name_len = 1, .limit = 10 };

    c.job.home = &loop_mail;
    c.job.letter.open = home;
    redrive_submit(writer, &c);
    deliver(1);
    OK(c.outcome);
    return c.moved;
}

Test(dead_letter, has_the_id_of_its_message_there_and_back)
{
    struct publish *p = message("t", "a");

    given_a_subscription(dying_at(0));
    p->one.id = bytes_str("urn:uuid:1");
    OK(sent(p, NULL));
    DONE(settle(SETTLE_REJECT, one()));
    cr_assert(eq(str, (char *)id_at("dead", 0), "urn:uuid:1"));
    cr_assert(eq(u32, redriven(), 1));
    cr_assert(eq(str, (char *)id_at("t", 1), "urn:uuid:1"));
    then_everything_is_given_back();
}
