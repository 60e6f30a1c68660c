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
