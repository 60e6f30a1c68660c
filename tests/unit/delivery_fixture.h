/*
 * delivery_fixture - the subscription "s" of the topic "t", and what its consumers do; time is
 * the test's own.
 */
#ifndef SLUICE_DELIVERY_FIXTURE_H
#define SLUICE_DELIVERY_FIXTURE_H

#include "dead_letter.h"
#include "receive.h"
#include "settle.h"
#include "subscription.h"
#include "writer_fixture.h"

#define ROOM 1000 /* that a message's answer needs */

static int64_t now = NOW;

UNUSED static void passes(int64_t ms)
{
    now += ms;
    clock_fake_wall_ms(now);
    a_turn_passes();
}

UNUSED static void home(struct letter *l)
{
    (void)l;
    letters++;
}

/* ---- what clients do ---- */

UNUSED static struct sub_settings usual(void)
{
    return (struct sub_settings){ .lease_ms = 1000,
                                  .max_in_flight = 100,
                                  .topic_len = 1,
                                  .topic = "t" };
}

UNUSED static struct sub_settings dying_at(uint32_t max_deliveries)
{
    struct sub_settings s = usual();

    s.max_deliveries = max_deliveries;
    s.dead_letter_len = 4;
    memcpy(s.dead_letter, "dead", 4);
    return s;
}

UNUSED static struct subscription_change done(struct subscription_change c)
{
    c.auto_create = true;
    memcpy(c.sub.name, "s", 2);
    c.sub.name_len = 1;
    c.job.home = &loop_mail;
    c.job.letter.open = home;
    subscription_submit(writer, &c);
    deliver(1);
    return c;
}

UNUSED static struct subscription_change changed(enum subscription_kind kind, uint64_t offset,
                                          struct sub_settings s)
{
    return done((struct subscription_change){ .kind = kind,
                                              .start = START_OFFSET,
                                              .offset = offset,
                                              .sub = { .settings = s } });
}

UNUSED static void given_a_subscription(struct sub_settings s)
{
    cr_assert(eq(int, changed(SUBSCRIPTION_PUT, 0, s).outcome, ERR_OK));
}

UNUSED static size_t room_of(const struct record *r)
{
    (void)r;
    return ROOM;
}

static bool tied; /* what is leased is, for as long as a connection stays */

/* Leases at most `limit`; the caller frees it. */
UNUSED static struct receive *received(unsigned limit, size_t room)
{
    struct grant paid = { 0 };
    struct receive *c;

    OK(ledger_reserve(ledger, receive_bytes(limit), &paid));
    c = receive_new(limit, &paid);
    c->name[0] = 's';
    c->name_len = 1;
    c->max_bytes = 1 << 20;
    c->room = room;
    c->room_of = room_of;
    c->booked = tied;
    c->job.home = &loop_mail;
    c->job.letter.open = home;
    receive_submit(writer, c);
    deliver(1);
    return c;
}

/* The one message that comes. */
UNUSED static struct lease one(void)
{
    struct receive *c = received(1, ROOM);
    struct lease l = c->got[0];

    cr_assert(eq(u32, c->count, 1));
    job_free(&c->job);
    return l;
}

/* What comes, as "0 1 2". */
UNUSED static const char *come(void)
{
    static char text[256];
    struct receive *c = received(100, 100 * ROOM);
    size_t len = 0;

    OK(c->outcome);
    text[0] = 0;
    for (unsigned i = 0; i < c->count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%llu", i ? " " : "",
                                (unsigned long long)c->got[i].offset);
    job_free(&c->job);
    return text;
}

#define COME(expected) cr_assert(eq(str, (char *)come(), expected))

/* Of so many leases, which the caller fills in; it frees it. */
UNUSED static struct settle *settlement(enum settle_kind kind, unsigned count)
{
    struct grant paid = { 0 };
    struct settle *c;

    OK(ledger_reserve(ledger, settle_bytes(count), &paid));
    c = settle_new(count, &paid);
    c->kind = kind;
    c->name[0] = 's';
    c->name_len = 1;
    c->job.home = &loop_mail;
    c->job.letter.open = home;
    return c;
}

UNUSED static enum settle_result settle_for(enum settle_kind kind, struct lease l, int64_t delay_ms)
{
    struct settle *c = settlement(kind, 1);
    enum settle_result result;

    c->has_delay = delay_ms >= 0;
    c->delay_ms = delay_ms >= 0 ? (uint64_t)delay_ms : 0;
    c->items[0].lease = l;
    settle_submit(writer, c);
    deliver(1);
    OK(c->outcome);
    result = c->items[0].result;
    cr_assert(eq(u32, c->settled, result == SETTLE_DONE));
    job_free(&c->job);
    return result;
}

UNUSED static enum settle_result settle(enum settle_kind kind, struct lease l)
{
    return settle_for(kind, l, -1);
}

#define DONE(call)         cr_assert(eq(int, (call), SETTLE_DONE))
#define REFUSED(why, call) cr_assert(eq(int, (call), why))

UNUSED static void say(const char *key, const char *body, uint64_t ttl_ms)
{
    struct publish *p = message("t", body);

    p->one.key = bytes_str(key);
    p->one.has_ttl = ttl_ms != 0;
    p->one.ttl_ms = ttl_ms;
    OK(sent(p, NULL));
}

UNUSED static struct sub_state as_it_is(void)
{
    struct sub_state s;

    OK(ops->read_begin(reader, 1));
    OK(ops->subs->read(reader, bytes_str("s"), &s));
    ops->read_end(reader);
    return s;
}

#endif
