/*
 * known - which updates of the log a set wants, as far as somebody of the set has found that out.
 *
 * Hundreds who come back at the same moment, each from an offset of its own, read the same stretch of
 * a log in which little is for them. The first who looks at a message for a set leaves word here; those who
 * come behind him read what is for them, and pass over the rest. What was found out stays true: a
 * message never changes, an offset is never used twice, and a set has a number that no other has.
 *
 * Memory:   a table of a fixed size: a bit for a message, cells of 256 of them; of two that fall upon
 *           each other, the later one stays.
 * Threads:  the loop's.
 */
#ifndef SLUICE_MERCURE_KNOWN_H
#define SLUICE_MERCURE_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#define MERCURE_KNOWN_CELL  256u
#define MERCURE_KNOWN_CELLS 256u

struct mercure_known { /* all zero: nothing */
    struct mercure_known_cell {
        uint64_t set, cell;
        uint16_t from, to; /* known of these, within the cell; to 0: of none */
        uint64_t wanted[MERCURE_KNOWN_CELL / 64];
    } cells[MERCURE_KNOWN_CELLS];
};

/* The first offset from here on that the set may want: one that it is known to want, or one of
 * which nothing is known. */
uint64_t mercure_known_next(const struct mercure_known *k, uint64_t set, uint64_t offset);

/* From `from` on the set wants nothing of what the log has before `offset`; and that, or not. */
void mercure_known_learn(struct mercure_known *k, uint64_t set, uint64_t from, uint64_t offset,
                         bool wanted);

#endif
