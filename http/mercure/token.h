/*
 * token - who may publish and subscribe what: a JSON Web Token, checked.
 *
 * A token is a JWS in its compact form. Each role has one key and one algorithm, by the
 * settings; what the token itself says of its algorithm decides nothing, it must only be the
 * same. What it allows is in claims.h.
 *
 * Memory:   tokens above MERCURE_TOKEN_MAX are refused before they are looked at, and so are
 *           those whose JSON has more than MERCURE_TOKEN_NESTS objects and arrays: their trees
 *           in the library would be many times as large. What a check takes is back when it
 *           returns, but for the claims.
 * Units:    wall clock, milliseconds.
 * Threads:  any; each remembers tokens of public keys (verified.h).
 */
#ifndef SLUICE_MERCURE_TOKEN_H
#define SLUICE_MERCURE_TOKEN_H

#include "config.h"
#include "mercure/claims.h"

#define MERCURE_TOKEN_MAX   8192
#define MERCURE_TOKEN_NESTS 256

enum mercure_role { MERCURE_PUBLISHER, MERCURE_SUBSCRIBER };

/*
 * ERR_BAD_INPUT: it is not good now, or there is no key; `*why` says why in plain English,
 * without quoting it. ERR_NO_MEMORY: `*why` is unchanged. `*out` is the caller's to free.
 */
MUST_CHECK enum err mercure_token_verify(const struct config *c, enum mercure_role role,
                                         struct bytes token, int64_t now_ms,
                                         struct mercure_claims **out, const char **why);

/* "mercure_publisher_jwt_key", or the other. */
const char *mercure_key_setting(enum mercure_role role);
/* "RS256" */
const char *mercure_alg_name(enum config_jwt_alg alg);

#endif
