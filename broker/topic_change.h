/*
 * topic_change - create, configure, delete or purge a topic: one job for the writer.
 *
 * Threads:  made, submitted and freed on an HTTP loop; run on the writer in between.
 */
#ifndef SLUICE_TOPIC_CHANGE_H
#define SLUICE_TOPIC_CHANGE_H

#include "quota.h"
#include "writer.h"

enum topic_change_kind {
    TOPIC_PUT,    /* create with `settings`; the same settings again are fine */
    TOPIC_PATCH,  /* change the settings named in `set` */
    TOPIC_DELETE,
    TOPIC_PURGE,  /* take out everything below `before_offset`, a step a turn */
};

#define TOPIC_SET_TTL 1u
#define TOPIC_SET_MAX_BYTES 2u
#define TOPIC_SET_OVERFLOW 4u
#define TOPIC_SET_MAX_MESSAGES 8u
#define TOPIC_SET_MAX_AGE 16u
#define TOPIC_SET_RATE_MESSAGES 32u
#define TOPIC_SET_RATE_BYTES 64u
#define TOPIC_SET_WEIGHT 128u

struct topic_change {
    struct job job; /* first */
    enum topic_change_kind kind;
    char name[STORE_TOPIC_NAME_MAX + 1];
    size_t name_len;
    struct topic_settings settings;
    unsigned set;           /* TOPIC_PATCH: which of them */
    uint64_t before_offset; /* TOPIC_PURGE; UINT64_MAX: all there is when it starts */

    /* The outcome: ERR_OK, ERR_NOT_FOUND, ERR_EXISTS (other settings), or the store's. */
    enum err outcome;
    bool created;
    struct quota_refusal quota; /* limit set: one topic too many, ERR_FULL */
    uint64_t removed;
    struct topic_state state; /* after the change; of the other one for ERR_EXISTS */
};

/* Inside run: what the doors have to know of a topic before they see its messages: its own
 * rates and its weight. */
void topic_settings_tell(struct turn *t, struct bytes name, const struct topic_settings *s);

void topic_change_submit(struct writer *w, struct topic_change *c);

#endif
