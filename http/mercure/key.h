/*
 * key - do the hub's keys fit their algorithms? Asked once, when the broker starts.
 *
 * RS256 to RS512 need an RSA public key in PEM, ES256 to ES512 one on the curve P-256, P-384,
 * P-521; HS256 to HS512 take any text, and a public key as a secret is a mistake that would let
 * everybody sign.
 *
 * Threads: any; no state.
 */
#ifndef SLUICE_MERCURE_KEY_H
#define SLUICE_MERCURE_KEY_H

#include "config.h"

/* ERR_BAD_INPUT: a sentence for the operator, without the key, is in `error`
 * (CONFIG_ERROR_SIZE bytes). */
MUST_CHECK enum err mercure_keys_check(const struct config *c, char *error);

/* Logs a warning for each secret that is shorter than its algorithm's hash. */
void mercure_keys_warn(const struct config *c);

#endif
