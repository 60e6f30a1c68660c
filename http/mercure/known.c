#include "mercure/known.h"

static uint64_t cell_of(uint64_t offset)
{
    return offset / MERCURE_KNOWN_CELL;
}

/* Cells of one set that follow each other do not fall upon each other. */
static unsigned place_of(uint64_t set, uint64_t cell)
{
    return (unsigned)(((set * 0x9e3779b97f4a7c15u) >> 32) + cell) % MERCURE_KNOWN_CELLS;
}

static bool is_wanted(const struct mercure_known_cell *c, unsigned at)
{
    return c->wanted[at / 64] >> at % 64 & 1;
}

uint64_t mercure_known_next(const struct mercure_known *k, uint64_t set, uint64_t offset)
{
    for (unsigned looks = 0; looks <= MERCURE_KNOWN_CELLS; looks++) {
        const struct mercure_known_cell *c = &k->cells[place_of(set, cell_of(offset))];
        unsigned at = offset % MERCURE_KNOWN_CELL;

        if (c->set != set || c->cell != cell_of(offset) || at < c->from || at >= c->to)
            return offset;
        while (at < c->to && !is_wanted(c, at))
            at++;
        offset += at - offset % MERCURE_KNOWN_CELL;
        if (at < c->to)
            return offset;
    }
    return offset;
}

void mercure_known_learn(struct mercure_known *k, uint64_t set, uint64_t from, uint64_t offset,
                         bool wanted)
{
    uint64_t cell = cell_of(offset), begin = cell * MERCURE_KNOWN_CELL;
    struct mercure_known_cell *c = &k->cells[place_of(set, cell)];
    unsigned at = (unsigned)(offset - begin), since = from > begin ? (unsigned)(from - begin) : 0;

    if (c->set != set || c->cell != cell || !c->to || since > c->to || at < c->from)
        *c = (struct mercure_known_cell){ set, cell, (uint16_t)since, (uint16_t)since, { 0 } };
    if (at < c->to)
        return;
    c->to = (uint16_t)(at + 1);
    if (wanted)
        c->wanted[at / 64] |= (uint64_t)1 << at % 64;
}
