/*
 * tune - settings that change while the broker runs.
 *
 * The rows of config_table that are `live`: each is an _Atomic field of the struct config
 * that everybody reads, so a reader sees the old value or the new one, and never needs a
 * lock. What belongs together must therefore not depend on two of them in one look.
 *
 * A change is looked at as a whole before anything of it is done. A patch holds until the
 * next reload or the end of the process; a reload makes what flags, environment and file
 * say true again.
 *
 * Threads:  any; changes take turns.
 * Owner:    the config is lent by the caller of tune_new and outlives the struct.
 */
#ifndef SLUICE_TUNE_H
#define SLUICE_TUNE_H

#include "config_table.h"
#include "rate.h"

struct tune;

struct tune_change {
    const struct config_setting *setting; /* live */
    const char *value; /* as in the file; NULL: what flags, environment and file say */
};

/* Also gives `rate` the limits of the config. NULL: no memory. */
struct tune *tune_new(struct config *running, struct rate *rate);
void tune_free(struct tune *t);

/* All of the changes, or none. ERR_BAD_INPUT: *bad is the one whose value is not of its
 * setting's form (config_expected). */
MUST_CHECK enum err tune_patch(struct tune *t, const struct tune_change *changes,
                               size_t count, size_t *bad);

/* `fresh` is loaded and planned like the config at the start. Its live settings come into
 * force; where others differ from what runs, the log says that they need a restart. */
void tune_reload(struct tune *t, const struct config *fresh);

/* The config in force, with its origins, as of one moment. */
void tune_read(struct tune *t, struct config *out);

#endif
