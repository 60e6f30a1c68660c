#include "push/pusher.h"

#include "base/log.h"

#include <stdlib.h>

struct push_note {
    struct letter letter; /* first */
    struct push *push;
    bool claimed; /* a place of targets */
    uint8_t name_len;
    char name[];
};

/* ---- the thread, when it is needed ---- */

_Static_assert(sizeof(struct push_target) + 128 <= LIMITS_PUSH_TARGET_BYTES,
               "a target, and the allocator's part");

static enum err set_up_library(struct push *p)
{
    struct push_client *c = &p->client;
    long most = (long)p->broker->config->push_connections;
    enum err e = push_library_load(&c->lib);

    if (e)
        return e;
    if (c->lib.curl_global_init(CURL_GLOBAL_DEFAULT))
        return ERR_NO_MEMORY;
    c->multi = c->lib.curl_multi_init();
    if (!c->multi)
        return ERR_NO_MEMORY;
    (void)c->lib.curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most);
    (void)c->lib.curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, most);
    (void)c->lib.curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return ERR_OK;
}

static void tear_down(struct push *p)
{
    if (p->client.multi) {
        (void)p->client.lib.curl_multi_cleanup(p->client.multi);
        p->client.lib.curl_global_cleanup();
    }
    p->client.multi = NULL;
    fetch_close(&p->client.fetch);
    timers_fini(&p->timers);
    mailbox_fini(&p->mailbox);
}

static enum err set_up(struct push *p)
{
    struct broker *b = p->broker;
    enum err e = mailbox_init(&p->mailbox);

    if (e)
        return e;
    p->client.broker = b;
    p->due_last = &p->due_first;
    e = fetch_open(&p->client.fetch, b->ops, b->store);
    if (!e)
        e = set_up_library(p);
    if (!e) {
        waiters_join(b->waiters, (unsigned)b->config->loops, &p->mailbox, pusher_woken, p);
        e = pthread_create(&p->thread, NULL, pusher_main, p) ? ERR_NO_MEMORY : ERR_OK;
    }
    if (e) {
        waiters_part(b->waiters, (unsigned)b->config->loops);
        tear_down(p);
    }
    return e;
}

/* Under start_lock. */
static enum err start(struct push *p)
{
    const struct config *c = p->broker->config;
    enum err e = p->failed;

    if (!e && !c->push_connections)
        e = ERR_TOO_BIG;
    if (!e)
        e = set_up(p);
    if (e == ERR_UNSUPPORTED)
        p->failed = e;
    if (e)
        return e;
    pthread_setname_np(p->thread, "sluice-push");
    atomic_store(&p->running, true);
    LOG_INFO("push", "started", LOG_I("connections", c->push_connections));
    return ERR_OK;
}

static enum err start_once(struct push *p)
{
    enum err e = ERR_OK;

    if (atomic_load(&p->running))
        return e;
    pthread_mutex_lock(&p->start_lock);
    if (!atomic_load(&p->running))
        e = start(p);
    pthread_mutex_unlock(&p->start_lock);
    return e;
}

/* ---- word of changes ---- */

static void open_note(struct letter *l)
{
    struct push_note *n = (struct push_note *)l;

    (void)pusher_meet(n->push, bytes_of(n->name, n->name_len));
    if (n->claimed)
        push_targets_unclaim(&n->push->targets);
    free(n);
}

static struct push_note *note_new(struct push *p, struct bytes name)
{
    struct push_note *n = calloc(1, sizeof *n + name.len);

    if (!n)
        return NULL;
    n->letter.open = open_note;
    n->push = p;
    n->name_len = (uint8_t)name.len;
    memcpy(n->name, name.data, name.len);
    return n;
}

enum err push_announce(struct push *p, struct bytes name, struct push_note **note)
{
    size_t most = (size_t)p->broker->config->max_push_subscriptions;
    struct push_note *n;
    enum err e = start_once(p);

    if (e)
        return e;
    n = note_new(p, name);
    if (!n)
        return ERR_NO_MEMORY;
    if (!push_targets_claim(&p->targets, name, most, &n->claimed)) {
        free(n);
        return ERR_FULL;
    }
    *note = n;
    return ERR_OK;
}

void push_changed(void *note)
{
    struct push_note *n = note;

    mailbox_post(&n->push->mailbox, &n->letter);
}

void push_look(struct push *p, struct bytes name, struct push_view *out)
{
    *out = (struct push_view){ 0 };
    if (p)
        push_targets_view(&p->targets, name, out);
}

/* ---- start, drain, stop ---- */

static bool stop_at_first(void *arg, const struct sub_state *sub)
{
    bool *found = arg;

    *found = sub_extra(&sub->settings, SUB_PUSH_URL).len > 0;
    return !*found;
}

static enum err any_pushed(struct broker *b, bool *found)
{
    struct fetch f = { 0 };
    enum err e = fetch_open(&f, b->ops, b->store);

    *found = false;
    if (!e)
        e = fetch_begin_snapshot(&f);
    if (!e)
        e = f.ops->subs->list(f.reader, bytes_of("", 0), bytes_of("", 0), stop_at_first, found);
    fetch_end(&f);
    fetch_close(&f);
    return e;
}

enum err push_open(struct broker *b, struct push **out)
{
    struct push *p = calloc(1, sizeof *p);
    bool found;
    enum err e;

    if (!p)
        return ERR_NO_MEMORY;
    p->broker = b;
    pthread_mutex_init(&p->start_lock, NULL);
    push_targets_init(&p->targets);
    *out = p;
    e = any_pushed(b, &found);
    if (e || !found)
        return e;
    e = start_once(p); /* not a reason to serve nobody */
    if (e)
        LOG_ERROR("push", "not_started", LOG_S("error", err_name(e)),
                  LOG_I("push_connections", b->config->push_connections));
    return ERR_OK;
}

static void open_drain(struct letter *l)
{
    struct push *p = (struct push *)((char *)l - offsetof(struct push, drain_letter));

    p->draining = true;
}

static void open_stop(struct letter *l)
{
    struct push *p = (struct push *)((char *)l - offsetof(struct push, stop_letter));

    p->draining = p->stopping = true;
}

void push_drain(struct push *p)
{
    p->drain_letter.open = open_drain;
    if (atomic_load(&p->running))
        mailbox_post(&p->mailbox, &p->drain_letter);
}

bool push_quiet(struct push *p)
{
    return !atomic_load(&p->busy);
}

void push_close(struct push *p)
{
    if (!p)
        return;
    p->stop_letter.open = open_stop;
    if (atomic_load(&p->running)) {
        mailbox_post(&p->mailbox, &p->stop_letter);
        pthread_join(p->thread, NULL);
        waiters_part(p->broker->waiters, (unsigned)p->broker->config->loops);
        tear_down(p);
    }
    push_targets_fini(&p->targets);
    pthread_mutex_destroy(&p->start_lock);
    free(p);
}
