/*
 * lmdb_deliveries - what subscriptions have handed out (see lmdb_deliveries.c), for the files of
 * the engine.
 */
#ifndef SLUICE_LMDB_DELIVERIES_H
#define SLUICE_LMDB_DELIVERIES_H

#include "lmdb_internal.h"

enum delivery_kind { DELIVERY_NAME, DELIVERY_ROW, DELIVERY_BY_READY, DELIVERY_BY_KEY };
#define DELIVERY_KEY_MAX 25u

/* In the table of what is due, in place of a time: what is tied to a connection stands behind all
 * that is due, once more. */
#define DELIVERY_TIED_MS INT64_MAX

/* `hash` is of DELIVERY_BY_KEY only. */
struct bytes lmdb_delivery_key(uint8_t key[DELIVERY_KEY_MAX], uint64_t id,
                               enum delivery_kind kind, uint64_t hash, uint64_t offset);
MUST_CHECK enum err lmdb_delivery_decode(uint64_t offset, struct bytes stored,
                                         struct delivery *out);
enum err lmdb_delivery_find(struct store *s, const struct sub_state *sub, uint64_t offset,
                            struct delivery *out);
enum err lmdb_delivery_put(struct store *s, struct sub_state *sub,
                           const struct delivery *before, const struct delivery *d);
enum err lmdb_delivery_drop(struct store *s, struct sub_state *sub,
                            const struct delivery *d);
enum err lmdb_delivery_first_ready(struct store *s, const struct sub_state *sub,
                                   uint64_t *offset);
enum err lmdb_delivery_first_of_key(struct store *s, const struct sub_state *sub,
                                    uint64_t key, uint64_t *offset);
enum err lmdb_delivery_first_due(struct store *s, int64_t now_ms, struct store_due *out);
enum err lmdb_delivery_first_tied(struct store *s, struct store_due *out);
enum err lmdb_delivery_drop_due(struct store *s, const struct store_due *due);
enum err lmdb_delivery_read_oldest(struct store_reader *r, const struct sub_state *sub,
                                   uint64_t *offset);
enum err lmdb_delivery_read_ready(struct store_reader *r, const struct sub_state *sub,
                                  uint64_t *offset);
/* ERR_NOT_FOUND: nothing is left of this id. */
enum err lmdb_delivery_free_one(struct store *s, uint64_t id);

#endif
