#include "config_table.h"

#include "base/text.h"
#include "config_form.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define KIB    ((uint64_t)1 << 10)
#define MIB    ((uint64_t)1 << 20)
#define GIB    ((uint64_t)1 << 30)
#define SECOND ((uint64_t)1000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

#define FIELD(f) .field = offsetof(struct config, f)

#define STORAGE  "Listening and storage"
#define MEMORY   "Memory"
#define MESSAGES "Messages"
#define WAITING  "Waiting"
#define RATES    "Rate limits"
#define MERCURE  "Mercure hub"
#define PUSH     "Push"
#define PROCESS  "Process"

/* enum config_jwt_alg */
#define JWT_ALGS                                                                       \
    {                                                                                  \
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512" \
    }

#define RATE_MOST ((uint64_t)1000000000)

const struct config_setting config_table[CONFIG_SETTINGS] = {
    { "listen", STORAGE, CONFIG_ADDRESS, FIELD(listen),
      .preset = "127.0.0.1:7070",
      .help = "Address and port of the HTTP interface; :7070 is every address." },
    { "page", STORAGE, CONFIG_BOOL, FIELD(page),
      .preset = "true",
      .help = "A page for people at GET /, to subscribe and to publish; else 404." },
    { "data_dir", STORAGE, CONFIG_PATH, FIELD(data_dir),
      .preset = "./sluice-data",
      .help = "Directory of the message store; made when missing." },
    { "map_size", STORAGE, CONFIG_SIZE, FIELD(map_size_bytes), MIB, 1024 * GIB,
      .preset = "16GiB",
      .help = "Most bytes of disk that messages may use." },
    { "durability", STORAGE, CONFIG_CHOICE, FIELD(durability),
      .preset = "fsync", .choices = { "fsync", "relaxed" },
      .help = "fsync: on disk before the answer. relaxed: written, synced soon after." },

    { "memory_limit", MEMORY, CONFIG_SIZE, FIELD(memory_limit_bytes), 16 * MIB, 1024 * GIB,
      .derived = "75 % of the container, less what the kernel needs; 256MiB where there is none",
      .help = "Anonymous memory of the whole broker; the settings below are its parts." },
    { "publish_buffer", MEMORY, CONFIG_SIZE, FIELD(publish_buffer_bytes), 256 * KIB,
      256 * GIB, .derived = "memory_limit / 4, less where it does not fit",
      .help = "Bytes of messages received and not yet stored; publishers wait while full." },
    { "read_buffer", MEMORY, CONFIG_SIZE, FIELD(read_buffer_bytes), 256 * KIB, 256 * GIB,
      .derived = "memory_limit / 8, less where it does not fit",
      .help = "Bytes of answers being built or queued for readers." },
    { "max_batch_bytes", MEMORY, CONFIG_SIZE, FIELD(max_batch_bytes), 64 * KIB, GIB,
      .derived = "publish_buffer / 4, at least inline_max, at most 16MiB",
      .help = "Largest batch body, and most bytes in one store transaction." },
    { "topic_cache", MEMORY, CONFIG_SIZE, FIELD(topic_cache_bytes), 64 * KIB, 64 * GIB,
      .derived = "memory_limit / 32, less where it does not fit",
      .help = "Bytes of topic states that the writer keeps at hand." },
    { "max_connections", MEMORY, CONFIG_COUNT, FIELD(max_connections), 1, 1000000,
      .derived = "what 2/5 of memory_limit, the container and the descriptor limit carry",
      .help = "Most client connections at once, waiting readers included." },
    { "max_connections_per_address", MEMORY, CONFIG_COUNT,
      FIELD(max_connections_per_address), 0, 1000000, .preset = "0",
      .help = "Most connections of one IPv4 address or IPv6 /64; 0: any number." },
    { "connection_memory", MEMORY, CONFIG_SIZE, FIELD(connection_memory_bytes), 4 * KIB,
      256 * KIB, .derived = "8KiB, or 4KiB when memory_limit is below 128MiB",
      .help = "Buffer of one connection; its request line and headers must fit." },
    { "receive_buffer", MEMORY, CONFIG_SIZE, FIELD(receive_buffer_bytes), 4 * KIB, 4 * MIB,
      .derived = "64KiB, or 1/4096 of a container below 256MiB",
      .help = "What the kernel takes in for one connection before it is read." },

    { "max_message_bytes", MESSAGES, CONFIG_SIZE, FIELD(max_message_bytes), KIB, 64 * GIB,
      .preset = "64MiB",
      .help = "Largest message accepted; 413 beyond it." },
    { "inline_max", MESSAGES, CONFIG_SIZE, FIELD(inline_max_bytes), KIB, 16 * MIB,
      .preset = "128KiB",
      .help = "Messages up to this are held whole; larger ones stream in chunks." },
    { "default_ttl", MESSAGES, CONFIG_DURATION, FIELD(default_ttl_ms), 0, 36500 * DAY,
      .preset = "7d", .live = true,
      .help = "Life of a message where neither it nor its topic says; 0: for ever." },
    { "auto_create", MESSAGES, CONFIG_BOOL, FIELD(auto_create),
      .preset = "true",
      .help = "Publishing to a topic that does not exist creates it; else 404." },
    { "max_topics", MESSAGES, CONFIG_COUNT, FIELD(max_topics), 0, 1000000000,
      .preset = "0",
      .help = "Most topics there may be; 507 for one more. 0: as many as map_size holds." },
    { "max_subscriptions", MESSAGES, CONFIG_COUNT, FIELD(max_subscriptions), 0, 1000000000,
      .preset = "100000",
      .help = "Most subscriptions there may be; 507 for one more. 0: as many as map_size holds." },
    { "idempotency_window", MESSAGES, CONFIG_DURATION, FIELD(idempotency_window_ms), SECOND,
      30 * DAY, .preset = "10m", .live = true,
      .help = "How long an Idempotency-Key is known: a repeat is answered like the first." },
    { "max_idempotency_keys", MESSAGES, CONFIG_COUNT, FIELD(max_idempotency_keys), 0,
      1000000000, .preset = "1000000", .live = true,
      .help = "Most such keys at once, of all topics; 507 for one more. 0: no limit." },

    { "publish_wait_max", WAITING, CONFIG_DURATION, FIELD(publish_wait_max_ms), 0, HOUR,
      .preset = "30s", .live = true,
      .help = "Longest a publisher waits for room in the publish buffer." },
    { "read_wait_max", WAITING, CONFIG_DURATION, FIELD(read_wait_max_ms), 0, HOUR,
      .preset = "60s", .live = true,
      .help = "Longest a reader may ask to wait for messages." },
    { "read_buffer_wait_max", WAITING, CONFIG_DURATION, FIELD(read_buffer_wait_max_ms), 0,
      HOUR, .preset = "10s", .live = true,
      .help = "Longest a reader waits for room in the read buffer." },
    { "min_body_rate", WAITING, CONFIG_SIZE, FIELD(min_body_rate_bytes_s), 0, GIB,
      .preset = "1KiB", .live = true,
      .help = "Bytes per second a body must arrive with, else 408; 0: any." },
    { "body_grace", WAITING, CONFIG_DURATION, FIELD(body_grace_ms), 0, HOUR,
      .preset = "5s",
      .help = "Time a body has before min_body_rate counts." },
    { "header_timeout", WAITING, CONFIG_DURATION, FIELD(header_timeout_ms), 100, HOUR,
      .preset = "10s",
      .help = "Longest a request's headers may take to arrive." },
    { "write_timeout", WAITING, CONFIG_DURATION, FIELD(write_timeout_ms), 100, HOUR,
      .preset = "30s",
      .help = "A reader that takes nothing for this long is disconnected." },
    { "min_read_rate", WAITING, CONFIG_SIZE, FIELD(min_read_rate_bytes_s), 0, GIB,
      .preset = "1KiB",
      .help = "Bytes per second a reader must take its answer with, over write_timeout; 0: any." },
    { "download_grace", WAITING, CONFIG_DURATION, FIELD(download_grace_ms), 0, 365 * DAY,
      .preset = "1h",
      .help = "How long a download keeps a large message that is gone; 0: not at all." },
    { "idle_timeout", WAITING, CONFIG_DURATION, FIELD(idle_timeout_ms), 100, DAY,
      .preset = "60s",
      .help = "A connection without a request for this long is closed." },
    { "drain_timeout", WAITING, CONFIG_DURATION, FIELD(drain_timeout_ms), 0, HOUR,
      .preset = "7s",
      .help = "Longest that SIGTERM waits for requests under way." },
    { "sse_heartbeat", WAITING, CONFIG_DURATION, FIELD(sse_heartbeat_ms), 100, HOUR,
      .preset = "15s",
      .help = "An event stream without news is sent a comment this often." },
    { "sse_max_life", WAITING, CONFIG_DURATION, FIELD(sse_max_life_ms), 100, DAY,
      .preset = "10m",
      .help = "An event stream ends after 80 to 100 % of this; its client comes back." },

    { "publish_rate_messages", RATES, CONFIG_COUNT, FIELD(publish_rate_messages), 0,
      RATE_MOST, .preset = "0", .live = true,
      .help = "Most messages per second that the broker takes in; 0: no limit." },
    { "publish_rate_bytes", RATES, CONFIG_SIZE, FIELD(publish_rate_bytes), 0, 1024 * GIB,
      .preset = "0", .live = true,
      .help = "Most bytes of bodies per second that the broker takes in; 0: no limit." },
    { "topic_rate_messages", RATES, CONFIG_COUNT, FIELD(topic_rate_messages), 0, RATE_MOST,
      .preset = "0", .live = true,
      .help = "Most messages per second into one topic; 0: no limit." },
    { "topic_rate_bytes", RATES, CONFIG_SIZE, FIELD(topic_rate_bytes), 0, 1024 * GIB,
      .preset = "0", .live = true,
      .help = "Most bytes of bodies per second into one topic; 0: no limit." },
    { "caller_rate_messages", RATES, CONFIG_COUNT, FIELD(caller_rate_messages), 0,
      RATE_MOST, .preset = "0", .live = true,
      .help = "Most messages per second from one IPv4 address or IPv6 /64; 0: no limit." },
    { "caller_rate_bytes", RATES, CONFIG_SIZE, FIELD(caller_rate_bytes), 0, 1024 * GIB,
      .preset = "0", .live = true,
      .help = "Most bytes of bodies per second from one such address; 0: no limit." },
    { "rate_burst", RATES, CONFIG_DURATION, FIELD(rate_burst_ms), 1, HOUR,
      .preset = "250ms", .live = true,
      .help = "Who was quiet for this long may send at once what it allows for this long." },

    { "mercure_publisher_jwt_key", MERCURE, CONFIG_SECRET, FIELD(mercure_publisher_jwt_key),
      .preset = "unset",
      .help = "Key that publishers' tokens are checked with; unset: nobody publishes." },
    { "mercure_publisher_jwt_alg", MERCURE, CONFIG_CHOICE, FIELD(mercure_publisher_jwt_alg),
      .preset = "HS256", .choices = JWT_ALGS,
      .help = "The one algorithm of publishers' tokens." },
    { "mercure_subscriber_jwt_key", MERCURE, CONFIG_SECRET, FIELD(mercure_subscriber_jwt_key),
      .preset = "unset",
      .help = "Key that subscribers' tokens are checked with; unset: no token is good." },
    { "mercure_subscriber_jwt_alg", MERCURE, CONFIG_CHOICE, FIELD(mercure_subscriber_jwt_alg),
      .preset = "HS256", .choices = JWT_ALGS,
      .help = "The one algorithm of subscribers' tokens." },
    { "mercure_anonymous", MERCURE, CONFIG_BOOL, FIELD(mercure_anonymous),
      .preset = "false",
      .help = "Who has no token may subscribe, to what is not private; else 401." },
    { "mercure_subscriptions", MERCURE, CONFIG_BOOL, FIELD(mercure_subscriptions),
      .preset = "false",
      .help = "Who subscribes is told as updates, and can be asked for." },
    { "mercure_topic", MERCURE, CONFIG_TOPIC, FIELD(mercure_topic),
      .preset = "mercure",
      .help = "The topic that holds the hub's updates; only the hub publishes to it." },
    { "mercure_ttl", MERCURE, CONFIG_DURATION, FIELD(mercure_ttl_ms), 0, 36500 * DAY,
      .preset = "0s",
      .help = "Life of an update; 0: default_ttl." },
    { "mercure_heartbeat", MERCURE, CONFIG_DURATION, FIELD(mercure_heartbeat_ms), 0, HOUR,
      .preset = "40s",
      .help = "A subscriber without news is sent a comment this often; 0: never." },
    { "mercure_dispatch_timeout", MERCURE, CONFIG_DURATION,
      FIELD(mercure_dispatch_timeout_ms), 0, HOUR, .preset = "5s",
      .help = "A subscriber that takes longer than this for an update is cut; 0: any time." },
    { "mercure_write_timeout", MERCURE, CONFIG_DURATION, FIELD(mercure_write_timeout_ms), 0,
      DAY, .preset = "600s",
      .help = "A subscription ends after 80 to 100 % of this, its client comes back; 0: never." },
    { "mercure_cookie_name", MERCURE, CONFIG_COOKIE, FIELD(mercure_cookie_name),
      .preset = "mercureAuthorization",
      .help = "The cookie that a token may come in." },
    { "mercure_cors_origins", MERCURE, CONFIG_ORIGINS, FIELD(mercure_cors_origins),
      .preset = "none",
      .help = "Pages that may use the hub from a browser, with its cookie." },
    { "mercure_publish_origins", MERCURE, CONFIG_ORIGINS, FIELD(mercure_publish_origins),
      .preset = "none",
      .help = "Pages that may publish with the token of a cookie." },

    { "push_private", PUSH, CONFIG_BOOL, FIELD(push_private),
      .preset = "false",
      .help = "Messages may be pushed to loopback, private and reserved addresses." },
    { "push_connections", PUSH, CONFIG_COUNT, FIELD(push_connections), 0, 256,
      .derived = "memory_limit / 16MiB, from 4 to 16; 0 below 64MiB, or where it does not fit",
      .help = "Most messages that are pushed at once, and connections kept for it; 0: no push." },
    { "push_concurrency", PUSH, CONFIG_COUNT, FIELD(push_concurrency), 1, 256,
      .preset = "4",
      .help = "Most messages of one subscription that are pushed at once." },
    { "push_timeout", PUSH, CONFIG_DURATION, FIELD(push_timeout_ms), 100, HOUR,
      .preset = "10s",
      .help = "Time an endpoint has to answer, and 1s more for each 256KiB of the message." },
    { "max_push_subscriptions", PUSH, CONFIG_COUNT, FIELD(max_push_subscriptions), 1, 100000,
      .preset = "1000",
      .help = "Most subscriptions that are pushed; 507 for one more." },
    { "push_ca_file", PUSH, CONFIG_PATH, FIELD(push_ca_file),
      .preset = "none",
      .help = "Authorities that certificates must be of, in PEM; none: those of /etc/ssl/certs." },

    { "loops", PROCESS, CONFIG_COUNT, FIELD(loops), 0, 256,
      .derived = "one per core, at most one per 16MiB of memory_limit",
      .help = "HTTP threads; 0 is auto." },
    { "log_level", PROCESS, CONFIG_CHOICE, FIELD(log_level),
      .preset = "info", .choices = { "debug", "info", "warn", "error" },
      .help = "Least level that is logged." },
    { "log_format", PROCESS, CONFIG_CHOICE, FIELD(log_format),
      .preset = "logfmt", .choices = { "logfmt", "json" },
      .help = "Form of a log line on stderr." },
};

const struct config_setting *config_find(const char *name)
{
    for (size_t i = 0; i < CONFIG_SETTINGS; i++)
        if (!strcmp(config_table[i].name, name))
            return &config_table[i];
    return NULL;
}

static enum err put_number(void *field, const struct config_setting *s, const char *text)
{
    uint64_t v = 0;
    bool ok = false;

    if (s->type == CONFIG_SIZE)
        ok = text_parse_size(bytes_str(text), &v);
    else if (s->type == CONFIG_DURATION)
        ok = text_parse_duration(bytes_str(text), &v);
    else
        ok = text_parse_u64(bytes_str(text), 0, UINT64_MAX, &v);
    if (!ok || v < s->least || v > s->most)
        return ERR_BAD_INPUT;
    memcpy(field, &v, sizeof v);
    return ERR_OK;
}

static enum err put_bool(void *field, const char *text)
{
    bool v = !strcmp(text, "true");

    if (!v && strcmp(text, "false") != 0)
        return ERR_BAD_INPUT;
    memcpy(field, &v, sizeof v);
    return ERR_OK;
}

static enum err put_choice(void *field, const struct config_setting *s, const char *text)
{
    for (unsigned i = 0; s->choices[i]; i++) {
        if (!strcmp(s->choices[i], text)) {
            memcpy(field, &i, sizeof i);
            return ERR_OK;
        }
    }
    return ERR_BAD_INPUT;
}

static enum err put_text(void *field, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || len >= size || text[0] == '"' || text[0] == '\'')
        return ERR_BAD_INPUT; /* quotes would silently become part of the name */
    memcpy(field, text, len + 1);
    return ERR_OK;
}

static enum err put_address(void *field, const char *text)
{
    struct sockaddr_storage address;
    socklen_t len;

    if (address_parse(text, &address, &len))
        return ERR_BAD_INPUT;
    return put_text(field, ADDRESS_TEXT_SIZE, text);
}

enum err config_put(struct config *c, const struct config_setting *s, const char *text)
{
    void *field = (char *)c + s->field;

    if (s->derived && !strcmp(text, "auto")) {
        memset(field, 0, sizeof(uint64_t));
        return ERR_OK;
    }
    switch (s->type) {
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_COUNT:
        return put_number(field, s, text);
    case CONFIG_BOOL:
        return put_bool(field, text);
    case CONFIG_CHOICE:
        return put_choice(field, s, text);
    case CONFIG_PATH:
        return put_text(field, CONFIG_PATH_SIZE, text);
    case CONFIG_ADDRESS:
        return put_address(field, text);
    case CONFIG_SECRET:
        return config_form_secret(text, field, NULL);
    case CONFIG_TOPIC:
        return config_form_topic(text, field);
    case CONFIG_COOKIE:
        return config_form_cookie(text, field);
    case CONFIG_ORIGINS:
        return config_form_origins(text, field);
    }
    return ERR_BAD_INPUT;
}

static void format_number(const struct config_setting *s, uint64_t v,
                          char out[TEXT_NUMBER_ROOM])
{
    if (s->type == CONFIG_SIZE)
        text_format_size(out, v);
    else if (s->type == CONFIG_DURATION)
        text_format_duration(out, v);
    else
        snprintf(out, TEXT_NUMBER_ROOM, "%llu", (unsigned long long)v);
}

void config_value(const struct config *c, const struct config_setting *s, char *out,
                  size_t size)
{
    const void *field = (const char *)c + s->field;
    char text[TEXT_NUMBER_ROOM];
    uint64_t number;
    unsigned choice;

    switch (s->type) {
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_COUNT:
        memcpy(&number, field, sizeof number);
        format_number(s, number, text);
        snprintf(out, size, "%s", text);
        return;
    case CONFIG_BOOL:
        snprintf(out, size, "%s", *(const bool *)field ? "true" : "false");
        return;
    case CONFIG_CHOICE:
        memcpy(&choice, field, sizeof choice);
        snprintf(out, size, "%s", s->choices[choice]);
        return;
    case CONFIG_PATH:
    case CONFIG_ADDRESS:
    case CONFIG_TOPIC:
    case CONFIG_COOKIE:
        snprintf(out, size, "%s", (const char *)field);
        return;
    case CONFIG_SECRET:
        snprintf(out, size, "%s", *(const char *)field ? "set" : "unset");
        return;
    case CONFIG_ORIGINS:
        snprintf(out, size, "%s", *(const char *)field ? (const char *)field : "none");
        return;
    }
}

void config_origin(const struct config *c, const struct config_setting *s, char *out,
                   size_t size)
{
    const struct config_origin *o = &c->origins[s - config_table];

    switch (o->place) {
    case CONFIG_FROM_DEFAULT:
        snprintf(out, size, "default");
        return;
    case CONFIG_DERIVED:
        snprintf(out, size, "derived: %s", s->derived);
        return;
    case CONFIG_FROM_FILE:
        snprintf(out, size, "%s:%u", c->file, o->line);
        return;
    case CONFIG_FROM_ENV:
        config_variable(s, out, size);
        return;
    case CONFIG_FROM_FLAG:
        config_flag(s, out, size);
        return;
    case CONFIG_FROM_PATCH:
        snprintf(out, size, "PATCH /v1/limits");
        return;
    }
}

static void join_choices(const struct config_setting *s, char *out, size_t size)
{
    size_t len = 0;

    out[0] = '\0';
    for (unsigned i = 0; s->choices[i] && len < size; i++) {
        const char *before = i == 0 ? "" : s->choices[i + 1] ? ", " : " or ";

        len += (size_t)snprintf(out + len, size - len, "%s%s", before, s->choices[i]);
    }
}

void config_range(const struct config_setting *s, char *out, size_t size)
{
    char least[TEXT_NUMBER_ROOM], most[TEXT_NUMBER_ROOM];

    switch (s->type) {
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_COUNT:
        format_number(s, s->least, least);
        format_number(s, s->most, most);
        snprintf(out, size, "%s to %s", least, most);
        return;
    case CONFIG_BOOL:
        snprintf(out, size, "true or false");
        return;
    case CONFIG_CHOICE:
        join_choices(s, out, size);
        return;
    case CONFIG_PATH:
        snprintf(out, size, "a path without quotes, below %d bytes", CONFIG_PATH_SIZE);
        return;
    case CONFIG_ADDRESS:
        snprintf(out, size, "ADDRESS:PORT, such as 127.0.0.1:7070, [::1]:7070 or :7070");
        return;
    case CONFIG_SECRET:
        snprintf(out, size, "unset, a key, or @FILE that has one; at most %d bytes",
                 CONFIG_SECRET_SIZE - 1);
        return;
    case CONFIG_TOPIC:
        snprintf(out, size, "a topic's name, at most %d bytes", STORE_TOPIC_NAME_MAX);
        return;
    case CONFIG_COOKIE:
        snprintf(out, size, "a cookie's name, below %d bytes", CONFIG_NAME_SIZE);
        return;
    case CONFIG_ORIGINS:
        snprintf(out, size, "none, *, or origins such as https://example.com, "
                            "https://*.example.com:8443");
        return;
    }
}

void config_expected(const struct config_setting *s, char *out, size_t size)
{
    const char *automatic = s->derived ? "auto or " : "";
    char range[128];

    config_range(s, range, sizeof range);
    if (s->type == CONFIG_SIZE)
        snprintf(out, size, "%sa size from %s: bytes, or such as 512KiB, 16MiB, 2GiB",
                 automatic, range);
    else if (s->type == CONFIG_DURATION)
        snprintf(out, size, "%sa duration from %s: seconds, or such as 500ms, 30s, 5m, 2h, "
                            "7d", automatic, range);
    else if (s->type == CONFIG_COUNT)
        snprintf(out, size, "%sa whole number from %s", automatic, range);
    else
        snprintf(out, size, "%s", range);
}

void config_flag(const struct config_setting *s, char *out, size_t size)
{
    snprintf(out, size, "--%s", s->name);
    for (char *p = out; *p; p++)
        if (*p == '_')
            *p = '-';
}

void config_variable(const struct config_setting *s, char *out, size_t size)
{
    snprintf(out, size, "SLUICE_%s", s->name);
    for (char *p = out; *p; p++)
        *p = (char)toupper((unsigned char)*p);
}
