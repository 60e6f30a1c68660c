/*
 * Invariants:
 *  1. An entry is in the line of those with something due if `to_tell`, which is if due > 0.
 *  2. untold = due + its updates with the writer. While it is above 0, or the entry is in the
 *     registry, the entry is there.
 *  3. Of what is under way, or granted, the loop is owed a letter: it does not end before.
 */
#include "mercure/announce.h"

#include "base/clock.h"
#include "base/log.h"
#include "mercure/publish.h"

#include <stdlib.h>

#define FROM(ptr, type, field) ((type *)((char *)(ptr)-offsetof(type, field)))

#define UNDER_WAY_MOST 128  /* of a loop: one commit is for many, and other jobs are not kept out */
#define AGAIN_MS       1000

struct announcement {
    struct publish publish; /* first: publish_free frees all of it */
    struct mercure_announcer *by;
    struct mercure_entry *entry;
    unsigned topic; /* of the entry */
};

static void go_on(struct mercure_announcer *a);

/* ---- who has something to tell ---- */

static void add(struct mercure_announcer *a, struct mercure_entry *e)
{
    if (e->to_tell)
        return;
    e->to_tell = true;
    e->next_to_tell = NULL;
    if (a->first)
        a->last->next_to_tell = e;
    else
        a->first = e;
    a->last = e;
}

static void drop_first(struct mercure_announcer *a)
{
    struct mercure_entry *e = a->first;

    a->first = e->next_to_tell;
    e->to_tell = false;
}

static void begin(struct mercure_announcer *a, struct mercure_entry *e, bool of_end)
{
    e->tells_end = of_end;
    e->due = e->untold = e->count;
    e->first = 0;
    memset(e->telling, MERCURE_DUE, e->count);
    mercure_registry_untold(e->all);
    add(a, e);
}

/* All of its beginning, or of its end, has been told. */
static void ended(struct mercure_announcer *a, struct mercure_entry *e)
{
    struct mercure_registry *all = e->all;
    uint64_t next = e->told_next;

    if (e->tells_end)
        mercure_entry_free(e);
    else if (e->left)
        begin(a, e, true);
    mercure_registry_told(all, next);
}

/* ---- back from the writer ---- */

static void refused(struct mercure_announcer *a, const struct publish *p)
{
    if (!a->refused)
        LOG_WARN("mercure", "subscription_not_told", LOG_S("error", err_name(p->outcome)));
    a->refused = true;
    a->again_ms = a->loop->now_ms + AGAIN_MS;
}

static void came_home(struct letter *l)
{
    struct announcement *n = (struct announcement *)l;
    struct mercure_announcer *a = n->by;
    struct mercure_entry *e = n->entry;
    enum err outcome = n->publish.outcome;
    bool told = !outcome || a->loop->broker->draining;

    a->under_way--;
    if (outcome)
        refused(a, &n->publish);
    else if (n->publish.first_offset >= e->told_next)
        e->told_next = n->publish.first_offset + 1;
    if (!outcome)
        a->refused = false;
    e->telling[n->topic] = told ? MERCURE_TOLD : MERCURE_DUE;
    if (told) {
        e->untold--;
    } else {
        e->due++;
        e->first = n->topic < e->first ? n->topic : e->first;
        add(a, e);
    }
    publish_free(&n->publish);
    if (!e->untold)
        ended(a, e);
    go_on(a);
}

/* ---- room ---- */

static void room_opened(struct letter *letter)
{
    struct mercure_announcer *a = FROM(letter, struct mercure_announcer, letter);

    a->in_line = false;
    go_on(a);
    if (!a->in_line) /* else it is the ledger's to write to */
        ledger_release(&a->room.grant);
}

static void room_granted(struct ledger_waiter *w)
{
    struct mercure_announcer *a = FROM(w, struct mercure_announcer, room);
    struct mailbox *home = &a->loop->mailbox;

    mailbox_post(home, &a->letter);
    atomic_fetch_sub(&home->owed, 1);
}

/* Into a->room.grant. ERR_BUSY: it stands in line for it. */
static enum err take_room(struct mercure_announcer *a, size_t bytes)
{
    struct mailbox *home = &a->loop->mailbox;
    enum err e;

    if (a->room.grant.bytes >= bytes)
        return ERR_OK;
    ledger_release(&a->room.grant);
    a->room.bytes = bytes;
    a->room.granted = room_granted;
    a->letter.open = room_opened;
    atomic_fetch_add(&home->owed, 1); /* before it may be granted */
    e = ledger_wait(a->loop->broker->publish, &a->room);
    if (e != ERR_BUSY)
        atomic_fetch_sub(&home->owed, 1);
    a->in_line = e == ERR_BUSY;
    return e;
}

/* ---- to the writer ---- */

static enum err name(struct publish *p, const struct config *c,
                     const struct mercure_subscription *s)
{
    char urn[MERCURE_URN_LEN + 1];
    struct mercure_update u = { .is_private = true };
    struct out url;
    enum err e = mercure_uuid_v7(urn, clock_wall_ms());

    if (e)
        return e;
    out_init(&url, mercure_subscription_url_len(s));
    mercure_put_subscription_url(&url, s);
    u.id = bytes_str(urn);
    u.topic = bytes_of(url.data, url.len);
    e = url.full ? ERR_NO_MEMORY : mercure_publish_name(p, c, &u);
    out_fini(&url);
    return e;
}

static enum err fill(struct publish *p, const struct config *c,
                     const struct mercure_subscription *s)
{
    struct out data;
    enum err e = name(p, c, s);

    if (e)
        return e;
    out_init(&data, mercure_subscription_most(s));
    mercure_put_subscription_event(&data, s);
    if (data.full) {
        out_fini(&data);
        return ERR_NO_MEMORY;
    }
    out_trim(&data);
    p->body = (uint8_t *)out_take(&data, &p->body_len);
    p->one.body = bytes_of(p->body, p->body_len);
    return ERR_OK;
}

static size_t cost(const struct config *c, const struct mercure_subscription *s)
{
    return PUBLISH_OVERHEAD + sizeof(struct announcement) - sizeof(struct publish) +
           strlen(c->mercure_topic) + MERCURE_URN_LEN + MERCURE_ATTRIBUTES_FRAME +
           mercure_subscription_url_len(s) + mercure_subscription_most(s);
}

static void submit(struct mercure_announcer *a, struct announcement *n)
{
    struct broker *b = a->loop->broker;
    struct publish *p = &n->publish;

    p->writer = b->writer;
    p->default_ttl_ms = b->config->default_ttl_ms;
    p->job.home = &a->loop->mailbox;
    p->job.letter.open = came_home;
    a->under_way++;
    publish_submit(p, NULL); /* of no caller: nobody's rate */
}

/* ERR_BUSY: it stands in line. */
static enum err tell(struct mercure_announcer *a, struct mercure_entry *e, unsigned topic)
{
    const struct config *c = a->loop->broker->config;
    struct mercure_subscription s = mercure_entry_view(e, topic, !e->tells_end);
    size_t bytes = cost(c, &s);
    struct announcement *n;
    enum err err = take_room(a, bytes);

    if (err)
        return err;
    n = calloc(1, sizeof *n);
    if (!n)
        return ERR_NO_MEMORY;
    *n = (struct announcement){ .by = a, .entry = e, .topic = topic };
    n->publish.grant = a->room.grant;
    a->room.grant = (struct grant){ 0 };
    ledger_shrink(&n->publish.grant, bytes);
    err = fill(&n->publish, c, &s);
    if (err) {
        publish_free(&n->publish);
        return err;
    }
    e->telling[topic] = MERCURE_UNDER_WAY;
    e->due--;
    submit(a, n);
    return ERR_OK;
}

static bool may_tell(const struct mercure_announcer *a)
{
    if (!a->first || a->in_line || a->over)
        return false;
    if (!a->refused)
        return a->under_way < UNDER_WAY_MOST;
    return !a->under_way &&
           (a->loop->now_ms >= a->again_ms || a->loop->broker->draining);
}

static void go_on(struct mercure_announcer *a)
{
    enum err err;

    while (may_tell(a)) {
        struct mercure_entry *e = a->first;

        while (e->telling[e->first] != MERCURE_DUE)
            e->first++;
        err = tell(a, e, e->first);
        if (err == ERR_BUSY)
            return;
        if (err) { /* no memory: as if the writer had refused it */
            a->refused = true;
            a->again_ms = a->loop->now_ms + AGAIN_MS;
            return;
        }
        if (!e->due)
            drop_first(a);
    }
}

/* ---- from outside ---- */

void mercure_announce_arrival(struct mercure_announcer *a, struct mercure_entry *e)
{
    begin(a, e, false);
    mercure_registry_enter(e);
    go_on(a);
}

void mercure_announce_departure(struct mercure_announcer *a, struct mercure_entry *e)
{
    e->left = true;
    if (!e->untold) /* else that follows when its arrival has been told */
        begin(a, e, true);
    mercure_registry_leave(e);
    go_on(a);
}

void mercure_announce_tick(struct mercure_announcer *a)
{
    if (a->refused)
        go_on(a);
}

void mercure_announce_stop(struct mercure_announcer *a)
{
    a->over = true;
    if (a->in_line && ledger_leave(a->loop->broker->publish, &a->room)) {
        atomic_fetch_sub(&a->loop->mailbox.owed, 1);
        a->in_line = false;
    }
}

void mercure_announce_init(struct mercure_announcer *a, struct loop *l)
{
    a->loop = l;
}

void mercure_announce_fini(struct mercure_announcer *a)
{
    ledger_release(&a->room.grant);
    while (a->first) {
        struct mercure_entry *e = a->first;

        drop_first(a);
        mercure_entry_free(e);
    }
}
