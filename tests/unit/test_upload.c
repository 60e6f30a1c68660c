#include "upload.h"
#include "metrics.h"
#include "writer_fixture.h"

TestSuite(upload, .init = given_a_writer, .fini = remove_data_dir, .timeout = 120);

static unsigned readies;

static void note_ready(void *arg)
{
    (void)arg;
    readies++;
}

static void wait_for_mail(void)
{
    struct pollfd p = { .fd = loop_mail.fd, .events = POLLIN };

    poll(&p, 1, -1);
    mailbox_drain(&loop_mail);
}

static struct upload *an_upload(void)
{
    struct grant g = { 0 };
    struct upload *u;

    OK(ledger_reserve(ledger, UPLOAD_WINDOW, &g));
    OK(upload_new(writer, &loop_mail, (struct fair_flow){ 0 }, &g, note_ready, NULL, &u));
    cr_assert(eq(ptr, g.from, NULL));
    return u;
}

/* Byte `at` of what these stories upload. */
static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 31 + at / 1000);
}

/* Feeds pieces of an odd size as they are taken; stops early when the upload fails. */
static void feed(struct upload *u, uint64_t from, uint64_t size)
{
    uint8_t piece[7777];
    uint64_t at = from, end = from + size;

    while (at < end && !upload_error(u)) {
        size_t n = end - at < sizeof piece ? (size_t)(end - at) : sizeof piece, taken;

        for (size_t i = 0; i < n; i++)
            piece[i] = byte_at(at + i);
        taken = upload_feed(u, piece, n);
        at += taken;
        if (taken < n)
            wait_for_mail();
    }
}

static void finish(struct upload *u)
{
    upload_end(u);
    while (!upload_complete(u))
        wait_for_mail();
}

/* Waits until nobody owes us anything: the window of a freed upload has come back. */
static void its_window_comes_back(void)
{
    struct ledger_figures f;

    for (ledger_read(ledger, &f); f.used; ledger_read(ledger, &f))
        wait_for_mail();
}

/* The lists of free pages take pages themselves; a chunk is 32 of them. */
#define A_FEW_PAGES (4 * 4096u)

static void nothing_is_left_of_it(uint64_t used_before)
{
    uint64_t used;

    a_turn_passes(); /* the drop is in the queue before this */
    the_trash_is_emptied();
    a_turn_passes();
    used = stats().used_bytes;
    cr_assert(used <= used_before || used - used_before <= A_FEW_PAGES,
              "%llu bytes, %llu before", (unsigned long long)used,
              (unsigned long long)used_before);
    cr_assert(eq(i64, metric_get(METRIC_UPLOADS), 0));
}

static void publish_blob(uint64_t id, uint64_t size)
{
    struct publish *p = message("t", "");

    p->blob_id = id;
    p->blob_size = size;
    OK(sent(p, NULL));
}

static void equals_what_was_sent(uint64_t id, uint64_t size)
{
    uint8_t piece[10000];
    size_t got = 1;
    uint64_t at = 0;

    OK(ops->read_begin(reader, 1));
    for (; got; at += got) {
        OK(ops->read_blob(reader, id, at, piece, sizeof piece, &got));
        for (size_t i = 0; i < got; i++)
            cr_assert(piece[i] == byte_at(at + i), "at %llu",
                      (unsigned long long)(at + i));
    }
    ops->read_end(reader);
    cr_assert(eq(u64, at, size));
}

static void goes_through_whole(uint64_t size)
{
    struct upload *u = an_upload();
    int64_t durable = metric_get(METRIC_COMMIT_BYTES);
    uint64_t id;

    feed(u, 0, size);
    finish(u);
    OK(upload_error(u));
    cr_assert(eq(i64, metric_get(METRIC_COMMIT_BYTES) - durable, (int64_t)size));
    cr_assert(eq(u64, upload_size(u), size));
    id = upload_take_blob(u);
    publish_blob(id, size);
    upload_free(u);
    cr_assert(eq(i64, metric_get(METRIC_COMMIT_BYTES) - durable, (int64_t)size)); /* once */
    equals_what_was_sent(id, size);
    cr_assert(eq(u64, state("t").live_bytes, size));
    then_everything_is_given_back();
}

Test(upload, of_many_chunks_equals_its_bytes)
{
    goes_through_whole(20 * STORE_CHUNK_BYTES + 12345);
}

Test(upload, of_whole_chunks_equals_its_bytes)
{
    goes_through_whole(4 * STORE_CHUNK_BYTES);
}

Test(upload, of_one_byte_equals_it)
{
    goes_through_whole(1);
}

Test(upload, takes_two_chunks_and_then_waits_for_the_disk)
{
    static uint8_t three[3 * STORE_CHUNK_BYTES];
    struct upload *u = an_upload();

    hold_the_writer();
    cr_assert(eq(sz, upload_feed(u, three, sizeof three), 2 * STORE_CHUNK_BYTES));
    cr_assert(eq(sz, upload_feed(u, three, 1), 0));
    cr_assert(eq(uint, readies, 0));
    let_it_go();
    while (readies < 2)
        wait_for_mail();
    cr_assert(eq(sz, upload_feed(u, three, 1), 1));
    upload_free(u);
    nothing_is_left_of_it(UINT64_MAX);
    then_everything_is_given_back();
}

Test(upload, is_seen_by_nobody_before_a_message_names_it)
{
    struct upload *u = an_upload();

    feed(u, 0, 5 * STORE_CHUNK_BYTES);
    finish(u);
    cr_assert(eq(u64, stats().counters.accepted, 0));
    cr_assert(eq(u64, stats().live_bytes, 0));
    upload_free(u);
    nothing_is_left_of_it(UINT64_MAX);
    then_everything_is_given_back();
}

Test(upload, freed_in_the_middle_leaves_nothing)
{
    struct upload *u;
    uint64_t used;

    OK(sent(message("t", "x"), NULL));
    used = stats().used_bytes;
    u = an_upload();
    feed(u, 0, 10 * STORE_CHUNK_BYTES + 5);
    upload_free(u);
    its_window_comes_back();
    nothing_is_left_of_it(used);
    then_everything_is_given_back();
}

Test(upload, freed_with_its_chunks_in_the_queue_has_them_back_unwritten)
{
    static uint8_t two[2 * STORE_CHUNK_BYTES];
    struct upload *u;
    uint64_t used;

    OK(sent(message("t", "x"), NULL));
    used = stats().used_bytes;
    u = an_upload();
    hold_the_writer();
    cr_assert(eq(sz, upload_feed(u, two, sizeof two), sizeof two));
    upload_free(u);
    fail_next(FAULT_BLOB_WRITE, ERR_IO, 1);
    let_it_go();
    its_window_comes_back();
    cr_assert(eq(uint, readies, 0)); /* nobody is told any more */
    cr_assert(eq(int, atomic_load(&faults[FAULT_BLOB_WRITE].times), 1)); /* nor asked */
    nothing_is_left_of_it(used);
    then_everything_is_given_back();
}

Test(upload, freed_before_its_first_byte_leaves_nothing)
{
    upload_free(an_upload());
    upload_free(NULL);
    cr_assert(eq(u64, stats().counters.accepted, 0));
    then_everything_is_given_back();
}

/* ---- failures ---- */

/* The chunk `number` (from 0) meets this fault; whatever is sent after it fails as well. */
static void fails_at(unsigned number, enum fault f, enum err e)
{
    struct upload *u;
    uint64_t used;

    OK(sent(message("t", "x"), NULL));
    used = stats().used_bytes;
    u = an_upload();
    feed(u, 0, number * (uint64_t)STORE_CHUNK_BYTES);
    while (readies < number)
        wait_for_mail();
    fail_next(f, e, 1);
    feed(u, number * (uint64_t)STORE_CHUNK_BYTES, 4 * STORE_CHUNK_BYTES);
    finish(u);
    cr_assert(eq(int, upload_error(u), e));
    cr_assert(eq(sz, upload_feed(u, "x", 1), 0));
    upload_free(u);
    its_window_comes_back();
    nothing_is_left_of_it(used);
    then_everything_is_given_back();
}

Test(upload, whose_first_chunk_finds_no_room_leaves_nothing)
{
    fails_at(0, FAULT_ROOM, ERR_FULL);
}

Test(upload, whose_third_chunk_finds_no_room_leaves_nothing)
{
    fails_at(2, FAULT_ROOM, ERR_FULL);
}

Test(upload, whose_first_chunk_cannot_be_written_leaves_nothing)
{
    fails_at(0, FAULT_BLOB_WRITE, ERR_IO);
}

Test(upload, whose_first_commit_fails_leaves_nothing)
{
    fails_at(0, FAULT_COMMIT, ERR_IO);
}

Test(upload, whose_second_commit_fails_leaves_nothing)
{
    fails_at(1, FAULT_COMMIT, ERR_IO);
}

/* The third chunk goes where the first one was, which had made the blob. */
Test(upload, whose_third_commit_fails_leaves_nothing)
{
    fails_at(2, FAULT_COMMIT, ERR_IO);
}

Test(upload, whose_third_turn_cannot_begin_leaves_nothing)
{
    fails_at(2, FAULT_BEGIN, ERR_IO);
}

static enum err spoil(struct test_job *j, struct turn *t)
{
    (void)j;
    return turn_spoil(t, ERR_IO);
}

Test(upload, whose_third_chunk_is_in_somebody_elses_spoiled_turn_leaves_nothing)
{
    static uint8_t one[STORE_CHUNK_BYTES];
    struct test_job bad = { 0 };
    struct upload *u;
    uint64_t used;

    OK(sent(message("t", "x"), NULL));
    used = stats().used_bytes;
    u = an_upload();
    feed(u, 0, 2 * STORE_CHUNK_BYTES);
    while (readies < 2)
        wait_for_mail();
    hold_the_writer();
    submit(&bad, spoil);
    cr_assert(eq(sz, upload_feed(u, one, sizeof one), sizeof one));
    let_it_go();
    deliver(1);
    upload_free(u);
    its_window_comes_back();
    nothing_is_left_of_it(used);
    then_everything_is_given_back();
}

Test(upload, of_which_a_chunk_failed_writes_no_more)
{
    static uint8_t one[STORE_CHUNK_BYTES];
    struct upload *u = an_upload();
    struct test_job bad = { 0 };
    uint64_t used;

    a_turn_passes();
    used = stats().used_bytes;
    hold_the_writer();
    upload_feed(u, one, sizeof one);
    submit(&bad, spoil); /* and takes it along */
    let_it_go();
    hold_the_writer();
    upload_feed(u, one, sizeof one); /* on its way before we hear of it */
    let_it_go();
    deliver(1);
    finish(u);
    cr_assert(eq(int, upload_error(u), ERR_IO));
    cr_assert(stats().used_bytes <= used + A_FEW_PAGES);
    upload_free(u);
    nothing_is_left_of_it(used);
    then_everything_is_given_back();
}

Test(upload, a_blob_whose_publish_fails_can_be_dropped)
{
    struct upload *u = an_upload();
    uint64_t size = 3 * STORE_CHUNK_BYTES, used;
    struct publish *p, result;

    OK(sent(message("t", "x"), NULL));
    used = stats().used_bytes;
    feed(u, 0, size);
    finish(u);
    p = message("t", "");
    p->blob_id = upload_take_blob(u);
    p->blob_size = size;
    upload_free(u);
    fail_next(FAULT_COMMIT, ERR_IO, 1);
    cr_assert(eq(int, sent(p, &result), ERR_IO));
    upload_drop_blob(writer, result.blob_id);
    nothing_is_left_of_it(used);
    then_everything_is_given_back();
}
