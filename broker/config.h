/*
 * config - the settings in force, read from flags, environment and file.
 *
 * The table of all settings is in config_table.h. A setting publish_buffer is
 * --publish-buffer, SLUICE_PUBLISH_BUFFER and `publish_buffer = 16MiB` in the file. A flag
 * beats the environment, which beats the file, which beats the default. What is unknown,
 * ill-formed, out of range or given twice stops the start, with the place, what was given
 * and the form expected: also when a stronger place says otherwise.
 *
 * Some settings have no fixed default: limits_plan derives them from memory_limit and the
 * machine. They are 0 until then, and the word `auto` asks for them by name.
 *
 * Units:    in the field's name; times in milliseconds.
 * Threads:  no global state. Any thread may read a loaded struct config, which nobody writes
 *           but tune.h: the fields that are _Atomic, and the origins of those.
 * Owner:    a plain value: it points at nothing and is copied by assignment.
 */
#ifndef SLUICE_CONFIG_H
#define SLUICE_CONFIG_H

#include "address.h"
#include "base/err.h"
#include "base/log.h"
#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_DEFAULT_FILE "/etc/sluice/sluice.conf"
#define CONFIG_PATH_SIZE    1024             /* with the closing 0 */
#define CONFIG_VALUE_SIZE   CONFIG_PATH_SIZE /* any value as text */
#define CONFIG_ERROR_SIZE   4096
#define CONFIG_SECRET_SIZE  8193             /* a key, with the closing 0 */
#define CONFIG_NAME_SIZE    256              /* a topic's, a cookie's, with the closing 0 */
#define CONFIG_SETTINGS     65               /* rows of the table */

/* What one message may carry beside its body. Not settings: formats rely on them. */
#define CONFIG_KEY_MAX_BYTES          1024
#define CONFIG_CONTENT_TYPE_MAX_BYTES 255
#define CONFIG_ATTRIBUTES_MAX_BYTES   8192 /* names and values of a message together */

enum config_log_format { CONFIG_LOG_LOGFMT, CONFIG_LOG_JSON };

enum config_jwt_alg { /* in the order of the table's words */
    CONFIG_HS256,
    CONFIG_HS384,
    CONFIG_HS512,
    CONFIG_RS256,
    CONFIG_RS384,
    CONFIG_RS512,
    CONFIG_ES256,
    CONFIG_ES384,
    CONFIG_ES512,
};

enum config_place {
    CONFIG_FROM_DEFAULT = 0,
    CONFIG_DERIVED, /* by limits_plan */
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENV,
    CONFIG_FROM_FLAG,
    CONFIG_FROM_PATCH, /* PATCH /v1/limits, while running */
};

struct config_origin {
    enum config_place place;
    unsigned line; /* of the file, from 1; else 0 */
};

struct config {
    /* Where to listen and keep. */
    char listen[ADDRESS_TEXT_SIZE]; /* address_parse takes it */
    bool page;                      /* there is one for people at GET / */
    char data_dir[CONFIG_PATH_SIZE];
    uint64_t map_size_bytes;
    enum store_durability durability;

    /* Memory: see limits.h. */
    uint64_t memory_limit_bytes;
    uint64_t publish_buffer_bytes;
    uint64_t read_buffer_bytes;
    uint64_t max_batch_bytes;
    uint64_t topic_cache_bytes;
    uint64_t max_connections;
    uint64_t max_connections_per_address; /* 0: no cap */
    uint64_t connection_memory_bytes;
    uint64_t receive_buffer_bytes; /* the kernel's, of one connection; it doubles it */

    /* Messages. */
    uint64_t max_message_bytes;
    uint64_t inline_max_bytes;
    _Atomic uint64_t default_ttl_ms; /* 0: never expires */
    bool auto_create;
    uint64_t max_topics; /* 0: no limit */
    uint64_t max_subscriptions; /* of all topics; 0: no limit */
    _Atomic uint64_t idempotency_window_ms;
    _Atomic uint64_t max_idempotency_keys; /* 0: no limit */

    /* How long anyone may wait. */
    _Atomic uint64_t publish_wait_max_ms;
    _Atomic uint64_t read_wait_max_ms;
    _Atomic uint64_t read_buffer_wait_max_ms;
    _Atomic uint64_t min_body_rate_bytes_s; /* 0: any */
    uint64_t body_grace_ms;
    uint64_t header_timeout_ms;
    uint64_t write_timeout_ms;
    uint64_t min_read_rate_bytes_s; /* 0: any */
    uint64_t download_grace_ms;
    uint64_t idle_timeout_ms;
    uint64_t drain_timeout_ms;
    uint64_t sse_heartbeat_ms; /* an event stream says something so often */
    uint64_t sse_max_life_ms;  /* ... and ends after 80 to 100 % of this */

    /* Rate limits, per second; 0: none. See rate.h. */
    _Atomic uint64_t publish_rate_messages, publish_rate_bytes;
    _Atomic uint64_t topic_rate_messages, topic_rate_bytes;
    _Atomic uint64_t caller_rate_messages, caller_rate_bytes;
    _Atomic uint64_t rate_burst_ms;

    /* The Mercure hub. Keys are text: a secret's, or a public key's PEM; "": not given. */
    char mercure_publisher_jwt_key[CONFIG_SECRET_SIZE];
    enum config_jwt_alg mercure_publisher_jwt_alg;
    char mercure_subscriber_jwt_key[CONFIG_SECRET_SIZE];
    enum config_jwt_alg mercure_subscriber_jwt_alg;
    bool mercure_anonymous, mercure_subscriptions;
    char mercure_topic[CONFIG_NAME_SIZE];
    uint64_t mercure_ttl_ms;              /* 0: default_ttl */
    uint64_t mercure_heartbeat_ms;        /* 0: none */
    uint64_t mercure_dispatch_timeout_ms; /* 0: none */
    uint64_t mercure_write_timeout_ms;    /* 0: a stream has no end */
    char mercure_cookie_name[CONFIG_NAME_SIZE];
    char mercure_cors_origins[CONFIG_PATH_SIZE];    /* config_form.h walks them; "": none */
    char mercure_publish_origins[CONFIG_PATH_SIZE]; /* the same */

    /* Subscriptions that are pushed. */
    bool push_private;
    uint64_t push_connections, push_concurrency; /* of all, of one */
    uint64_t push_timeout_ms;
    uint64_t max_push_subscriptions;
    char push_ca_file[CONFIG_PATH_SIZE]; /* "none": the system's */

    /* The process. */
    uint64_t loops; /* HTTP threads */
    enum log_level log_level;
    enum config_log_format log_format;

    struct config_origin origins[CONFIG_SETTINGS]; /* by row of the table */
    char file[CONFIG_PATH_SIZE];                   /* the file that was read, or "" */
};

/*
 * Reads everything. `args` holds `count` arguments after the program's name and
 * subcommand; `envp` ends with NULL. The file is the one --config or SLUICE_CONFIG names,
 * else `default_file` when that exists (NULL: none).
 * ERR_BAD_INPUT: a sentence for the operator is in `error` (CONFIG_ERROR_SIZE bytes).
 */
MUST_CHECK enum err config_load(struct config *c, int count, char *const *args,
                                char *const *envp, const char *default_file,
                                char *error);

/* True when an operator gave the setting, anywhere. `field` points into *c. */
bool config_given(const struct config *c, const void *field);
/* Fills in a derived value; it must not have been given. */
void config_derive(struct config *c, uint64_t *field, uint64_t value);

#endif
