#include "http_fixture.h"

TestSuite(router, .init = given_a_loop, .fini = remove_data_dir, .timeout = 60);

static struct MHD_Connection conn;
static struct request r;

static void route(const char *method, const char *url)
{
    reply_fini(&r);
    free(r.topic);
    r = (struct request){ .loop = &loop, .conn = &conn };
    r.head = !strcmp(method, "HEAD");
    router_match(&r, method, url);
}

static void expect_route(const char *path, const char *verb)
{
    cr_assert(eq(ptr, r.reply.response, NULL));
    cr_assert(eq(str, (char *)r.route->path, (char *)path));
    cr_assert(eq(str, (char *)(r.route->verb ? r.route->verb : ""), (char *)verb));
}

static void expect_topic(const char *name)
{
    cr_assert(bytes_eq(request_topic(&r), bytes_str(name)), "%s", r.topic);
}

static void expect_status(unsigned status)
{
    cr_assert(ne(ptr, r.reply.response, NULL));
    cr_assert(eq(uint, r.reply.status, status));
}

static const char *answer_header(const char *name)
{
    const char *value = MHD_get_response_header(r.reply.response, name);

    return value ? value : "";
}

static void done(void)
{
    reply_fini(&r);
    free(r.topic);
    then_the_loop_is_idle();
}

Test(router, finds_a_route_by_its_method_and_path)
{
    route("POST", "/v1/topics/t/messages");
    expect_route("/v1/topics/{t}/messages", "");
    cr_assert(eq(str, (char *)r.route->method, "POST"));
    expect_topic("t");
    route("GET", "/v1/topics/t/messages");
    cr_assert(eq(str, (char *)r.route->method, "GET"));
    done();
}

Test(router, a_route_that_is_switched_off_is_like_one_that_never_was)
{
    settings.page = true;
    route("GET", "/");
    expect_route("/", "");
    route("HEAD", "/");
    expect_route("/", "");
    route("POST", "/");
    expect_status(405);
    settings.page = false;
    route("GET", "/");
    expect_status(404);
    route("POST", "/");
    expect_status(404);
    route("OPTIONS", "/");
    expect_status(404);
    done();
}

Test(router, a_verb_makes_it_another_route)
{
    route("POST", "/v1/topics/t/messages:batch");
    expect_route("/v1/topics/{t}/messages", "batch");
    route("POST", "/v1/topics/t:purge");
    expect_route("/v1/topics/{t}", "purge");
    expect_topic("t");
    done();
}

Test(router, a_colon_that_is_no_verb_belongs_to_the_name)
{
    route("GET", "/v1/topics/a:b");
    expect_topic("a:b");
    route("GET", "/v1/topics/a%3Apurge");
    expect_topic("a:purge");
    done();
}

Test(router, splits_before_it_decodes)
{
    route("GET", "/v1/topics/a%2Fb");
    expect_topic("a/b");
    route("GET", "/v1/topics/a/b");
    expect_status(404);
    done();
}

Test(router, an_offset_is_a_whole_number)
{
    route("GET", "/v1/topics/t/messages/9223372036854775807");
    expect_route("/v1/topics/{t}/messages/{n}", "");
    cr_assert(eq(u64, r.offset, INT64_MAX));
    route("GET", "/v1/topics/t/messages/-1");
    expect_status(404);
    route("GET", "/v1/topics/t/messages/9223372036854775808");
    expect_status(404);
    done();
}

Test(router, what_is_not_there_is_404)
{
    route("GET", "/");
    expect_status(404);
    route("GET", "");
    expect_status(404);
    route("GET", "/v1/topics/t/messages/1/2");
    expect_status(404);
    route("GET", "/v1/topics/");
    expect_status(404);
    route("POST", "/v1/topics/t/messages:purge");
    expect_status(404);
    done();
}

Test(router, another_method_is_told_which_ones_work)
{
    route("DELETE", "/v1/topics/t/messages");
    expect_status(405);
    cr_assert(eq(str, (char *)answer_header("Allow"), "POST, GET, HEAD, OPTIONS"));
    route("POST", "/v1/topics/t");
    expect_status(405);
    cr_assert(eq(str, (char *)answer_header("Allow"),
                 "PUT, GET, HEAD, PATCH, DELETE, OPTIONS"));
    done();
}

Test(router, head_goes_where_get_goes)
{
    route("HEAD", "/v1/topics/t");
    expect_route("/v1/topics/{t}", "");
    route("HEAD", "/v1/topics/t:purge");
    expect_status(405);
    done();
}

Test(router, a_browser_may_ask_beforehand)
{
    header(&conn, "Access-Control-Request-Headers", "ttl");
    route("OPTIONS", "/v1/topics/t/messages");
    expect_status(204);
    cr_assert(eq(str, (char *)answer_header("Access-Control-Allow-Headers"), "ttl"));
    cr_assert(eq(str, (char *)answer_header("Access-Control-Allow-Methods"),
                 "POST, GET, HEAD, OPTIONS"));
    done();
}

Test(router, a_name_that_cannot_be_one_is_400)
{
    char url[2000] = "/v1/topics/";

    route("GET", "/v1/topics/%zz");
    expect_status(400);
    route("GET", "/v1/topics/a%00b");
    expect_status(400);
    route("GET", "/v1/topics/%ff");
    expect_status(400);
    memset(url + 11, 'x', STORE_TOPIC_NAME_MAX);
    route("GET", url);
    cr_assert(eq(uint, r.topic_len, STORE_TOPIC_NAME_MAX));
    url[11 + STORE_TOPIC_NAME_MAX] = 'x';
    route("GET", url);
    expect_status(400);
    done();
}

/* ---- Pulsar's paths ---- */

#define PERSISTENT "/topics/persistent/public/default/"

/* The topic's name, wherever a problem was found later. */
static void pulsar_topic_is(const char *url, const char *name)
{
    route("POST", url);
    cr_assert(eq(ptr, r.reply.response, NULL), "%s", url);
    expect_topic(name);
}

static void pulsar_refuses(const char *url, unsigned status)
{
    route("POST", url);
    expect_status(status);
    cr_assert(eq(str, (char *)answer_header("Content-Type"), "application/json"), "%s",
              url);
}

Test(router, makes_a_topics_name_of_pulsars_path)
{
    pulsar_topic_is(PERSISTENT "orders", "persistent://public/default/orders");
    pulsar_topic_is(PERSISTENT "orders/partitions/0", "persistent://public/default/orders");
    pulsar_topic_is("/topics/non-persistent/a/b/c", "non-persistent://a/b/c");
    pulsar_topic_is("/topics/non-persistent/a/b/c/partitions/0", "non-persistent://a/b/c");
    pulsar_topic_is("/topics/persistent/a-_.=:%3A9/b/%41%2Fb%20c",
                    "persistent://a-_.=::9/b/A/b c");
    pulsar_topic_is(PERSISTENT "orders-partition-3",
                    "persistent://public/default/orders-partition-3");
    done();
}

Test(router, leaves_colons_in_pulsars_names)
{
    pulsar_topic_is(PERSISTENT "a:batch", "persistent://public/default/a:batch");
    pulsar_topic_is(PERSISTENT ":purge", "persistent://public/default/:purge");
    pulsar_topic_is(PERSISTENT "a:b:c", "persistent://public/default/a:b:c");
    done();
}

Test(router, refuses_what_cannot_be_a_name_of_pulsar)
{
    pulsar_refuses("/topics/persistent/a%2Fb/default/x", 412);
    pulsar_refuses("/topics/persistent/public/de%20fault/x", 412);
    pulsar_refuses("/topics/persistent/public/%C3%A4/x", 412);
    pulsar_refuses("/topics/persistent/public/a%00/x", 412);
    pulsar_refuses("/topics/persistent/public/%zz/x", 412);
    pulsar_refuses(PERSISTENT "%00", 412);
    pulsar_refuses(PERSISTENT "%FF", 412);
    pulsar_refuses(PERSISTENT "a%", 412);
    done();
}

Test(router, a_full_name_has_255_bytes_at_most)
{
    char url[600] = PERSISTENT;
    size_t at = strlen(url), room = STORE_TOPIC_NAME_MAX - strlen("persistent://public/default/");

    memset(url + at, 'x', room);
    route("POST", url);
    cr_assert(eq(uint, r.topic_len, STORE_TOPIC_NAME_MAX));
    url[at + room] = 'x';
    pulsar_refuses(url, 412);
    done();
}

Test(router, knows_one_partition_of_pulsars)
{
    pulsar_refuses(PERSISTENT "x/partitions/1", 404);
    pulsar_refuses(PERSISTENT "x/partitions/-1", 404);
    pulsar_refuses(PERSISTENT "x/partitions/zero", 404);
    pulsar_refuses(PERSISTENT "x/partitions/99999999999999999999", 404);
    pulsar_refuses(PERSISTENT "x-partition-0/partitions/0", 400);
    pulsar_refuses(PERSISTENT "-partition-12/partitions/7", 400);
    pulsar_topic_is(PERSISTENT "x-partition-/partitions/0",
                    "persistent://public/default/x-partition-");
    pulsar_topic_is(PERSISTENT "partition-1/partitions/0",
                    "persistent://public/default/partition-1");
    done();
}

Test(router, speaks_pulsars_way_wherever_pulsars_paths_begin)
{
    pulsar_refuses("/topics/persistent/public/default", 404);
    pulsar_refuses("/topics/transient/public/default/x", 404);
    pulsar_refuses(PERSISTENT "x/partition/0", 404);
    route("PUT", PERSISTENT "x");
    expect_status(405);
    cr_assert(eq(str, (char *)answer_header("Allow"), "POST, OPTIONS"));
    cr_assert(eq(str, (char *)answer_header("Content-Type"), "application/json"));
    route("GET", "/v2/topics");
    expect_status(404);
    cr_assert(eq(str, (char *)answer_header("Content-Type"), "application/problem+json"));
    done();
}
