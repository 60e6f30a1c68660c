/*
 * download - a large message on its way out: once begun it comes whole, although the
 * message expires, is purged or dropped, or goes with its topic meanwhile.
 *
 * The store keeps the message's chunks until the end, or until the setting download_grace
 * has passed since the start: then a message that is gone is cut. It is on disk that they
 * are kept, where they take room from publishers; hence the bound.
 *
 * Threads:  all calls for one download on one loop.
 * Owner:    a plain struct in its owner's memory, at one place from start to end.
 */
#ifndef SLUICE_DOWNLOAD_H
#define SLUICE_DOWNLOAD_H

#include "broker.h"
#include "fetch.h"

struct download {
    struct broker *broker;
    struct fetch *fetch;
    struct store_pin pin;
};

/* With f open, whose entry *m is a large message. The snapshot is renewed, and *m with it.
 * ERR_NOT_FOUND: the message went in this moment; if f is still open, others are there.
 * Unless ERR_OK nothing is begun. */
MUST_CHECK enum err download_start(struct download *d, struct broker *b, struct fetch *f,
                                   struct store_entry *m);

/* Part of the body, under a snapshot of its own: f must not be open. *got 0: past the end,
 * or no longer there. */
MUST_CHECK enum err download_read(struct download *d, uint64_t at, void *to, size_t len,
                                  size_t *got);

/* Ends it once, wherever it stands. */
void download_end(struct download *d);

#endif
