/*
 * settle - what a consumer says of the messages it has leased: one job for the writer.
 *
 * A lease is good until its time is over, or until its message was handed out again; then
 * it is fenced, and settling it changes nothing.
 *
 * Threads:  made, submitted and freed on an HTTP loop; run on the writer in between.
 */
#ifndef SLUICE_SETTLE_H
#define SLUICE_SETTLE_H

#include "lease.h"
#include "ties.h"
#include "writer.h"

enum settle_kind {
    SETTLE_ACK,       /* done with it */
    SETTLE_NACK,      /* to be handed out again, after `delay_ms` */
    SETTLE_EXTEND,    /* the lease begins anew, for `delay_ms` */
    SETTLE_REJECT,    /* never to be handed out again */
    SETTLE_TAKE_BACK, /* it never reached a consumer: as if it had not been handed out */
    SETTLE_VANISHED,  /* its consumer is gone: to be handed out again, at once */
};

enum settle_result {
    SETTLE_DONE,
    SETTLE_UNKNOWN, /* not a lease of this broker: the submitter says so */
    SETTLE_EXPIRED, /* its time is over */
    SETTLE_FENCED,  /* settled before, taken over, or of another subscription */
};

struct settle_item {
    struct lease lease;
    enum settle_result result;
};

struct settle {
    struct job job; /* first */
    enum settle_kind kind;
    char name[STORE_SUB_NAME_MAX];
    uint8_t name_len;
    bool has_delay; /* else what the subscription says */
    uint64_t delay_ms;
    struct ties *ties; /* told of what is settled; NULL: nobody asks */

    /* The outcome: ERR_OK, ERR_NOT_FOUND (no such subscription), or the store's. */
    enum err outcome;
    unsigned settled;
    unsigned at; /* the job's: the next item, if it needs several turns */
    int64_t until_ms; /* SETTLE_EXTEND */
    unsigned count;
    struct settle_item items[];
};

static inline size_t settle_bytes(unsigned count)
{
    return sizeof(struct settle) + count * sizeof(struct settle_item);
}

/* See job_new. Without a home it frees itself, else its submitter does, with job_free. */
struct settle *settle_new(unsigned count, struct grant *from);

void settle_submit(struct writer *w, struct settle *c);

#endif
