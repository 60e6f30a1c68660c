/* A download begins only with a message that is sure to stay until its end. */
#include "download.h"

#include "base/clock.h"
#include "store_fixture.h"

#define NOW 1000000

static struct fetch f;
static struct config config;
static struct broker broker;
static struct download download;
static struct store_entry m;

static const char body[] = "as if it were large";

/* Offset 0 of "big" is a blob that expires at NOW + 1000; offset 1 is not. */
static void given_a_large_message_in_sight(void)
{
    struct record r = { .time_ms = 1, .expires_ms = NOW + 1000, .blob_size = sizeof body };
    uint64_t offset;

    clock_fake_wall_ms(NOW);
    given_an_empty_store();
    OK(ops->begin(store));
    OK(ops->blob_begin(store, &r.blob_id));
    OK(ops->blob_write(store, r.blob_id, 0, bytes_of(body, sizeof body)));
    OK(ops->append(store, topic("big"), &r, &offset));
    put("big", "small", 2, 0);
    OK(ops->commit(store));
    config.download_grace_ms = 60000;
    broker = (struct broker){ .config = &config, .ops = ops, .store = store };
    OK(fetch_open(&f, ops, store));
    OK(fetch_begin(&f, bytes_str("big")));
    OK(fetch_next(&f, 0, &m));
    cr_assert(eq(u64, m.offset, 0));
}

static void done(void)
{
    fetch_end(&f);
    fetch_close(&f);
    nothing_is_lost();
    then_it_is_gone(); /* where it is asserted that no pin is out */
}

static void read_whole(void)
{
    char got[64];
    size_t n;

    OK(download_read(&download, 0, got, sizeof got, &n));
    cr_assert(eq(sz, n, sizeof body));
    cr_assert(eq(str, got, (char *)body));
}

TestSuite(download, .init = given_a_large_message_in_sight, .timeout = 60);

Test(download, once_begun_is_readable_to_its_end)
{
    char got[8];
    size_t n;

    OK(download_start(&download, &broker, &f, &m));
    cr_assert(eq(u64, m.record.blob_size, sizeof body)); /* views of the new snapshot */
    fetch_end(&f);
    purge("big", NOWHERE, 10);
    cr_assert(eq(u64, empty_trash(), 0));
    read_whole();
    cr_assert(ops->blob_unpin(store, &download.pin)); /* the end would wake the writer */
    cr_assert(eq(u64, empty_trash(), 1));
    OK(download_read(&download, 0, got, sizeof got, &n));
    cr_assert(eq(sz, n, 0));
    done();
}

Test(download, does_not_begin_when_its_message_went_since_it_was_seen)
{
    struct store_entry next;

    purge("big", 1, 10);
    cr_assert(eq(int, download_start(&download, &broker, &f, &m), ERR_NOT_FOUND));
    cr_assert(f.open); /* on what is there now */
    f.positioned = false;
    OK(fetch_next(&f, 0, &next));
    cr_assert(eq(u64, next.offset, 1));
    fetch_end(&f);
    cr_assert(eq(u64, empty_trash(), 1)); /* nothing is pinned */
    done();
}

Test(download, does_not_begin_when_its_message_expired_since_it_was_seen)
{
    clock_fake_wall_ms(NOW + 1000);
    cr_assert(eq(int, download_start(&download, &broker, &f, &m), ERR_NOT_FOUND));
    cr_assert(f.open);
    done();
}

Test(download, does_not_begin_in_a_later_life_of_the_topic)
{
    delete_topic("big");
    publish("big", "x", 3, 0);
    cr_assert(eq(int, download_start(&download, &broker, &f, &m), ERR_NOT_FOUND));
    cr_assert(not(f.open));
    done();
}

Test(download, does_not_begin_when_its_topic_went)
{
    delete_topic("big");
    cr_assert(eq(int, download_start(&download, &broker, &f, &m), ERR_NOT_FOUND));
    cr_assert(not(f.open));
    done();
}

Test(download, without_grace_keeps_nothing)
{
    config.download_grace_ms = 0;
    OK(download_start(&download, &broker, &f, &m));
    fetch_end(&f);
    read_whole(); /* the message is there */
    purge("big", 1, 10);
    OK(ops->begin(store));
    struct store_step step;
    OK(ops->trash_step(store, clock_mono_ms(), 10, &step));
    OK(ops->commit(store));
    cr_assert(eq(u64, step.messages, 1));
    download_end(&download);
    download_end(&download); /* once is enough, twice is harmless */
    done();
}
