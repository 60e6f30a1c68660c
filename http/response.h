/*
 * response - answers: bodies, headers, problem details; the one table from what went wrong
 * to a status.
 *
 * A handler gives a request its answer with one of the reply_ functions; request.c sends
 * it. Giving a second answer replaces nothing: the first one stands.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_RESPONSE_H
#define SLUICE_RESPONSE_H

#include "base/bytes.h"
#include "ledger.h"
#include "out.h"
#include "store.h"

#include <microhttpd.h>

struct request;

/* X(id, status, retryable, code, title). `code` is part of the API: never change one. */
#define PROBLEMS_TABLE(X)                                                              \
    X(BAD_REQUEST, 400, false, "bad_request", "Bad request")                           \
    X(BAD_TOPIC, 400, false, "bad_topic", "Bad topic name")                            \
    X(BAD_PARAMETER, 400, false, "bad_parameter", "Bad query parameter")               \
    X(BAD_HEADER, 400, false, "bad_header", "Bad header")                              \
    X(BAD_JSON, 400, false, "bad_json", "Bad JSON")                                    \
    X(BAD_SETTING, 400, false, "bad_setting", "Bad setting"      )                     \
    X(BAD_BATCH, 400, false, "bad_batch", "Bad batch")                                 \
    X(BAD_EVENT, 400, false, "bad_event", "Bad event")                                 \
    X(DELAY_TOO_LONG, 400, false, "delay_too_long", "Delay too long")                  \
    X(NEVER_DELIVERED, 400, false, "never_delivered", "Would expire before it is delivered") \
    X(UNAUTHORIZED, 401, false, "unauthorized", "Unauthorized")                        \
    X(RESERVED_TOPIC, 403, false, "reserved_topic", "Topic of the Mercure hub")        \
    X(FORBIDDEN, 403, false, "forbidden", "Forbidden")                                 \
    X(ROUTE_NOT_FOUND, 404, false, "route_not_found", "No such route")                 \
    X(TOPIC_NOT_FOUND, 404, false, "topic_not_found", "No such topic")                 \
    X(NAMESPACE_NOT_FOUND, 404, false, "namespace_not_found", "No such namespace")     \
    X(SUBSCRIPTION_NOT_FOUND, 404, false, "subscription_not_found",                    \
      "No such subscription")                                                          \
    X(MESSAGE_NOT_FOUND, 404, true, "message_not_found", "No such message yet")        \
    X(METHOD_NOT_ALLOWED, 405, false, "method_not_allowed", "Method not allowed")      \
    X(SLOW_BODY, 408, true, "slow_body", "Body too slow")                              \
    X(TOPIC_EXISTS, 409, false, "topic_exists", "Topic exists with other settings")    \
    X(NAMESPACE_EXISTS, 409, false, "namespace_exists",                                \
      "Namespace exists with other settings")                                          \
    X(SUBSCRIPTION_EXISTS, 409, false, "subscription_exists",                          \
      "Subscription exists with other settings")                                       \
    X(LEASE_LOST, 409, false, "lease_lost", "Lease lost")                              \
    X(MESSAGE_GONE, 410, false, "message_gone", "Message gone")                        \
    X(PRECONDITION_FAILED, 412, false, "precondition_failed", "Precondition failed")   \
    X(TOO_LARGE, 413, false, "too_large", "Body too large")                            \
    X(UNSUPPORTED_TYPE, 415, false, "unsupported_type", "Unsupported media type")      \
    X(BAD_RANGE, 416, false, "bad_range", "Range not satisfiable")                     \
    X(TOO_MANY_CONNECTIONS, 429, true, "too_many_connections",                         \
      "Too many connections of this address")                                          \
    X(IDEMPOTENCY_KEY_REUSED, 422, false, "idempotency_key_reused",                    \
      "Idempotency-Key of another publish")                                            \
    X(RATE_LIMITED, 429, true, "rate_limited", "Too fast")                             \
    X(PUSH_UNAVAILABLE, 501, false, "push_unavailable", "Push is not available")       \
    X(INTERNAL, 500, true, "internal", "Internal error")                               \
    X(STORE_FAILED, 500, true, "store_failed", "The store failed")                     \
    X(BUFFER_FULL, 503, true, "buffer_full", "Publish buffer full")                    \
    X(READ_BUFFER_FULL, 503, true, "read_buffer_full", "Read buffer full")             \
    X(BUSY, 503, true, "busy", "Too many admin requests at once")                      \
    X(DRAINING, 503, true, "draining", "Shutting down")                                \
    X(CONNECTIONS_FULL, 503, true, "connections_full", "All connections in use")       \
    X(NOT_READY, 503, true, "not_ready", "Not ready")                                  \
    X(STORE_FULL, 507, true, "store_full", "Store full")                               \
    X(QUOTA_FULL, 507, true, "quota_full", "Quota full")                               \
    X(TOO_MANY_TOPICS, 507, true, "too_many_topics", "Too many topics")                \
    X(TOO_MANY_KEYS, 507, true, "too_many_keys", "Too many idempotency keys")          \
    X(TOO_MANY_NAMESPACES, 507, true, "too_many_namespaces", "Too many namespaces")  \
    X(TOO_MANY_SUBSCRIPTIONS, 507, true, "too_many_subscriptions",                     \
      "Too many subscriptions")                                                        \
    X(TOO_MANY_PUSH_SUBSCRIPTIONS, 507, true, "too_many_push_subscriptions",           \
      "Too many subscriptions that are pushed")

enum problem {
#define X(id, status, retryable, code, title) PROBLEM_##id,
    PROBLEMS_TABLE(X)
#undef X
};

/* What a problem says, for those who write it. */
struct problem_view {
    const char *title, *detail, *code;
    unsigned status;
    bool retryable;
    const char *member; /* one more member, or NULL */
    uint64_t value;     /* its value */
    const char *request_id;
};

/* How the clients of a family of routes are told what went wrong, whoever finds out: the
 * route's handler, or the core (a full buffer, a slow body, a wrong verb). */
struct dialect {
    const char *content_type;
    /* The status in place of the table's, 0 for the table's. NULL: always the table's. */
    unsigned (*status)(enum problem p);
    void (*write)(struct out *o, const struct problem_view *v);
    /* Adds what every answer has, what browsers must know included; it is about to be sent,
     * and no other request's. NULL: natively, Access-Control-Allow-Origin: *. */
    void (*headers)(struct request *r);
    /* Answers OPTIONS for a path whose methods are in `allow`. NULL: natively. */
    void (*preflight)(struct request *r, const char *allow);
};

extern const struct dialect dialect_native; /* RFC 9457 */

struct reply_share; /* one response that answers many requests */

struct reply { /* all zero: none yet */
    unsigned status;
    struct MHD_Response *response;
    struct reply_share *share; /* NULL: the response is this request's alone */
};

/* Copies `text`. */
void reply_text(struct request *r, unsigned status, const char *content_type,
                struct bytes text);

/* The same without a copy, for what is there as long as the process. */
void reply_static(struct request *r, unsigned status, const char *content_type,
                  struct bytes text);

/* Takes the bytes written to `o` and the grant that pays for them, whatever happens. */
void reply_out(struct request *r, unsigned status, const char *content_type, struct out *o,
               struct grant *paid);

void reply_empty(struct request *r, unsigned status);

/* The body comes from `read` as the socket takes it, in pieces of at most `piece` bytes;
 * `size` bytes in all, or MHD_SIZE_UNKNOWN. `done` frees `arg`, whatever happens. */
void reply_callback(struct request *r, unsigned status, uint64_t size, size_t piece,
                    MHD_ContentReaderCallback read, MHD_ContentReaderFreeCallback done,
                    void *arg);

/* Gives `to` the answer that `from` has: nothing is encoded or copied. False: no memory,
 * or there is no answer. Headers must not be added to a shared answer any more. */
bool reply_share(struct request *from, struct request *to);

/* Forgets the answer. */
void reply_fini(struct request *r);

/* Adds to the answer given; nothing happens when there is none. */
void reply_header(struct request *r, const char *name, const char *value);

/* `detail` is for the person who reads it: which input, which limit, what to do. */
__attribute__((format(printf, 3, 4))) void reply_problem(struct request *r,
                                                         enum problem p,
                                                         const char *detail, ...);
/* With one more member: "limit_bytes", "index", "earliest" ...; "retry_after" is also the
 * header, in seconds. */
__attribute__((format(printf, 5, 6))) void
reply_problem_with(struct request *r, enum problem p, const char *member, uint64_t value,
                   const char *detail, ...);

void reply_read_buffer_full(struct request *r);

/* What the store said, as an answer. */
void reply_store_error(struct request *r, enum err e);

/* An answer for a request whose body we do not wait for, as bytes for the socket: status
 * line, headers, body. Uses up the reply. Returns the length, 0 when it does not fit. */
size_t reply_raw(struct request *r, char *buf, size_t size);

/* The same where there is no request: the whole answer, which closes the connection. */
size_t problem_raw(enum problem p, const char *request_id, const char *detail, char *buf,
                   size_t size);

#endif
