#include "mercure/key.h"

#include "mercure/token.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

struct key {
    const char *setting, *text;
    enum config_jwt_alg alg;
};

static void keys_of(const struct config *c, struct key out[2])
{
    out[0] = (struct key){ mercure_key_setting(MERCURE_PUBLISHER), c->mercure_publisher_jwt_key,
                           c->mercure_publisher_jwt_alg };
    out[1] = (struct key){ mercure_key_setting(MERCURE_SUBSCRIBER),
                           c->mercure_subscriber_jwt_key, c->mercure_subscriber_jwt_alg };
}

/* Bits of the hash: of HS256 and RS256 and ES256, 256. */
static unsigned hash_bits(enum config_jwt_alg alg)
{
    static const unsigned bits[] = { 256, 384, 512 };

    return bits[alg % 3];
}

static bool is_secret(enum config_jwt_alg alg)
{
    return alg <= CONFIG_HS512;
}

/* Nobody is asked for a pass phrase. */
static int no_phrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static EVP_PKEY *read_public(const char *text)
{
    BIO *in = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = in ? PEM_read_bio_PUBKEY(in, NULL, no_phrase, NULL) : NULL;

    BIO_free(in);
    ERR_clear_error();
    return key;
}

static const char *wants_rsa(EVP_PKEY *key)
{
    return EVP_PKEY_base_id(key) == EVP_PKEY_RSA ? NULL : "is no RSA key";
}

static const char *wants_curve(EVP_PKEY *key, enum config_jwt_alg alg)
{
    static const char *const wrong[] = { "is no key on the curve P-256",
                                         "is no key on the curve P-384",
                                         "is no key on the curve P-521" };
    static const char *const curves[] = { "prime256v1", "secp384r1", "secp521r1" };
    char name[64] = "";
    size_t len;

    if (EVP_PKEY_base_id(key) != EVP_PKEY_EC ||
        !EVP_PKEY_get_group_name(key, name, sizeof name, &len) ||
        strcmp(name, curves[alg % 3]) != 0)
        return wrong[alg % 3];
    return NULL;
}

/* What is wrong, to be read after the setting's name; NULL: nothing. */
static const char *check_public(const struct key *k)
{
    EVP_PKEY *key = read_public(k->text);
    const char *why;

    if (!key)
        return "is no public key in PEM (-----BEGIN PUBLIC KEY-----)";
    why = k->alg <= CONFIG_RS512 ? wants_rsa(key) : wants_curve(key, k->alg);
    EVP_PKEY_free(key);
    return why;
}

static const char *check_secret(const struct key *k)
{
    if (!strncmp(k->text, "-----BEGIN ", 11))
        return "is a key in PEM, and not a secret";
    return NULL;
}

enum err mercure_keys_check(const struct config *c, char *error)
{
    struct key keys[2];

    keys_of(c, keys);
    for (size_t i = 0; i < 2; i++) {
        const struct key *k = &keys[i];
        const char *why = NULL;

        if (*k->text)
            why = is_secret(k->alg) ? check_secret(k) : check_public(k);
        if (!why)
            continue;
        snprintf(error, CONFIG_ERROR_SIZE, "%s %s, which its algorithm needs (%.*s_alg = %s)",
                 k->setting, why, (int)strlen(k->setting) - 4, k->setting,
                 mercure_alg_name(k->alg));
        return ERR_BAD_INPUT;
    }
    return ERR_OK;
}

void mercure_keys_warn(const struct config *c)
{
    struct key keys[2];

    keys_of(c, keys);
    for (size_t i = 0; i < 2; i++) {
        const struct key *k = &keys[i];
        size_t bits = strlen(k->text) * 8;

        if (bits && is_secret(k->alg) && bits < hash_bits(k->alg))
            LOG_WARN("mercure", "short_key", LOG_S("setting", k->setting),
                     LOG_I("bits", bits), LOG_I("wanted_bits", hash_bits(k->alg)));
    }
}
