/*
 * tally - what a crowd of subscribers saw, counted: nothing of the messages is kept.
 *
 * Of each subscriber only the number that must come next is known. What comes before it is a
 * duplicate; what is missing in front of what came is lost. The first message of a subscriber
 * tells when the one before it was published: later than the subscriber was connected, and
 * that one is lost as well.
 */
#ifndef CROWD_TALLY_H
#define CROWD_TALLY_H

#include "figures.h"
#include "scan.h"

enum { TALLY_RECENT = 1 << 14 };

struct tally_place { /* of one subscriber; all zero: it has seen nothing */
    uint64_t next;
    bool began;
};

struct tally_message { /* of the latest so many, when all read the same topic */
    uint64_t seq;
    uint32_t seen;
};

struct tally {
    uint64_t events, bytes, lost, duplicates, told, foreign; /* told: `skipped`, `unknown`, ... */
    struct figures delay;   /* from a publish to each delivery */
    struct figures to_last; /* ... to the last of `all` subscribers */
    uint64_t all;           /* 0: they read different topics */
    struct tally_message recent[TALLY_RECENT];
};

void tally_event(struct tally *t, struct tally_place *p, const struct scan_event *e,
                 int64_t opened_us, int64_t now_us);

/* Times only; what was counted stays. */
void tally_reset_times(struct tally *t);

/* The members "events":.. to "to_last_ms":{..} */
void tally_print(const struct tally *t, FILE *to);

#endif
