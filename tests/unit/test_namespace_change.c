#include "namespace_change.h"
#include "writer_fixture.h"

TestSuite(namespace_change, .init = given_a_writer, .fini = remove_data_dir, .timeout = 120);

static void change_home(struct letter *l)
{
    (void)l;
    letters++;
}

static void send_change(struct namespace_change *c, enum namespace_change_kind kind,
                        const char *prefix)
{
    c->kind = kind;
    c->prefix_len = (size_t)snprintf(c->prefix, sizeof c->prefix, "%s", prefix);
    c->job.home = &loop_mail;
    c->job.letter.open = change_home;
    namespace_change_submit(writer, c);
}

static struct namespace_change changed(enum namespace_change_kind kind, const char *prefix,
                                       struct namespace_change c)
{
    send_change(&c, kind, prefix);
    deliver(1);
    return c;
}

static struct namespace_change put_with(const char *prefix, uint64_t max_bytes)
{
    struct namespace_change c = { .settings.max_bytes = max_bytes };

    return changed(NAMESPACE_PUT, prefix, c);
}

/* Needs none of them to be there. */
static void given_topics(const char *prefix, unsigned count)
{
    struct topic_settings none = { 0 };
    struct store_topic *t;
    char name[32];

    writer_stop(writer);
    OK(ops->begin(store));
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%06u", prefix, i);
        OK(ops->topic_create(store, bytes_str(name), &none, NOW, &t));
    }
    OK(ops->commit(store));
    start_writer();
}

Test(namespace_change, a_put_creates_and_says_what_is_in_it)
{
    struct namespace_change c;

    OK(sent(message("a/1", "123"), NULL));
    c = put_with("a/", 50);
    OK(c.outcome);
    cr_assert(c.created);
    cr_assert(eq(u64, c.state.settings.max_bytes, 50));
    cr_assert(eq(u64, c.state.topics, 1));
    cr_assert(eq(u64, c.state.live_bytes, 3));
    then_everything_is_given_back();
}

Test(namespace_change, the_same_put_again_is_fine_and_another_one_is_not)
{
    struct namespace_change c = put_with("a/", 50);

    c = put_with("a/", 50);
    OK(c.outcome);
    cr_assert(not(c.created));
    cr_assert(eq(int, put_with("a/", 51).outcome, ERR_EXISTS));
    then_everything_is_given_back();
}

Test(namespace_change, a_patch_changes_what_it_names)
{
    struct namespace_change c = { .settings = { .max_bytes = 77, .max_topics = 88 },
                                  .set = NAMESPACE_SET_MAX_TOPICS };

    put_with("a/", 50);
    c = changed(NAMESPACE_PATCH, "a/", c);
    OK(c.outcome);
    cr_assert(eq(u64, c.state.settings.max_bytes, 50));
    cr_assert(eq(u64, c.state.settings.max_topics, 88));
    then_everything_is_given_back();
}

Test(namespace_change, what_is_not_there_cannot_be_changed)
{
    struct namespace_change none = { 0 };

    cr_assert(eq(int, changed(NAMESPACE_PATCH, "a/", none).outcome, ERR_NOT_FOUND));
    cr_assert(eq(int, changed(NAMESPACE_DELETE, "a/", none).outcome, ERR_NOT_FOUND));
    put_with("a/", 1);
    OK(changed(NAMESPACE_DELETE, "a/", none).outcome);
    cr_assert(eq(int, changed(NAMESPACE_DELETE, "a/", none).outcome, ERR_NOT_FOUND));
    OK(sent(message("a/1", "123"), NULL));
    then_everything_is_given_back();
}

Test(namespace_change, one_too_many_is_refused_and_the_others_go_on)
{
    char prefix[16];

    for (int i = 0; i < STORE_NAMESPACES_MAX; i++) {
        snprintf(prefix, sizeof prefix, "%03d/", i);
        OK(put_with(prefix, 50).outcome);
    }
    cr_assert(eq(int, put_with("x", 50).outcome, ERR_BUSY));
    OK(sent(message("255/x", "123"), NULL));
    then_everything_is_given_back();
}

Test(namespace_change, a_fifth_around_the_same_topics_is_refused)
{
    OK(put_with("a", 50).outcome);
    OK(put_with("ab", 50).outcome);
    OK(put_with("abc", 50).outcome);
    OK(put_with("abcd", 50).outcome);
    cr_assert(eq(int, put_with("abcde", 50).outcome, ERR_TOO_BIG));
    then_everything_is_given_back();
}

Test(namespace_change, many_topics_are_counted_in_steps_and_publishers_go_on_meanwhile)
{
    struct namespace_change c = { .settings.max_bytes = 1000 }, same = c;
    struct publish *first, *last;

    given_topics("a/", 9000);
    first = message("a/000000", "123");
    last = message("a/008999", "45");
    hold_the_writer();
    send_change(&c, NAMESPACE_PUT, "a/");
    send_change(&same, NAMESPACE_PUT, "a/");
    publish_submit(first, NULL);
    publish_submit(last, NULL);
    let_it_go();
    deliver(4);
    OK(c.outcome);
    OK(same.outcome);
    cr_assert(eq(int, c.created + same.created, 1));
    OK(first->outcome);
    OK(last->outcome);
    cr_assert(eq(u64, put_with("a/", 1000).state.topics, 9000));
    cr_assert(eq(u64, put_with("a/", 1000).state.live_bytes, 5));
    publish_free(first);
    publish_free(last);
    then_everything_is_given_back();
}

Test(namespace_change, whose_turn_fails_is_not_made)
{
    struct namespace_change c;

    given_topics("a/", 5000);
    fail_after(FAULT_COMMIT, 1, ERR_IO, 1); /* between the first step and the last */
    c = put_with("a/", 50);
    cr_assert(eq(int, c.outcome, ERR_IO));
    OK(sent(message("a/1", "more bytes than fifty, more bytes than fifty, more bytes"), NULL));
    c = put_with("a/", 60);
    OK(c.outcome);
    cr_assert(c.created);
    cr_assert(eq(u64, c.state.topics, 5001));
    then_everything_is_given_back();
}
