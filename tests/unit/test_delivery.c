/* What may happen to a message that was handed out; time is the test's own. */
#include "dead_letter.h"
#include "receive.h"
#include "settle.h"
#include "subscription.h"
#include "writer_fixture.h"

TestSuite(delivery, .init = given_a_writer, .fini = remove_data_dir);

#define ROOM 1000 /* that a message's answer needs */

static int64_t now = NOW;

static void passes(int64_t ms)
{
    now += ms;
    clock_fake_wall_ms(now);
    a_turn_passes();
}

static void home(struct letter *l)
{
    (void)l;
    letters++;
}

/* ---- what clients do ---- */

static struct sub_settings usual(void)
{
    return (struct sub_settings){ .lease_ms = 1000,
                                  .max_in_flight = 100,
                                  .topic_len = 1,
                                  .topic = "t" };
}

static struct sub_settings dying_at(uint32_t max_deliveries)
{
    struct sub_settings s = usual();

    s.max_deliveries = max_deliveries;
    s.dead_letter_len = 4;
    memcpy(s.dead_letter, "dead", 4);
    return s;
}

static struct subscription_change changed(enum subscription_kind kind, uint64_t offset,
                                          struct sub_settings s)
{
    struct subscription_change c = { .kind = kind,
                                     .start = START_OFFSET,
                                     .offset = offset,
                                     .auto_create = true,
                                     .sub = { .name = "s", .name_len = 1, .settings = s } };

    c.job.home = &loop_mail;
    c.job.letter.open = home;
    subscription_submit(writer, &c);
    deliver(1);
    return c;
}

static void given_a_subscription(struct sub_settings s)
{
    cr_assert(eq(int, changed(SUBSCRIPTION_PUT, 0, s).outcome, ERR_OK));
}

static size_t room_of(const struct record *r)
{
    (void)r;
    return ROOM;
}

/* Leases at most `limit`; the caller frees it. */
static struct receive *received(unsigned limit, size_t room)
{
    struct receive *c = receive_new(limit);

    c->name[0] = 's';
    c->name_len = 1;
    c->max_bytes = 1 << 20;
    c->room = room;
    c->room_of = room_of;
    c->job.home = &loop_mail;
    c->job.letter.open = home;
    receive_submit(writer, c);
    deliver(1);
    return c;
}

/* The one message that comes. */
static struct lease one(void)
{
    struct receive *c = received(1, ROOM);
    struct lease l = c->got[0];

    cr_assert(eq(u32, c->count, 1));
    free(c);
    return l;
}

/* What comes, as "0 1 2". */
static const char *come(void)
{
    static char text[256];
    struct receive *c = received(100, 100 * ROOM);
    size_t len = 0;

    OK(c->outcome);
    text[0] = 0;
    for (unsigned i = 0; i < c->count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%llu", i ? " " : "",
                                (unsigned long long)c->got[i].offset);
    free(c);
    return text;
}

#define COME(expected) cr_assert(eq(str, (char *)come(), expected))

static enum settle_result settle_for(enum settle_kind kind, struct lease l, int64_t delay_ms)
{
    struct settle *c = settle_new(1);
    enum settle_result result;

    c->kind = kind;
    c->name[0] = 's';
    c->name_len = 1;
    c->has_delay = delay_ms >= 0;
    c->delay_ms = delay_ms >= 0 ? (uint64_t)delay_ms : 0;
    c->items[0].lease = l;
    c->job.home = &loop_mail;
    c->job.letter.open = home;
    settle_submit(writer, c);
    deliver(1);
    OK(c->outcome);
    result = c->items[0].result;
    cr_assert(eq(u32, c->settled, result == SETTLE_DONE));
    free(c);
    return result;
}

static enum settle_result settle(enum settle_kind kind, struct lease l)
{
    return settle_for(kind, l, -1);
}

#define DONE(call)         cr_assert(eq(int, (call), SETTLE_DONE))
#define REFUSED(why, call) cr_assert(eq(int, (call), why))

static void say(const char *key, const char *body, uint64_t ttl_ms)
{
    struct publish *p = message("t", body);

    p->one.key = bytes_str(key);
    p->one.has_ttl = ttl_ms != 0;
    p->one.ttl_ms = ttl_ms;
    OK(sent(p, NULL));
}

static struct sub_state as_it_is(void)
{
    struct sub_state s;

    OK(ops->read_begin(reader, 1));
    OK(ops->subs->read(reader, bytes_str("s"), &s));
    ops->read_end(reader);
    return s;
}

/* ---- leases ---- */

Test(delivery, a_lease_is_good_until_the_moment_it_ends)
{
    struct lease l;

    given_a_subscription(usual());
    say("", "a", 0);
    l = one();
    passes(999);
    COME("");
    DONE(settle(SETTLE_EXTEND, l));
    passes(999);
    DONE(settle(SETTLE_EXTEND, l));
    passes(1000);
    REFUSED(SETTLE_FENCED, settle(SETTLE_ACK, (struct lease){ l.sub_id + 1, 0, 1 }));
    COME("0");
    REFUSED(SETTLE_FENCED, settle(SETTLE_ACK, l));
    l.deliveries++;
    DONE(settle(SETTLE_ACK, l));
    REFUSED(SETTLE_FENCED, settle(SETTLE_ACK, l));
    passes(100000);
    COME("");
    then_everything_is_given_back();
}

/* The ack and the sweep are in one turn: the ack runs first, and must see the time itself. */
Test(delivery, a_lease_that_has_ended_is_over_although_nobody_has_swept)
{
    struct lease l;

    given_a_subscription(usual());
    say("", "a", 0);
    l = one();
    clock_fake_wall_ms(now += 1000);
    REFUSED(SETTLE_EXPIRED, settle(SETTLE_ACK, l));
    COME("0");
    then_everything_is_given_back();
}

Test(delivery, what_nobody_got_does_not_count_as_delivered)
{
    struct lease l;

    given_a_subscription(dying_at(1));
    say("", "a", 0);
    l = one();
    DONE(settle(SETTLE_TAKE_BACK, l));
    cr_assert(eq(u32, one().deliveries, 1));
    then_everything_is_given_back();
}

Test(delivery, backoffs_grow_and_the_last_one_stays)
{
    struct sub_settings s = usual();

    s.backoffs = 2;
    s.backoff_ms[0] = 100;
    s.backoff_ms[1] = 500;
    given_a_subscription(s);
    say("", "a", 0);
    DONE(settle(SETTLE_NACK, one()));
    passes(99);
    COME("");
    passes(1);
    DONE(settle(SETTLE_NACK, one()));
    passes(499);
    COME("");
    passes(1);
    DONE(settle_for(SETTLE_NACK, one(), 7));
    passes(7);
    DONE(settle_for(SETTLE_NACK, one(), 0));
    cr_assert(eq(u32, one().deliveries, 5));
    passes(1000); /* a lease that runs out waits, too */
    COME("");
    passes(500);
    COME("0");
    then_everything_is_given_back();
}

/* ---- what is handed out ---- */

Test(delivery, no_more_is_leased_than_there_is_room_for)
{
    struct receive *c;

    given_a_subscription(usual());
    say("", "a", 0);
    say("", "b", 0);
    c = received(10, ROOM - 1);
    cr_assert(c->small && !c->count);
    free(c);
    c = received(10, ROOM + 1);
    cr_assert(c->more && c->count == 1 && !c->small);
    free(c);
    cr_assert(eq(u64, as_it_is().in[DELIVERY_LEASED], 1));
    then_everything_is_given_back();
}

Test(delivery, no_more_is_out_than_may_be)
{
    struct sub_settings s = usual();
    struct lease l;

    s.max_in_flight = 2;
    given_a_subscription(s);
    for (unsigned i = 0; i < 4; i++)
        say("", "x", 0);
    l = one();
    COME("1");
    COME("");
    DONE(settle(SETTLE_ACK, l));
    COME("2");
    passes(1000);
    COME("1 2");
    then_everything_is_given_back();
}

Test(delivery, the_expired_are_passed_over_however_many_they_are)
{
    struct publish *p = batch("t", "a b c d e f g h");

    given_a_subscription(usual());
    p->one.has_ttl = true;
    p->one.ttl_ms = 100;
    OK(sent(p, NULL));
    say("", "stays", 0);
    COME("0 1 2 3 4 5 6 7 8");
    passes(1000);
    COME("8");
    cr_assert(eq(u64, as_it_is().counters.expired, 8));
    then_everything_is_given_back();
}

/* ---- giving up ---- */

Test(delivery, a_dead_letter_is_there_when_the_message_is_finished)
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
Test(delivery, when_the_dead_letter_cannot_be_written_the_message_is_not_finished)
{
    struct lease l;
    struct settle *c = settle_new(1);

    given_a_subscription(dying_at(0));
    say("", "a", 0);
    l = one();
    fail_next(FAULT_COMMIT, ERR_IO, 1);
    c->kind = SETTLE_REJECT;
    c->name[0] = 's';
    c->name_len = 1;
    c->items[0].lease = l;
    c->job.home = &loop_mail;
    c->job.letter.open = home;
    settle_submit(writer, c);
    deliver(1);
    cr_assert(eq(int, c->outcome, ERR_IO));
    free(c);
    cr_assert(eq(u64, stats().topics, 1));
    DONE(settle(SETTLE_REJECT, l));
    cr_assert(eq(u64, state("dead").live, 1));
    then_everything_is_given_back();
}

Test(delivery, while_the_store_is_full_what_is_given_up_waits)
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
Test(delivery, many_large_ones_are_given_up_in_several_turns)
{
    char body[300001];
    struct settle *c = settle_new(10);

    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = 0;
    given_a_subscription(dying_at(1));
    for (unsigned i = 0; i < 10; i++) {
        say("", body, 0);
        c->items[i].lease = one();
    }
    c->kind = SETTLE_REJECT;
    c->name[0] = 's';
    c->name_len = 1;
    c->count = 5;
    c->job.home = &loop_mail;
    c->job.letter.open = home;
    settle_submit(writer, c);
    deliver(1);
    OK(c->outcome);
    cr_assert(eq(u32, c->settled, 5));
    free(c);
    cr_assert(eq(u64, state("dead").live, 5));
    passes(1000); /* the others' leases run out */
    for (unsigned i = 0; i < 4; i++)
        a_turn_passes();
    cr_assert(eq(u64, state("dead").live, 10));
    cr_assert(eq(u64, as_it_is().counters.dead, 10));
    then_everything_is_given_back();
}

/* ---- by key ---- */

static struct sub_settings in_order(void)
{
    struct sub_settings s = usual();

    s.ordering = SUB_ORDER_KEY;
    return s;
}

Test(delivery, of_a_key_the_next_comes_when_the_one_before_is_finished)
{
    struct lease l;

    given_a_subscription(in_order());
    say("k", "0", 0);
    say("k", "1", 0);
    say("other", "2", 0);
    say("", "3", 0);
    l = one();
    COME("2 3");
    DONE(settle_for(SETTLE_NACK, l, 0));
    l = one();
    cr_assert(eq(u64, l.offset, 0));
    DONE(settle(SETTLE_ACK, l));
    COME("1");
    then_everything_is_given_back();
}

Test(delivery, what_is_held_goes_when_it_expires_and_lets_the_next_one_by)
{
    struct lease l;

    given_a_subscription(in_order());
    say("k", "0", 0);
    say("k", "1", 100);
    say("k", "2", 0);
    l = one();
    COME("");
    cr_assert(eq(u64, as_it_is().in[DELIVERY_HELD], 2));
    passes(200);
    cr_assert(eq(u64, as_it_is().in[DELIVERY_HELD], 1));
    DONE(settle(SETTLE_ACK, l));
    COME("2");
    then_everything_is_given_back();
}

/* ---- seek, and the end ---- */

Test(delivery, a_seek_fences_all_that_is_out)
{
    struct subscription_change c;
    struct lease l;

    given_a_subscription(usual());
    say("", "0", 0);
    say("", "1", 0);
    l = one();
    c = changed(SUBSCRIPTION_SEEK, 0, usual());
    OK(c.outcome);
    REFUSED(SETTLE_FENCED, settle(SETTLE_ACK, l));
    COME("0 1");
    c = changed(SUBSCRIPTION_SEEK, 77, usual());
    cr_assert(eq(u64, c.sub.next, 2)); /* not beyond the log */
    say("", "2", 0);
    COME("2");
    the_trash_is_emptied();
    then_everything_is_given_back();
}

Test(delivery, deleted_while_messages_are_out_nothing_is_left)
{
    given_a_subscription(usual());
    say("", "0", 0);
    one();
    OK(changed(SUBSCRIPTION_DELETE, 0, usual()).outcome);
    cr_assert(eq(int, changed(SUBSCRIPTION_DELETE, 0, usual()).outcome, ERR_NOT_FOUND));
    the_trash_is_emptied();
    passes(5000);
    cr_assert(eq(i64, stats().next_due_ms, 0));
    then_everything_is_given_back();
}

Test(delivery, what_was_out_of_a_topic_that_is_gone_is_dropped)
{
    given_a_subscription(in_order());
    say("k", "0", 0);
    say("k", "1", 0);
    one();
    COME("");
    writer_stop(writer);
    delete_topic("t");
    start_writer();
    passes(1000);
    say("k", "2", 0);
    COME("2");
    cr_assert(eq(u64, as_it_is().counters.expired, 2));
    the_trash_is_emptied();
    then_everything_is_given_back();
}

/* ---- tokens ---- */

Test(delivery, a_token_says_what_the_lease_is_and_to_nobody_else)
{
    const uint8_t secret[16] = "0123456789abcdef", other[16] = "0123456789abcdeg";
    struct lease l = { 7, UINT64_MAX, 9 }, back;
    char text[LEASE_TEXT_LEN];

    lease_write(secret, &l, text);
    cr_assert(lease_read(secret, bytes_of(text, sizeof text), &back));
    cr_assert(eq(u64, back.sub_id, 7));
    cr_assert(eq(u64, back.offset, UINT64_MAX));
    cr_assert(eq(u32, back.deliveries, 9));
    cr_assert(not(lease_read(other, bytes_of(text, sizeof text), &back)));
    cr_assert(not(lease_read(secret, bytes_of(text, sizeof text - 1), &back)));
    for (size_t i = 0; i < sizeof text; i++) {
        char was = text[i];

        text[i] = was == 'A' ? 'B' : 'A';
        cr_assert(not(lease_read(secret, bytes_of(text, sizeof text), &back)));
        text[i] = was;
    }
}
