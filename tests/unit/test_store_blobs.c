/* Large bodies: chunks that nobody sees until a record names them, and that nobody
 * loses. */
#include "store_fixture.h"

TestSuite(store_blobs, .init = given_an_empty_store, .fini = then_it_is_gone);

static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

/* Its own transaction per chunk, like a slow upload. */
static uint64_t upload(uint64_t size)
{
    static uint8_t chunk[STORE_CHUNK_BYTES];
    uint64_t id, at = 0;

    OK(ops->begin(store));
    OK(ops->blob_begin(store, &id));
    OK(ops->commit(store));
    for (uint32_t n = 0; at < size; n++) {
        size_t len = size - at < sizeof chunk ? (size_t)(size - at) : sizeof chunk;

        for (size_t i = 0; i < len; i++)
            chunk[i] = byte_at(at + i);
        OK(ops->begin(store));
        OK(ops->blob_write(store, id, n, bytes_of(chunk, len)));
        OK(ops->commit(store));
        at += len;
    }
    return id;
}

static enum err name_blob(uint64_t id, uint64_t size, int64_t expires_ms)
{
    struct record r = {
        .time_ms = 1, .expires_ms = expires_ms, .blob_id = id, .blob_size = size};
    uint64_t offset;
    enum err e;

    OK(ops->begin(store));
    e = ops->append(store, topic("big"), &r, &offset);
    OK(ops->commit(store));
    return e;
}

static size_t read_part(uint64_t id, uint64_t at, size_t len)
{
    static uint8_t part[400000];
    size_t got;

    OK(ops->read_begin(reader, 1));
    OK(ops->read_blob(reader, id, at, part, len, &got));
    ops->read_end(reader);
    for (size_t i = 0; i < got; i++)
        if (part[i] != byte_at(at + i))
            cr_fatal("byte %zu after %llu is wrong", i, (unsigned long long)at);
    return got;
}

Test(store_blobs, gives_a_blob_back_from_any_position)
{
    uint64_t size = 3 * STORE_CHUNK_BYTES + 17, id = upload(size);

    OK(name_blob(id, size, 0));
    nothing_is_lost();
    reopen();
    cr_assert(eq(sz, read_part(id, 0, 400000), size));
    cr_assert(eq(sz, read_part(id, STORE_CHUNK_BYTES - 3, 7), 7));
    cr_assert(eq(sz, read_part(id, size - 5, 100), 5));
    cr_assert(eq(sz, read_part(id, size, 100), 0));
    cr_assert(eq(sz, read_part(id, size * 2, 100), 0));
    cr_assert(eq(u64, state("big").live_bytes, size));
}

Test(store_blobs, ends_a_blob_of_whole_chunks_where_it_ends)
{
    uint64_t size = 2 * STORE_CHUNK_BYTES, id = upload(size);

    OK(name_blob(id, size, 0));
    cr_assert(eq(sz, read_part(id, size - 4, 100), 4));
    nothing_is_lost();
}

Test(store_blobs, drops_an_upload_that_nobody_finished)
{
    uint64_t id = upload(3 * STORE_CHUNK_BYTES);

    cr_assert(not(stats().trash));
    reopen();
    cr_assert(stats().trash);
    cr_assert(eq(u64, empty_trash(), 3));
    cr_assert(eq(sz, read_part(id, 0, 10), 0));
    cr_assert(eq(int, name_blob(id, 5, 0), ERR_NOT_FOUND));
    nothing_is_lost();
}

Test(store_blobs, drops_an_upload_when_told)
{
    uint64_t id = upload(STORE_CHUNK_BYTES + 1);

    OK(ops->begin(store));
    OK(ops->blob_drop(store, id));
    cr_assert(eq(int, ops->blob_drop(store, id), ERR_NOT_FOUND));
    cr_assert(eq(int, ops->blob_write(store, id, 2, bytes_str("x")), ERR_NOT_FOUND));
    OK(ops->commit(store));
    cr_assert(eq(u64, empty_trash(), 2));
}

Test(store_blobs, frees_the_chunks_of_a_record_that_expired_or_was_removed)
{
    uint64_t size = 2 * STORE_CHUNK_BYTES;
    struct store_step step;

    OK(name_blob(upload(size), size, 2000));
    OK(name_blob(upload(size), size, 0));
    OK(name_blob(upload(size), size, 0));
    step = expire(2000, 10);
    cr_assert(eq(u64, step.messages, 1));
    cr_assert(eq(u64, step.bytes, size));
    cr_assert(eq(u64, purge("big", 2, 10).bytes, size));
    nothing_is_lost();
    delete_topic("big");
    cr_assert(eq(u64, empty_trash(), 2 + 2 + 2 + 1)); /* and the record of the topic */
    nothing_is_lost();
}

Test(store_blobs, never_gives_a_blob_id_twice)
{
    uint64_t first = upload(10), second;

    reopen();
    empty_trash();
    second = upload(10);
    cr_assert(ne(u64, first, second));
}

/* ---- blobs that somebody reads ---- */

static struct store_pin pinned(uint64_t id, int64_t until_ms)
{
    return (struct store_pin){ .blob_id = id, .until_ms = until_ms };
}

static struct store_step trash_at(int64_t now_ms)
{
    struct store_step step;

    OK(ops->begin(store));
    OK(ops->trash_step(store, now_ms, 100, &step));
    OK(ops->commit(store));
    return step;
}

/* A message in three chunks, pinned until 5000, and gone. */
static uint64_t given_a_pinned_blob_in_the_trash(struct store_pin *pin)
{
    uint64_t size = 3 * STORE_CHUNK_BYTES, id = upload(size);

    OK(name_blob(id, size, 2000));
    *pin = pinned(id, 5000);
    ops->blob_pin(store, pin);
    cr_assert(eq(u64, expire(2000, 10).messages, 1));
    return id;
}

Test(store_blobs, keeps_a_pinned_blob_whole_until_it_is_unpinned)
{
    struct store_pin pin;
    uint64_t empty = stats().used_bytes, full;
    uint64_t id = given_a_pinned_blob_in_the_trash(&pin);
    struct store_step step = trash_at(1);

    full = stats().used_bytes;
    cr_assert(ge(u64, full, empty + 3 * 128 * 1024));
    cr_assert(eq(u64, step.messages, 0));
    cr_assert(not(step.more)); /* or the writer would try for ever */
    cr_assert(eq(u64, step.held, 1));
    cr_assert(eq(i64, step.held_until_ms, 5000));
    cr_assert(eq(sz, read_part(id, 0, 400000), 3 * STORE_CHUNK_BYTES));
    nothing_is_lost();
    cr_assert(ops->blob_unpin(store, &pin));
    step = trash_at(1);
    cr_assert(eq(u64, step.messages, 3));
    cr_assert(eq(u64, step.held, 0));
    cr_assert(eq(i64, step.held_until_ms, 0));
    cr_assert(eq(sz, read_part(id, 0, 10), 0));
    cr_assert(le(u64, stats().used_bytes + 3 * 128 * 1024, full));
    cr_assert(not(stats().trash));
    nothing_is_lost();
}

Test(store_blobs, a_pin_past_its_time_keeps_nothing)
{
    struct store_pin pin;

    given_a_pinned_blob_in_the_trash(&pin);
    cr_assert(eq(u64, trash_at(4999).messages, 0));
    cr_assert(eq(u64, trash_at(5000).messages, 3));
    cr_assert(not(ops->blob_unpin(store, &pin)));
    nothing_is_lost();
}

Test(store_blobs, the_last_of_several_readers_gives_a_blob_free)
{
    struct store_pin first, second, late;
    uint64_t id = given_a_pinned_blob_in_the_trash(&first);

    second = pinned(id, 3000);
    ops->blob_pin(store, &second);
    cr_assert(eq(i64, trash_at(1).held_until_ms, 3000)); /* then it is worth a look */
    cr_assert(eq(i64, trash_at(3000).held_until_ms, 5000));
    late = pinned(id, 9000); /* and no step has seen it */
    ops->blob_pin(store, &late);
    cr_assert(not(ops->blob_unpin(store, &second)));
    cr_assert(not(ops->blob_unpin(store, &first)));
    cr_assert(ops->blob_unpin(store, &late));
    cr_assert(not(ops->blob_unpin(store, &late))); /* twice is harmless */
    cr_assert(eq(u64, trash_at(1).messages, 3));
}

Test(store_blobs, who_unpins_a_blob_that_lives_wakes_nobody)
{
    uint64_t size = STORE_CHUNK_BYTES, id = upload(size);
    struct store_pin pin = pinned(id, 5000);

    OK(name_blob(id, size, 0));
    ops->blob_pin(store, &pin);
    trash_at(1);
    cr_assert(not(ops->blob_unpin(store, &pin)));
    cr_assert(eq(sz, read_part(id, 0, 400000), size));
}

Test(store_blobs, a_step_passes_pinned_blobs_and_frees_what_lies_behind)
{
    uint64_t size = STORE_CHUNK_BYTES, last = 0;
    struct store_pin pins[40];
    struct store_step step;

    for (int i = 0; i < 40; i++) {
        pins[i] = pinned(upload(size), 5000 + i);
        OK(name_blob(pins[i].blob_id, size, 2000));
        ops->blob_pin(store, &pins[i]);
    }
    last = upload(size);
    OK(name_blob(last, size, 2000));
    cr_assert(eq(u64, expire(2000, 100).messages, 41));
    step = trash_at(1);
    cr_assert(eq(u64, step.messages, 1));
    cr_assert(eq(u64, step.held, 40));
    cr_assert(eq(i64, step.held_until_ms, 5000));
    cr_assert(not(step.more));
    cr_assert(eq(sz, read_part(last, 0, 10), 0));
    for (int i = 0; i < 40; i += 2)
        cr_assert(ops->blob_unpin(store, &pins[i]));
    cr_assert(eq(u64, empty_trash(), 20));
    for (int i = 1; i < 40; i += 2)
        cr_assert(eq(sz, read_part(pins[i].blob_id, 0, 400000), size));
    for (int i = 1; i < 40; i += 2)
        ops->blob_unpin(store, &pins[i]);
    cr_assert(eq(u64, empty_trash(), 20));
    nothing_is_lost();
}

Test(store_blobs, keeps_a_pinned_blob_of_a_deleted_topic)
{
    uint64_t size = 2 * STORE_CHUNK_BYTES, kept = upload(size), other = upload(size);
    struct store_pin pin = pinned(kept, 5000);

    OK(name_blob(kept, size, 0));
    OK(name_blob(other, size, 0));
    ops->blob_pin(store, &pin);
    delete_topic("big");
    cr_assert(eq(u64, empty_trash(), 2 + 2)); /* two records, the other's chunks */
    cr_assert(eq(sz, read_part(kept, 0, 400000), size));
    nothing_is_lost();
    cr_assert(ops->blob_unpin(store, &pin));
    cr_assert(eq(u64, empty_trash(), 2));
}

Test(store_blobs, frees_nothing_that_a_snapshot_of_this_moment_still_shows)
{
    uint64_t size = 2 * STORE_CHUNK_BYTES, id = upload(size);
    struct store_pin pin = pinned(id, 5000);
    struct store_step step;

    OK(name_blob(id, size, 2000));
    OK(ops->begin(store));
    OK(ops->expire_step(store, 2000, 10, &step));
    OK(ops->trash_step(store, 1, 100, &step));
    cr_assert(eq(u64, step.messages, 0));
    cr_assert(step.more);
    ops->blob_pin(store, &pin); /* only now; and the record is there: */
    cr_assert(eq(u64, first_from("big", 0), 0));
    OK(ops->commit(store));
    cr_assert(eq(u64, empty_trash(), 0));
    cr_assert(eq(sz, read_part(id, 0, 400000), size));
    ops->blob_unpin(store, &pin);
    cr_assert(eq(u64, empty_trash(), 2));
}

Test(store_blobs, pins_do_not_outlive_the_store)
{
    struct store_pin pin;
    uint64_t id = given_a_pinned_blob_in_the_trash(&pin);

    trash_at(1);
    ops->blob_unpin(store, &pin);
    reopen();
    cr_assert(stats().trash);
    cr_assert(eq(u64, empty_trash(), 3));
    cr_assert(eq(sz, read_part(id, 0, 10), 0));
    nothing_is_lost();
}
