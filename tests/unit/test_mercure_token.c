#include "mercure/key.h"
#include "mercure/token.h"

#include "jwt_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <dlfcn.h>

#define NOW_MS 1767225600500 /* half a second past 1767225600 */
#define ALL    "{\"mercure\":{\"publish\":[\"*\"]}}"

static struct config c;
static struct mercure_claims *claims;
static const char *why;

static void given_a_secret(void)
{
    memset(&c, 0, sizeof c);
    strcpy(c.mercure_publisher_jwt_key, JWT_SECRET);
}

static void then_all_is_freed(void)
{
    free(claims);
}

TestSuite(mercure_token, .init = given_a_secret, .fini = then_all_is_freed);

static enum err verify(const char *token)
{
    free(claims);
    claims = NULL;
    why = "";
    return mercure_token_verify(&c, MERCURE_PUBLISHER, bytes_str(token), NOW_MS, &claims, &why);
}

#define GOOD(token) cr_assert(eq(int, verify(token), ERR_OK), "%s", why)
#define BAD(token, reason)                                                             \
    do {                                                                               \
        cr_assert(eq(int, verify(token), ERR_BAD_INPUT));                              \
        cr_assert(eq(str, (char *)why, (char *)(reason)));                             \
        cr_assert(eq(ptr, claims, NULL));                                              \
    } while (0)

static void given_public_key(enum config_jwt_alg alg, const struct jwt_pair *pair)
{
    c.mercure_publisher_jwt_alg = alg;
    snprintf(c.mercure_publisher_jwt_key, sizeof c.mercure_publisher_jwt_key, "%s",
             pair->public);
}

/* ---- the signature ---- */

Test(mercure_token, is_good_when_signed_with_the_roles_key)
{
    GOOD(jwt_hs256(ALL));
    cr_assert(eq(sz, claims->publish_count, 1));
    cr_assert(bytes_eq(claims->publish[0], bytes_str("*")));
}

Test(mercure_token, is_good_with_each_size_of_secret_hash)
{
    c.mercure_publisher_jwt_alg = CONFIG_HS384;
    GOOD(jwt_hmac(EVP_sha384(), "{\"alg\":\"HS384\"}", ALL, JWT_SECRET));
    c.mercure_publisher_jwt_alg = CONFIG_HS512;
    GOOD(jwt_hmac(EVP_sha512(), "{\"alg\":\"HS512\"}", ALL, JWT_SECRET));
}

Test(mercure_token, has_the_key_of_its_own_role)
{
    strcpy(c.mercure_subscriber_jwt_key, "another");
    cr_assert(eq(int,
                 mercure_token_verify(&c, MERCURE_SUBSCRIBER, bytes_str(jwt_hs256(ALL)),
                                      NOW_MS, &claims, &why),
                 ERR_BAD_INPUT));
    GOOD(jwt_token);
}

Test(mercure_token, is_refused_where_there_is_no_key)
{
    c.mercure_publisher_jwt_key[0] = '\0';
    BAD(jwt_hmac(EVP_sha256(), "{\"alg\":\"HS256\"}", ALL, ""), "there is no key for it");
}

Test(mercure_token, is_refused_with_another_key_or_a_changed_text)
{
    static const char wrong[] = "its signature is not of our key";

    BAD(jwt_hmac(EVP_sha256(), "{\"alg\":\"HS256\"}", ALL, "another"), wrong);
    jwt_hs256(ALL);
    jwt_token[strlen(jwt_token) - 2] ^= 1;
    BAD(jwt_token, wrong);
    BAD(jwt_unsigned("{\"alg\":\"HS256\"}", ALL), wrong);
}

Test(mercure_token, is_good_with_an_rsa_key_and_its_algorithm_only)
{
    struct jwt_pair pair;

    jwt_make_pair(NULL, &pair);
    given_public_key(CONFIG_RS256, &pair);
    GOOD(jwt_sign("RS256", &pair, ALL));
    BAD(jwt_sign("RS512", &pair, ALL), "its algorithm is not the one of this role");
    given_public_key(CONFIG_RS512, &pair);
    GOOD(jwt_token);
    jwt_make_pair(NULL, &pair);
    BAD(jwt_sign("RS512", &pair, ALL), "its signature is not of our key");
}

Test(mercure_token, is_good_with_a_key_on_each_curve)
{
    static const char *const curves[] = { "P-256", "P-384", "P-521" };
    static const char *const algs[] = { "ES256", "ES384", "ES512" };
    struct jwt_pair pair;

    for (int i = 0; i < 3; i++) {
        jwt_make_pair(curves[i], &pair);
        given_public_key(CONFIG_ES256 + (enum config_jwt_alg)i, &pair);
        GOOD(jwt_sign(algs[i], &pair, ALL));
        BAD(jwt_sign(algs[(i + 1) % 3], &pair, ALL),
            "its algorithm is not the one of this role");
    }
}

/* ---- the algorithm is ours to say ---- */

Test(mercure_token, cannot_choose_its_algorithm)
{
    BAD(jwt_hmac(EVP_sha512(), "{\"alg\":\"HS512\"}", ALL, JWT_SECRET),
        "its algorithm is not the one of this role");
    BAD(jwt_hmac(EVP_sha256(), "{\"alg\":\"hs256\"}", ALL, JWT_SECRET),
        "its algorithm is not the one of this role");
    BAD(jwt_hmac(EVP_sha256(), "{\"typ\":\"JWT\"}", ALL, JWT_SECRET),
        "its header names no algorithm");
    BAD(jwt_hmac(EVP_sha256(), "{\"alg\":256}", ALL, JWT_SECRET),
        "its header names no algorithm");
}

Test(mercure_token, cannot_do_without_a_signature)
{
    BAD(jwt_unsigned("{\"alg\":\"none\"}", ALL), "its algorithm is not the one of this role");
    BAD(jwt_unsigned("{\"alg\":\"None\"}", ALL), "its algorithm is not the one of this role");
}

/* A public key is no secret: who knows it must not be able to sign with it. */
Test(mercure_token, cannot_use_the_public_key_as_a_secret)
{
    static const char other[] = "its algorithm is not the one of this role";
    struct jwt_pair pair;

    jwt_make_pair(NULL, &pair);
    given_public_key(CONFIG_RS256, &pair);
    BAD(jwt_hmac(EVP_sha256(), "{\"alg\":\"HS256\"}", ALL, pair.public), other);
    BAD(jwt_hmac(EVP_sha256(), "{\"alg\":\"RS256\",\"alg\":\"HS256\"}", ALL, pair.public),
        other);
    BAD(jwt_hmac(EVP_sha256(), "{\"alg\":\"HS256\",\"alg\":\"RS256\"}", ALL, pair.public),
        other);
    BAD(jwt_hmac(EVP_sha256(), "{\"alg\":\"RS256\",\"al\\u0067\":\"HS256\"}", ALL, pair.public),
        other);
}

Test(mercure_token, is_refused_when_its_header_asks_for_more_than_we_know)
{
    BAD(jwt_hmac(EVP_sha256(), "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", ALL,
                 JWT_SECRET),
        "its header has critical members");
}

/* ---- its form ---- */

Test(mercure_token, is_refused_when_it_is_no_jws)
{
    BAD("", "it has not three parts");
    BAD("a.b", "it has not three parts");
    BAD("....", "it is not base64url");
    BAD("{}.{}.{}", "it is not base64url");
    jwt_hs256(ALL);
    strcat(jwt_token, "=");
    BAD(jwt_token, "it is not base64url");
    jwt_hs256(ALL);
    strcat(jwt_token, ".AAAA");
    BAD(jwt_token, "it is not base64url");
    BAD(jwt_unsigned("[]", ALL), "its header is no JSON object");
    BAD(jwt_unsigned("{\"alg\":\"HS256\"", ALL), "its header is no JSON object");
}

Test(mercure_token, is_refused_when_any_of_it_is_missing_or_another)
{
    char whole[1024], text[1024];

    snprintf(whole, sizeof whole, "%s", jwt_hs256(ALL));
    for (size_t i = 0; whole[i]; i++) {
        memcpy(text, whole, sizeof text);
        text[i] = text[i] == 'E' ? 'F' : 'E';
        cr_expect(eq(int, verify(text), ERR_BAD_INPUT), "%zu is another", i);
        text[i] = '\0';
        cr_expect(eq(int, verify(text), ERR_BAD_INPUT), "%zu are left", i);
    }
    GOOD(whole);
}

Test(mercure_token, is_refused_when_it_is_too_long_before_it_is_looked_at)
{
    static char long_claims[MERCURE_TOKEN_MAX];

    snprintf(long_claims, sizeof long_claims, "{\"a\":\"%06000d\",\"mercure\":{}}", 7);
    GOOD(jwt_hs256(long_claims));
    snprintf(long_claims, sizeof long_claims, "{\"a\":\"%06200d\",\"mercure\":{}}", 7);
    BAD(jwt_hs256(long_claims), "it is too long");
}

Test(mercure_token, is_refused_when_the_library_would_build_a_large_tree_of_it)
{
    char deep[1024] = "{\"a\":";

    memset(deep + 5, '[', 100);
    memset(deep + 105, ']', 100);
    strcpy(deep + 205, "}");
    GOOD(jwt_hs256(deep));
    strcpy(deep, "{\"a\":[");
    for (int i = 0; i < 300; i++)
        strcat(deep, "{},");
    strcat(deep, "0]}");
    BAD(jwt_hs256(deep), "it has too many objects and lists");
}

/* ---- its time ---- */

#define WITH(member) "{\"mercure\":{\"publish\":[\"*\"]}," member "}"

Test(mercure_token, is_good_until_it_expires)
{
    GOOD(jwt_hs256(WITH("\"exp\":1767225601")));
    cr_assert(eq(i64, claims->expires_ms, 1767225601000));
    GOOD(jwt_hs256(WITH("\"exp\":1767225600.501")));
    cr_assert(eq(i64, claims->expires_ms, 1767225600501));
    BAD(jwt_hs256(WITH("\"exp\":1767225600.5")), "it has expired");
    BAD(jwt_hs256(WITH("\"exp\":1767225600")), "it has expired");
    BAD(jwt_hs256(WITH("\"exp\":0")), "it has expired");
    BAD(jwt_hs256(WITH("\"exp\":-1e300")), "it has expired");
}

Test(mercure_token, without_an_end_is_good_for_ever)
{
    GOOD(jwt_hs256(ALL));
    cr_assert(eq(i64, claims->expires_ms, INT64_MAX));
    GOOD(jwt_hs256(WITH("\"exp\":null")));
    cr_assert(eq(i64, claims->expires_ms, INT64_MAX));
    GOOD(jwt_hs256(WITH("\"exp\":1e300")));
}

Test(mercure_token, is_not_good_before_its_time)
{
    GOOD(jwt_hs256(WITH("\"nbf\":1767225600.5")));
    BAD(jwt_hs256(WITH("\"nbf\":1767225600.501")), "it is not valid yet");
}

Test(mercure_token, is_refused_when_its_time_is_no_number)
{
    BAD(jwt_hs256(WITH("\"exp\":\"2030-01-01\"")), "exp or nbf is not a number");
    BAD(jwt_hs256(WITH("\"nbf\":true")), "exp or nbf is not a number");
}

/* ---- what it allows ---- */

static void expect_selectors(const char *first, const char *second)
{
    cr_assert(eq(sz, claims->publish_count, 2));
    cr_assert(bytes_eq(claims->publish[0], bytes_str(first)));
    cr_assert(bytes_eq(claims->publish[1], bytes_str(second)));
}

Test(mercure_token, says_what_may_be_published_and_seen)
{
    GOOD(jwt_hs256("{\"mercure\":{\"subscribe\":[\"s\"],\"publish\":"
                   "[\"https:\\/\\/example.com\\/{id}\",\"\\u00e4\"]}}"));
    expect_selectors("https://example.com/{id}", "\u00e4");
    cr_assert(eq(sz, claims->subscribe_count, 1));
    cr_assert(bytes_eq(claims->subscribe[0], bytes_str("s")));
    cr_assert(eq(sz, claims->payload.len, 0));
}

Test(mercure_token, allows_nothing_without_a_claim)
{
    GOOD(jwt_hs256("{}"));
    cr_assert(eq(sz, claims->publish_count, 0));
    GOOD(jwt_hs256("{\"mercure\":null}"));
    GOOD(jwt_hs256("{\"mercure\":{\"publish\":[],\"subscribe\":null}}"));
    cr_assert(eq(sz, claims->publish_count, 0));
    cr_assert(eq(sz, claims->subscribe_count, 0));
}

Test(mercure_token, has_a_namespaced_claim_that_replaces_the_plain_one)
{
    GOOD(jwt_hs256("{\"https://mercure.rocks/\":{\"subscribe\":[\"n\"]},"
                   "\"mercure\":{\"publish\":[\"*\"]}}"));
    cr_assert(eq(sz, claims->publish_count, 0));
    cr_assert(eq(sz, claims->subscribe_count, 1));
    GOOD(jwt_hs256("{\"https://mercure.rocks/\":null,\"mercure\":{\"publish\":[\"*\"]}}"));
    cr_assert(eq(sz, claims->publish_count, 1));
}

Test(mercure_token, keeps_a_payload_without_its_blanks)
{
    GOOD(jwt_hs256("{\"mercure\":{\"payload\": { \"a b\" : [ 1,\n2 ], \"c\":\"\\\" \\\\\" } }}"));
    cr_assert(bytes_eq(claims->payload, bytes_str("{\"a b\":[1,2],\"c\":\"\\\" \\\\\"}")));
    GOOD(jwt_hs256("{\"mercure\":{\"payload\":0}}"));
    cr_assert(bytes_eq(claims->payload, bytes_str("0")));
    GOOD(jwt_hs256("{\"mercure\":{\"payload\":null}}"));
    cr_assert(eq(sz, claims->payload.len, 0));
}

Test(mercure_token, is_refused_when_its_claim_is_malformed)
{
    static const char list[] = "its list of selectors is not one of at most 1000 strings";

    BAD(jwt_hs256("{\"mercure\":[]}"), "its claim mercure is not an object");
    BAD(jwt_hs256("{\"mercure\":{\"publish\":\"*\"}}"), "its selectors are not in a list");
    BAD(jwt_hs256("{\"mercure\":{\"publish\":[\"a\",1]}}"), list);
    BAD(jwt_hs256("{\"mercure\":{\"subscribe\":[null]}}"), list);
    cr_assert(ne(int, verify(jwt_hs256("{\"mercure\":{\"subscribe\":[\"\\ud800\"]}}")), ERR_OK));
    cr_assert(ne(int, verify(jwt_hs256("not JSON")), ERR_OK));
    cr_assert(ne(int, verify(jwt_hs256("[]")), ERR_OK));
}

static char *token_of(int selectors)
{
    static char text[MERCURE_TOKEN_MAX];

    strcpy(text, "{\"mercure\":{\"publish\":[\"a\"");
    for (int i = 1; i < selectors; i++)
        strcat(text, ",\"a\"");
    strcat(text, "]}}");
    return jwt_hs256(text);
}

Test(mercure_token, has_at_most_1000_selectors)
{
    GOOD(token_of(1000));
    cr_assert(eq(sz, claims->publish_count, 1000));
    cr_assert(eq(sz, claims->bytes, sizeof *claims + 1000 * (sizeof(struct bytes) + 1)));
    BAD(token_of(1001), "its list of selectors is not one of at most 1000 strings");
}

/* ---- tokens that come again ---- */

/* Stands before the library's, and counts. */
static unsigned decoded;

int jwt_decode(jwt_t **jwt, const char *token, const unsigned char *key, int key_len)
{
    int (*real)(jwt_t **, const char *, const unsigned char *, int);

    *(void **)&real = dlsym(RTLD_NEXT, __func__);
    decoded++;
    return real(jwt, token, key, key_len);
}

static struct jwt_pair pair;

static void given_a_token_of_a_public_key(const char *text)
{
    jwt_make_pair("P-256", &pair);
    given_public_key(CONFIG_ES256, &pair);
    GOOD(jwt_sign("ES256", &pair, text));
    cr_assert(eq(uint, decoded, 1));
}

Test(mercure_token, is_verified_once_with_a_public_key)
{
    given_a_token_of_a_public_key(ALL);
    GOOD(jwt_token);
    GOOD(jwt_token);
    cr_assert(eq(sz, claims->publish_count, 1));
    cr_assert(eq(uint, decoded, 1));
}

Test(mercure_token, that_was_verified_is_not_good_with_another_key)
{
    struct jwt_pair other;

    given_a_token_of_a_public_key(ALL);
    jwt_make_pair("P-256", &other);
    given_public_key(CONFIG_ES256, &other);
    BAD(jwt_token, "its signature is not of our key");
    BAD(jwt_token, "its signature is not of our key");
    cr_assert(eq(uint, decoded, 3));
}

Test(mercure_token, that_was_verified_makes_no_other_one_good)
{
    char *letter;

    given_a_token_of_a_public_key(ALL);
    letter = &jwt_token[strlen(jwt_token) - 10];
    *letter = *letter == 'A' ? 'B' : 'A';
    BAD(jwt_token, "its signature is not of our key");
}

Test(mercure_token, that_was_verified_expires_all_the_same)
{
    given_a_token_of_a_public_key(WITH("\"exp\":1767225601"));
    cr_assert(eq(int,
                 mercure_token_verify(&c, MERCURE_PUBLISHER, bytes_str(jwt_token),
                                      NOW_MS + 1000, &claims, &why),
                 ERR_BAD_INPUT));
    cr_assert(eq(str, (char *)why, "it has expired"));
}

/* ---- keys that do not fit, at the start ---- */

static char error[CONFIG_ERROR_SIZE];

#define KEY_FITS() cr_assert(eq(int, mercure_keys_check(&c, error), ERR_OK), "%s", error)
#define KEY_IS_WRONG(text)                                                             \
    do {                                                                               \
        cr_assert(eq(int, mercure_keys_check(&c, error), ERR_BAD_INPUT));              \
        cr_assert(eq(str, error, (char *)(text)));                                     \
    } while (0)

Test(mercure_token, keys_that_fit_their_algorithms_start_the_broker)
{
    struct jwt_pair rsa, curve;

    KEY_FITS();
    jwt_make_pair(NULL, &rsa);
    jwt_make_pair("P-384", &curve);
    given_public_key(CONFIG_RS384, &rsa);
    strcpy(c.mercure_subscriber_jwt_key, curve.public);
    c.mercure_subscriber_jwt_alg = CONFIG_ES384;
    KEY_FITS();
}

Test(mercure_token, a_key_that_does_not_fit_its_algorithm_stops_the_start)
{
    struct jwt_pair rsa, curve;

    c.mercure_publisher_jwt_alg = CONFIG_RS256;
    KEY_IS_WRONG("mercure_publisher_jwt_key is no public key in PEM (-----BEGIN PUBLIC "
                 "KEY-----), which its algorithm needs (mercure_publisher_jwt_alg = RS256)");
    jwt_make_pair(NULL, &rsa);
    jwt_make_pair("P-384", &curve);
    given_public_key(CONFIG_RS256, &curve);
    KEY_IS_WRONG("mercure_publisher_jwt_key is no RSA key, which its algorithm needs "
                 "(mercure_publisher_jwt_alg = RS256)");
    given_public_key(CONFIG_ES256, &curve);
    KEY_IS_WRONG("mercure_publisher_jwt_key is no key on the curve P-256, which its "
                 "algorithm needs (mercure_publisher_jwt_alg = ES256)");
    given_public_key(CONFIG_ES256, &rsa);
    KEY_IS_WRONG("mercure_publisher_jwt_key is no key on the curve P-256, which its "
                 "algorithm needs (mercure_publisher_jwt_alg = ES256)");
    strcpy(c.mercure_publisher_jwt_key, rsa.secret);
    c.mercure_publisher_jwt_alg = CONFIG_RS256;
    KEY_IS_WRONG("mercure_publisher_jwt_key is no public key in PEM (-----BEGIN PUBLIC "
                 "KEY-----), which its algorithm needs (mercure_publisher_jwt_alg = RS256)");
}

/* Everybody who has the public key could sign with it then. */
Test(mercure_token, a_public_key_as_a_secret_stops_the_start)
{
    struct jwt_pair rsa;

    jwt_make_pair(NULL, &rsa);
    given_public_key(CONFIG_HS256, &rsa);
    KEY_IS_WRONG("mercure_publisher_jwt_key is a key in PEM, and not a secret, which its "
                 "algorithm needs (mercure_publisher_jwt_alg = HS256)");
}
