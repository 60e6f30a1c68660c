#!/usr/bin/env python3
"""A message of 2 GiB passes in and out of a broker of 64 MiB, while others go on.

20 publishers of 1 KiB and the 20 readers that wait for them run beside it. The broker keeps to
its memory, the large message comes back with its checksum, its length and any part of it, the
small ones keep their times, and once it is deleted its room in the store is free again.

Without its protection the same bytes come as messages of 16 MiB, the most that inline_max can
be, and each is held whole: memory must then pass the bound.
"""
import time

from scenario import GiB, MiB, Part, Sampler, ScenarioBroker, is_sanitized, main, mib, quantile, settled, until
from large import crc_of, download, result, slice_of, upload
from pairs import Pairs
from readers import in_child

PAIRS, RATE = 20, 10  # messages a second for each
MEMORY = 64 * MiB
WHOLE = 16 * MiB
BOUNDLESS = {"memory_limit": "8GiB", "publish_buffer": "4GiB", "inline_max": WHOLE, "max_batch_bytes": "64MiB"}


def times(figures, of, since, until_):
    return [ms for f in figures for t, ms in f[of] if since <= t <= until_]


def check_large(c, size, up, down):
    r = c.report
    r.check("%s in: 201" % mib(size), up["status"] == 201, up["status"],
            "%.1f s %s" % (up["seconds"], up["text"] if up["status"] != 201 else ""))
    r.equal("... and out: Content-Length", down.get("length"), size)
    r.check("... all of it, checksum equal", down["status"] == 200 and down["got"] == size and down["crc"] == crc_of(size),
            mib(down["got"]), "%.1f s, status %s %s" % (down["seconds"], down["status"], down["text"]))
    r.key("in %.0f, out %.0f MB/s" % (size / up["seconds"] / 1e6, down["got"] / down["seconds"] / 1e6))


def check_parts(c, b, size):
    """In the middle, across two MiB; the last bytes; and past the end."""
    start = size // 2 - 123457
    end = start + 3 * MiB
    a = b.message("large", 0, {"Range": "bytes=%d-%d" % (start, end - 1)})
    c.report.check("a range in the middle: 206, equal",
                   a.status == 206 and a.body == slice_of(start, end) and
                   a.header("Content-Range") == "bytes %d-%d/%d" % (start, end - 1, size),
                   a.status, a.header("Content-Range") or "")
    a = b.message("large", 0, {"Range": "bytes=-1000"})
    c.report.check("the last 1000 bytes: 206, equal", a.status == 206 and a.body == slice_of(size - 1000, size), a.status)
    c.report.equal("a range past the end", b.message("large", 0, {"Range": "bytes=%d-" % size}).status, 416)


def check_small(c, figures, alone, beside):
    r = c.report
    sent = sum(len(f["published"]) for f in figures)
    read = sum(len(f["delivered"]) for f in figures)
    errors = [f["error"] for f in figures if f["error"]]
    r.check("small ones: each 201, each read once and in order",
            sent and sent == read and not errors and not any(f["wrong"] for f in figures), "%d, %d read" % (sent, read),
            str(errors[:1] or ""))
    for name, of in (("publish", "published"), ("delivery", "delivered")):
        before, during = times(figures, of, *alone), times(figures, of, *beside)
        r.timing("p99 of a %s beside it" % name, quantile(during), max(250, 2 * quantile(before)), stall=2000)
        r.figure("... p50, p99 alone; beside it", "%.1f, %.1f ms" % (quantile(before, 0.5), quantile(before)),
                 "%.1f, %.1f ms" % (quantile(during, 0.5), quantile(during)))
        r.key("%s p99 %.0f ms, alone %.0f" % (name, quantile(during), quantile(before)))


def check_memory(c, b, sampler):
    r = c.report
    if not is_sanitized():
        r.most("RssAnon, most", sampler.most("RssAnon"), MEMORY, mib)
    for buffer in ("publish_buffer", "read_buffer"):
        high = max(sampler.most(buffer + "_bytes"), sampler.most(buffer + "_high_water_bytes"))
        r.most(buffer + ", most", int(high), b.setting_bytes(buffer), mib)
    r.most("oldest reader of the store, seconds", sampler.most("store_oldest_reader_seconds"), 1.0, lambda v: "%.3f" % v)


def delete(c, b, used):
    """All of it, the small ones as well, so that nothing of the load is left to be counted."""
    before, began = b.metric("sluice_store_used_bytes"), time.monotonic()
    for name in ["large"] + ["small-%d" % i for i in range(PAIRS)]:
        assert b.ask("DELETE", "/v1/topics/" + name).status == 204, name
    # Tables that have grown; and LMDB lists its free pages in the file, 8 bytes for each.
    bound = used + 1 * MiB + before / 4096 * 8
    until(lambda: b.metric("sluice_store_used_bytes") <= bound or time.monotonic() > began + 30, 40)
    c.report.most("deleted: the store's used bytes", b.metric("sluice_store_used_bytes"), bound, mib, close=False)
    c.report.figure("... it was, and took", mib(before), "%.1f s" % (time.monotonic() - began))


def large_message(c):
    size = c.pick(512 * MiB, 2 * GiB)
    with ScenarioBroker(memory_limit="64MiB", max_message_bytes="4GiB", map_size="16GiB") as b:
        fds, used = b.open_fds(), b.metric("sluice_store_used_bytes")
        with Sampler(b, 0.1) as sampler:
            pairs = Pairs(b.port, "small", PAIRS, RATE)
            until(lambda: b.metric("sluice_messages_accepted_total") >= 5 * PAIRS, 20, what="the small ones go")
            alone = time.monotonic(), time.monotonic() + c.pick(3, 10)
            time.sleep(alone[1] - alone[0])
            up = result(*in_child(upload, b.port, "large", size))
            down = result(*in_child(download, b.port, "/v1/topics/large/messages/0"))
            beside = alone[1], time.monotonic()
            check_parts(c, b, size)
            figures = pairs.stop()
            delete(c, b, used)
        check_large(c, size, up, down)
        check_small(c, figures, alone, beside)
        check_memory(c, b, sampler)
        settled(b, 2, c.report, "after it: nothing held", fds)
        sampler.save(c, "large-message")


def held_whole(c):
    """For the guard only: the same bytes at once, in messages that are held whole."""
    with ScenarioBroker(**BOUNDLESS) as b:
        with Sampler(b, 0.05) as sampler:
            children = [in_child(upload, b.port, "large", WHOLE) for _ in range(512 * MiB // WHOLE)]
            for child in children:
                result(*child)
        check_memory(c, b, sampler)


if __name__ == "__main__":
    main("Large message", [
        Part("in and out", large_message, takes=(15, 60)),
        Part("held whole", held_whole, fails=["RssAnon, most"], guard_only=True, takes=(0, 10)),
    ])
