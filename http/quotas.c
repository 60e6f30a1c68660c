#include "quotas.h"

#include "base/text.h"

#include <stdio.h>

#define WHOSE_MAX 128 /* longer prefixes are cut */

static const struct {
    const char *setting, *member;
} limits[] = {
    [QUOTA_BYTES] = { "max_bytes", "limit_bytes" },
    [QUOTA_MESSAGES] = { "max_messages", "limit_messages" },
    [QUOTA_AGE] = { "max_age", "limit_age_ms" },
    [QUOTA_TOPICS] = { "max_topics", "limit_topics" },
};

static void format_value(const struct quota_refusal *why, char out[TEXT_NUMBER_ROOM])
{
    if (why->limit == QUOTA_BYTES)
        text_format_size(out, why->value);
    else if (why->limit == QUOTA_AGE)
        text_format_duration(out, why->value);
    else
        out[text_put_u64(out, why->value)] = '\0';
}

static void format_whose(const struct quota_refusal *why, struct bytes topic,
                         char out[WHOSE_MAX])
{
    const char *all = why->limit == QUOTA_TOPICS ? "The broker" : "The topic";

    if (why->prefix_len)
        snprintf(out, WHOSE_MAX, "The namespace %.*s", why->prefix_len,
                 (const char *)topic.data);
    else
        snprintf(out, WHOSE_MAX, "%s", all);
}

void quotas_refuse(struct request *r, struct bytes topic, const struct quota_refusal *why)
{
    const char *setting = limits[why->limit].setting, *member = limits[why->limit].member;
    char value[TEXT_NUMBER_ROOM], whose[WHOSE_MAX];

    format_value(why, value);
    format_whose(why, topic, whose);
    if (why->limit == QUOTA_TOPICS)
        reply_problem_with(r, PROBLEM_TOO_MANY_TOPICS, member, why->value,
                           "%s has as many topics as its %s (%s) allows. Nothing was "
                           "stored; delete one, or raise %s.",
                           whose, setting, value, setting);
    else if (why->never)
        reply_problem_with(r, PROBLEM_QUOTA_FULL, member, why->value,
                           "%s may never hold this: it is more than its %s (%s). Nothing "
                           "was stored; send less, or raise %s.",
                           whose, setting, value, setting);
    else if (why->limit == QUOTA_AGE)
        reply_problem_with(r, PROBLEM_QUOTA_FULL, member, why->value,
                           "%s has a message older than its %s (%s) allows. Nothing was "
                           "stored; try again when it has expired or was purged, or raise "
                           "%s.",
                           whose, setting, value, setting);
    else
        reply_problem_with(r, PROBLEM_QUOTA_FULL, member, why->value,
                           "%s holds as much as its %s (%s) allows. Nothing was stored; "
                           "try again when messages have expired or were purged, or raise "
                           "%s.",
                           whose, setting, value, setting);
}
