/* What came of a delivery: told to the writer, to who looks at the subscription, and to the log. */
#include "push/pusher.h"

#include "base/clock.h"
#include "base/log.h"
#include "metrics.h"
#include "push/url.h"
#include "settle.h"

/* What paid for the transfer pays for this, where it is left. Nobody waits for it. */
static void settle(struct push_delivery *d, enum settle_kind kind, uint64_t delay_ms)
{
    struct settle *s;

    push_transfer_end(&d->transfer);
    s = settle_new(1, &d->grant);
    if (!s)
        return; /* no memory: the lease will be over by itself */
    s->kind = kind;
    s->has_delay = true;
    s->delay_ms = delay_ms;
    memcpy(s->name, d->target->name, d->target->name_len);
    s->name_len = d->target->name_len;
    s->items[0].lease = d->lease;
    s->job.flow = d->room.flow;
    settle_submit(d->push->broker->writer, s);
}

static void log_pause(const struct push *p, const struct push_target *t,
                      const struct sub_state *sub, const char *error)
{
    char name[STORE_SUB_NAME_MAX + 1], url[PUSH_URL_SHOWN];

    memcpy(name, t->name, t->name_len);
    name[t->name_len] = 0;
    push_url_show(sub_extra(&sub->settings, SUB_PUSH_URL), url);
    LOG_WARN("push", "failing", LOG_S("subscription", name), LOG_S("url", url),
             LOG_S("error", error), LOG_I("pause_ms", t->pace.until_ms - p->now_ms));
}

static void log_recovered(const struct push_target *t)
{
    char name[STORE_SUB_NAME_MAX + 1];

    memcpy(name, t->name, t->name_len);
    name[t->name_len] = 0;
    LOG_INFO("push", "recovered", LOG_S("subscription", name),
             LOG_I("failing_ms", clock_wall_ms() - t->failing_since_ms));
}

void settle_taken(struct push_delivery *d)
{
    struct push_target *t = d->target;

    metric_add(METRIC_PUSH_TAKEN, 1);
    if (t->pace.pauses)
        log_recovered(t);
    if (t->failing_since_ms)
        push_targets_note(&d->push->targets, t, "", 0);
    push_pace_taken(&t->pace);
    settle(d, SETTLE_ACK, 0);
}

/* The settings are read again: there is no other place where they are kept. */
void settle_refused(struct push_delivery *d, const struct push_outcome *o)
{
    struct push *p = d->push;
    struct push_target *t = d->target;
    unsigned pauses = t->pace.pauses;
    struct sub_state sub;
    enum err e;

    metric_add(o->status ? METRIC_PUSH_REFUSED : METRIC_PUSH_SILENT, 1);
    if (o->status)
        push_pace_refused(&t->pace, o->retry_after_ms, p->now_ms);
    else
        push_pace_silent(&t->pace, p->now_ms);
    push_targets_note(&p->targets, t, o->error,
                      t->failing_since_ms ? t->failing_since_ms : clock_wall_ms());
    e = fetch_begin_subscription(&p->client.fetch, push_target_name(t), &sub);
    fetch_end(&p->client.fetch);
    if (e) { /* it is gone, or the store fails: then the lease ends by itself */
        push_transfer_end(&d->transfer);
        return;
    }
    if (!pauses && t->pace.pauses)
        log_pause(p, t, &sub, o->error);
    settle(d, SETTLE_NACK,
           push_pace_retry_ms(&sub.settings, d->lease.deliveries, o->retry_after_ms));
}

void settle_back(struct push_delivery *d)
{
    settle(d, SETTLE_TAKE_BACK, 0);
}
