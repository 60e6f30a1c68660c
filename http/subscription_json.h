/*
 * subscription_json - a subscription's settings and state as JSON, both ways.
 *
 * Threads: the request's loop.
 */
#ifndef SLUICE_SUBSCRIPTION_JSON_H
#define SLUICE_SUBSCRIPTION_JSON_H

#include "push/setting.h"
#include "request.h"
#include "subscription.h"

/* What subscription_json_write writes at most: of one without extra settings, and of any. */
#define SUBSCRIPTION_TEXT_PLAIN (3 * STORE_SUB_NAME_MAX * 6 + 1024)
#define SUBSCRIPTION_TEXT_MAX   (SUBSCRIPTION_TEXT_PLAIN + 6 * STORE_SUB_EXTRA_ROOM + PUSH_VIEW_TEXT_MAX)

static inline size_t subscription_json_room(const struct sub_state *sub)
{
    bool pushed = sub_extra(&sub->settings, SUB_PUSH_URL).len > 0;

    return SUBSCRIPTION_TEXT_PLAIN + 6u * sub->settings.extra_len +
           (pushed ? PUSH_VIEW_TEXT_MAX : 0);
}

/* Reads {"topic":...,"start":...,"lease":...} into c->sub.settings, c->set and *start, of which
 * a change (c->kind) may not have all. False: a problem was given. */
bool subscription_json_settings(struct request *r, struct subscription_change *c,
                                struct fetch_from *start);

/* Reads {"offset":n} or {"time":"..."}. False: a problem was given. */
bool subscription_json_seek(struct request *r, struct fetch_from *to);

struct subscription_figures { /* what is read beside its row */
    uint64_t lag;
    uint64_t oldest; /* the offset of the oldest message not settled */
    int64_t oldest_ms; /* and its time; 0: there is none */
    uint64_t waiters;  /* consumers that wait for a message */
    struct push_view push; /* of one that is pushed */
};

void subscription_json_write(struct out *o, const struct sub_state *sub,
                             const struct subscription_figures *f);

#endif
