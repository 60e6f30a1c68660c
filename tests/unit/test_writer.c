#include "writer_fixture.h"

#include "metrics.h"

TestSuite(writer, .init = given_a_writer, .fini = remove_data_dir, .timeout = 60);

static enum err append(struct test_job *j, struct turn *t)
{
    struct topic_settings none = { 0 };
    struct record r = { .time_ms = t->now_ms, .body = bytes_str(j->body) };
    struct store_topic *to;
    enum err e = t->ops->topic_find(t->store, bytes_str(j->topic), &to);

    if (e == ERR_NOT_FOUND)
        e = t->ops->topic_create(t->store, bytes_str(j->topic), &none, t->now_ms, &to);
    if (!e)
        e = t->ops->append(t->store, to, &r, &j->offset);
    turn_wake(t, bytes_str(j->topic));
    return e ? turn_spoil(t, e) : ERR_OK;
}

static enum err refuse(struct test_job *j, struct turn *t)
{
    (void)j;
    (void)t;
    return ERR_EXISTS;
}

static enum err spoil(struct test_job *j, struct turn *t)
{
    enum err e = append(j, t);

    return e ? e : turn_spoil(t, ERR_IO);
}

static enum err go_on_in_the_next_turn(struct test_job *j, struct turn *t)
{
    enum err e = append(j, t);

    return !e && j->runs < 3 ? ERR_BUSY : e;
}

static struct test_job a = { .topic = "t", .body = "a" }, b = { .topic = "t", .body = "b" },
                       c = { .topic = "t", .body = "c" };

Test(writer, all_jobs_that_wait_go_into_one_commit)
{
    int64_t before;

    hold_the_writer();
    before = metric_get(METRIC_COMMITS);
    submit(&a, append);
    submit(&b, append);
    submit(&c, append);
    let_it_go();
    deliver(3);
    cr_assert(eq(i64, metric_get(METRIC_COMMITS) - before, 2)); /* the gate's, and ours */
    cr_assert(eq(int, a.outcome | b.outcome | c.outcome, ERR_OK));
    cr_assert(eq(str, (char *)offsets("t", false), "0 1 2"));
    then_everything_is_given_back();
}

Test(writer, jobs_run_in_the_order_they_were_submitted)
{
    hold_the_writer();
    submit(&b, append);
    submit(&c, append);
    submit(&a, append);
    let_it_go();
    deliver(3);
    cr_assert(eq(u64, b.offset, 0));
    cr_assert(eq(u64, c.offset, 1));
    cr_assert(eq(u64, a.offset, 2));
    then_everything_is_given_back();
}

Test(writer, a_refused_job_stores_nothing_and_the_others_go_on)
{
    hold_the_writer();
    submit(&a, append);
    submit(&b, refuse);
    submit(&c, append);
    let_it_go();
    deliver(3);
    cr_assert(eq(int, a.outcome, ERR_OK));
    cr_assert(eq(int, b.outcome, ERR_EXISTS));
    cr_assert(eq(int, c.outcome, ERR_OK));
    cr_assert(eq(u64, state("t").live, 2));
    then_everything_is_given_back();
}

Test(writer, a_spoiled_turn_fails_all_of_it_and_the_next_turn_works)
{
    hold_the_writer();
    submit(&a, append);
    submit(&b, spoil);
    submit(&c, append); /* its run never comes: the turn is lost already */
    let_it_go();
    deliver(3);
    cr_assert(eq(int, a.outcome, ERR_IO));
    cr_assert(eq(int, b.outcome, ERR_IO));
    cr_assert(eq(int, c.outcome, ERR_IO));
    cr_assert(eq(uint, c.runs, 0));
    cr_assert(eq(int, gate.outcome, ERR_OK)); /* it was in the turn before */
    cr_assert(eq(u64, stats().counters.accepted, 0));
    submit(&a, append);
    deliver(1);
    cr_assert(eq(int, a.outcome, ERR_OK));
    cr_assert(eq(u64, state("t").live, 1));
    then_everything_is_given_back();
}

Test(writer, a_commit_that_fails_fails_exactly_the_jobs_in_it)
{
    submit(&a, append);
    deliver(1);
    hold_the_writer();
    submit(&b, append);
    submit(&c, append);
    fail_after(FAULT_COMMIT, 1, ERR_IO, 1); /* the gate's own turn commits */
    let_it_go();
    deliver(2);
    cr_assert(eq(int, b.outcome, ERR_IO));
    cr_assert(eq(int, c.outcome, ERR_IO));
    cr_assert(eq(str, (char *)offsets("t", false), "0"));
    submit(&c, append);
    deliver(1);
    cr_assert(eq(int, c.outcome, ERR_OK));
    cr_assert(eq(u64, c.offset, 1));
    then_everything_is_given_back();
}

Test(writer, a_transaction_that_cannot_begin_fails_its_jobs_unrun)
{
    fail_next(FAULT_BEGIN, ERR_IO, 1);
    submit(&a, append);
    deliver(1);
    cr_assert(eq(int, a.outcome, ERR_IO));
    cr_assert(eq(uint, a.runs, 0));
    cr_assert(not(writer_healthy(writer)));
    submit(&a, append);
    deliver(1);
    cr_assert(eq(int, a.outcome, ERR_OK));
    cr_assert(writer_healthy(writer));
    then_everything_is_given_back();
}

Test(writer, a_full_disk_is_not_an_illness)
{
    fail_next(FAULT_COMMIT, ERR_FULL, 1);
    submit(&a, append);
    deliver(1);
    cr_assert(eq(int, a.outcome, ERR_FULL));
    cr_assert(writer_healthy(writer));
    then_everything_is_given_back();
}

Test(writer, a_job_may_ask_for_more_turns_and_the_others_need_not_wait)
{
    hold_the_writer();
    submit(&a, go_on_in_the_next_turn);
    submit(&b, append);
    let_it_go();
    deliver(2);
    cr_assert(eq(uint, a.runs, 3));
    cr_assert(eq(int, a.outcome, ERR_OK));
    cr_assert(eq(u64, b.offset, 1)); /* between its first turn and its second */
    cr_assert(eq(u64, state("t").live, 4));
    then_everything_is_given_back();
}

Test(writer, a_job_that_asked_for_more_fails_with_the_turn_it_was_in)
{
    hold_the_writer();
    submit(&a, go_on_in_the_next_turn);
    fail_after(FAULT_COMMIT, 1, ERR_IO, 1);
    let_it_go();
    deliver(1);
    cr_assert(eq(int, a.outcome, ERR_IO));
    cr_assert(eq(uint, a.runs, 1));
    cr_assert(eq(u64, stats().counters.accepted, 0));
    then_everything_is_given_back();
}

Test(writer, a_turn_takes_no_more_than_its_bytes_but_one_job_may_exceed_them)
{
    int64_t before;

    hold_the_writer();
    before = metric_get(METRIC_COMMITS);
    submit(&a, append);
    submit(&b, append);
    submit(&c, append);
    a.job.cost = 5 << 20; /* the writer is held: nobody looks at them yet */
    b.job.cost = (1 << 20) - 1;
    c.job.cost = 2;
    let_it_go();
    deliver(3);
    cr_assert(eq(i64, metric_get(METRIC_COMMITS) - before, 4));
    then_everything_is_given_back();
}

Test(writer, stopping_it_finishes_what_was_submitted)
{
    hold_the_writer();
    submit(&a, go_on_in_the_next_turn);
    submit(&b, append);
    sem_post(&open_gate);
    writer_stop(writer);
    writer = NULL;
    deliver(3);
    cr_assert(eq(int, a.outcome, ERR_OK));
    cr_assert(eq(int, b.outcome, ERR_OK));
    cr_assert(eq(u64, stats().live, 4));
    then_everything_is_given_back();
}

Test(writer, counts_who_is_owed_a_letter_and_who_waits)
{
    hold_the_writer();
    submit(&a, append);
    cr_assert(eq(uint, atomic_load(&loop_mail.owed), 2));
    cr_assert(eq(i64, metric_get(METRIC_JOBS_QUEUED), 2));
    let_it_go();
    deliver(1);
    writer_stop(writer);
    writer = NULL;
    cr_assert(eq(uint, atomic_load(&loop_mail.owed), 0));
    cr_assert(eq(i64, metric_get(METRIC_JOBS_QUEUED), 0));
    then_everything_is_given_back();
}

static unsigned woken;

static void note_woken(void *arg, unsigned slot)
{
    (void)arg;
    cr_assert(eq(uint, slot, waiters_slot(bytes_str("t"))));
    woken++;
}

Test(writer, wakes_readers_after_a_commit_and_not_after_a_failure)
{
    waiters_join(waiters, 0, &loop_mail, note_woken, NULL);
    waiters_park(waiters, 0, waiters_slot(bytes_str("t")));
    submit(&a, spoil);
    deliver(1);
    a_turn_passes();
    cr_assert(eq(uint, woken, 0));
    submit(&a, append);
    deliver(1);
    cr_assert(eq(uint, woken, 1));
    waiters_leave(waiters, 0, waiters_slot(bytes_str("t")));
    then_everything_is_given_back();
}

/* ---- taking out ---- */

static void publish_for(const char *body, uint64_t ttl_ms)
{
    struct publish *p = message("t", body);

    p->one.has_ttl = true;
    p->one.ttl_ms = ttl_ms;
    OK(sent(p, NULL));
}

Test(writer, takes_out_what_is_due_beside_its_jobs)
{
    publish_for("short", 100);
    publish_for("long", 10000);
    clock_fake_wall_ms(NOW + 99);
    a_turn_passes();
    cr_assert(eq(u64, stats().counters.expired, 0));
    clock_fake_wall_ms(NOW + 100);
    a_turn_passes();
    cr_assert(eq(u64, stats().counters.expired, 1));
    cr_assert(eq(str, (char *)offsets("t", false), "1"));
    then_everything_is_given_back();
}

Test(writer, takes_out_what_became_due_while_it_did_not_run)
{
    publish_for("short", 100);
    writer_stop(writer);
    clock_fake_wall_ms(NOW + 100);
    start_writer();
    a_turn_passes();
    cr_assert(eq(u64, stats().counters.expired, 1));
    then_everything_is_given_back();
}

Test(writer, takes_out_later_what_a_failed_turn_did_not)
{
    publish_for("short", 100);
    clock_fake_wall_ms(NOW + 100);
    hold_the_writer(); /* nothing is due yet as this turn sees it, or it is: either way */
    fail_next(FAULT_COMMIT, ERR_IO, 2);
    sem_post(&open_gate);
    deliver(1);
    while (stats().counters.expired == 0)
        a_turn_passes();
    then_everything_is_given_back();
}

Test(writer, a_sweep_that_cannot_work_does_not_stop_publishers)
{
    unsigned failed = 0;

    publish_for("short", 100);
    clock_fake_wall_ms(NOW + 100);
    fail_next(FAULT_EXPIRE, ERR_CORRUPT, 1000000);
    for (int i = 0; i < 50; i++)
        failed += sent(message("u", "x"), NULL) != ERR_OK;
    cr_assert(failed <= 1, "%u of 50 failed", failed); /* the first to meet it */
    fail_next(FAULT_EXPIRE, ERR_OK, 0);
    while (stats().counters.expired == 0)
        a_turn_passes();
    then_everything_is_given_back();
}

static enum err go_on_past_the_pause(struct test_job *j, struct turn *t)
{
    static int64_t started_ms;

    (void)j;
    (void)t;
    started_ms = started_ms ? started_ms : clock_mono_ms();
    return clock_mono_ms() - started_ms < 300 ? ERR_BUSY : ERR_OK;
}

Test(writer, a_sweep_that_cannot_work_does_not_stop_a_long_job)
{
    publish_for("short", 100);
    clock_fake_wall_ms(NOW + 100);
    fail_next(FAULT_EXPIRE, ERR_CORRUPT, 1000000);
    a_turn_passes(); /* the first to meet it */
    submit(&a, go_on_past_the_pause);
    deliver(1);
    cr_assert(eq(int, a.outcome, ERR_OK));
    fail_next(FAULT_EXPIRE, ERR_OK, 0);
    then_everything_is_given_back();
}
