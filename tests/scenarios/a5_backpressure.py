#!/usr/bin/env python3
"""A5: publishers offer many times the publish buffer to a disk that is slow.

The buffer's gauge never passes its limit, memory stays a number, nobody is reset, whoever is
answered 201 is stored, whoever is not was told so, and the rest of the broker stays alive.

Guards: a buffer for all that is offered, and bodies held whole, for the four floods; clients
that do not stand in line for `fairness`; no min_body_rate for `slow loris`; no limit to a message
for `sizes`; no sight of a client that hangs up for `leave`; a SIGTERM that ends the program at
once for `sigterm`. Fairness is judged with small messages: of 5 MiB ones nobody would get two.
"""
import os
import threading
import time

from scenario import (KiB, MiB, Part, Prober, Sampler, ScenarioBroker, main, mib, missing, post,
                      settled, start_hammer, start_play, until)


class Load5:
    """The load of the two profiles. CI: a sixteenth of the buffer, the same ratio to it."""

    def __init__(self, c):
        self.cap = c.pick(4 * MiB, 64 * MiB)
        self.size = c.pick(1 * MiB, 5 * MiB)
        self.connections = c.pick(150, 500)
        self.rate = c.pick(16000000, 20000000)
        self.window = c.pick(5, 10)
        self.batch = c.pick(2 * MiB, 16 * MiB)


def broker(c, load, slow=True, **settings):
    s = {"publish_buffer": load.cap, "publish_wait_max": c.pick("3s", "30s"), "memory_limit": "512MiB",
         "max_batch_bytes": load.batch}
    s.update(settings)
    return ScenarioBroker(slowdisk=load.rate if slow else None, **s)


# The protection off: a buffer that takes whatever is offered, and bodies held whole.
BOUNDLESS = {"memory_limit": "12GiB", "publish_buffer": "4GiB", "inline_max": "8MiB", "max_batch_bytes": "16MiB"}


def check_statuses(c, f):
    good = {"201", "429", "503"}
    other = {k: v for k, v in f["status"].items() if k not in good}
    c.report.check("every request: 201, 429 or 503", not other and f["status"].get("201"), str(f["status"]))
    c.report.check("no reset, no silence", not f["errors"], str(f["errors"] or "none"))


def check_progress(c, load, disk, sampler, since, until_):
    """The disk is never idle: the shim knows what was written. And what is written is stored: the
    broker counts that at each commit, so a window may miss the bytes of one. Windows of the short
    profile are too short for that, and its disk is not its own: there it is a figure."""
    least, bound = slowest(disk, load.window) / 1e6, 0.9 * load.rate / 1e6
    c.report.least("disk busy, slowest %d s window" % load.window, least, bound, megabytes)
    c.report.key("disk %.1f of %.0f MB/s" % (least, load.rate / 1e6))
    points = [(s["t"], s["commit_bytes_total"]) for s in sampler.between(since, until_)]
    stored = (slowest(points, load.window) + load.batch / load.window) / 1e6
    if c.full:
        c.report.least("stored, slowest %d s window" % load.window, stored, bound, megabytes)
    else:
        c.report.figure("stored, slowest %d s window" % load.window, megabytes(stored))


def megabytes(v):
    return "%.1f MB/s" % v


def slowest(points, seconds):
    return min((b[1] - a[1]) / (b[0] - a[0]) for a, b in windows(points, seconds))


def check_share(c, b, f, before):
    """What was written is messages, not the store's own pages."""
    share = f["status"].get("201", 0) * Load5(c).size / max(1, b.disk_written() - before)
    c.report.least("messages' share of the bytes written", share, 0.9, lambda v: "%.2f" % v)


def windows(points, seconds):
    for i, a in enumerate(points):
        for b in points[i:]:
            if b[0] - a[0] >= seconds:
                yield a, b
                break


def check_memory(c, load, sampler, idle):
    report = c.report
    report.most("gauge, at every sample", int(sampler.most("publish_buffer_bytes")), load.cap, mib, close=False)
    report.most("gauge, high-water mark", int(sampler.most("publish_buffer_high_water_bytes")), load.cap, mib, close=False)
    report.most("RssAnon, most", sampler.most("RssAnon"),
                idle + load.cap + load.connections * 32 * KiB + 32 * MiB, mib)


def check_waiting(c, load, sampler, since, until_):
    inside = sampler.between(since, until_)
    seconds = inside[-1]["t"] - inside[0]["t"]
    moves = sum(inside[-1][k] - inside[0][k] for k in ("publish_waited_total", "suspensions_total"))
    c.report.check("publishers suspended while saturated", sampler.most("publish_waiting", since, until_) > 0,
                   int(sampler.most("publish_waiting", since, until_)), "> 0")
    c.report.most("suspensions per connection and second", moves / load.connections / seconds, 20.0,
                  lambda v: "%.2f" % v)


class Impatient(threading.Thread):
    """One message after the other that agrees to wait for a second: then 503, not before, and it
    is told when to come back."""

    def __init__(self, b):
        super().__init__(daemon=True)
        self.b, self.ended, self.error = b, threading.Event(), None
        self.statuses, self.waits, self.untold = {}, [], 0

    def run(self):
        try:
            while not self.ended.is_set():
                began = time.monotonic()
                a = self.b.publish("flood", b"x" * 20000, {"Prefer": "wait=1"})
                self.statuses[a.status] = self.statuses.get(a.status, 0) + 1
                if a.status != 201:
                    self.waits.append(time.monotonic() - began)
                    self.untold += not (a.header("Retry-After") or "").isdigit()
        except OSError as e:
            self.error = e

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def check(self, report):
        report.check("who waits 1 s at most: 503 with Retry-After, not before", self.waits and not self.untold and
                     not self.error and min(self.waits) >= 0.95 and not set(self.statuses) - {201, 503},
                     str(self.statuses), "after %.2f s %s" % (min(self.waits, default=0), self.error or ""))


def flood(c, seconds, chunked=False, **settings):
    load = Load5(c)
    if c.guard:
        settings = BOUNDLESS
    with broker(c, load, **settings) as b:
        idle, fds = b.rss_anon(), b.open_fds()
        path = os.path.join(b.folder.name, "acks")
        with Sampler(b) as sampler, Prober(b, "/healthz") as health, Prober(b, "/metrics") as metrics, \
                Prober(b, "/v1/topics/quiet/messages?wait=50ms") as poll, Impatient(b) as impatient:
            began, written, before = time.monotonic(), [], b.disk_written()
            h = start_hammer("publish", b, connections=load.connections, seconds=seconds, size=load.size,
                             topic="flood", acks=path, chunked=chunked, grace=90)
            while time.monotonic() < began + seconds:
                if time.monotonic() > began + 1:
                    written.append((time.monotonic(), b.disk_written()))
                time.sleep(0.2)
            ended = time.monotonic()
            f = h.wait()
            over = time.monotonic()
            until(lambda: b.metric("sluice_publish_waiting") == 0 or time.monotonic() > over + 6, 8)
            c.report.most("after it: seconds until nobody waits", time.monotonic() - over, 5.0, lambda v: "%.2f" % v)
        check_memory(c, load, sampler, idle)
        check_waiting(c, load, sampler, began + 1, ended)
        check_progress(c, load, written, sampler, began + 1, ended)
        check_share(c, b, f, before)
        check_statuses(c, f)
        impatient.check(c.report)
        for name, p in (("/healthz", health), ("/metrics", metrics), ("empty long-poll of 50 ms", poll)):
            c.report.timing("p99 of " + name, p.quantile(), 250 if p is not poll else 300, stall=2000)
        c.report.key("p99 of /healthz %.0f ms" % health.quantile())
        c.report.figure("publish p50, p99", "%.0f, %.0f ms" % (f["latency_ms"]["p50"], f["latency_ms"]["p99"]))
        sampler.save(c, "a5-flood-" + c.report.title.split()[-1])
        if c.guard:
            b.kill()
            return
        b.disk("rate 0")
        lost, looked = missing(b, path)
        c.report.check("every 201 is there, byte by byte", not lost and looked, "%d" % looked, str(lost[:3] or ""))
        settled(b, 5, c.report, "after it: nothing held", fds)


def declared_streamed(c):
    flood(c, c.pick(8, 120))


def declared_whole(c):
    """Above all, a body that is held whole is reserved whole before it is read."""
    flood(c, c.pick(7, 60), inline_max=c.pick("1MiB", "5MiB"))


def chunked_streamed(c):
    flood(c, c.pick(7, 60), chunked=True)


def chunked_whole(c):
    """No length is declared: what is reserved as it comes must not lock others out."""
    flood(c, c.pick(7, 60), chunked=True, inline_max=c.pick("1MiB", "5MiB"))


def fairness(c):
    """Everybody gets about the same. In the guard 20 clients never stand in line."""
    load = Load5(c)
    with broker(c, load) as b:
        options = {"seconds": c.pick(6, 90), "size": "60KiB", "topic": "fair", "grace": 60}
        rude = start_hammer("publish", b, connections=20, prefer_wait=0, run=1, **options) if c.guard else None
        f = start_hammer("publish", b, connections=load.connections, **options).wait()
        spread, least = f["per_connection"], f["per_connection"]["min"]
        if rude:
            least = min(least, rude.wait()["per_connection"]["min"])
        c.report.least("median of messages per connection", spread["median"], 4)
        c.report.least("slowest connection, messages", least, spread["median"] / 4)
        c.report.key("slowest %d, median %d messages" % (least, spread["median"]))
        check_statuses(c, f)


def slow_loris(c):
    """20 clients declare large bodies and send a byte a second: they may not keep the buffer."""
    load = Load5(c)
    extra = {"min_body_rate": "0"} if c.guard else {}
    many = load.cap // (258 * KiB) + 5
    with broker(c, load, slow=False, publish_wait_max="30s", body_grace=c.pick("2s", "5s"), **extra) as b:
        fds = b.open_fds()
        began = time.monotonic()
        loris = start_play(b, [post("slow", 5 * MiB)] + ["fill 1", "pause 1000"] * 28 + ["answer 408,eof"],
                           connections=many, turns=many)
        until(lambda: b.metric("sluice_publish_waiting") > 0, 10, what="the buffer is pinned")
        c.report.figure("slow clients", many, "pin %s" % mib(b.metric("sluice_publish_buffer_bytes")))
        a = b.publish("normal", b"x" * 1000, {"Prefer": "wait=%d" % c.pick(8, 30)})
        waited = time.monotonic() - began
        c.report.check("a normal publish meanwhile", a.status == 201, a.status, "201")
        c.report.most("it waited, seconds", waited, c.pick(8.0, 30.0), lambda v: "%.1f" % v)
        bound = c.pick(12, 30)
        settled(b, max(0.1, bound - (time.monotonic() - began)), c.report,
                "all evicted in time", fds, slack=3)
        loris.kill()


def sizes(c):
    load = Load5(c)
    limit = 4 * load.cap
    with broker(c, load, max_message_bytes=limit if not c.guard else 8 * limit, min_body_rate="0") as b:
        b.disk("hold 1")
        full = start_hammer("publish", b, connections=load.connections, requests=load.connections, seconds=0,
                            size="100KiB" if not c.full else load.size, topic="full", grace=60)
        until(lambda: b.metric("sluice_publish_waiting") > 0, 20, what="the buffer is full")
        began = time.monotonic()
        with b.client() as k:
            k.send(k.head("POST", "/v1/topics/t/messages", {"Content-Length": str(limit + 1)}))
            a = k.answer()
        c.report.check("over max_message_bytes while full: refused", a.status == 413, a.status, "413")
        c.report.timing("... at once", (time.monotonic() - began) * 1000, 250, stall=2000)
        b.disk("rate 0")
        f = full.wait()
        check_statuses(c, f)
        body = os.urandom(1 * MiB) * (2 * load.cap // MiB)
        with Sampler(b, 0.05) as sampler:
            a = b.publish("large", body)
            c.report.check("twice the whole buffer streams through", a.status == 201, a.status, "201")
            back = b.message("large", 0).body
        c.report.check("... and comes back equal", back == body, mib(len(back)))
        c.report.most("... gauge meanwhile", int(sampler.most("publish_buffer_bytes")), load.cap, mib, close=False)
        settled(b, 2, c.report, "after it: nothing held")


def leave(c):
    """300 clients stand in line and die. A suspended connection has no timeout of its own."""
    load = Load5(c)
    extra = {"disarm": "hangup", "publish_wait_max": "1h"} if c.guard else {}
    with broker(c, load, slow=False, min_body_rate="0", **extra) as b:
        fds, held = b.open_fds(), []
        while b.metric("sluice_publish_waiting") == 0:
            k = b.client()
            k.send(k.head("POST", "/v1/topics/t/messages", {"Content-Length": str(5 * MiB)}))
            held.append(k)
            time.sleep(0.005)
        line = [b.client() for _ in range(300)]
        for k in line:
            k.send(k.head("POST", "/v1/topics/t/messages", {"Content-Length": str(5 * MiB)}) + b"x" * 1000)
        until(lambda: b.metric("sluice_publish_waiting") >= 300, 10, what="300 wait")
        for k in line:
            k.close()
        began = time.monotonic()
        while b.metric("sluice_publish_waiting") > 1 and time.monotonic() < began + 5:
            time.sleep(0.05)
        c.report.figure("300 die in line: seconds until forgotten", "%.2f" % (time.monotonic() - began))
        c.report.most("300 died in line: still waiting", int(b.metric("sluice_publish_waiting")), 1, close=False)
        if c.guard:
            b.kill()
            return
        for k in held:
            k.close()
        settled(b, 2, c.report, "the others close: nothing held", fds)


def sigterm(c):
    """The large ones are long under way before the first is stored; the small ones that begin with
    them are answered at once, and must be there afterwards as well."""
    load = Load5(c)
    with broker(c, load, disarm="sigterm" if c.guard else None) as b:
        paths = [os.path.join(b.folder.name, name) for name in ("small", "large")]
        options = {"seconds": 300, "topic": "t", "until_lost": True, "grace": 1}
        small = start_hammer("publish", b, connections=20, size="4KiB", acks=paths[0], run=1, **options)
        until(lambda: b.metric("sluice_messages_accepted_total") > 0, 20, what="something is stored")
        large = start_hammer("publish", b, connections=load.connections, size=load.size, acks=paths[1], **options)
        until(lambda: b.metric("sluice_publish_waiting") > 0, 20, what="the buffer is full")
        time.sleep(c.pick(3, 15))
        status, took = b.end(30)
        c.report.equal("SIGTERM while saturated: status", status, 0)
        c.report.most("... seconds to the end", took, 10.0, lambda v: "%.1f" % v)
        c.report.figure("answers until then, large; small", str(large.stop()["status"]), str(small.stop()["status"]))
        b.environment["SLOWDISK_BYTES_PER_S"] = "0"
        b.start()
        found = [missing(b, p) for p in paths if os.path.exists(p)]
        lost, looked = sum((x[0] for x in found), []), sum(x[1] for x in found)
        c.report.check("acknowledged and there after the start", not lost and looked, looked, str(lost[:3] or ""))
        settled(b, 2, c.report, "after the start: nothing held")


FLOODED = ["gauge, at every sample", "RssAnon, most"]  # what fails without the buffer's bound

if __name__ == "__main__":
    main("A5 back-pressure", [
        Part("declared, streamed", declared_streamed, fails=FLOODED, takes=(12, 200)),
        Part("declared, whole", declared_whole, fails=FLOODED, takes=(11, 110)),
        Part("chunked, streamed", chunked_streamed, fails=FLOODED, takes=(11, 140)),
        Part("chunked, whole", chunked_whole, fails=FLOODED, takes=(11, 110)),
        Part("fairness", fairness, fails=["slowest connection, messages"], takes=(7, 95)),
        Part("slow loris", slow_loris, fails=["all evicted in time"], takes=(4, 10)),
        Part("sizes", sizes, fails=["over max_message_bytes while full: refused"], takes=(1, 130)),
        Part("leave", leave, fails=["300 died in line: still waiting"], takes=(1, 3)),
        Part("sigterm", sigterm, fails=["SIGTERM while saturated: status"], takes=(5, 25)),
    ])
