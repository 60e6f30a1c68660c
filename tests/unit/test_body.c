#include "http_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

TestSuite(body, .init = given_a_loop, .fini = remove_data_dir, .timeout = 60);

static struct MHD_Connection a;
static char sent_bytes[2 << 20];

/* Feeds the next bytes in pieces as the library would, waits where it must. False: the
 * request was ended. */
static bool feed(struct MHD_Connection *c, size_t from, size_t size)
{
    size_t at = from, end = from + size;

    while (at < end) {
        size_t n = end - at < 3000 ? end - at : 3000, left = n;

        if (request_handle(&loop, c, "", "", "", sent_bytes + at, &left, &c->context) ==
            MHD_NO)
            return false;
        at += n - left;
        while (c->suspended)
            mail_comes();
    }
    return true;
}

static void complete(struct MHD_Connection *c)
{
    size_t none = 0;

    while (!c->status) {
        request_handle(&loop, c, "", "", "", NULL, &none, &c->context);
        if (!c->status)
            mail_comes();
    }
}

static void begins(struct MHD_Connection *c, const char *length)
{
    for (size_t i = 0; i < sizeof sent_bytes; i++)
        sent_bytes[i] = (char)(i * 7 + i / 999);
    if (length)
        header(c, "Content-Length", length);
    else
        header(c, "Transfer-Encoding", "chunked");
    headers(c, "POST", "/v1/topics/t/messages");
}

static size_t reserved(void)
{
    struct ledger_figures f;

    ledger_read(ledger, &f);
    return f.used;
}

/* The only message of the topic is these bytes. */
static void is_stored(size_t size)
{
    static char got[sizeof sent_bytes];
    struct store_entry m;
    size_t n = 0, piece;
    uint64_t id = state("t").id;

    OK(ops->read_begin(reader, 1));
    OK(ops->read_seek(reader, id, 0, &m));
    cr_assert(eq(u64, record_size(&m.record), size));
    if (m.record.blob_id)
        do {
            OK(ops->read_blob(reader, m.record.blob_id, n, got + n, size - n, &piece));
            n += piece;
        } while (piece && n < size);
    else
        memcpy(got, m.record.body.data, n = m.record.body.len);
    ops->read_end(reader);
    cr_assert(eq(sz, n, size));
    cr_assert(eq(int, memcmp(got, sent_bytes, size), 0));
}

static void goes_through(const char *length, size_t size)
{
    begins(&a, length);
    cr_assert(feed(&a, 0, size));
    complete(&a);
    cr_assert(eq(uint, a.status, 201));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    is_stored(size);
    then_the_loop_is_idle();
}

Test(body, of_known_length_is_one_buffer_of_that_size_paid_beforehand)
{
    begins(&a, "1000");
    cr_assert(eq(sz, reserved(), 1000 + PUBLISH_OVERHEAD));
    cr_assert(feed(&a, 0, 1000));
    complete(&a);
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    is_stored(1000);
    then_the_loop_is_idle();
}

Test(body, of_known_length_above_inline_max_needs_a_window_only)
{
    begins(&a, "1000000");
    cr_assert(eq(sz, reserved(), UPLOAD_WINDOW + PUBLISH_OVERHEAD));
    cr_assert(feed(&a, 0, 1000000));
    complete(&a);
    cr_assert(eq(uint, a.status, 201));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    is_stored(1000000);
    then_the_loop_is_idle();
}

Test(body, of_no_bytes_is_an_empty_message)
{
    goes_through("0", 0);
}

Test(body, in_pieces_of_unknown_number_may_be_small)
{
    goes_through(NULL, 10);
}

Test(body, in_pieces_of_unknown_number_may_be_empty)
{
    goes_through(NULL, 0);
}

Test(body, of_unknown_length_may_be_just_inline_max)
{
    goes_through(NULL, 64 << 10);
}

Test(body, of_unknown_length_may_be_one_byte_more)
{
    goes_through(NULL, (64 << 10) + 1);
}

Test(body, of_unknown_length_may_be_large)
{
    goes_through(NULL, 1000000);
}

/* What came before it turned out to be large must fit into the window of an upload. */
Test(body, of_unknown_length_may_be_large_whatever_inline_max_is)
{
    settings.inline_max_bytes = 900000;
    goes_through(NULL, 1000000);
}

Test(body, of_unknown_length_pays_for_no_window_where_none_may_be_large)
{
    settings.max_message_bytes = 50000; /* below inline_max */
    begins(&a, NULL);
    cr_assert(eq(sz, reserved(), 50000 + PUBLISH_OVERHEAD));
    cr_assert(feed(&a, 0, 50000));
    cr_assert(request_of(&a)->body.cap <= 50000); /* not more than was paid for */
    complete(&a);
    cr_assert(eq(uint, a.status, 201));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    is_stored(50000);
    then_the_loop_is_idle();
}

Test(body, of_unknown_length_gives_back_what_it_did_not_need)
{
    size_t before;

    begins(&a, NULL);
    before = reserved();
    cr_assert(feed(&a, 0, 10));
    hold_the_writer();
    body(&a, "");
    cr_assert(reserved() < before && reserved() <= 4096 + PUBLISH_OVERHEAD);
    sem_post(&open_gate);
    complete(&a);
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    then_the_loop_is_idle();
}

Test(body, declared_too_large_is_refused_before_a_byte_is_reserved)
{
    begins(&a, "1048577");
    cr_assert(eq(uint, a.status, 413));
    cr_assert(eq(sz, reserved(), 0));
    ends(&a, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    then_the_loop_is_idle();
}

Test(body, that_turns_out_too_large_is_answered_past_the_library_and_leaves_nothing)
{
    int pair[2];
    char answer[4096] = "";

    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
    a.fd = pair[0];
    begins(&a, NULL);
    cr_assert(not(feed(&a, 0, (1 << 20) + 1)));
    cr_assert(recv(pair[1], answer, sizeof answer - 1, MSG_DONTWAIT) > 0);
    cr_assert(eq(int, strncmp(answer, "HTTP/1.1 413 ", 13), 0));
    cr_assert(ne(ptr, strstr(answer, "\"code\":\"too_large\""), NULL));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    while (reserved())
        mail_comes();
    a_turn_passes();
    the_trash_is_emptied();
    cr_assert(eq(u64, stats().counters.accepted, 0));
    then_the_loop_is_idle();
}

Test(body, whose_client_leaves_in_the_middle_leaves_nothing)
{
    begins(&a, "1000000");
    cr_assert(feed(&a, 0, 700000));
    ends(&a, MHD_REQUEST_TERMINATED_CLIENT_ABORT);
    while (reserved())
        mail_comes();
    a_turn_passes();
    the_trash_is_emptied();
    cr_assert(eq(u64, stats().counters.accepted, 0));
    then_the_loop_is_idle();
}

Test(body, that_finds_no_room_in_the_store_is_refused)
{
    int pair[2];
    char answer[4096] = "";

    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
    a.fd = pair[0];
    begins(&a, "1000000");
    fail_next(FAULT_ROOM, ERR_FULL, 1000);
    cr_assert(not(feed(&a, 0, 1000000)));
    cr_assert(recv(pair[1], answer, sizeof answer - 1, MSG_DONTWAIT) > 0);
    cr_assert(eq(int, strncmp(answer, "HTTP/1.1 507 ", 13), 0));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    while (reserved())
        mail_comes();
    fail_next(FAULT_ROOM, ERR_OK, 0);
    then_the_loop_is_idle();
}

Test(body, slower_than_it_may_be_is_cut)
{
    int pair[2];
    char answer[4096] = "";

    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0));
    a.fd = pair[0];
    settings.min_body_rate_bytes_s = 1000;
    settings.body_grace_ms = 2000;
    begins(&a, "10000");
    cr_assert(feed(&a, 0, 5000));
    time_passes(2000);
    request_check_bodies(&loop); /* fast enough so far */
    cr_assert(feed(&a, 5000, 1999));
    time_passes(2000);
    request_check_bodies(&loop);
    cr_assert(recv(pair[1], answer, sizeof answer - 1, MSG_DONTWAIT) > 0);
    cr_assert(eq(int, strncmp(answer, "HTTP/1.1 408 ", 13), 0));
    cr_assert(not(feed(&a, 6999, 1)));
    ends(&a, MHD_REQUEST_TERMINATED_WITH_ERROR);
    cr_assert(eq(sz, reserved(), 0));
    then_the_loop_is_idle();
}
