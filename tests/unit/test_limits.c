/* How memory_limit is shared out, and what is refused. */
#include "limits_fixture.h"

/* ---- what is derived ---- */

Test(limits, gives_256_mib_their_full_shares)
{
    PLANNED(0);
    cr_assert(eq(u64, c.memory_limit_bytes, 256 * MIB));
    cr_assert(eq(u64, c.publish_buffer_bytes, 64 * MIB));
    cr_assert(eq(u64, c.read_buffer_bytes, 32 * MIB));
    cr_assert(eq(u64, c.max_batch_bytes, 16 * MIB));
    cr_assert(eq(u64, c.topic_cache_bytes, 8 * MIB));
    cr_assert(eq(u64, c.connection_memory_bytes, 8 * KIB));
    cr_assert(ge(u64, c.max_connections, 10000));
    cr_assert(eq(u64, c.loops, 4));
}

Test(limits, takes_three_quarters_of_the_container)
{
    PLANNED(1024);
    cr_assert(eq(u64, c.memory_limit_bytes, 768 * MIB));
    cr_assert(eq(u64, l.container_bytes, 1024 * MIB));
}

Test(limits, carries_5000_parked_readers_and_200_publishers_in_a_container_of_64_mib)
{
    PLANNED(64);
    cr_assert(ge(u64, c.max_connections, 5240));
    cr_assert(ge(u64, c.publish_buffer_bytes, 2 * MIB));
    cr_assert(ge(u64, c.read_buffer_bytes, 2 * (6 * 128 + 280) * KIB));
    cr_assert(ge(u64, c.max_batch_bytes, 152 * KIB));
    cr_assert(eq(u64, c.receive_buffer_bytes, 16 * KIB));
}

Test(limits, takes_less_than_three_quarters_where_the_kernel_needs_more)
{
    PLANNED(64);
    cr_assert(lt(u64, c.memory_limit_bytes, 48 * MIB));
    cr_assert(ge(u64, c.memory_limit_bytes, 36 * MIB));
    PLANNED(64, "--max-connections", "1000");
    cr_assert(eq(u64, c.memory_limit_bytes, 48 * MIB));
}

Test(limits, leaves_out_the_container_where_there_is_none)
{
    PLANNED(0);
    cr_assert(eq(u64, l.container_bytes, 0));
    cr_assert(eq(u64, c.receive_buffer_bytes, 64 * KIB));
    cr_assert(eq(u64, l.parts[LIMITS_SOCKETS].limit_bytes,
                 c.max_connections * 2 * (64 + 64) * KIB));
}

Test(limits, works_in_24_mib)
{
    PLANNED(0, "--memory-limit", "24MiB");
    cr_assert(ge(u64, c.max_connections, 1000));
    cr_assert(ge(u64, c.publish_buffer_bytes, MIB));
    cr_assert(eq(u64, c.loops, 1));
}

Test(limits, works_in_the_least_memory_there_may_be)
{
    PLANNED(0, "--memory-limit", "16MiB");
    cr_assert(ge(u64, c.max_connections, 64));
    cr_assert(ge(u64, c.publish_buffer_bytes, MIB));
}

Test(limits, keeps_batches_and_json_small_in_4_gib)
{
    PLANNED(0, "--memory-limit", "4GiB");
    cr_assert(eq(u64, c.publish_buffer_bytes, 1024 * MIB));
    cr_assert(eq(u64, c.max_batch_bytes, 16 * MIB));
    cr_assert(eq(u64, l.parts[LIMITS_JSON].limit_bytes, 8 * MIB));
    cr_assert(ge(u64, c.max_connections, 99000));
    cr_assert(lt(u64, c.max_connections, 100000));
}

Test(limits, adds_up_at_every_size)
{
    for (uint64_t mib = 24; mib < 700; mib++)
        PLANNED(mib);
}

Test(limits, keeps_memory_for_what_checks_tokens_where_there_is_a_key)
{
    uint64_t without;

    PLANNED(1024);
    without = l.parts[LIMITS_FIXED].limit_bytes;
    PLANNED(1024, "--mercure-subscriber-jwt-key", "k");
    cr_assert(eq(u64, l.parts[LIMITS_FIXED].limit_bytes, without + 320 * KIB));
    PLANNED(64, "--mercure-publisher-jwt-key", "k");
    cr_assert(ge(u64, c.max_connections, 5180));
}

Test(limits, has_no_more_loops_than_its_memory_carries)
{
    struct limits_machine big = { 64 * MIB, 100000, 128 };

    cr_assert(eq(int, plan_on(&big, FLAGS()), ERR_OK));
    check_plan();
    cr_assert(eq(u64, c.loops, 2));
    cr_assert(ge(u64, c.max_connections, 5240));
}

Test(limits, takes_zero_loops_for_one_per_core)
{
    PLANNED(0, "--loops", "0");
    cr_assert(eq(u64, c.loops, 4));
}

Test(limits, pays_for_counting_the_connections_of_each_address)
{
    PLANNED(0, "--max-connections", "10000", "--max-connections-per-address", "50");
    cr_assert(eq(u64, l.parts[LIMITS_INDEXES].limit_bytes,
                 c.topic_cache_bytes + MIB + 10000 * (256 + LIMITS_ADDRESS_BYTES)));
}

Test(limits, keeps_to_the_descriptor_limit)
{
    struct limits_machine m = { 0, 1024, 4 };

    cr_assert(eq(int, plan_on(&m, FLAGS()), ERR_OK));
    check_plan();
    cr_assert(eq(u64, c.max_connections, 1024 - 64 - 4 * 8));
}

/* ---- what is given keeps its size, the rest makes place ---- */

Test(limits, keeps_a_small_publish_buffer_that_was_given)
{
    PLANNED(0, "--publish-buffer", "1MiB");
    cr_assert(eq(u64, c.publish_buffer_bytes, MIB));
    cr_assert(eq(u64, c.max_batch_bytes, 256 * KIB));
}

Test(limits, has_batches_that_carry_one_inline_message)
{
    PLANNED(0, "--publish-buffer", "512KiB");
    cr_assert(eq(u64, c.max_batch_bytes, 128 * KIB));
}

Test(limits, makes_place_for_a_large_publish_buffer)
{
    PLANNED(0, "--publish-buffer", "200MiB");
    cr_assert(eq(u64, c.publish_buffer_bytes, 200 * MIB));
    cr_assert(ge(u64, c.max_connections, 3000));
    cr_assert(ge(u64, c.read_buffer_bytes, MIB));
}

Test(limits, makes_place_for_many_connections)
{
    PLANNED(0, "--max-connections", "20000");
    cr_assert(eq(u64, c.max_connections, 20000));
    cr_assert(lt(u64, c.publish_buffer_bytes, 64 * MIB));
    cr_assert(ge(u64, c.publish_buffer_bytes, 8 * MIB));
}

Test(limits, carries_10100_connections_in_the_default)
{
    PLANNED(0, "--max-connections", "10100");
    cr_assert(eq(u64, c.publish_buffer_bytes, 64 * MIB));
}

Test(limits, makes_place_for_large_batches)
{
    PLANNED(0, "--max-batch-bytes", "70MiB");
    cr_assert(eq(u64, c.max_batch_bytes, 70 * MIB));
    cr_assert(ge(u64, c.publish_buffer_bytes, 70 * MIB));
}

Test(limits, makes_place_for_large_inline_messages)
{
    PLANNED(0, "--inline-max", "8MiB", "--publish-buffer", "8MiB");
    cr_assert(eq(u64, c.max_batch_bytes, 8 * MIB));
}

/* ---- what does not fit ---- */

Test(limits, refuses_more_memory_than_the_container_has)
{
    REFUSED(
        LIMITS_LINES,
        "memory_limit = 80MiB (--memory-limit) is more than the container has: 64MiB",
        64, "--memory-limit", "80MiB");
}

Test(limits, refuses_a_container_that_is_too_small)
{
    REFUSED(LIMITS_LINES,
            "the container's limit of 18MiB is too small: memory_limit starts at 16MiB, and "
            "the kernel needs some beside it",
            18);
}

Test(limits, refuses_a_memory_limit_that_leaves_the_kernel_nothing)
{
    REFUSED(LIMITS_LINES,
            "memory_limit = 60MiB (--memory-limit) does not fit: beside memory_limit = 60MiB "
            "the kernel needs 8MiB for 16 connections and file pages, and the container has "
            "64MiB; clients could get it killed",
            64, "--memory-limit", "60MiB");
}

Test(limits, refuses_a_memory_limit_with_connections_that_fit_only_without_the_kernel)
{
    PLANNED(0, "--memory-limit", "48MiB", "--max-connections", "5240");
    REFUSED(LIMITS_LINES,
            "memory_limit = 48MiB (--memory-limit) does not fit: beside memory_limit = 48MiB "
            "the kernel needs 28MiB for 5240 connections and file pages, and the container "
            "has 64MiB; clients could get it killed",
            64, "--memory-limit", "48MiB", "--max-connections", "5240");
}

Test(limits, refuses_connections_that_leave_too_little_memory)
{
    REFUSED(LIMITS_KERNEL,
            "max_connections = 12000 (--max-connections) does not fit: the kernel keeps 4KiB "
            "for each, and of the container's 64MiB less than 16MiB would be left for "
            "memory_limit",
            64, "--max-connections", "12000");
}

Test(limits, refuses_a_publish_buffer_above_the_memory)
{
    REFUSED(LIMITS_PUBLISH_BUFFER,
            "publish_buffer = 300MiB (--publish-buffer) does not fit: with it and the "
            "least "
            "of all else the budget needs 316MiB, and memory_limit is 256MiB",
            0, "--publish-buffer", "300MiB");
}

Test(limits, blames_the_one_that_is_furthest_above_its_share)
{
    REFUSED(LIMITS_CONNECTIONS,
            "max_connections = 30000 (--max-connections) does not fit: with it and the "
            "least "
            "of all else the budget needs 327MiB, and memory_limit is 256MiB",
            0, "--max-connections", "30000", "--publish-buffer", "32MiB");
}

Test(limits, blames_a_read_buffer_a_cache_and_loops_too)
{
    cr_assert(eq(int, plan(0, FLAGS("--read-buffer", "1GiB")), ERR_BAD_INPUT));
    cr_assert(eq(int, l.offender, LIMITS_READ_BUFFER));
    cr_assert(eq(int, plan(0, FLAGS("--topic-cache", "1GiB")), ERR_BAD_INPUT));
    cr_assert(eq(int, l.offender, LIMITS_INDEXES));
    cr_assert(eq(int, plan(0, FLAGS("--max-batch-bytes", "128MiB")), ERR_BAD_INPUT));
    cr_assert(eq(int, l.offender, LIMITS_WRITER));
    cr_assert(eq(int, plan(24, FLAGS("--loops", "64")), ERR_BAD_INPUT));
    cr_assert(eq(int, l.offender, LIMITS_FIXED));
    cr_assert(eq(int, plan(64, FLAGS("--inline-max", "16MiB")), ERR_BAD_INPUT));
    cr_assert(has(error, "inline_max = 16MiB"));
}

Test(limits, refuses_connections_above_the_descriptor_limit)
{
    struct limits_machine m = { 0, 1024, 4 };

    cr_assert(eq(int, plan_on(&m, FLAGS("--max-connections", "1000")), ERR_BAD_INPUT));
    cr_assert(eq(str, error,
                 "max_connections = 1000 and 96 descriptors of our own do not fit the "
                 "descriptor limit of 1024 (ulimit -n, LimitNOFILE)"));
    cr_assert(eq(int, l.offender, LIMITS_CONNECTIONS));
}

Test(limits, refuses_a_machine_without_descriptors)
{
    struct limits_machine m = { 0, 64, 4 };

    cr_assert(eq(int, plan_on(&m, FLAGS()), ERR_BAD_INPUT));
    cr_assert(has(error, "descriptor limit of 64"));
}

Test(limits, refuses_messages_larger_than_what_they_go_through)
{
    REFUSED(LIMITS_PUBLISH_BUFFER,
            "inline_max = 1MiB does not fit into publish_buffer = 512KiB "
            "(--publish-buffer)",
            0, "--inline-max", "1MiB", "--publish-buffer", "512KiB");
    REFUSED(LIMITS_WRITER,
            "max_batch_bytes = 2MiB does not fit into publish_buffer = 1MiB "
            "(--publish-buffer)",
            0, "--max-batch-bytes", "2MiB", "--publish-buffer", "1MiB");
    REFUSED(LIMITS_WRITER,
            "inline_max = 128KiB does not fit into max_batch_bytes = 64KiB "
            "(--max-batch-bytes)",
            0, "--max-batch-bytes", "64KiB");
    REFUSED(LIMITS_READ_BUFFER,
            "inline_max = 1MiB does not fit into read_buffer = 512KiB (--read-buffer)",
            0, "--inline-max", "1MiB", "--read-buffer", "512KiB");
}

/* ---- what is kept of the read buffer for hours ---- */

Test(limits, leaves_room_for_the_largest_page_beside_all_that_is_kept_of_the_read_buffer)
{
    for (uint64_t one = 1; one <= 1024; one *= 2)
        for (uint64_t read = 6 * one + 288; read < 64 * 1024; read += read / 3) {
            uint64_t share = limits_read_share(read * KIB, one * KIB);
            uint64_t page = one * 6 + 96 > 256 + 32 ? one * 6 + 96 : 256 + 32;

            if (read * KIB >= page * KIB + 3 * LIMITS_KEEP_LEAST)
                cr_assert(le(u64, LIMITS_KEEPERS * share + page * KIB, read * KIB));
            cr_assert(le(u64, share, read * KIB / 4));
            cr_assert(ge(u64, share, LIMITS_KEEP_LEAST));
        }
    cr_assert(eq(u64, limits_read_share(32 * MIB, 128 * KIB), 8 * MIB));
}

Test(limits, refuses_a_read_buffer_without_room_for_what_is_kept_of_it)
{
    REFUSED(LIMITS_READ_BUFFER,
            "read_buffer = 340KiB is too small for one message: with inline_max = 1KiB it "
            "must be at least 344KiB",
            0, "--inline-max", "1KiB", "--read-buffer", "340KiB");
    PLANNED(0, "--inline-max", "1KiB", "--read-buffer", "344KiB");
}

Test(limits, pays_for_push_where_there_is_memory_for_it)
{
    PLANNED(0, "--memory-limit", "36MiB");
    cr_assert(eq(u64, c.push_connections, 0));
    cr_assert(eq(u64, limits_push_bytes(&c), 0));
    PLANNED(0, "--memory-limit", "64MiB");
    cr_assert(eq(u64, c.push_connections, 4));
    PLANNED(0, "--memory-limit", "64MiB", "--publish-buffer", "45MiB", "--read-buffer", "10MiB",
            "--max-batch-bytes", "1MiB");
    cr_assert(eq(u64, c.push_connections, 0)); /* where it does not fit */
    PLANNED(0, "--memory-limit", "256MiB");
    cr_assert(eq(u64, c.push_connections, 16));
    cr_assert(eq(u64, limits_push_bytes(&c), (1280 + 16 * 80 + 500) * KIB));
    REFUSED(LIMITS_FIXED,
            "max_push_subscriptions = 100000 (--max-push-subscriptions) does not fit: with it and the "
            "least of all else the budget needs 56MiB, and memory_limit is 36MiB",
            0, "--memory-limit", "36MiB",
            "--push-connections", "2", "--max-push-subscriptions", "100000");
    PLANNED(0, "--memory-limit", "36MiB", "--push-connections", "2");
}
