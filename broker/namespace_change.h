/*
 * namespace_change - create, configure or delete a namespace: one job for the writer.
 *
 * A namespace is made in as many turns as it takes to count the topics that are there; no
 * quota of it holds before that, and nobody sees it.
 *
 * Threads:  made, submitted and freed on an HTTP loop; run on the writer in between.
 */
#ifndef SLUICE_NAMESPACE_CHANGE_H
#define SLUICE_NAMESPACE_CHANGE_H

#include "writer.h"

enum namespace_change_kind {
    NAMESPACE_PUT,   /* create with `settings`; the same settings again are fine */
    NAMESPACE_PATCH, /* change the settings named in `set` */
    NAMESPACE_DELETE,
};

#define NAMESPACE_SET_TTL 1u
#define NAMESPACE_SET_MAX_BYTES 2u
#define NAMESPACE_SET_MAX_MESSAGES 4u
#define NAMESPACE_SET_MAX_TOPICS 8u
#define NAMESPACE_SET_OVERFLOW 16u

struct namespace_change {
    struct job job; /* first */
    enum namespace_change_kind kind;
    char prefix[STORE_TOPIC_NAME_MAX + 1];
    size_t prefix_len;
    struct namespace_settings settings;
    unsigned set; /* NAMESPACE_PATCH: which of them */

    /* The outcome: ERR_OK, ERR_NOT_FOUND, ERR_EXISTS (other settings), ERR_BUSY (there are
     * STORE_NAMESPACES_MAX), ERR_TOO_BIG (more than STORE_NAMESPACE_DEPTH would hold one
     * topic), or the store's. */
    enum err outcome;
    bool created;
    bool no_more; /* the writer's: ERR_BUSY will be the outcome */
    struct namespace_state state; /* after the change */
};

void namespace_change_submit(struct writer *w, struct namespace_change *c);

#endif
