/*
 * metrics - what the broker counts about itself.
 *
 * Counters, gauges and histograms of the whole process, one table below. An increment is
 * one relaxed atomic add. Nothing here has a label per topic or client: the size of
 * /metrics does not depend on what clients do.
 *
 * Units:    base units, in the name: _bytes, _seconds, _total.
 * Threads:  any.
 */
#ifndef SLUICE_METRICS_H
#define SLUICE_METRICS_H

#include <stdint.h>

#define METRICS_TABLE(X)                                                               \
    X(CONNECTIONS, gauge, "sluice_connections", "Open client connections")             \
    X(CONNECTIONS_ACCEPTED, counter, "sluice_connections_accepted_total",              \
      "Connections accepted since start")                                              \
    X(REFUSED_FULL, counter,                                                           \
      "sluice_connections_refused_total{reason=\"max_connections\"}",                  \
      "Connections not let in, by the setting that they would have passed")            \
    X(REFUSED_ADDRESS, counter,                                                        \
      "sluice_connections_refused_total{reason=\"max_connections_per_address\"}", "")  \
    X(CONNECTIONS_IDLE, counter, "sluice_connections_idle_closed_total",               \
      "Connections closed after idle_timeout without a request")                       \
    X(CONNECTIONS_LEFT, counter, "sluice_connections_left_total",                      \
      "Connections between requests whose client had closed its side")                 \
    X(CONNECTIONS_SLOW_HEADERS, counter, "sluice_connections_slow_headers_total",      \
      "Connections closed because part of a request stood for header_timeout")         \
    X(CONNECTIONS_STOPPED, counter, "sluice_connections_stopped_readers_total",        \
      "Connections closed because they took nothing for write_timeout")                \
    X(CONNECTIONS_SLOW_READERS, counter, "sluice_connections_slow_readers_total",       \
      "Connections closed because they took less than min_read_rate")                  \
    X(CONNECTIONS_LINGERING, gauge, "sluice_connections_lingering",                    \
      "Connections answered early whose client is still sending")                      \
    X(REQUESTS, counter, "sluice_requests_total", "Requests begun")                    \
    X(REQUESTS_IN_FLIGHT, gauge, "sluice_requests_in_flight",                          \
      "Requests begun and not yet ended")                                              \
    X(RESPONSES_2XX, counter, "sluice_responses_2xx_total", "Answers with status 2xx") \
    X(RESPONSES_3XX, counter, "sluice_responses_3xx_total", "Answers with status 3xx") \
    X(RESPONSES_4XX, counter, "sluice_responses_4xx_total", "Answers with status 4xx") \
    X(RESPONSES_5XX, counter, "sluice_responses_5xx_total", "Answers with status 5xx") \
    X(REQUESTS_ABORTED, counter, "sluice_requests_aborted_total",                      \
      "Requests whose client went away before the answer was sent")                    \
    X(SLOW_BODIES, counter, "sluice_slow_bodies_total",                                \
      "Uploads cut because they were slower than min_body_rate")                       \
    X(READERS_PARKED, gauge, "sluice_readers_parked",                                  \
      "Long-poll readers waiting for a message")                                       \
    X(READERS_LEFT, counter, "sluice_readers_left_total",                              \
      "Parked readers whose client went away")                                         \
    X(SSE_SUBSCRIBERS, gauge, "sluice_sse_subscribers",                               \
      "Event streams that are open")                                                   \
    X(SSE_EVENTS, counter, "sluice_sse_events_total",                                  \
      "Messages sent to event streams")                                                \
    X(MERCURE_SUBSCRIBERS, gauge, "sluice_mercure_subscribers",                        \
      "Event streams of the Mercure hub that are open")                                \
    X(MERCURE_REFUSED, counter, "sluice_mercure_subscribers_refused_total",            \
      "Subscribers of the hub refused because there is no room for their selectors")   \
    X(CONSUMED, counter, "sluice_consume_messages_total",                              \
      "Messages given to a consumer of a subscription")                                \
    X(CONSUME_LOST, counter, "sluice_consume_lost_total",                              \
      "Messages taken for a consumer that left before its answer")                     \
    X(SUSPENSIONS, counter, "sluice_suspensions_total",                                \
      "Times a connection was suspended, for any reason")                              \
    X(UPLOADS, gauge, "sluice_uploads", "Large messages being streamed in")            \
    X(UPLOADS_DROPPED, counter, "sluice_uploads_dropped_total",                        \
      "Large messages given up before their end")                                      \
    X(JOBS_QUEUED, gauge, "sluice_writer_queue", "Jobs that wait for the writer")      \
    X(MAP_REFRESHES, counter, "sluice_store_map_refreshes_total",                      \
      "Times the store was mapped anew to give its page tables back")                  \
    X(PUBLISHERS_OUTSIDE, gauge, "sluice_publishers_held",                             \
      "Publishers that wait for a full topic whose overflow is hold")                  \
    X(REPLAYS, counter, "sluice_idempotent_replays_total",                             \
      "Publishes answered like the first of their Idempotency-Key, not stored again")  \
    X(QUOTA_REFUSED, counter, "sluice_quota_refused_total",                            \
      "Publishes refused because a quota was full")                                    \
    X(COMMITS, counter, "sluice_commits_total", "Store transactions committed")        \
    X(COMMITS_FAILED, counter, "sluice_commits_failed_total",                          \
      "Store transactions that failed and stored nothing")                             \
    X(COMMIT_MESSAGES, counter, "sluice_commit_messages_total",                        \
      "Messages made durable since start")                                             \
    X(COMMIT_BYTES, counter, "sluice_commit_bytes_total",                              \
      "Bytes of message bodies made durable since start")                              \
    X(DELIVERED_MESSAGES, counter, "sluice_delivered_messages_total",                  \
      "Messages put into answers to readers")                                          \
    X(DELIVERED_BYTES, counter, "sluice_delivered_bytes_total",                        \
      "Bytes of message bodies put into answers to readers")                           \
    X(SUB_LEASED, counter, "sluice_subscription_deliveries_total",                     \
      "Messages handed out to consumers of subscriptions, each time counted")          \
    X(SUB_AGAIN, counter, "sluice_subscription_redeliveries_total",                    \
      "Of these, those that were not for the first time")                              \
    X(SUB_ACKED, counter, "sluice_subscription_acked_total",                           \
      "Messages acknowledged by consumers of subscriptions")                           \
    X(SUB_LAPSED, counter, "sluice_subscription_lapsed_leases_total",                  \
      "Leases whose time was over before they were settled")                           \
    X(SUB_DEAD, counter, "sluice_subscription_dead_total",                             \
      "Messages given up: rejected, or handed out max_deliveries times")               \
    X(SUB_EXPIRED, counter, "sluice_subscription_expired_total",                       \
      "Messages that were gone before they were settled")                              \
    X(SUB_HELD, gauge, "sluice_subscription_held_connections",                         \
      "Connections held open with the leases that are tied to them")                   \
    X(SUB_VANISHED, counter, "sluice_subscription_vanished_leases_total",              \
      "Leases given back because their connection had ended")                          \
    X(PUSH_SUBSCRIPTIONS, gauge, "sluice_push_subscriptions",                          \
      "Subscriptions whose messages are pushed")                                       \
    X(PUSH_IN_FLIGHT, gauge, "sluice_push_in_flight",                                  \
      "Messages being pushed, or about to be")                                         \
    X(PUSH_TAKEN, counter, "sluice_push_attempts_total{outcome=\"acked\"}",            \
      "Messages pushed, by what came of it: 2xx; another status; no answer")           \
    X(PUSH_REFUSED, counter, "sluice_push_attempts_total{outcome=\"refused\"}", "")    \
    X(PUSH_SILENT, counter, "sluice_push_attempts_total{outcome=\"unanswered\"}", "")  \
    X(PUSH_BYTES, counter, "sluice_push_bytes_total",                                  \
      "Bytes of message bodies pushed, retries included")                              \
    X(BLOBS_HELD, gauge, "sluice_blobs_held",                                          \
      "Large messages that are gone, kept on disk for downloads under way")

enum metric {
#define X(id, kind, name, help) METRIC_##id,
    METRICS_TABLE(X)
#undef X
        METRIC_COUNT
};

#define HISTOGRAMS_TABLE(X)                                                            \
    X(COMMIT, "sluice_commit_seconds", "Duration of a store transaction with its sync") \
    X(PUBLISH, "sluice_publish_seconds",                                               \
      "From the end of a publish request's body to its answer")

enum histogram {
#define X(id, name, help) HISTOGRAM_##id,
    HISTOGRAMS_TABLE(X)
#undef X
        HISTOGRAM_COUNT
};

void metric_add(enum metric m, int64_t n);
int64_t metric_get(enum metric m);

void metric_observe_us(enum histogram h, int64_t us);

/* A name may end in a fixed {label="value"}; those of one name stand together, and the
 * first has the help. */
struct metric_info {
    const char *name, *kind, *help;
};
const struct metric_info *metric_info(enum metric m);

#define HISTOGRAM_BUCKETS 14
struct histogram_figures {
    const char *name, *help;
    double upper_seconds[HISTOGRAM_BUCKETS]; /* the last counts everything: +Inf */
    uint64_t cumulative[HISTOGRAM_BUCKETS + 1];
    uint64_t sum_us;
};
void histogram_read(enum histogram h, struct histogram_figures *out);

#endif
