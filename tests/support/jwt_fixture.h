/*
 * jwt_fixture - tokens and keys as publishers have them, good and bad.
 *
 * Tokens with a secret are signed here, so that their header may say what it likes; the others
 * by the library, with key pairs that are made for the test.
 */
#ifndef SLUICE_JWT_FIXTURE_H
#define SLUICE_JWT_FIXTURE_H

#include "base64.h"
#include "base/bytes.h"

#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JWT_SECRET "!ChangeThisMercureHubJWTSecretKey!"

struct jwt_pair { /* in PEM */
    char secret[4096], public[2048];
};

static char jwt_token[1 << 16]; /* the one made last */

/* Appends `in` to `to` as base64url. */
static void jwt_append(char *to, struct bytes in)
{
    char *end = to + strlen(to);

    base64_encode(in, end);
    end[base64_len(in.len)] = '\0';
    for (char *p = end; *p; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p == '=' ? '\0' : *p;
}

__attribute__((unused)) static char *jwt_unsigned(const char *head, const char *claims)
{
    jwt_token[0] = '\0';
    jwt_append(jwt_token, bytes_str(head));
    strcat(jwt_token, ".");
    jwt_append(jwt_token, bytes_str(claims));
    strcat(jwt_token, ".");
    return jwt_token;
}

/* With SHA-256, SHA-384 or SHA-512, whatever the header says. */
__attribute__((unused)) static char *jwt_hmac(const EVP_MD *hash, const char *head,
                                              const char *claims, const char *key)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;

    jwt_unsigned(head, claims);
    HMAC(hash, key, (int)strlen(key), (unsigned char *)jwt_token, strlen(jwt_token) - 1,
         digest, &len);
    jwt_append(jwt_token, bytes_of(digest, len));
    return jwt_token;
}

__attribute__((unused)) static char *jwt_hs256(const char *claims)
{
    return jwt_hmac(EVP_sha256(), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", claims, JWT_SECRET);
}

__attribute__((unused)) static char *jwt_sign(const char *alg, const struct jwt_pair *pair,
                                              const char *claims)
{
    jwt_t *jwt = NULL;
    char *text = NULL;

    if (jwt_new(&jwt) || jwt_add_grants_json(jwt, claims) ||
        jwt_set_alg(jwt, jwt_str_alg(alg), (const unsigned char *)pair->secret,
                    (int)strlen(pair->secret)) ||
        !(text = jwt_encode_str(jwt)))
        abort();
    snprintf(jwt_token, sizeof jwt_token, "%s", text);
    free(text);
    jwt_free(jwt);
    return jwt_token;
}

/* RSA of 2048 bits where there is no curve. */
__attribute__((unused)) static void jwt_make_pair(const char *curve, struct jwt_pair *out)
{
    EVP_PKEY *key = curve ? EVP_EC_gen(curve) : EVP_RSA_gen(2048);
    BIO *secret = BIO_new(BIO_s_mem()), *public = BIO_new(BIO_s_mem());

    if (!PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) ||
        !PEM_write_bio_PUBKEY(public, key))
        abort();
    memset(out, 0, sizeof *out);
    BIO_read(secret, out->secret, sizeof out->secret - 1);
    BIO_read(public, out->public, sizeof out->public - 1);
    BIO_free(secret);
    BIO_free(public);
    EVP_PKEY_free(key);
}

#endif
