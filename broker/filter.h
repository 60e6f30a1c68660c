/*
 * filter - which messages a subscription wants: those that have all of some attributes, with
 * exactly these values.
 *
 * It is kept as a list of attributes (record.h). Names know no case, values do.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_FILTER_H
#define SLUICE_FILTER_H

#include "store.h"

#define FILTER_PAIRS_MAX 8

struct filter { /* views into what it was read from */
    unsigned count; /* 0: every message passes */
    struct bytes names[FILTER_PAIRS_MAX], values[FILTER_PAIRS_MAX];
};

/* That of a subscription, whose settings must stay. False: it is none, or has too many pairs;
 * *f is then not to be used. */
MUST_CHECK bool filter_read(const struct sub_settings *s, struct filter *f);

/* The other way, in the order of the names, so that the same pairs in any order are the same
 * setting. Names are put down in lower case. `f` must not point into *s. False: too long. */
MUST_CHECK bool filter_write(struct filter *f, struct sub_settings *s);

/* Whatever its case. Adds nothing to a full one: false. *twice: the name is there already. */
MUST_CHECK bool filter_add(struct filter *f, struct bytes name, struct bytes value,
                           bool *twice);

bool filter_passes(const struct filter *f, struct bytes attributes);

#endif
