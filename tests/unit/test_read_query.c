#include "http_fixture.h"
#include "read_query.h"

TestSuite(read_query, .init = given_a_loop, .fini = remove_data_dir, .timeout = 60);

static struct MHD_Connection conn;
static struct request r;

static bool ask(const char *name, const char *value)
{
    reply_fini(&r);
    conn.count = 0;
    r = (struct request){ .loop = &loop, .conn = &conn };
    query(&conn, name, value);
    return read_query_parse(&r);
}

static void refused(const char *name, const char *value)
{
    cr_assert(not(ask(name, value)), "%s=%s", name, value);
    cr_assert(eq(uint, r.reply.status, 400));
}

static void expect_from(const char *text, enum fetch_from_kind kind, uint64_t value)
{
    cr_assert(ask("from", text), "%s", text);
    cr_assert(eq(int, r.read.from.kind, kind), "%s", text);
    cr_assert(eq(u64, r.read.from.value, value), "%s", text);
}

static void done(void)
{
    reply_fini(&r);
    then_the_loop_is_idle();
}

Test(read_query, has_its_defaults)
{
    cr_assert(ask("other", "x"));
    cr_assert(eq(int, r.read.from.kind, FETCH_EARLIEST));
    cr_assert(eq(uint, r.read.limit, 100));
    cr_assert(eq(u64, r.read.max_bytes, 256 << 10));
    cr_assert(eq(i64, r.read.until_ms, 0));
    cr_assert(eq(int, r.read.form, READ_JSON));
    cr_assert(not(r.read.strict));
    done();
}

Test(read_query, knows_every_form_of_from)
{
    expect_from("earliest", FETCH_EARLIEST, 0);
    expect_from("latest", FETCH_LATEST, 0);
    expect_from("0", FETCH_OFFSET, 0);
    expect_from("9223372036854775807", FETCH_OFFSET, INT64_MAX);
    expect_from("-1", FETCH_LAST, 1);
    expect_from("-10000", FETCH_LAST, 10000);
    expect_from("1970-01-01T00:00:01Z", FETCH_TIME, 1000);
    expect_from("1970-01-01T01%3A00%3A01%2B01%3A00", FETCH_TIME, 1000);
    expect_from("1969-12-31T23:59:59Z", FETCH_TIME, 0);
    expect_from("10s", FETCH_TIME, NOW - 10000);
    expect_from("100d", FETCH_TIME, 0); /* before all time */
    done();
}

Test(read_query, refuses_what_is_none_of_them)
{
    refused("from", "");
    refused("from", "-0");
    refused("from", "-10001");
    refused("from", "9223372036854775808");
    refused("from", "tomorrow");
    refused("from", "%zz");
    refused("from", "1111111111111111111111111111111111111111111111111111111111111111111");
    done();
}

Test(read_query, limits_have_their_bounds)
{
    cr_assert(ask("limit", "1000"));
    cr_assert(eq(uint, r.read.limit, 1000));
    refused("limit", "0");
    refused("limit", "1001");
    refused("limit", "1x");
    cr_assert(ask("max_bytes", "64KiB"));
    cr_assert(eq(u64, r.read.max_bytes, 64 << 10));
    cr_assert(ask("max_bytes", "1TiB"));
    cr_assert(eq(u64, r.read.max_bytes, 16 << 20));
    refused("max_bytes", "0");
    refused("max_bytes", "10MB");
    done();
}

Test(read_query, waits_at_most_as_long_as_the_broker_lets_it)
{
    cr_assert(ask("wait", "2"));
    cr_assert(eq(i64, r.read.until_ms, loop.now_ms + 2000 + 1));
    cr_assert(ask("wait", "500ms"));
    cr_assert(eq(i64, r.read.until_ms, loop.now_ms + 500 + 1));
    cr_assert(ask("wait", "1h"));
    cr_assert(eq(i64, r.read.until_ms, loop.now_ms + 30000 + 1));
    cr_assert(ask("wait", "0"));
    cr_assert(eq(i64, r.read.until_ms, 0));
    refused("wait", "soon");
    done();
}

Test(read_query, strict_is_0_or_1)
{
    cr_assert(ask("strict", "1"));
    cr_assert(r.read.strict);
    cr_assert(ask("strict", "0"));
    cr_assert(not(r.read.strict));
    refused("strict", "yes");
    done();
}

Test(read_query, takes_the_form_from_accept)
{
    header(&conn, "Accept", "application/x-ndjson");
    r = (struct request){ .loop = &loop, .conn = &conn };
    cr_assert(read_query_parse(&r));
    cr_assert(eq(int, r.read.form, READ_NDJSON));
    conn.values[0].value = "application/octet-stream";
    cr_assert(read_query_parse(&r));
    cr_assert(eq(int, r.read.form, READ_RAW));
    conn.values[0].value = "*/*";
    cr_assert(read_query_parse(&r));
    cr_assert(eq(int, r.read.form, READ_JSON));
    done();
}
