/* What a change costs while it is with the writer: paid from `json`, whether its request has a
 * body or not, and for as long as it lives. */
#include "http_fixture.h"

#include "namespace_change.h"
#include "redrive.h"
#include "subscription.h"
#include "topic_change.h"

TestSuite(errand, .init = given_a_loop, .fini = remove_data_dir, .timeout = 60);

static struct MHD_Connection a;

static size_t paid(void)
{
    struct ledger_figures f;

    ledger_read(broker.json, &f);
    return f.used;
}

static void asks(const char *method, const char *url, const char *text)
{
    char length[24];

    snprintf(length, sizeof length, "%zu", strlen(text));
    a = (struct MHD_Connection){ 0 };
    header(&a, "Content-Length", length);
    headers(&a, method, url);
    if (*text)
        body(&a, text);
    body(&a, "");
}

/* Its client leaves while it is with the writer, and it is paid for until it is home. */
static void costs(const char *method, const char *url, const char *text, size_t least)
{
    hold_the_writer();
    asks(method, url, text);
    cr_assert(eq(uint, a.status, 0), "%s %s: %s", method, url, fake_body);
    cr_assert(ge(sz, paid(), least), "%s %s", method, url);
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    cr_assert(ge(sz, paid(), least), "%s %s", method, url);
    let_it_go();
    mail_comes();
    cr_assert(eq(sz, paid(), 0), "%s %s", method, url);
}

Test(errand, is_paid_for_when_a_topic_changes)
{
    costs("PUT", "/v1/topics/t", "{\"ttl\":\"1h\"}", sizeof(struct topic_change));
    costs("PATCH", "/v1/topics/t", "{\"ttl\":\"2h\"}", sizeof(struct topic_change));
    costs("POST", "/v1/topics/t:purge", "{\"all\":true}", sizeof(struct topic_change));
    costs("DELETE", "/v1/topics/t", "", sizeof(struct topic_change));
    then_the_loop_is_idle();
}

Test(errand, is_paid_for_when_a_namespace_changes)
{
    costs("PUT", "/v1/namespaces/a", "{\"max_topics\":3}", sizeof(struct namespace_change));
    costs("DELETE", "/v1/namespaces/a", "", sizeof(struct namespace_change));
    then_the_loop_is_idle();
}

Test(errand, is_paid_for_when_a_subscription_changes)
{
    const size_t each = sizeof(struct subscription_change);

    costs("PUT", "/v1/subscriptions/s", "{\"topic\":\"t\",\"dead_letter\":\"d\"}", each);
    costs("POST", "/v1/subscriptions/s:seek", "{\"offset\":\"earliest\"}", each);
    costs("POST", "/v1/subscriptions/s:redrive", "", sizeof(struct redrive));
    costs("DELETE", "/v1/subscriptions/s", "", each);
    then_the_loop_is_idle();
}

Test(errand, is_refused_where_there_is_no_room_for_it)
{
    struct grant all = { 0 };

    OK(ledger_reserve(broker.json, 8 << 20, &all));
    asks("DELETE", "/v1/topics/t", "");
    cr_assert(eq(uint, a.status, 503));
    cr_assert(ne(ptr, strstr(fake_body, "\"busy\""), NULL), "%s", fake_body);
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    ledger_release(&all);
    then_the_loop_is_idle();
}

Test(errand, takes_nothing_from_others_when_its_body_has_paid)
{
    struct grant rest = { 0 };
    const char *text = "{\"ttl\":\"1h\"}";

    OK(ledger_reserve(broker.json, (8 << 20) - 4096 - 48 * strlen(text), &rest));
    asks("PUT", "/v1/topics/t", text);
    mail_comes();
    body(&a, "");
    cr_assert(eq(uint, a.status, 201));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    ledger_release(&rest);
    cr_assert(eq(sz, paid(), 0));
    then_the_loop_is_idle();
}
