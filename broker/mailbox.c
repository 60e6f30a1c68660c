#include "mailbox.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum err mailbox_init(struct mailbox *m)
{
    m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->fd < 0) {
        LOG_ERROR("mailbox", "eventfd_failed", LOG_S("error", strerror(errno)));
        return ERR_IO;
    }
    pthread_mutex_init(&m->lock, NULL);
    atomic_init(&m->owed, 0);
    m->first = NULL;
    m->last = &m->first;
    return ERR_OK;
}

void mailbox_fini(struct mailbox *m)
{
    close(m->fd);
    pthread_mutex_destroy(&m->lock);
}

void mailbox_post_chain(struct mailbox *m, struct letter *first, struct letter *last)
{
    bool was_empty;

    last->next = NULL;
    pthread_mutex_lock(&m->lock);
    was_empty = !m->first;
    *m->last = first;
    m->last = &last->next;
    pthread_mutex_unlock(&m->lock);
    if (was_empty)
        (void)!eventfd_write(m->fd, 1);
}

void mailbox_post(struct mailbox *m, struct letter *l)
{
    mailbox_post_chain(m, l, l);
}

bool mailbox_drain(struct mailbox *m)
{
    eventfd_t ignored;
    struct letter *l;

    (void)!eventfd_read(m->fd, &ignored);
    pthread_mutex_lock(&m->lock);
    l = m->first;
    m->first = NULL;
    m->last = &m->first;
    pthread_mutex_unlock(&m->lock);
    if (!l)
        return false;
    while (l) {
        struct letter *next = l->next;

        l->open(l); /* may free l */
        l = next;
    }
    return true;
}
