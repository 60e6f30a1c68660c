/*
 * publish - messages on their way to disk: all of one request, or none.
 *
 * A door fills one in, with the bytes paid by a grant, and submits it to the writer. It
 * comes back by its letter with an outcome and, when that is ERR_OK, with the offsets of
 * messages that are on disk.
 *
 * Threads:  made, submitted and freed on an HTTP loop; run on the writer in between.
 * Owner:    owns its buffers and its grant; publish_free gives all of it back.
 */
#ifndef SLUICE_PUBLISH_H
#define SLUICE_PUBLISH_H

#include "ledger.h"
#include "packed.h"
#include "quota.h"
#include "rate.h"
#include "writer.h"

/* What the ledger is charged for a message beside its bytes: this struct, the request's
 * own state, and what the store keeps of it during a transaction. */
#define PUBLISH_OVERHEAD 1024u

/* Bytes of attributes that a message may have where its batch gives it more: those of the
 * batch and its own, together, as packed. */
#define PUBLISH_SHARED_MAX 12288u

enum publish_refusal { /* why outcome is ERR_FULL, ERR_NOT_FOUND, ERR_EXISTS, ERR_BAD_INPUT */
    PUBLISH_FINE = 0,
    PUBLISH_STORE_FULL,
    PUBLISH_QUOTA,
    PUBLISH_NO_TOPIC,
    PUBLISH_KEY_REUSED, /* its key is of another publish (publish_once.h) */
    PUBLISH_KEYS_FULL,  /* as many keys as there may be */
    PUBLISH_NEXT_DIFFERS, /* has_if_next, and the next offset is another one: `next` */
    PUBLISH_DELAY_TOO_LONG, /* ERR_BAD_INPUT, as the next: `late` */
    PUBLISH_NEVER_DELIVERED, /* it would expire before it may be delivered */
};

struct publish_late { /* the message that is refused for its delay */
    uint64_t index; /* in the batch */
    int64_t deliver_ms, expires_ms;
};

struct publish_once { /* see publish_once.h */
    struct bytes key; /* empty: it may be stored as often as it comes; lives in meta */
    uint8_t print[STORE_PRINT_LEN]; /* of all that tells it from another publish */
    uint64_t window_ms; /* how long its receipt is kept */
    uint64_t max_keys;  /* most receipts in the store; 0: no limit */
};

struct publish {
    struct job job; /* first: a job's letter leads back here */
    void *arg;      /* the submitter's; NULL once it has gone */
    struct writer *writer;

    struct bytes topic;  /* lives in meta */
    uint8_t *meta;       /* owned: topic name and the fields of `one` */
    uint8_t *body;       /* owned: the body of `one`, or the packed batch */
    size_t body_len;
    struct grant grant;  /* pays for all of it */
    /* The message. Of a batch: its ttl and delay, for all that have none; and attributes that every
     * message gets behind its own, but for those that it has, and for one whose attributes
     * would be more than PUBLISH_SHARED_MAX then. A single
     * one may have an id of up to RECORD_ID_MAX bytes, which fetch_find_id finds. */
    struct packed_message one;
    uint64_t blob_id, blob_size; /* not 0: the body of `one` was streamed */
    bool batch;
    bool delayed;         /* a batch of which some may have a delay: all are looked at first */
    uint64_t count;       /* messages in the batch */
    uint64_t total_bytes; /* of their bodies */
    uint64_t default_ttl_ms;
    bool auto_create;
    bool has_if_next;
    uint64_t if_next; /* append only if this is the topic's next offset; 0 where it has none */
    struct publish_once once;
    uint64_t topic_ttl_ms; /* the writer's */

    /* The outcome. */
    enum err outcome;
    enum publish_refusal refusal;
    uint64_t first_offset;
    bool replayed; /* nothing was stored: the outcome is that of the first of its key */
    uint64_t next; /* PUBLISH_NEXT_DIFFERS: the topic's next offset */
    int64_t time_ms, expires_ms; /* of the (last) message */
    uint64_t ttl_ms;             /* in force for it; UINT64_MAX: none */
    int64_t deliver_ms;          /* of a single message that is delayed; else 0 */
    struct quota_refusal quota;  /* PUBLISH_QUOTA: which limit */
    struct publish_late late;
    int64_t submitted_us;
};

/* Ttl in force: the message's own, capped by the topic's (0: none; see quota_ttl). Where neither is given, the
 * broker's default stands in (a default, not a cap). UINT64_MAX: never expires. */
uint64_t publish_ttl(uint64_t topic_ttl_ms, uint64_t default_ttl_ms, bool has_ttl,
                     uint64_t ttl_ms);

/* The same as a time: the first moment at which it has expired. 0: never. */
int64_t publish_expiry(uint64_t ttl_ms, int64_t now_ms);

/* Takes p over until its letter arrives. The caller has set p->writer, p->job.home and
 * p->job.letter.open. The ticket is that of the request which was admitted (rate.h), and
 * pays for messages beyond what it took then; NULL: nobody is limited. */
void publish_submit(struct publish *p, struct rate_ticket *ticket);

void publish_free(struct publish *p);

#endif
