#include "http_fixture.h"
#include "jwt_fixture.h"
#include "mercure/answer.h"
#include "mercure/auth.h"
#include "mercure/cors.h"

/* What a publisher is told is in tests/integration/test_mercure_auth.py. */

static struct MHD_Connection conn;
static struct request r;
static struct mercure_claims *claims;

static void given_a_hub(void)
{
    given_a_loop();
    strcpy(settings.mercure_publisher_jwt_key, JWT_SECRET);
    strcpy(settings.mercure_subscriber_jwt_key, JWT_SECRET);
    strcpy(settings.mercure_cookie_name, "mercureAuthorization");
    r = (struct request){ .loop = &loop, .conn = &conn, .dialect = &dialect_mercure };
}

TestSuite(mercure_auth, .init = given_a_hub, .fini = remove_data_dir, .timeout = 60);

static bool subscriber_may(void)
{
    return mercure_authorize(&r, MERCURE_SUBSCRIBER, &claims);
}

static void forget(void)
{
    free(claims);
    claims = NULL;
    reply_fini(&r);
    conn.count = 0;
}

static void done(void)
{
    forget();
    then_the_loop_is_idle();
}

#define EVERYTHING "{\"mercure\":{\"subscribe\":[\"*\"]},\"exp\":4102444800}"

Test(mercure_auth, a_subscriber_with_a_token_has_its_claims)
{
    char value[1024];

    snprintf(value, sizeof value, "Bearer %s", jwt_hs256(EVERYTHING));
    header(&conn, "Authorization", value);
    cr_assert(subscriber_may());
    cr_assert(eq(sz, claims->subscribe_count, 1));
    cr_assert(eq(i64, claims->expires_ms, 4102444800000));
    cr_assert(eq(ptr, r.reply.response, NULL));
    done();
}

Test(mercure_auth, a_subscriber_without_a_token_is_refused_unless_anyone_may)
{
    cr_assert(not(subscriber_may()));
    cr_assert(eq(uint, r.reply.status, 401));
    forget();
    settings.mercure_anonymous = true;
    cr_assert(subscriber_may());
    cr_assert(eq(ptr, claims, NULL));
    cr_assert(eq(ptr, r.reply.response, NULL));
    done();
}

/* Else a token that has run out would silently turn into less. */
Test(mercure_auth, a_subscriber_with_a_bad_token_is_refused_though_anyone_may)
{
    settings.mercure_anonymous = true;
    query(&conn, "authorization", jwt_hs256("{\"exp\":1,\"mercure\":{\"subscribe\":[]}}"));
    cr_assert(not(subscriber_may()));
    cr_assert(eq(uint, r.reply.status, 401));
    done();
}

Test(mercure_auth, a_publisher_is_never_anonymous)
{
    settings.mercure_anonymous = true;
    cr_assert(not(mercure_authorize(&r, MERCURE_PUBLISHER, &claims)));
    cr_assert(eq(uint, r.reply.status, 401));
    done();
}

Test(mercure_auth, a_subscriber_may_have_its_token_in_a_cookie_whatever_page_it_is_on)
{
    fake_value(&conn, MHD_COOKIE_KIND, "mercureAuthorization", jwt_hs256(EVERYTHING));
    header(&conn, "Origin", "https://any.example");
    cr_assert(subscriber_may());
    cr_assert(eq(sz, claims->subscribe_count, 1));
    done();
}

Test(mercure_auth, a_subscriber_need_not_be_allowed_anything_private)
{
    query(&conn, "authorization", jwt_hs256("{\"mercure\":{\"publish\":[\"*\"]}}"));
    cr_assert(subscriber_may());
    cr_assert(eq(sz, claims->subscribe_count, 0));
    done();
}

Test(mercure_auth, without_a_key_the_answer_says_which_setting_is_missing)
{
    settings.mercure_subscriber_jwt_key[0] = '\0';
    query(&conn, "authorization", jwt_hs256(EVERYTHING));
    cr_assert(not(subscriber_may()));
    cr_assert(eq(uint, r.reply.status, 401));
    cr_assert(eq(str, fake_answers[(fake_answers_made - 1) % 8].body,
                 "Unauthorized: the broker's setting mercure_subscriber_jwt_key is not there.\n"));
    forget();
    settings.mercure_anonymous = true;
    cr_assert(subscriber_may());
    done();
}

/* ---- origins ---- */

static bool allowed(const char *list, const char *origin)
{
    return mercure_origin_allowed(list, bytes_str(origin));
}

Test(mercure_origins, are_compared_whole_and_in_any_case)
{
    cr_assert(allowed("https://a.example", "https://a.example"));
    cr_assert(allowed("https://A.example", "HTTPS://a.EXAMPLE"));
    cr_assert(not(allowed("https://a.example", "http://a.example")));
    cr_assert(not(allowed("https://a.example", "https://a.example:443")));
    cr_assert(not(allowed("https://a.example", "https://a.example.org")));
    cr_assert(not(allowed("https://a.example", "https://a.exampl")));
    cr_assert(not(allowed("https://a.example", "")));
}

Test(mercure_origins, are_found_anywhere_in_a_list)
{
    cr_assert(allowed("https://a.example, https://b.example https://c.example",
                      "https://c.example"));
    cr_assert(not(allowed("https://a.example,https://b.example",
                          "https://a.example,https://b.example")));
    cr_assert(not(allowed("", "https://a.example")));
}

Test(mercure_origins, have_a_star_for_any_text)
{
    cr_assert(allowed("*", "https://a.example"));
    cr_assert(allowed("*", "null"));
    cr_assert(allowed("https://*.a.example", "https://b.c.a.example"));
    cr_assert(not(allowed("https://*.a.example", "https://a.example")));
    cr_assert(not(allowed("https://*.a.example", "https://b.a.example.org")));
    cr_assert(allowed("http://localhost:*", "http://localhost:3000"));
    cr_assert(not(allowed("https://ab*ba.example", "https://aba.example")));
}
