#include "topic_change.h"
#include "writer_fixture.h"

TestSuite(topic_change, .init = given_a_writer, .fini = remove_data_dir, .timeout = 120);

static void change_home(struct letter *l)
{
    (void)l;
    letters++;
}

static void send_change(struct topic_change *c, enum topic_change_kind kind,
                        const char *name)
{
    c->kind = kind;
    c->name_len = (size_t)snprintf(c->name, sizeof c->name, "%s", name);
    c->job.home = &loop_mail;
    c->job.letter.open = change_home;
    topic_change_submit(writer, c);
}

static struct topic_change changed(enum topic_change_kind kind, const char *name,
                                   struct topic_change c)
{
    send_change(&c, kind, name);
    deliver(1);
    return c;
}

static struct topic_change put_with_ttl(const char *name, uint64_t ttl_ms)
{
    struct topic_change c = { .settings.ttl_ms = ttl_ms };

    return changed(TOPIC_PUT, name, c);
}

static void publish_thousands(const char *name, unsigned thousands)
{
    for (unsigned i = 0; i < thousands; i++) {
        struct publish *p = message(name, "");

        free(p->body);
        p->body = malloc(4000);
        p->body_len = 4000;
        p->batch = true;
        p->count = p->total_bytes = 1000;
        for (unsigned k = 0; k < 1000; k++)
            memcpy(p->body + 4 * k, "\x03\x01\x01x", 4);
        OK(sent(p, NULL));
    }
}

Test(topic_change, a_put_creates_and_says_so)
{
    struct topic_change c = put_with_ttl("t", 500);

    OK(c.outcome);
    cr_assert(c.created);
    cr_assert(eq(u64, c.state.settings.ttl_ms, 500));
    cr_assert(eq(u64, state("t").settings.ttl_ms, 500));
    then_everything_is_given_back();
}

Test(topic_change, the_same_put_again_is_fine_and_another_one_is_not)
{
    struct topic_change c = put_with_ttl("t", 500);

    c = put_with_ttl("t", 500);
    OK(c.outcome);
    cr_assert(not(c.created));
    c = put_with_ttl("t", 501);
    cr_assert(eq(int, c.outcome, ERR_EXISTS));
    cr_assert(eq(u64, c.state.settings.ttl_ms, 500)); /* of the one that is there */
    cr_assert(eq(u64, state("t").settings.ttl_ms, 500));
    then_everything_is_given_back();
}

Test(topic_change, a_patch_changes_what_it_names)
{
    struct topic_change c = { .settings = { .max_bytes = 77,
                                            .overflow = STORE_OVERFLOW_DROP_OLDEST },
                              .set = TOPIC_SET_MAX_BYTES };

    put_with_ttl("t", 500);
    c = changed(TOPIC_PATCH, "t", c);
    OK(c.outcome);
    cr_assert(eq(u64, state("t").settings.ttl_ms, 500));
    cr_assert(eq(u64, state("t").settings.max_bytes, 77));
    cr_assert(eq(int, state("t").settings.overflow, STORE_OVERFLOW_REJECT));
    then_everything_is_given_back();
}

Test(topic_change, of_a_topic_that_is_not_there_nothing_can_be_changed)
{
    struct topic_change none = { 0 };

    cr_assert(eq(int, changed(TOPIC_PATCH, "t", none).outcome, ERR_NOT_FOUND));
    cr_assert(eq(int, changed(TOPIC_DELETE, "t", none).outcome, ERR_NOT_FOUND));
    cr_assert(eq(int, changed(TOPIC_PURGE, "t", none).outcome, ERR_NOT_FOUND));
    cr_assert(eq(u64, stats().topics, 0));
    then_everything_is_given_back();
}

Test(topic_change, a_change_whose_commit_fails_did_not_happen)
{
    fail_next(FAULT_COMMIT, ERR_IO, 1);
    cr_assert(eq(int, put_with_ttl("t", 5).outcome, ERR_IO));
    cr_assert(eq(u64, stats().topics, 0));
    then_everything_is_given_back();
}

Test(topic_change, a_full_store_takes_no_new_topic_but_lets_one_go)
{
    struct topic_change none = { 0 };

    OK(put_with_ttl("t", 5).outcome);
    fail_next(FAULT_ROOM, ERR_FULL, 1000);
    cr_assert(eq(int, put_with_ttl("u", 5).outcome, ERR_FULL));
    OK(changed(TOPIC_PURGE, "t", none).outcome);
    OK(changed(TOPIC_DELETE, "t", none).outcome);
    cr_assert(eq(u64, stats().topics, 0));
    then_everything_is_given_back();
}

Test(topic_change, a_purge_takes_out_what_is_below_an_offset)
{
    struct topic_change c = { .before_offset = 3 };

    for (int i = 0; i < 5; i++)
        OK(sent(message("t", "x"), NULL));
    c = changed(TOPIC_PURGE, "t", c);
    OK(c.outcome);
    cr_assert(eq(u64, c.removed, 3));
    cr_assert(eq(str, (char *)offsets("t", false), "3 4"));
    then_everything_is_given_back();
}

Test(topic_change, a_large_purge_goes_in_steps_and_publishers_go_on_between_them)
{
    struct topic_change c = { .before_offset = UINT64_MAX };
    struct publish *p;

    publish_thousands("t", 50);
    p = message("t", "came later");
    hold_the_writer();
    send_change(&c, TOPIC_PURGE, "t");
    publish_submit(p, NULL);
    let_it_go();
    deliver(2);
    OK(c.outcome);
    OK(p->outcome);
    cr_assert(eq(u64, c.removed, 50000)); /* all there was when it began */
    cr_assert(eq(str, (char *)offsets("t", false), "50000"));
    publish_free(p);
    then_everything_is_given_back();
}

Test(topic_change, a_purge_whose_step_fails_says_so)
{
    struct topic_change c = { .before_offset = UINT64_MAX };

    publish_thousands("t", 50);
    fail_after(FAULT_REMOVE, 1, ERR_IO, 1);
    c = changed(TOPIC_PURGE, "t", c);
    cr_assert(eq(int, c.outcome, ERR_IO));
    cr_assert(eq(u64, state("t").live, 46000)); /* the steps before are committed */
    then_everything_is_given_back();
}

Test(topic_change, a_deleted_topics_messages_leave_in_steps_and_its_offsets_go_on)
{
    struct topic_change none = { 0 };
    uint64_t used;
    struct publish p;

    publish_thousands("t", 10);
    used = stats().used_bytes;
    OK(changed(TOPIC_DELETE, "t", none).outcome);
    cr_assert(eq(u64, stats().counters.removed, 10000));
    the_trash_is_emptied();
    cr_assert(stats().used_bytes < used / 2);
    OK(sent(message("t", "x"), &p));
    cr_assert(eq(u64, p.first_offset, 10000));
    then_everything_is_given_back();
}
