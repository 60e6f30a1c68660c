/*
 * lease - the token that a consumer gets with a message, and settles it by.
 *
 * It holds all there is to know, and a tag that only this broker can make: so there is no
 * table of tokens, and they are good after a restart. The number of deliveries goes up each
 * time a message is handed out, so an older lease of the same message is another one.
 *
 * Pure. Threads: any.
 */
#ifndef SLUICE_LEASE_H
#define SLUICE_LEASE_H

#include "base/bytes.h"

#define LEASE_TEXT_LEN 38u /* characters: base64url (RFC 4648) without padding */

struct lease {
    uint64_t sub_id; /* sub_state.id */
    uint64_t offset;
    uint32_t deliveries;
};

/* No NUL is written. */
void lease_write(const uint8_t secret[16], const struct lease *l, char out[LEASE_TEXT_LEN]);

/* False: not a token of this broker. */
bool lease_read(const uint8_t secret[16], struct bytes text, struct lease *out);

#endif
