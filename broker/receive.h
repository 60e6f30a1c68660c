/*
 * receive - leases a subscription's next messages to a consumer: a job for the writer.
 *
 * What is leased is what the consumer's answer has room for: the room is there before.
 *
 * Threads:  made, submitted and freed on an HTTP loop; run on the writer in between.
 */
#ifndef SLUICE_RECEIVE_H
#define SLUICE_RECEIVE_H

#include "lease.h"
#include "writer.h"

struct receive {
    struct job job; /* first */
    char name[STORE_SUB_NAME_MAX];
    uint8_t name_len;
    uint64_t lease_ms;  /* 0: as the subscription says */
    unsigned limit;     /* messages; room for so many is in `got` */
    uint64_t max_bytes; /* of bodies; the first message is given whatever its size */
    size_t room;        /* for messages, in the answer; the submitter's grant pays for it */
    size_t booked;      /* the submitter's: of ties.h; 0: not tied to its connection */
    size_t (*room_of)(const struct record *r); /* what an answer needs for one */
    /* The submitter has looked through the log: before `seen` is nothing for the subscription
     * that has this mark. `limit` may be 0 then: the subscription goes on, nothing more. */
    uint64_t mark; /* subscription_mark; 0: it has not */
    uint64_t seen;

    /* The outcome: ERR_OK, ERR_NOT_FOUND (no such subscription), or the store's. */
    enum err outcome;
    bool small;   /* a message is there, but there is no room for it alone: not leased */
    bool more;    /* it ended for want of room, limit or max_bytes: there may be more */
    int64_t until_ms;
    unsigned count; /* in `got`: leased to the submitter */
    struct lease got[];
};

static inline size_t receive_bytes(unsigned limit)
{
    return sizeof(struct receive) + limit * sizeof(struct lease);
}

/* See job_new; its submitter frees it, with job_free. */
struct receive *receive_new(unsigned limit, struct grant *from);

void receive_submit(struct writer *w, struct receive *c);

#endif
