#!/usr/bin/env python3
"""apache/pulsar#24229: publishers by Pulsar's REST API push ten times faster than the disk takes.

What ten times is, is measured: first the disk is open and the same clients publish as fast as
they can, then it is slowed to a tenth of that (at most to A5's slow disk). The publish buffer's
gauge never passes its limit, memory stays a number, the disk is never idle, every answer is a 200
or a refusal with Retry-After and {"reason"}, every message of a 200 is there byte by byte, and the
rest of the broker stays alive. What is judged, and how, is A5's.

Guards: a buffer for all that is offered; for `sigterm`, a SIGTERM that ends the program at once.
"""
import os
import time

import a5_backpressure as a5
from scenario import (KiB, MiB, Part, Prober, Sampler, main, mib, missing, settled, start_hammer,
                      until)

TIMES = 10
PAYLOADS, PAYLOAD = 8, "60KiB"


class Load(a5.Load5):
    """A5's; a request is of eight payloads."""

    def __init__(self, c):
        super().__init__(c)
        self.size = PAYLOADS * 60 * KiB


def publish(b, load, seconds, **options):
    return start_hammer("publish", b, connections=load.connections, seconds=seconds, batch=PAYLOADS, size=PAYLOAD,
                        pulsar=True, topic="flood", **options)


def push(c, b, load):
    """Bytes a second that these clients get stored while the disk is open; then it is slow."""
    b.disk("rate 0")
    f = publish(b, load, c.pick(1.5, 10), grace=60).wait()
    pushed = f["bytes"] / f["seconds"]
    load.rate = int(min(load.rate, pushed / TIMES))
    b.disk("rate %d" % load.rate)
    c.report.figure("pushed while the disk was open", "%.0f MB/s" % (pushed / 1e6),
                    "slowed to %.1f MB/s, one in %.1f" % (load.rate / 1e6, pushed / load.rate))


def check_answers(c, f):
    r = c.report
    other = set(f["status"]) - {"200", "429", "503"}
    r.check("every request: 200, 429 or 503", not other and f["status"].get("200"), str(f["status"]))
    r.equal("refusals without Retry-After or reason", f["untold"], 0)
    r.check("no reset, no silence", not f["errors"], str(f["errors"] or "none"))


def check_share(c, f, written):
    """What was written is messages, not the store's own pages."""
    c.report.least("messages' share of the bytes written", f["bytes"] / max(1, written), 0.9, lambda v: "%.2f" % v)


def watch(b, seconds):
    """(when, bytes that the disk took), from one second on."""
    points, began = [], time.monotonic()
    while time.monotonic() < began + seconds:
        if time.monotonic() > began + 1:
            points.append((time.monotonic(), b.disk_written()))
        time.sleep(0.2)
    return points


def flood(c):
    load, seconds = Load(c), c.pick(8, 120)
    with a5.broker(c, load, **(a5.BOUNDLESS if c.guard else {})) as b:
        idle, fds, path = b.rss_anon(), b.open_fds(), os.path.join(b.folder.name, "acks")
        push(c, b, load)
        before = b.disk_written()
        probed = ("/healthz", "/metrics", "/v1/limits", "/v1/topics/quiet/messages?wait=50ms")
        probers = [Prober(b, p) for p in probed]
        with Sampler(b) as sampler, probers[0], probers[1], probers[2], probers[3]:
            began, h = time.monotonic(), publish(b, load, seconds, acks=path, run=1, grace=90)
            disk = watch(b, seconds)
            ended, f = time.monotonic(), h.wait()
            over = time.monotonic()
            until(lambda: b.metric("sluice_publish_waiting") == 0 or time.monotonic() > over + 6, 8)
        a5.check_memory(c, load, sampler, idle)
        a5.check_waiting(c, load, sampler, began + 1, ended)
        a5.check_progress(c, load, disk, sampler, began + 1, ended)
        check_share(c, f, b.disk_written() - before)
        check_answers(c, f)
        for p in probers:
            c.report.check("%s: every answer 200" % p.path, not p.wrong and p.times and not p.error, len(p.times))
            c.report.timing("p99 of " + p.path, p.quantile(), 300, stall=2000)
        c.report.figure("publish p50, p99", "%.0f, %.0f ms" % (f["latency_ms"]["p50"], f["latency_ms"]["p99"]))
        sampler.save(c, "pulsar-flood")
        if c.guard:
            b.kill()
            return
        b.disk("rate 0")
        lost, looked = missing(b, path)
        c.report.check("every message of a 200 is there, byte by byte", not lost and looked, looked, str(lost[:3] or ""))
        settled(b, 5, c.report, "after it: nothing held", fds)


def sigterm(c):
    """It is stopped in the middle: what was answered 200 is there after the next start."""
    load = Load(c)
    with a5.broker(c, load, disarm="sigterm" if c.guard else None) as b:
        path = os.path.join(b.folder.name, "acks")
        h = publish(b, load, 300, acks=path, until_lost=True, grace=1)
        until(lambda: b.metric("sluice_publish_waiting") > 0, 20, what="the buffer is full")
        time.sleep(c.pick(1.5, 15))
        status, took = b.end(30)
        c.report.equal("SIGTERM while saturated: status", status, 0)
        c.report.most("... seconds to the end", took, 10.0, lambda v: "%.1f" % v)
        f = h.stop()
        c.report.figure("answers until then", str(f["status"]))
        b.environment["SLOWDISK_BYTES_PER_S"] = "0"
        b.start()
        lost, looked = missing(b, path)
        c.report.check("answered 200 and there after the start", not lost and looked, looked, str(lost[:3] or ""))
        settled(b, 2, c.report, "after the start: nothing held")


if __name__ == "__main__":
    main("pulsar#24229 back-pressure", [
        Part("flood", flood, fails=a5.FLOODED, takes=(15, 180)),
        Part("sigterm", sigterm, fails=["SIGTERM while saturated: status"], takes=(4, 20)),
    ])
