/*
 * broker - all parts of the broker that know nothing of HTTP, opened and closed in order.
 *
 * Threads:  broker_open and broker_close on main; the fields are set once and read by any
 *           thread, and what they point to says for itself who may call it.
 */
#ifndef SLUICE_BROKER_H
#define SLUICE_BROKER_H

#include "config.h"
#include "ledger.h"
#include "limits.h"
#include "places.h"
#include "rate.h"
#include "receivers.h"
#include "store.h"
#include "ties.h"
#include "tune.h"
#include "waiters.h"
#include "weights.h"
#include "writer.h"

#include <stdatomic.h>

struct broker {
    const struct config *config;
    struct limits *limits;
    struct rate *rate; /* how fast messages may come in */
    struct tune *tune; /* changes of the config while it is read */
    const struct store_ops *ops;
    struct store *store;
    struct writer *writer;
    struct waiters *waiters;
    struct receivers *receivers; /* consumers that wait, by subscription */
    struct ties *ties;      /* leases tied to connections */
    struct places *places;  /* topics that make their publishers wait */
    struct weights weights; /* of topics */
    struct ledger *publish; /* bytes on their way in */
    struct ledger *read;    /* bytes on their way out */
    struct ledger *json;    /* admin bodies and their trees */
    _Atomic bool draining;  /* no new publishes; parked readers are answered */
    int64_t started_ms;     /* wall clock */

    /* broker_watch only. */
    uint64_t tables_kept_bytes; /* page tables that a refresh did not free */
    unsigned watches;
};

/* Config and limits must outlive the broker; its ledgers report to the limits' lines, and
 * its tune changes the config. Reasons for failure are logged. */
MUST_CHECK enum err broker_open(struct config *c, struct limits *limits,
                                struct broker **out);

/* Looks at what the process uses: keeps the kernel's page tables within their bound and,
 * once in WATCHES_PER_SAMPLE calls, takes the high-water marks. About twenty times a second,
 * by one thread. */
#define WATCHES_PER_SAMPLE 20
void broker_watch(struct broker *b);

/* Commits what was accepted, then closes. Every HTTP loop must have ended. */
void broker_close(struct broker *b);

#endif
