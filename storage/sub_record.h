/*
 * sub_record - the row of a subscription: fields to bytes and back, as FORMAT.md has it.
 *
 * Pure: no engine, no clock, no allocation.
 */
#ifndef SLUICE_SUB_RECORD_H
#define SLUICE_SUB_RECORD_H

#include "store.h"

#define SUB_RECORD_FIXED 151u /* then two names, then the extra settings */
#define SUB_RECORD_MAX   (SUB_RECORD_FIXED + 2 * STORE_TOPIC_NAME_MAX + STORE_SUB_EXTRA_ROOM)

/* How many bytes were written to `out`. */
size_t sub_record_encode(const struct sub_state *sub, uint8_t out[SUB_RECORD_MAX]);

/* ERR_CORRUPT: not a row of a known version. */
MUST_CHECK enum err sub_record_decode(struct bytes name, struct bytes stored,
                                      struct sub_state *out);

#endif
