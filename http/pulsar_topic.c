#include "pulsar_topic.h"

#include "base/text.h"
#include "url.h"

#include <stdlib.h>

#define PARTITION_MARK "-partition-"

enum { TENANT, NAMESPACE, TOPIC, PARTITION, SUBSCRIPTION = PARTITION };

/* Pulsar's own rule. */
static bool is_entity_name(struct bytes name)
{
    const char *c = name.data;

    for (size_t i = 0; i < name.len; i++)
        if ((unsigned)((c[i] | 0x20) - 'a') >= 26 && (unsigned)(c[i] - '0') >= 10 &&
            (!c[i] || !strchr("_-=:.", c[i])))
            return false;
    return name.len > 0;
}

/* The domain is in the route's path: "/topics/persistent/..." */
static struct bytes domain_of(const struct route *route)
{
    const char *domain = route->path + strlen("/topics/");

    return bytes_of(domain, strcspn(domain, "/"));
}

static void append(struct request *r, struct bytes text)
{
    memcpy(r->topic + r->topic_len, text.data, text.len);
    r->topic_len = (uint16_t)(r->topic_len + text.len);
}

/* Appends the name decoded. False: it is not well encoded. */
static bool append_decoded(struct request *r, struct bytes raw, struct bytes *name)
{
    size_t len;

    if (!url_decode_segment(raw, r->topic + r->topic_len, &len))
        return false;
    *name = bytes_of(r->topic + r->topic_len, len);
    r->topic_len = (uint16_t)(r->topic_len + len);
    return true;
}

/* NULL, or what is wrong. */
static const char *build(struct request *r, const struct route *route,
                         const struct route_names *names, struct bytes *topic)
{
    struct bytes tenant, space;

    append(r, domain_of(route));
    append(r, bytes_str("://"));
    if (!append_decoded(r, names->name[TENANT], &tenant) || !is_entity_name(tenant))
        return "a tenant is made of letters, digits and _-=:.";
    append(r, bytes_str("/"));
    if (!append_decoded(r, names->name[NAMESPACE], &space) || !is_entity_name(space))
        return "a namespace is made of letters, digits and _-=:.";
    append(r, bytes_str("/"));
    if (!append_decoded(r, names->name[TOPIC], topic))
        return "the topic is not well percent-encoded";
    r->topic[r->topic_len] = 0;
    return url_name_wrong(request_topic(r));
}

static bool is_partition(struct bytes topic)
{
    const char *name = topic.data;
    size_t digits = 0;

    while (digits < topic.len && (unsigned)(name[topic.len - 1 - digits] - '0') < 10)
        digits++;
    return digits && topic.len - digits >= strlen(PARTITION_MARK) &&
           !memcmp(name + topic.len - digits - strlen(PARTITION_MARK), PARTITION_MARK,
                   strlen(PARTITION_MARK));
}

static void check_partition(struct request *r, struct bytes topic, struct bytes partition)
{
    uint64_t n;

    if (is_partition(topic))
        reply_problem(r, PROBLEM_BAD_REQUEST,
                      "%s names a partition already; leave out /partitions/.", r->topic);
    else if (!text_parse_u64(partition, 0, INT32_MAX, &n) || n != 0)
        reply_problem(r, PROBLEM_TOPIC_NOT_FOUND,
                      "Topic %s-partition-%.*s not found: topics are not partitioned, "
                      "there is only partition 0.",
                      r->topic, (int)(partition.len > 20 ? 20 : partition.len),
                      (const char *)partition.data);
}

/* False: refused. */
static bool take_name(struct request *r, const struct route *route,
                      const struct route_names *names, struct bytes *topic)
{
    size_t room = strlen(route->path) + 8;
    const char *why;

    for (size_t i = TENANT; i < names->count; i++)
        room += names->name[i].len;
    r->topic = room <= UINT16_MAX ? malloc(room) : NULL;
    if (!r->topic) {
        reply_store_error(r, ERR_NO_MEMORY);
        return false;
    }
    why = build(r, route, names, topic);
    if (why)
        reply_problem(r, PROBLEM_BAD_TOPIC, "Invalid topic name: %s", why);
    return !why;
}

void pulsar_take_topic(struct request *r, const struct route *route,
                       const struct route_names *names)
{
    struct bytes topic = { 0 };

    if (take_name(r, route, names, &topic) && names->count > PARTITION)
        check_partition(r, topic, names->name[PARTITION]);
}

void pulsar_take_subscription(struct request *r, const struct route *route,
                              const struct route_names *names)
{
    const char *why = "it is not well percent-encoded";
    struct bytes topic = { 0 };
    size_t len;
    char *name;

    if (!take_name(r, route, names, &topic))
        return;
    name = r->topic + r->topic_len + 1;
    if (url_decode_segment(names->name[SUBSCRIPTION], name, &len)) {
        name[len] = 0;
        why = url_name_wrong(bytes_of(name, len));
    }
    if (why)
        reply_problem(r, PROBLEM_BAD_TOPIC, "Invalid subscription name: %s", why);
}
