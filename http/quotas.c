#include "quotas.h"

#include "base/text.h"

static const struct {
    const char *setting, *member;
} limits[] = {
    [QUOTA_BYTES] = { "max_bytes", "limit_bytes" },
    [QUOTA_MESSAGES] = { "max_messages", "limit_messages" },
    [QUOTA_AGE] = { "max_age", "limit_age_ms" },
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

void quotas_refuse(struct request *r, const struct quota_refusal *why)
{
    const char *setting = limits[why->limit].setting, *member = limits[why->limit].member;
    char value[TEXT_NUMBER_ROOM];

    format_value(why, value);
    if (why->never)
        reply_problem_with(r, PROBLEM_QUOTA_FULL, member, why->value,
                           "This is more than the topic's %s (%s) allows, whatever else it "
                           "holds. Nothing was stored; send less, or raise %s.",
                           setting, value, setting);
    else if (why->limit == QUOTA_AGE)
        reply_problem_with(r, PROBLEM_QUOTA_FULL, member, why->value,
                           "The topic's oldest message is older than its max_age (%s) "
                           "allows. Nothing was stored; try again when it has expired or "
                           "was purged, or raise max_age.",
                           value);
    else
        reply_problem_with(r, PROBLEM_QUOTA_FULL, member, why->value,
                           "The topic holds as much as its %s (%s) allows. Nothing was "
                           "stored; try again when messages have expired or were purged, "
                           "or raise %s.",
                           setting, value, setting);
}
