/*
 * redrive - moves a subscription's dead letters back to its topic: a job for the writer.
 *
 * Each is appended as a new message, without what was added to its attributes, and taken out of the dead
 * letter topic, in one transaction. Dead letters of other subscriptions stay, and so do
 * those without a body, of messages that were in chunks.
 *
 * Threads:  made, submitted and freed on an HTTP loop; run on the writer in between.
 */
#ifndef SLUICE_REDRIVE_H
#define SLUICE_REDRIVE_H

#include "quota.h"
#include "writer.h"

struct redrive {
    struct job job; /* first */
    char name[STORE_SUB_NAME_MAX];
    uint8_t name_len;
    unsigned limit; /* messages */
    uint64_t at;    /* the job's: where it goes on in the dead letter topic */

    /* ERR_OK; ERR_NOT_FOUND: no such subscription, or, with no_topic, its topic is not
     * there; ERR_BAD_INPUT: it has no dead letter topic; ERR_FULL: `quota` if its limit is
     * set; or the store's. What an earlier turn of it has moved stays moved. */
    enum err outcome;
    bool no_topic;
    unsigned moved;
    struct quota_refusal quota;
};

void redrive_submit(struct writer *w, struct redrive *c);

#endif
