#include "mercure/check.h"

#include "base/text.h"
#include "config.h"
#include "mercure/selector.h"

#define HUB        "/.well-known/mercure"
#define ESCAPE     3   /* %XX */
#define FIELD_ROOM 16  /* &private=, &topic= and their like */
#define SHOWN      200 /* bytes of a topic, in a problem */

static uint64_t data_most(const struct config *c)
{
    return c->inline_max_bytes < c->max_message_bytes ? c->inline_max_bytes
                                                      : c->max_message_bytes;
}

uint64_t mercure_form_most(const struct config *c)
{
    uint64_t names = MERCURE_TOPICS_MAX + RECORD_ID_MAX + MERCURE_TYPE_MAX;

    return ESCAPE * (data_most(c) + names) + (MERCURE_MOST_TOPICS + 5) * FIELD_ROOM;
}

static const char *data_setting(const struct config *c)
{
    return c->inline_max_bytes < c->max_message_bytes ? "inline_max"
                                                      : "max_message_bytes";
}

static int shown(struct bytes topic)
{
    return topic.len < SHOWN ? (int)topic.len : SHOWN;
}

/* ---- what is there ---- */

static bool has_topics(struct request *r, const struct mercure_form *f)
{
    if (!f->topic_count)
        reply_problem(r, PROBLEM_BAD_REQUEST, "Missing \"topic\" parameter");
    else if (f->topic_count > MERCURE_MOST_TOPICS)
        reply_problem(r, PROBLEM_BAD_REQUEST, "An update has at most %d topics",
                      MERCURE_MOST_TOPICS);
    return !r->reply.response;
}

static bool has_retry(struct request *r, const struct mercure_form *f, uint64_t *retry)
{
    *retry = 0;
    if (!f->retry.len || text_parse_u64(f->retry, 0, UINT64_MAX, retry))
        return true;
    reply_problem(r, PROBLEM_BAD_REQUEST, "Invalid \"retry\" parameter");
    return false;
}

static bool is_topic(struct bytes topic)
{
    return topic.len && topic.len <= CONFIG_KEY_MAX_BYTES && text_is_plain(topic) &&
           !bytes_eq(topic, bytes_str("*"));
}

static bool has_fine_topics(struct request *r, const struct mercure_form *f)
{
    uint64_t all = 0;

    for (size_t i = 0; i < f->topic_count; i++) {
        all += f->topics[i].len;
        if (is_topic(f->topics[i]))
            continue;
        reply_problem(r, PROBLEM_BAD_REQUEST,
                      "Invalid \"topic\" parameter: topic %zu is not 1 to %d bytes of "
                      "UTF-8 without "
                      "control characters, or it is *",
                      i + 1, CONFIG_KEY_MAX_BYTES);
        return false;
    }
    if (all <= MERCURE_TOPICS_MAX)
        return true;
    reply_problem_with(r, PROBLEM_TOO_LARGE, "limit_bytes", MERCURE_TOPICS_MAX,
                       "The topics of an update have at most %u bytes together",
                       MERCURE_TOPICS_MAX);
    return false;
}

/* ---- who may ---- */

/* What is not covered yet is `open`; they stay in their order. Returns how many are
 * left. */
static size_t strike_out(const struct mercure_selector *s, struct bytes *open,
                         size_t count)
{
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        if (!mercure_selector_matches(s, open[i]))
            open[left++] = open[i];
    return left;
}

static enum err strike_out_all(const struct mercure_claims *claims, struct bytes *open,
                               size_t *count)
{
    for (size_t i = 0; i < claims->publish_count && *count; i++) {
        size_t bytes;
        struct mercure_selector *s =
            mercure_selector_new(claims->publish[i], false, &bytes);

        if (!s)
            return ERR_NO_MEMORY;
        *count = strike_out(s, open, *count);
        mercure_selector_free(s);
    }
    return ERR_OK;
}

static bool is_covered(struct request *r, const struct mercure_form *f,
                       const struct mercure_claims *claims)
{
    struct bytes open[MERCURE_MOST_TOPICS];
    size_t count = f->topic_count;

    memcpy(open, f->topics, count * sizeof *open);
    if (strike_out_all(claims, open, &count))
        reply_store_error(r, ERR_NO_MEMORY);
    else if (count)
        reply_problem(r, PROBLEM_FORBIDDEN, "The token does not cover topic %.*s",
                      shown(open[0]), (const char *)open[0].data);
    return !r->reply.response;
}

/* Such topics are the hub's own: nobody may tell of subscriptions in its name. */
static bool is_free(struct request *r, const struct mercure_form *f)
{
    for (size_t i = 0; i < f->topic_count; i++)
        if (memmem(f->topics[i].data, f->topics[i].len, HUB, strlen(HUB))) {
            reply_problem(r, PROBLEM_FORBIDDEN,
                          "Topics with " HUB " are the hub's own");
            return false;
        }
    return true;
}

/* ---- what goes into the event ---- */

static bool has_fine_id(struct request *r, struct bytes id)
{
    if (id.len <= RECORD_ID_MAX && text_is_plain(id) &&
        !bytes_eq(id, bytes_str("earliest")) &&
        !(id.len && *(const char *)id.data == '#'))
        return true;
    reply_problem(r, PROBLEM_BAD_REQUEST,
                  "Invalid \"id\" parameter: at most %d bytes of UTF-8 without control "
                  "characters, "
                  "not earliest, and not with # in front",
                  RECORD_ID_MAX);
    return false;
}

static bool has_fine_type(struct request *r, struct bytes type)
{
    if (type.len <= MERCURE_TYPE_MAX && text_is_plain(type) &&
        !bytes_eq(type, bytes_str("mercure")))
        return true;
    reply_problem(
        r, PROBLEM_BAD_REQUEST,
        "Invalid \"type\" parameter: at most %d bytes of UTF-8 without control "
        "characters, and not mercure",
        MERCURE_TYPE_MAX);
    return false;
}

static bool has_fine_data(struct request *r, struct bytes data)
{
    const struct config *c = r->loop->broker->config;
    uint64_t most = data_most(c);
    char limit[TEXT_NUMBER_ROOM];

    if (!text_is_utf8(data))
        reply_problem(r, PROBLEM_BAD_REQUEST,
                      "Invalid \"data\" parameter: it is not UTF-8");
    else if (data.len > most) {
        text_format_size(limit, most);
        reply_problem_with(r, PROBLEM_TOO_LARGE, "limit_bytes", most,
                           "An update's data has at most %s (%s)", limit,
                           data_setting(c));
    }
    return !r->reply.response;
}

bool mercure_check_form(struct request *r, const struct mercure_form *f,
                        const struct mercure_claims *claims, uint64_t *retry)
{
    return has_topics(r, f) && has_retry(r, f, retry) && has_fine_topics(r, f) &&
           is_covered(r, f, claims) && is_free(r, f) && has_fine_id(r, f->id) &&
           has_fine_type(r, f->type) && has_fine_data(r, f->data);
}
