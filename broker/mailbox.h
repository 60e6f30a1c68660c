/*
 * mailbox - how other threads hand work back to an HTTP loop.
 *
 * A letter is embedded in whatever it is about. Posting links it and, when the box was
 * empty, makes the box's descriptor readable; the loop takes all letters at once.
 *
 * Threads:  mailbox_post: any. Everything else: the loop that owns the box.
 * Owner:    a letter belongs to the box until `open` runs; then to `open`.
 */
#ifndef SLUICE_MAILBOX_H
#define SLUICE_MAILBOX_H

#include "base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct letter {
    struct letter *next;
    void (*open)(struct letter *l); /* runs on the owning loop */
};

struct mailbox {
    int fd;                /* readable while letters wait; for epoll */
    _Atomic unsigned owed; /* letters sure to come: of jobs submitted, of waiters in line */
    pthread_mutex_t lock;
    struct letter *first, **last;
};

MUST_CHECK enum err mailbox_init(struct mailbox *m);
void mailbox_fini(struct mailbox *m);

void mailbox_post(struct mailbox *m, struct letter *l);

/* Posts a chain linked by `next` with one lock and one wakeup. */
void mailbox_post_chain(struct mailbox *m, struct letter *first, struct letter *last);

/* Opens every letter that had been posted; true when there was one. */
bool mailbox_drain(struct mailbox *m);

#endif
