#include "publish_door.h"

#include "base/clock.h"
#include "base/text.h"
#include "broker.h"
#include "hold.h"
#include "metrics.h"
#include "publish_delay.h"
#include "publish_once.h"
#include "quotas.h"

#include <strings.h>

#define MESSAGE_PAGE_BYTES 64

/* ---- in ---- */

/* RFC 7240: Prefer: respond-async, wait=5 */
static bool read_wait(struct request *r)
{
    uint64_t most = r->loop->broker->config->publish_wait_max_ms, seconds;
    const char *prefer = request_header(r, "Prefer");

    r->body.wait_ms = most;
    while (prefer && *prefer) {
        size_t len = strcspn(prefer, ",");

        while (*prefer == ' ' || *prefer == '\t')
            prefer++, len--;
        if (len > 5 && !strncasecmp(prefer, "wait=", 5)) {
            struct bytes number = { prefer + 5, len - 5 };

            while (number.len && ((const char *)number.data)[number.len - 1] == ' ')
                number.len--;
            if (!text_parse_u64(number, 0, 86400, &seconds))
                return false;
            r->body.wait_ms = seconds * 1000 < most ? seconds * 1000 : most;
        }
        prefer += len;
        prefer += *prefer == ',';
    }
    return true;
}

bool door_opens_to_hub(struct request *r)
{
    if (r->loop->broker->draining) {
        reply_problem(r, PROBLEM_DRAINING,
                      "The broker is shutting down and takes no new messages.");
        return false;
    }
    if (!read_wait(r)) {
        reply_problem(r, PROBLEM_BAD_HEADER,
                      "Prefer: wait= takes a whole number of seconds.");
        return false;
    }
    return true;
}

bool door_opens(struct request *r)
{
    const char *hubs = r->loop->broker->config->mercure_topic;

    if (!bytes_eq(request_topic(r), bytes_str(hubs)))
        return door_opens_to_hub(r);
    reply_problem(r, PROBLEM_RESERVED_TOPIC,
                  "Topic %s is the log of the Mercure hub (mercure_topic); updates come in by "
                  "POST /.well-known/mercure.",
                  hubs);
    return false;
}

size_t door_most_messages(const struct config *c)
{
    return (size_t)c->max_batch_bytes / MESSAGE_PAGE_BYTES;
}

void door_take_body(struct request *r, struct publish *p)
{
    struct body *b = &r->body;

    p->body = b->data;
    p->body_len = b->len;
    b->data = NULL;
    p->grant = b->room.grant;
    b->room.grant = (struct grant){ 0 };
    if (b->upload) {
        p->blob_id = upload_take_blob(b->upload);
        p->blob_size = upload_size(b->upload);
        upload_free(b->upload);
        b->upload = NULL;
    }
}

/* ---- to the writer and back ---- */

static void forget(struct job *j)
{
    ((struct publish *)j)->arg = NULL;
}

void door_next_differs(struct request *r, struct bytes topic, uint64_t next)
{
    reply_problem_with(r, PROBLEM_PRECONDITION_FAILED, "next", next,
                       "If-Match wants another one: the next offset of topic %.*s is %llu. "
                       "Nothing was stored.",
                       (int)topic.len, (const char *)topic.data, (unsigned long long)next);
}

void door_refuse_delay(struct request *r, enum publish_refusal why,
                       const struct publish_late *late, bool batch)
{
    const char *index = batch ? "index" : NULL;
    char deliver[TEXT_TIME_LEN + 1], expires[TEXT_TIME_LEN + 1];

    text_format_time(deliver, late->deliver_ms);
    text_format_time(expires, late->expires_ms);
    if (why == PUBLISH_DELAY_TOO_LONG)
        reply_problem_with(r, PROBLEM_DELAY_TOO_LONG, index, late->index,
                           "A message can be delayed for %llu days at most, and this one until "
                           "%s. Nothing was stored.",
                           (unsigned long long)PUBLISH_DELAY_MAX_MS / 86400000, deliver);
    else
        reply_problem_with(r, PROBLEM_NEVER_DELIVERED, index, late->index,
                           "The message is to be delivered at %s, and by its ttl, or its "
                           "topic's, it expires at %s. Nothing was stored.",
                           deliver, expires);
}

static void refused(struct request *r, struct publish *p)
{
    if (p->refusal == PUBLISH_QUOTA)
        quotas_refuse(r, p->topic, &p->quota);
    else if (p->refusal == PUBLISH_KEY_REUSED)
        reply_problem(r, PROBLEM_IDEMPOTENCY_KEY_REUSED,
                      "In this topic the Idempotency-Key stands for another publish: another "
                      "body, or another type, key, TTL, delay or attribute. Nothing was stored.");
    else if (p->refusal == PUBLISH_KEYS_FULL)
        reply_problem_with(r, PROBLEM_TOO_MANY_KEYS, "limit_keys", p->once.max_keys,
                           "There are as many Idempotency-Keys as there may be "
                           "(max_idempotency_keys). The first will be forgotten when its "
                           "idempotency_window is over.");
    else if (p->refusal == PUBLISH_NEXT_DIFFERS)
        door_next_differs(r, p->topic, p->next);
    else if (p->refusal == PUBLISH_DELAY_TOO_LONG || p->refusal == PUBLISH_NEVER_DELIVERED)
        door_refuse_delay(r, p->refusal, &p->late, p->batch);
    else if (p->refusal == PUBLISH_NO_TOPIC)
        reply_problem(r, PROBLEM_TOPIC_NOT_FOUND,
                      "Topic %.*s not found, and auto_create is off.", (int)p->topic.len,
                      (const char *)p->topic.data);
    else
        reply_store_error(r, p->outcome);
}

void door_submit(struct request *r, struct publish *p, void (*came_home)(struct letter *l))
{
    const struct config *c = r->loop->broker->config;

    p->arg = r;
    p->writer = r->loop->broker->writer;
    p->default_ttl_ms = c->default_ttl_ms;
    p->auto_create |= c->auto_create;
    p->once.window_ms = c->idempotency_window_ms;
    p->once.max_keys = c->max_idempotency_keys;
    p->job.home = &r->loop->mailbox;
    p->job.flow = r->body.room.flow;
    p->job.weight = r->body.room.weight;
    p->job.letter.open = came_home;
    request_hold(r, &p->job, forget);
    publish_submit(p, &r->ticket);
}

void door_came_home(struct letter *l,
                    void (*answer)(struct request *r, struct publish *p))
{
    struct publish *p = (struct publish *)l;
    struct request *r = p->arg;

    if ((p->outcome || p->replayed) && p->blob_id)
        upload_drop_blob(p->writer, p->blob_id);
    if (r) {
        hold_give_back(r);
        request_answered(r);
        metric_observe_us(HISTOGRAM_PUBLISH, clock_mono_us() - p->submitted_us);
        if (p->outcome)
            refused(r, p);
        else
            answer(r, p);
    }
    publish_free(p);
}

void door_replay(struct request *r, struct publish *p,
                 void (*answer)(struct request *r, struct publish *p))
{
    p->outcome = publish_replay(p, &r->once->receipt);
    if (p->outcome)
        refused(r, p);
    else
        answer(r, p);
    publish_free(p);
}

void door_say_durability(struct request *r)
{
    reply_header(r, "Durability",
                 r->loop->broker->config->durability == STORE_FSYNC ? "fsync" : "relaxed");
}
