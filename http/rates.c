#include "rates.h"

#include "base/clock.h"
#include "base/text.h"
#include "caller.h"
#include "server.h"

#include <stdio.h>

static const char *const scopes[RATE_SCOPES] = { "broker", "topic", "caller" };
static const char *const units[RATE_UNITS] = { "messages", "bytes" };
static const char *const settings[RATE_SCOPES] = { "publish_rate", "topic_rate",
                                                   "caller_rate" };

/* ---- refused ---- */

static void refuse(struct request *r, const struct rate_refusal *why)
{
    char per_s[TEXT_NUMBER_ROOM];

    if (why->unit == RATE_BYTES)
        text_format_size(per_s, why->per_s);
    else
        snprintf(per_s, sizeof per_s, "%llu", (unsigned long long)why->per_s);
    reply_problem_with(r, PROBLEM_RATE_LIMITED, "retry_after", why->retry_s,
                       "The %s's limit of %s%s per second (%s%s_%s) is used up. Nothing "
                       "was stored; try again in %llu s.",
                       scopes[why->scope], per_s,
                       why->unit == RATE_MESSAGES ? " messages" : "",
                       why->own ? "its own " : "",
                       why->own ? "rate" : settings[why->scope], units[why->unit],
                       (unsigned long long)why->retry_s);
}

bool rates_admit(struct request *r)
{
    struct broker *b = r->loop->broker;
    const struct body *body = &r->body;
    uint64_t cost[RATE_UNITS] = { 1, body->declared == BODY_UNKNOWN ? 0 : body->declared };
    struct rate_refusal why;
    struct bytes caller = { 0 };
    uint8_t key[CALLER_BYTES];

    if (body->ledger != b->publish)
        return true;
    if (rate_on(b->rate))
        caller = caller_of(r, key);
    if (rate_admit(b->rate, &r->ticket, request_topic(r),
                   caller, cost, clock_mono_us(), &why) == ERR_OK)
        return true;
    refuse(r, &why);
    return false;
}

void rates_received(struct request *r, size_t bytes)
{
    if (r->body.declared == BODY_UNKNOWN)
        rate_take(&r->ticket, RATE_BYTES, bytes, clock_mono_us());
}

/* ---- shown ---- */

struct fields { /* the two headers under construction */
    char policy[768], state[768];
    struct out policies, states;
};

static void begin_item(struct out *o, const char *scope, const char *unit)
{
    out_text(o, o->len ? ", \"" : "\"");
    out_text(o, scope);
    out_text(o, unit);
    out_text(o, "\"");
}

static void put_parameter(struct out *o, const char *name, uint64_t value)
{
    out_text(o, name);
    out_u64(o, value);
}

static void put_bucket(struct fields *f, const char *scope, enum rate_unit unit,
                       const struct rate_bucket *b)
{
    const char *name = unit == RATE_BYTES ? "-bytes" : "-messages";

    begin_item(&f->policies, scope, name);
    put_parameter(&f->policies, ";q=", b->per_s);
    out_text(&f->policies, unit == RATE_BYTES ? ";qu=\"content-bytes\";w=1" : ";w=1");
    begin_item(&f->states, scope, name);
    put_parameter(&f->states, ";r=", b->left);
    put_parameter(&f->states, ";t=", b->wait_s);
}

static void put_publish_buffer(struct fields *f, struct ledger *l)
{
    struct ledger_figures figures;

    ledger_read(l, &figures);
    begin_item(&f->policies, "publish-buffer", "");
    put_parameter(&f->policies, ";q=", figures.limit);
    out_text(&f->policies, ";qu=\"content-bytes\"");
    begin_item(&f->states, "publish-buffer", "");
    put_parameter(&f->states, ";r=", figures.limit - figures.used);
}

static void put_buckets(struct fields *f, const struct rate_ticket *t)
{
    struct rate_bucket buckets[RATE_SCOPES][RATE_UNITS];

    rate_look(t, clock_mono_us(), buckets);
    for (int s = 0; s < RATE_SCOPES; s++)
        for (int u = 0; u < RATE_UNITS; u++)
            if (buckets[s][u].per_s)
                put_bucket(f, scopes[s], u, &buckets[s][u]);
}

void rates_show(struct request *r)
{
    unsigned status = r->reply.status;
    struct fields f;

    if (!r->ticket.from || r->reply.share ||
        (!rate_on(r->ticket.from) && status != 429 && status != 503))
        return;
    out_init_in(&f.policies, f.policy, sizeof f.policy - 1);
    out_init_in(&f.states, f.state, sizeof f.state - 1);
    put_buckets(&f, &r->ticket);
    put_publish_buffer(&f, r->loop->broker->publish);
    f.policy[f.policies.len] = f.state[f.states.len] = '\0';
    reply_header(r, "RateLimit-Policy", f.policy);
    reply_header(r, "RateLimit", f.state);
}
