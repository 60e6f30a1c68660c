/*
 * The library reads the token's header and its JSON before it looks at the signature, and takes
 * the algorithm from the header. So before it gets a token
 *
 *  1. all of it is base64url and small, and its JSON has few objects: what the library builds of
 *     it has a bound;
 *  2. its header names our algorithm: a public key is never used as a secret, and `none` never
 *     gets through.
 *
 * Should the library read another algorithm out of the same header, what it has verified is not
 * believed (invariant 2 again, after it).
 */
#include "mercure/token.h"

#include "base64.h"
#include "mercure/verified.h"
#include "span.h"

#include <errno.h>
#include <jwt.h>
#include <stdlib.h>

static const struct {
    const char *name;
    jwt_alg_t alg;
} algs[] = {
    [CONFIG_HS256] = { "HS256", JWT_ALG_HS256 }, [CONFIG_HS384] = { "HS384", JWT_ALG_HS384 },
    [CONFIG_HS512] = { "HS512", JWT_ALG_HS512 }, [CONFIG_RS256] = { "RS256", JWT_ALG_RS256 },
    [CONFIG_RS384] = { "RS384", JWT_ALG_RS384 }, [CONFIG_RS512] = { "RS512", JWT_ALG_RS512 },
    [CONFIG_ES256] = { "ES256", JWT_ALG_ES256 }, [CONFIG_ES384] = { "ES384", JWT_ALG_ES384 },
    [CONFIG_ES512] = { "ES512", JWT_ALG_ES512 },
};

struct work { /* one token's check; `text` is its own memory */
    char *text;               /* the token, with a closing 0 */
    struct bytes head, claims; /* decoded */
};

const char *mercure_key_setting(enum mercure_role role)
{
    return role == MERCURE_PUBLISHER ? "mercure_publisher_jwt_key"
                                     : "mercure_subscriber_jwt_key";
}

const char *mercure_alg_name(enum config_jwt_alg alg)
{
    return algs[alg].name;
}

/* ---- its form ---- */

/* base64url without padding, from `part` to `to`; NULL: it is not that. */
static const char *decode(struct bytes part, char *to, struct bytes *out)
{
    const char *in = part.data;
    size_t len;

    for (size_t i = 0; i < part.len; i++) {
        if (in[i] == '+' || in[i] == '/' || in[i] == '=')
            return "it is not base64url";
        to[i] = in[i] == '-' ? '+' : in[i] == '_' ? '/' : in[i];
    }
    if (!base64_decode(bytes_of(to, part.len), (uint8_t *)to, &len))
        return "it is not base64url";
    *out = bytes_of(to, len);
    return NULL;
}

static size_t count_nests(struct bytes json)
{
    const char *p = json.data;
    size_t n = 0;

    for (size_t i = 0; i < json.len; i++)
        n += p[i] == '{' || p[i] == '[';
    return n;
}

/* `w->text` has room for the token twice. */
static const char *take_apart(struct work *w, struct bytes token)
{
    char *decoded = w->text + token.len + 1, *end = w->text + token.len;
    char *first, *second;
    const char *why;

    memcpy(w->text, token.data, token.len);
    *end = '\0';
    first = memchr(w->text, '.', token.len);
    second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second)
        return "it has not three parts";
    /* The signature first: what is decoded of it is written over. */
    if ((why = decode(bytes_of(second + 1, (size_t)(end - second - 1)), decoded, &w->head)) ||
        (why = decode(bytes_of(w->text, (size_t)(first - w->text)), decoded, &w->head)) ||
        (why = decode(bytes_of(first + 1, (size_t)(second - first - 1)),
                      decoded + w->head.len, &w->claims)))
        return why;
    if (count_nests(w->head) + count_nests(w->claims) > MERCURE_TOKEN_NESTS)
        return "it has too many objects and lists";
    return NULL;
}

/* ---- its header ---- */

static const char *check_member(struct bytes name, struct bytes raw, const char *alg, bool *good)
{
    if (span_string_is(name, "crit"))
        return "its header has critical members";
    if (!span_string_is(name, "alg"))
        return NULL;
    *good = span_string_is(raw, alg);
    return *good ? NULL : "its algorithm is not the one of this role";
}

static const char *check_head(struct bytes head, const char *alg)
{
    struct bytes name, raw;
    enum span_kind kind;
    const char *why;
    bool more, good = false;

    if (!span_is_json(head) || span_open(&head, '{', &more))
        return "its header is no JSON object";
    while (more) {
        if ((why = span_member(&head, &name, &raw, &kind, &more)))
            return why;
        if (kind == SPAN_STRING || span_string_is(name, "crit"))
            why = check_member(name, raw, alg, &good);
        if (why)
            return why;
    }
    return good ? NULL : "its header names no algorithm";
}

/* ---- its signature ---- */

static enum err ask_library(const char *token, jwt_alg_t alg, const char *key,
                            const char **why)
{
    jwt_t *jwt = NULL;
    int failed = jwt_decode(&jwt, token, (const unsigned char *)key, (int)strlen(key));
    bool good = !failed && jwt_get_alg(jwt) == alg;

    jwt_free(jwt);
    if (failed == ENOMEM)
        return ERR_NO_MEMORY;
    if (!good)
        *why = "its signature is not of our key";
    return good ? ERR_OK : ERR_BAD_INPUT;
}

static enum err verify(const char *token, enum config_jwt_alg alg, const char *key,
                       const char **why)
{
    struct verified v;
    enum err e;

    if (alg <= CONFIG_HS512)
        return ask_library(token, algs[alg].alg, key, why);
    v = verified_of(bytes_str(key), bytes_str(token));
    if (verified_before(&v))
        return ERR_OK;
    e = ask_library(token, algs[alg].alg, key, why);
    if (!e)
        verified_keep(&v);
    return e;
}

/* ---- in all ---- */

static const char *check_times(const struct mercure_claims *c, int64_t now_ms)
{
    if (now_ms >= c->expires_ms)
        return "it has expired";
    return now_ms < c->valid_ms ? "it is not valid yet" : NULL;
}

static enum err check(struct work *w, struct bytes token, enum config_jwt_alg alg,
                      const char *key, const char **why)
{
    const char *wrong = take_apart(w, token);

    if (!wrong)
        wrong = check_head(w->head, algs[alg].name);
    if (wrong) {
        *why = wrong;
        return ERR_BAD_INPUT;
    }
    return verify(w->text, alg, key, why);
}

static enum err read_claims(const struct work *w, int64_t now_ms, struct mercure_claims **out,
                            const char **why)
{
    struct mercure_claims *c = NULL;
    enum err e = mercure_claims_read(w->claims, &c, why);
    const char *wrong = e ? NULL : check_times(c, now_ms);

    if (wrong) {
        *why = wrong;
        free(c);
        return ERR_BAD_INPUT;
    }
    if (!e)
        *out = c;
    return e;
}

enum err mercure_token_verify(const struct config *c, enum mercure_role role,
                              struct bytes token, int64_t now_ms, struct mercure_claims **out,
                              const char **why)
{
    bool publishes = role == MERCURE_PUBLISHER;
    const char *key = publishes ? c->mercure_publisher_jwt_key : c->mercure_subscriber_jwt_key;
    struct work w;
    enum err e;

    if (!*key || token.len > MERCURE_TOKEN_MAX) {
        *why = *key ? "it is too long" : "there is no key for it";
        return ERR_BAD_INPUT;
    }
    w.text = malloc(2 * token.len + 1);
    if (!w.text)
        return ERR_NO_MEMORY;
    e = check(&w, token,
              publishes ? c->mercure_publisher_jwt_alg : c->mercure_subscriber_jwt_alg, key,
              why);
    if (!e)
        e = read_claims(&w, now_ms, out, why);
    free(w.text);
    return e;
}
