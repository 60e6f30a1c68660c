/* A subscription's messages, one by one: who gets which, and what no failure may lose. */
#include "writer_fixture.h"

#include "consume.h"

TestSuite(consume, .init = given_a_writer, .fini = remove_data_dir, .timeout = 60);

#define ANSWER 100 /* the room that a message's answer takes in these stories */

static size_t room_of_answer(const struct record *r)
{
    (void)r;
    return ANSWER;
}

static void consume_home(struct letter *l)
{
    (void)l;
    letters++;
}

static struct consume request(const char *topic, const char *name)
{
    struct consume c = { .earliest = true,
                         .max_cursors = 10,
                         .room = room_of_answer,
                         .topic_len = (uint16_t)strlen(topic),
                         .name_len = (uint16_t)strlen(name) };

    memcpy(c.topic, topic, c.topic_len);
    memcpy(c.name, name, c.name_len);
    c.job.home = &loop_mail;
    c.job.letter.open = consume_home;
    return c;
}

/* Sends it with a grant of so many bytes, waits, and gives the grant back. */
static void run_paid(struct consume *c, size_t bytes)
{
    OK(ledger_reserve(ledger, bytes, &c->job.grant));
    consume_submit(writer, c);
    deliver(1);
    ledger_release(&c->job.grant);
}

static struct consume consumed_from(const char *topic, const char *name)
{
    struct consume c = request(topic, name);

    run_paid(&c, CONSUME_COST + ANSWER);
    return c;
}

static struct consume consumed(const char *name)
{
    return consumed_from("t", name);
}

static struct consume forgotten(const char *topic, const char *name)
{
    struct consume c = request(topic, name);

    c.kind = CONSUME_DELETE;
    run_paid(&c, CONSUME_COST);
    return c;
}

static void given_messages(const char *bodies)
{
    OK(sent(batch("t", bodies), NULL));
}

static void then_it_was_given(struct consume c, uint64_t offset)
{
    cr_assert(eq(int, c.outcome, ERR_OK));
    cr_assert(c.taken);
    cr_assert(eq(u64, c.offset, offset));
}

static void then_there_was_nothing(struct consume c)
{
    cr_assert(eq(int, c.outcome, ERR_OK));
    cr_assert(not(c.taken));
    cr_assert(not(c.small));
}

Test(consume, each_message_of_a_subscription_is_given_once_and_in_order)
{
    given_messages("a b");
    then_it_was_given(consumed("s"), 0);
    then_it_was_given(consumed("s"), 1);
    then_there_was_nothing(consumed("s"));
    then_it_was_given(consumed("another"), 0);
    then_everything_is_given_back();
}

Test(consume, many_in_one_turn_get_one_each)
{
    struct consume c[4];
    uint64_t seen = 0;
    unsigned taken = 0;

    given_messages("a b c");
    hold_the_writer();
    for (int i = 0; i < 4; i++) {
        c[i] = request("t", "s");
        OK(ledger_reserve(ledger, CONSUME_COST + ANSWER, &c[i].job.grant));
        consume_submit(writer, &c[i]);
    }
    let_it_go();
    deliver(4);
    for (int i = 0; i < 4; i++) {
        taken += c[i].taken;
        seen |= c[i].taken ? 1u << c[i].offset : 0;
        ledger_release(&c[i].job.grant);
    }
    cr_assert(eq(uint, taken, 3));
    cr_assert(eq(u64, seen, 7));
    then_everything_is_given_back();
}

Test(consume, a_new_subscription_starts_behind_what_is_there_unless_it_wants_the_earliest)
{
    struct consume c = request("t", "s");

    given_messages("before");
    c.earliest = false;
    run_paid(&c, CONSUME_COST + ANSWER);
    then_there_was_nothing(c);
    given_messages("after");
    then_it_was_given(consumed("s"), 1);
    then_everything_is_given_back();
}

Test(consume, a_commit_that_fails_gives_nobody_anything_and_loses_nothing)
{
    struct consume c;

    given_messages("a b");
    then_it_was_given(consumed("s"), 0);
    fail_next(FAULT_COMMIT, ERR_IO, 1);
    c = consumed("s");
    cr_assert(eq(int, c.outcome, ERR_IO));
    cr_assert(not(c.taken));
    then_it_was_given(consumed("s"), 1);
    then_everything_is_given_back();
}

Test(consume, a_commit_that_fails_leaves_no_new_subscription)
{
    given_messages("a");
    fail_next(FAULT_COMMIT, ERR_IO, 1);
    cr_assert(eq(int, consumed("s").outcome, ERR_IO));
    cr_assert(eq(int, forgotten("t", "s").outcome, ERR_NOT_FOUND));
    then_it_was_given(consumed("s"), 0);
    then_everything_is_given_back();
}

Test(consume, who_has_no_room_for_the_job_and_its_answer_takes_nothing)
{
    struct consume c = request("t", "s");

    given_messages("a");
    run_paid(&c, CONSUME_COST + ANSWER - 1);
    cr_assert(eq(int, c.outcome, ERR_OK));
    cr_assert(c.small);
    cr_assert(not(c.taken));
    then_it_was_given(consumed("s"), 0); /* with one byte more */
    then_everything_is_given_back();
}

Test(consume, a_new_subscription_with_room_for_the_job_only_is_made_and_told_to_look_again)
{
    struct consume c = request("t", "s");

    given_messages("a");
    run_paid(&c, CONSUME_COST);
    cr_assert(c.small);
    cr_assert(eq(int, forgotten("t", "s").outcome, ERR_OK)); /* so it was there */
    then_everything_is_given_back();
}

Test(consume, one_subscription_too_many_is_refused_and_those_that_are_there_go_on)
{
    struct consume c = request("t", "third");

    given_messages("a b");
    then_it_was_given(consumed("first"), 0);
    then_it_was_given(consumed("second"), 0);
    c.max_cursors = 2;
    run_paid(&c, CONSUME_COST + ANSWER);
    cr_assert(eq(int, c.outcome, ERR_FULL));
    cr_assert(c.full);
    cr_assert(not(c.taken));
    c = request("t", "first");
    c.max_cursors = 2;
    run_paid(&c, CONSUME_COST + ANSWER);
    then_it_was_given(c, 1);
    then_everything_is_given_back();
}

Test(consume, a_topic_has_a_limit_of_its_own)
{
    char name[24];
    struct consume c;

    given_messages("a");
    for (int i = 0; i <= STORE_TOPIC_CURSORS_MAX; i++) {
        snprintf(name, sizeof name, "s%d", i);
        c = request("t", name);
        c.max_cursors = 2 * STORE_TOPIC_CURSORS_MAX;
        run_paid(&c, CONSUME_COST + ANSWER);
        cr_assert(eq(int, c.outcome, i < STORE_TOPIC_CURSORS_MAX ? ERR_OK : ERR_FULL));
        cr_assert(eq(int, c.full, i == STORE_TOPIC_CURSORS_MAX));
    }
    OK(forgotten("t", "s0").outcome);
    c = request("t", "s1000");
    c.max_cursors = 2 * STORE_TOPIC_CURSORS_MAX;
    run_paid(&c, CONSUME_COST + ANSWER);
    then_it_was_given(c, 0);
    then_everything_is_given_back();
}

Test(consume, a_full_store_takes_no_new_subscription_and_is_not_mistaken_for_too_many)
{
    struct consume c;

    given_messages("a b");
    then_it_was_given(consumed("there"), 0);
    fail_next(FAULT_ROOM, ERR_FULL, 1);
    c = consumed("new");
    cr_assert(eq(int, c.outcome, ERR_FULL));
    cr_assert(not(c.full));
    fail_next(FAULT_ROOM, ERR_FULL, 0);
    then_it_was_given(consumed("there"), 1);
    then_everything_is_given_back();
}

Test(consume, messages_past_their_time_are_passed_over)
{
    struct publish *p = message("t", "short");

    p->one.has_ttl = true;
    p->one.ttl_ms = 10;
    OK(sent(p, NULL));
    given_messages("long");
    clock_fake_wall_ms(NOW + 20);
    then_it_was_given(consumed("s"), 1);
    then_everything_is_given_back();
}

Test(consume, what_is_not_there_is_not_found)
{
    cr_assert(eq(int, consumed_from("nothing", "s").outcome, ERR_NOT_FOUND));
    cr_assert(eq(int, forgotten("nothing", "s").outcome, ERR_NOT_FOUND));
    given_messages("a");
    cr_assert(eq(int, forgotten("t", "s").outcome, ERR_NOT_FOUND));
    then_it_was_given(consumed("s"), 0);
    OK(forgotten("t", "s").outcome);
    then_it_was_given(consumed("s"), 0); /* a new one */
    then_everything_is_given_back();
}
