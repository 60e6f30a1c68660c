/* Which messages a filter lets through, and how they are found in a log. */
#include "base/clock.h"
#include "fetch.h"
#include "store_fixture.h"

#define NOW 1000000

static struct filter filter;
static struct fetch f;
static uint8_t list[8][256];
static unsigned lists;

static void nothing_yet(void)
{
    filter = (struct filter){ 0 };
    lists = 0;
}

TestSuite(filter, .init = nothing_yet);

static bool wants(const char *name, const char *value)
{
    bool twice;

    return filter_add(&filter, bytes_str(name), bytes_str(value), &twice);
}

/* Attributes, as "name=value;name=value". */
static struct bytes attributes(const char *text)
{
    uint8_t *to = list[lists++ % 8];
    size_t len = 0;

    while (*text) {
        size_t name = strcspn(text, "="), value = strcspn(text + name + 1, ";");

        len += attribute_put(to + len, bytes_of(text, name),
                             bytes_of(text + name + 1, value));
        text += name + 1 + value;
        text += *text == ';';
    }
    return bytes_of(to, len);
}

static bool passes(const char *text)
{
    return filter_passes(&filter, attributes(text));
}

/* ---- one message ---- */

Test(filter, without_pairs_lets_all_through)
{
    cr_assert(passes(""));
    cr_assert(passes("a=b"));
}

Test(filter, wants_all_its_attributes_with_exactly_these_values)
{
    cr_assert(wants("type", "paid"));
    cr_assert(wants("region", "eu"));
    cr_assert(passes("type=paid;region=eu"));
    cr_assert(passes("x=1;region=eu;y=2;type=paid"));
    cr_assert(not(passes("type=paid")));
    cr_assert(not(passes("")));
    cr_assert(not(passes("type=paid;region=EU")));
    cr_assert(not(passes("type=paid;region=eu2")));
    cr_assert(not(passes("type=paid;regions=eu")));
    cr_assert(not(passes("type=eu;region=paid")));
}

Test(filter, names_know_no_case)
{
    cr_assert(wants("Ce-Type", "paid"));
    cr_assert(passes("ce-type=paid"));
    cr_assert(passes("CE-TYPE=paid"));
    cr_assert(not(wants("cE-tYPE", "open")));
}

Test(filter, an_attribute_that_is_there_twice_may_be_either)
{
    cr_assert(wants("type", "paid"));
    cr_assert(passes("type=open;type=paid"));
    cr_assert(wants("region", "eu"));
    cr_assert(not(passes("type=paid;type=paid")));
}

Test(filter, takes_eight_pairs_and_no_more)
{
    const char *names[] = { "h", "g", "f", "e", "d", "c", "b", "a" };

    for (unsigned i = 0; i < 8; i++)
        cr_assert(wants(names[i], "1"));
    cr_assert(not(wants("i", "1")));
    cr_assert(passes("a=1;b=1;c=1;d=1;e=1;f=1;g=1;h=1"));
    cr_assert(not(passes("a=1;b=1;c=1;d=1;e=1;f=1;g=1;h=2")));
}

/* ---- as a setting ---- */

Test(filter, is_the_same_setting_in_any_order_and_case)
{
    struct sub_settings one = { 0 }, other = { 0 };
    struct filter back;

    cr_assert(wants("Type", "Paid"));
    cr_assert(wants("region", "eu"));
    cr_assert(filter_write(&filter, &one));
    nothing_yet();
    cr_assert(wants("REGION", "eu"));
    cr_assert(wants("type", "Paid"));
    cr_assert(filter_write(&filter, &other));
    cr_assert(sub_extras_equal(&one, &other));
    cr_assert(filter_read(&one, &back));
    cr_assert(eq(uint, back.count, 2));
    cr_assert(bytes_eq(back.names[0], bytes_str("region")));
    cr_assert(bytes_eq(back.names[1], bytes_str("type")));
    cr_assert(bytes_eq(back.values[1], bytes_str("Paid")));
}

Test(filter, without_pairs_is_no_setting)
{
    struct sub_settings s = { 0 };

    cr_assert(wants("a", "b"));
    cr_assert(filter_write(&filter, &s));
    nothing_yet();
    cr_assert(filter_write(&filter, &s));
    cr_assert(eq(u16, s.extra_len, 0));
    cr_assert(filter_read(&s, &filter));
    cr_assert(eq(uint, filter.count, 0));
}

Test(filter, that_is_too_long_is_refused)
{
    char value[STORE_SUB_EXTRA_MAX + 1];
    struct sub_settings s = { 0 };

    memset(value, 'x', sizeof value);
    value[STORE_SUB_EXTRA_MAX - 4] = 0; /* lengths take three bytes, the name one */
    cr_assert(wants("a", value));
    cr_assert(filter_write(&filter, &s));
    nothing_yet();
    value[STORE_SUB_EXTRA_MAX - 4] = 'x';
    value[STORE_SUB_EXTRA_MAX - 3] = 0;
    cr_assert(wants("a", value));
    cr_assert(not(filter_write(&filter, &s)));
}

Test(filter, that_is_none_is_not_read)
{
    struct sub_settings s = { 0 };

    cr_assert(sub_extra_set(&s, SUB_FILTER, bytes_str("\001a")));
    cr_assert(not(filter_read(&s, &filter)));
    cr_assert(sub_extra_set(&s, SUB_FILTER, bytes_str("\001a\005b")));
    cr_assert(not(filter_read(&s, &filter)));
}

/* ---- in a log ---- */

static void put_one(const char *text, int64_t expires_ms)
{
    struct record r = { .time_ms = 1, .expires_ms = expires_ms, .attributes = attributes(text) };
    uint64_t offset;

    OK(ops->begin(store));
    OK(ops->append(store, topic("t"), &r, &offset));
    OK(ops->commit(store));
}

static void given_a_log(void)
{
    clock_fake_wall_ms(NOW);
    nothing_yet();
    given_an_empty_store();
    OK(fetch_open(&f, ops, store));
    cr_assert(wants("a", "1"));
}

static void done(void)
{
    fetch_end(&f);
    fetch_close(&f);
    then_it_is_gone();
}

TestSuite(filter_log, .init = given_a_log, .fini = done);

Test(filter_log, the_next_that_matches_is_found)
{
    struct store_entry m;
    uint64_t at = 0;

    for (unsigned i = 0; i < 9; i++)
        put_one(i % 4 == 3 ? "a=1" : "a=2", 0);
    OK(fetch_begin(&f, bytes_str("t")));
    OK(fetch_matching(&f, &filter, 100, &at, &m));
    cr_assert(eq(u64, at, 3));
    at++;
    OK(fetch_matching(&f, &filter, 100, &at, &m));
    cr_assert(eq(u64, m.offset, 7));
    at++;
    cr_assert(eq(int, fetch_matching(&f, &filter, 100, &at, &m), ERR_NOT_FOUND));
    cr_assert(eq(u64, at, 9));
}

Test(filter_log, no_more_are_looked_at_than_asked_for)
{
    struct store_entry m;
    uint64_t at = 1;

    for (unsigned i = 0; i < 9; i++)
        put_one(i == 7 ? "a=1" : "", 0);
    OK(fetch_begin(&f, bytes_str("t")));
    cr_assert(eq(int, fetch_matching(&f, &filter, 3, &at, &m), ERR_BUSY));
    cr_assert(eq(u64, at, 4));
    cr_assert(eq(int, fetch_matching(&f, &filter, 3, &at, &m), ERR_BUSY));
    cr_assert(eq(u64, at, 7));
    OK(fetch_matching(&f, &filter, 3, &at, &m));
    cr_assert(eq(u64, at, 7));
}

Test(filter_log, what_has_expired_does_not_match)
{
    struct store_entry m;
    uint64_t at = 0;

    put_one("a=1", NOW);
    put_one("a=1", NOW + 1);
    OK(fetch_begin(&f, bytes_str("t")));
    OK(fetch_matching(&f, &filter, 100, &at, &m));
    cr_assert(eq(u64, at, 1));
}
