#include "pulsar_publish.h"

#include "broker.h"
#include "pulsar_pack.h"
#include "publish_door.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

/* Answers up to this size are given whole, with their length. */
#define SHORT_ANSWER 4096
/* The library's buffer for the pieces of a longer one. */
#define PIECE_BYTES 1024
/* Of the name, the two lengths and the tag of the attribute pulsar-producer. */
#define PRODUCER_ROOM (4 + sizeof PULSAR_PRODUCER + PULSAR_PRODUCER_MAX)
/* What a long answer keeps until it has been sent. */
#define ANSWER_BYTES (sizeof(struct door_meta) + PIECE_BYTES)

_Static_assert(PULSAR_ATTRIBUTES_ROOM + PRODUCER_ROOM <= PUBLISH_SHARED_MAX,
               "a message's attributes with its producer's");

/* A publish's meta: freed with it, unless a long answer has taken it over. */
struct door_meta {
    struct pulsar_results results; /* first */
    uint8_t producer[PRODUCER_ROOM];
    uint8_t topic[STORE_TOPIC_NAME_MAX];
};

/* ---- how problems are told ---- */

static unsigned pulsar_status(enum problem p)
{
    return p == PROBLEM_BAD_TOPIC ? MHD_HTTP_PRECONDITION_FAILED : 0;
}

static void write_reason(struct out *o, const struct problem_view *v)
{
    out_text(o, "{\"reason\":");
    out_str(o, bytes_str(v->detail));
    out_text(o, "}");
}

const struct dialect dialect_pulsar = { .content_type = "application/json",
                                        .status = pulsar_status,
                                        .write = write_reason };

/* ---- answers ---- */

static ssize_t read_results(void *arg, uint64_t pos, char *buf, size_t max)
{
    size_t len = pulsar_results_read(arg, buf, max);

    (void)pos;
    return len ? (ssize_t)len : MHD_CONTENT_READER_END_OF_STREAM;
}

static void free_results(void *arg)
{
    struct pulsar_results *results = arg;
    struct grant grant = results->grant;

    free(results);
    ledger_release(&grant);
}

/* Takes over meta, and the part of the grant that pays for it. */
static void give_long(struct request *r, struct publish *p)
{
    struct pulsar_results *results = (struct pulsar_results *)p->meta;

    pulsar_results_rewind(results);
    assert(p->grant.bytes >= ANSWER_BYTES);
    results->grant = (struct grant){ p->grant.from, ANSWER_BYTES };
    p->grant.bytes -= ANSWER_BYTES;
    p->meta = NULL;
    p->topic = bytes_of("", 0);
    reply_callback(r, MHD_HTTP_OK, MHD_SIZE_UNKNOWN, PIECE_BYTES, read_results,
                   free_results, results);
    reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
}

static void answer(struct request *r, struct publish *p)
{
    struct pulsar_results *results = (struct pulsar_results *)p->meta;
    char text[SHORT_ANSWER];
    size_t len;

    results->first_offset = p->first_offset;
    len = pulsar_results_read(results, text, sizeof text);
    if (len < sizeof text)
        reply_text(r, MHD_HTTP_OK, "application/json", bytes_of(text, len));
    else
        give_long(r, p);
    door_say_durability(r);
}

static void came_home(struct letter *l)
{
    door_came_home(l, answer);
}

/* ---- in ---- */

static bool is_json(struct request *r)
{
    const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);

    return !type || (strcspn(type, "; \t") == 16 &&
                     !strncasecmp(type, "application/json", 16));
}

void pulsar_publish_start(struct request *r)
{
    struct broker *b = r->loop->broker;

    if (!door_opens(r))
        return;
    if (!is_json(r))
        reply_problem(r, PROBLEM_UNSUPPORTED_TYPE, "The body must be application/json.");
    else
        request_expect_body(r, BODY_WHOLE, b->config->max_batch_bytes, b->publish,
                            PUBLISH_OVERHEAD + ANSWER_BYTES, 1);
}

/* Topic and producer into the publish's own memory: its body is packed over. */
static void keep_names(struct request *r, struct publish *p, struct bytes producer)
{
    struct door_meta *meta = (struct door_meta *)p->meta;
    struct bytes name = bytes_str(PULSAR_PRODUCER);

    p->topic = bytes_of(meta->topic, r->topic_len);
    memcpy(meta->topic, r->topic, r->topic_len);
    if (!producer.len)
        return;
    p->one.attributes =
        bytes_of(meta->producer, packed_attribute_put(meta->producer, name, producer));
}

/* Nothing of a request that this refuses is stored. */
static enum err pack(struct request *r, struct publish *p,
                     char reason[PULSAR_REASON_ROOM])
{
    const struct config *c = r->loop->broker->config;
    struct pulsar_limits limits = { .max_messages = door_most_messages(c),
                                    .max_body_bytes = (size_t)c->inline_max_bytes };
    struct pulsar_packing packing;
    struct pulsar_envelope envelope;
    enum err e = pulsar_open_envelope(p->body, p->body_len, &envelope, reason);

    if (e)
        return e;
    if (limits.max_body_bytes > c->max_message_bytes)
        limits.max_body_bytes = (size_t)c->max_message_bytes;
    keep_names(r, p, envelope.producer);
    e = pulsar_pack(p->body, &envelope, &limits, (struct pulsar_results *)p->meta,
                    &packing);
    memcpy(reason, packing.reason, PULSAR_REASON_ROOM);
    if (e)
        return e;
    p->batch = true;
    p->body_len = packing.packed_len;
    p->count = packing.count;
    p->total_bytes = packing.body_bytes;
    p->delayed = packing.delayed;
    return ERR_OK;
}

/* The producer's name is stored with every message, which can be much more than was sent. */
static bool fits(struct request *r, struct publish *p)
{
    uint64_t most = r->loop->broker->config->max_batch_bytes;

    if (p->body_len + p->count * p->one.attributes.len <= most)
        return true;
    reply_problem(r, PROBLEM_TOO_LARGE,
                  "With its producerName in each of %llu messages this request is larger "
                  "than max_batch_bytes. Nothing was stored.",
                  (unsigned long long)p->count);
    return false;
}

/* A reply was given, or p has been submitted (true). */
static bool send_in(struct request *r, struct publish *p)
{
    char reason[PULSAR_REASON_ROOM];
    enum err e = pack(r, p, reason);

    if (e)
        reply_problem(r, e == ERR_TOO_BIG ? PROBLEM_TOO_LARGE : PROBLEM_BAD_BATCH,
                      "%s. Nothing was stored.", reason);
    else if (!p->count)
        answer(r, p);
    else if (fits(r, p)) {
        door_submit(r, p, came_home);
        return true;
    }
    return false;
}

void pulsar_publish_finish(struct request *r)
{
    struct publish *p = calloc(1, sizeof *p);

    if (p)
        p->meta = calloc(1, sizeof(struct door_meta));
    if (!p || !p->meta) {
        reply_store_error(r, ERR_NO_MEMORY);
        publish_free(p);
        return;
    }
    door_take_body(r, p);
    if (!send_in(r, p))
        publish_free(p);
}
