/*
 * request - a request's life, from its headers to the one place that frees it.
 *
 *   (OUTSIDE, before all of this: hold.h)
 *
 *   HEADERS --admitted--> BODY --complete--> (finish) --> REPLY
 *      |  \                 |                   |-- HELD ---letter--> REPLY
 *      |   WAITING --room---'                   |-- PARKED -news/time--> REPLY
 *      |      |                                 |     |  ^--nothing there--.
 *      |      |                                 |     '--no room--.        |
 *      |      |                                 '-- no room --> QUEUED --room--> REPLY
 *      |      |                                                    '--time over--> REPLY
 *      |      '--time over--> DISCARD
 *      '--refused--> DISCARD --body thrown away--> REPLY     (small bodies)
 *                 '--> answered early, closed lingering      (large ones)
 *
 * In OUTSIDE, WAITING, PARKED and QUEUED it is suspended; a client that leaves then is noticed by
 * our watch, and its connection closed.
 *
 * All memory and every byte reserved for a request is given back in request_completed,
 * which the library calls however the request ended; of one whose connection was taken over, in
 * request_gone.
 *
 * Threads:  the request's loop.
 */
#ifndef SLUICE_REQUEST_H
#define SLUICE_REQUEST_H

#include "body.h"
#include "fetch.h"
#include "loop.h"
#include "once.h"
#include "places.h"
#include "rate.h"
#include "receivers.h"
#include "response.h"

struct route;
struct sse_stream;
struct held_answer;

enum request_phase {
    REQUEST_HEADERS,
    REQUEST_OUTSIDE, /* suspended, until its topic has place */
    REQUEST_WAITING, /* suspended, in the line of its body's ledger */
    REQUEST_BODY,
    REQUEST_DISCARD, /* the answer is ready, the body is thrown away */
    REQUEST_HELD,    /* a job is with the writer */
    REQUEST_PARKED,  /* suspended, a reader without news */
    REQUEST_QUEUED,  /* suspended, a reader in the read ledger's line */
    REQUEST_STREAM,  /* suspended, a reader who stays (sse_stream.h) */
    REQUEST_REPLY,
};

enum read_form { READ_JSON, READ_NDJSON, READ_MULTIPART, READ_EVENTS, READ_RAW, READ_SSE };

struct receive_scan { /* of a subscription with a filter (receive_find.h) */
    uint64_t mark; /* of which, with which filter; 0: none yet */
    uint64_t seen; /* no message before this offset is for it */
    uint64_t end;  /* of the log when the request came */
};

struct read_query { /* a parked reader is little more than this */
    union {
        struct fetch_from from;
        struct receive_scan scan; /* of a receiver */
    };
    uint64_t offset; /* `from` resolved, once the topic was there */
    uint64_t max_bytes;
    int64_t until_ms; /* monotonic; 0: does not wait */
    uint16_t limit;
    uint8_t form; /* enum read_form */
    bool strict, resolved;
    bool envelope; /* READ_SSE: messages as objects */
    bool resumes;  /* READ_SSE: `from` is behind a Last-Event-ID */
    bool tied;     /* a receive whose leases are tied to its connection */
};

struct answer_room { /* for what a reader is told (line.h) */
    struct ledger_waiter room;
    int64_t until_ms; /* monotonic: how long it stands in line; 0: not yet */
    void (*again)(struct request *r); /* the room has come: looks again, and asks again */
};

struct booking { /* at places, see hold.h */
    struct places_booked need;
    uint16_t slots[1 + STORE_NAMESPACE_DEPTH];
    uint8_t count; /* 0: none */
};

struct request {
    struct source watch; /* first */
    struct timer timer;
    struct loop *loop;
    struct MHD_Connection *conn;
    struct connection *connection; /* NULL: there was no memory for it */
    const struct route *route;
    const struct dialect *dialect; /* how problems are written; NULL: the native way */
    struct request *prev, *next; /* in one of the loop's lists, or none */
    struct request_list *list;
    struct request *receiver_next, **receiver_link; /* in one of loop.receivers, or NULL */
    struct receiver receiver; /* waits for a subscription; counted */
    uint64_t id;
    char *topic;       /* decoded, with a closing 0; NULL: the route has none */
    uint64_t offset;   /* of the path */
    uint16_t topic_len;
    uint16_t slot;     /* OUTSIDE, PARKED, QUEUED: of its topic, or PARKED for a subscription:
                        * of that, */
    uint16_t topic_slot; /* ... and of its topic */
    uint8_t phase;     /* enum request_phase */
    bool suspended;
    bool watched; /* its socket is in the loop's epoll set */
    bool in_headers;   /* suspended before the body: one more call comes before it */
    bool head, expects_continue, kill, cors, http_1_0;
    struct reply reply;
    struct bytes problem; /* BODY: the problem as text, for an answer past the library */
    struct job *job;      /* HELD */
    void (*forget)(struct job *j); /* tells the job that its request has gone */
    struct letter room_letter;
    struct once *once; /* NULL: no Idempotency-Key */
    struct rate_ticket ticket; /* of a request that stores messages */
    struct body body;
    struct read_query read;
    struct answer_room answer;
    struct sse_stream *stream; /* NULL: not one who stays */
    struct held_answer *held;  /* NULL: none that is held open */
    struct booking booking;
    int64_t outside_until_ms; /* OUTSIDE: monotonic */
};

/* libmicrohttpd's callbacks. */
enum MHD_Result request_handle(void *loop, struct MHD_Connection *conn, const char *url,
                               const char *method, const char *version,
                               const char *upload_data, size_t *upload_size,
                               void **context);
void request_completed(void *loop, struct MHD_Connection *conn, void **context,
                       enum MHD_RequestTerminationCode how);

/* For handlers (router.h). */

static inline struct bytes request_topic(const struct request *r)
{
    return bytes_of(r->topic, r->topic_len);
}

/* Text for the problem's request_id. */
void request_id(const struct request *r, char out[40]);

/* Header and query parameter; NULL when it is not there. Query values are still
 * percent-encoded. */
const char *request_header(const struct request *r, const char *name);
const char *request_query(const struct request *r, const char *name);

/* In start: the route wants a body of at most `limit` bytes under this ledger. */
void request_expect_body(struct request *r, enum body_kind kind, uint64_t limit,
                         struct ledger *ledger, size_t overhead, unsigned factor);

/* Takes its tokens and asks the ledger for its body: it has been let in (hold.h). It may
 * stand in line then, or have its answer. */
void request_admit(struct request *r);

/* In finish: the answer comes with a job's letter, which calls request_answered. `forget`
 * is called instead of that when the client goes first. */
void request_hold(struct request *r, struct job *j, void (*forget)(struct job *j));
void request_answered(struct request *r);

/* Keeps a problem's text where the library cannot answer any more. */
void request_keep_problem(struct request *r, struct bytes text);

/* The upload of this request moved on. */
void request_upload_moved(struct request *r);

/* Frees it, and all that it has: one that was taken over (takeover.h). */
void request_gone(struct request *r, bool completed);

/* For the loop. */
void request_check_bodies(struct loop *l);

#endif
