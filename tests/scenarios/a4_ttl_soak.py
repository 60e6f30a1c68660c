#!/usr/bin/env python3
"""A4: publish, let expire, for a long time. Nothing grows.

Sizes are mixed, half of the topics have a reader, two of the others consumers of subscriptions who work, wait, die or have
gone; one request in a hundred is a bad one. The
counts must add up exactly: accepted = live + expired + removed, and every 201 is accepted.

Guards: no TTL, so that the store grows, for `soak`; and a broker that forgets a free() now and
then. The counts have no guard: no setting makes a broker count wrong.
"""
import threading
import time

from consumers import Consumers, held
from scenario import (GiB, KiB, MiB, Part, Sampler, ScenarioBroker, came_in_a_life, check_flat, is_sanitized, main, mib,
                      post, settled, start_hammer, start_play)

TOPICS, CONNECTIONS, SWEEP = 8, 32, 1.0
MIX = "70%1KiB,25%16KiB,5%256KiB"
MAP = 24 * GiB

# At least one request in a hundred is one of these; a turn is all of them.
BAD_TURNS = 30  # a second
BAD = [post("soak-0", 1 << 30), "answer 413", "close",
       post("soak-0", 10, "Content-Type: text/plain\\r\\n", "messages:batch"), "fill 10", "answer 415", "close",
       post("soak-0", 9, "Content-Type: application/json\\r\\n", "messages:batch"), "send [{\"data\":", "answer 400", "close",
       post("soak-0", 4096), "fill 1000", "close",
       post("soak-0", 300000), "fill 200000", "reset",
       post("soak-0"), r"send 5\r\nhel", "reset"]


class Reader(threading.Thread):
    """Follows half of the topics as a consumer would, a page at a time."""

    def __init__(self, b):
        super().__init__(daemon=True)
        self.b, self.ended, self.messages, self.error = b, threading.Event(), 0, None

    def run(self):
        next_ = {"soak-%d" % i: "latest" for i in range(0, TOPICS, 2)}
        try:
            with self.b.client() as k:
                while not self.ended.is_set():
                    for t in next_:
                        a = k.ask("GET", "/v1/topics/%s/messages?from=%s&limit=200" % (t, next_[t]))
                        assert a.status == 200, a
                        page = a.json
                        next_[t] = page["end"] if page["next"] < page["end"] - 2000 else page["next"]
                        self.messages += len(page["messages"])
                    self.ended.wait(0.1)
        except Exception as e:
            self.error = repr(e)[:200]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


class Sentinels(threading.Thread):
    """One message after the other: there just before its time is over, gone just after."""

    def __init__(self, b, ttl):
        super().__init__(daemon=True)
        self.b, self.ttl, self.ended = b, ttl, threading.Event()
        self.early, self.late, self.seen = 0, 0, 0

    def run(self):
        while not self.ended.is_set():
            offset = self.b.offset("sentinel", b"s", {"TTL": str(self.ttl)})
            stored = time.monotonic()  # it was stored before this, so it dies before stored + ttl
            self.ended.wait(max(0, self.ttl - 0.7))
            if time.monotonic() < stored + self.ttl - 0.5:
                self.early += self.b.message("sentinel", offset).status != 200
            time.sleep(max(0, stored + self.ttl + SWEEP + 1 - time.monotonic()))
            self.late += self.b.message("sentinel", offset).status == 200
            self.seen += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def segments(c, b, lengths, ttl, rate_bad):
    """The load in pieces of so many seconds; their figures, to compare a late one with an early."""
    bad = start_play(b, BAD, connections=4, turns=0, rate=rate_bad, seconds=sum(lengths))
    out = []
    for i, seconds in enumerate(lengths):
        h = start_hammer("publish", b, connections=CONNECTIONS, seconds=seconds, size=MIX, topic="soak-%d",
                         topics=TOPICS, ttl=None if c.guard else ttl, run=i, grace=30)
        out.append(h.wait())
    return out, bad.stop()


def check_counts(c, b, figures, others, ttl):
    m = b.metrics()
    acknowledged = sum(f["status"].get("201", 0) for f in figures) + others
    accepted = int(m["sluice_messages_accepted_total"])
    c.report.check("every 201 is counted as accepted", 0 <= accepted - acknowledged <= 1, acknowledged,
                   "accepted %d" % accepted)
    parts = [int(m["sluice_messages_" + k]) for k in ("live", "expired_total", "removed_total")]
    c.report.equal("accepted = live + expired + removed", accepted, sum(parts))
    if c.guard:
        return
    end = time.monotonic() + ttl + 2 * SWEEP + 3
    while b.metric("sluice_messages_live") and time.monotonic() < end:
        time.sleep(0.1)
    c.report.equal("live once all have expired", int(b.metric("sluice_messages_live")), 0)
    c.report.equal("... rows of subscriptions", held(b), {})


def check_samples(c, b, sampler, began, ended, idle, cap, ttl):
    r = c.report
    r.most("gauge, at every sample", int(sampler.most("publish_buffer_bytes")), cap, mib)
    unequal = [s for s in sampler.between() if s["messages_accepted_total"] !=
               s["messages_live"] + s["messages_expired_total"] + s["messages_removed_total"]]
    r.equal("samples where the counts do not add up", len(unequal), 0)
    steady = sampler.between(began + (ended - began) / 3, ended)
    rate = (steady[-1]["commit_bytes_total"] - steady[0]["commit_bytes_total"]) / (steady[-1]["t"] - steady[0]["t"])
    r.figure("accepted", "%.1f MB/s" % (rate / 1e6))
    life = came_in_a_life(sampler.between(began, ended), ttl + SWEEP)
    r.most("store, used, most", sampler.most("store_used_bytes", began, ended), 1.5 * life, mib)
    r.check("the file never reaches the map", sampler.most("store_file_bytes") < 0.9 * MAP,
            mib(sampler.most("store_file_bytes")))
    r.check("threads, constant", len(set(sampler.series("Threads"))) == 1, int(sampler.most("Threads")))
    first = sampler.most("fds", began, began + (ended - began) / 2)
    r.most("descriptors, second half", sampler.most("fds", began + (ended - began) / 2), first + 10, close=False)
    if is_sanitized():
        return
    r.most("RssAnon, most", sampler.most("RssAnon"), idle + cap + 64 * MiB, mib)
    check_flat(r, sampler, began, ended)


def soak(c):
    # Minutes 2 to 7 are held against the last 5.
    ttl, lengths = c.pick(2, 10), c.pick((6, 6, 6, 6), (120, 300, 480, 300))
    if c.guard:
        lengths = (5, 5, 5)
    with ScenarioBroker(map_size=MAP, max_message_bytes="64MiB", memory_limit="256MiB") as b:
        cap = b.setting_bytes("publish_buffer")
        for i in range(TOPICS):
            assert b.ask("PUT", "/v1/topics/soak-%d" % i, "").status == 201
        consumers = Consumers(b, ["soak-1", "soak-3"], sum(lengths) + 60, waiting=40, idle=20, steady=True,
                              ttl=None if c.guard else ttl)
        with Sampler(b, c.pick(0.2, 1)) as sampler, Reader(b) as reader, Sentinels(b, ttl) as sentinels, consumers:
            time.sleep(1)
            idle = sampler.samples[0]["RssAnon"]
            began = time.monotonic()
            figures, bad = segments(c, b, lengths, ttl, BAD_TURNS)
            ended = time.monotonic()
        r = c.report
        statuses = [f["status"] for f in figures]
        r.check("every publish 201", all(set(s) == {"201"} for s in statuses) and not any(f["errors"] for f in figures),
                sum(s["201"] for s in statuses), str(statuses[-1]))
        r.least("bad requests in a hundred", 600.0 * bad["finished"] / sum(f["requests"] for f in figures), 1.0,
                lambda v: "%.1f" % v)
        r.check("bad requests, as scripted", bad["finished"] and not bad["broken"] and not bad["wrong_status"],
                "%d x 6" % bad["finished"], str(bad["status"]))
        r.check("the reader reads on", reader.messages and not reader.error, reader.messages, reader.error or "")
        consumers.check(r)
        check_samples(c, b, sampler, began, ended, idle, cap, ttl)
        r.equal("read %g s after its time" % (SWEEP + 1), sentinels.late, 0)
        r.equal("not there before its time", sentinels.early, 0)
        check_counts(c, b, figures, sentinels.seen + consumers.published(), ttl)
        p99 = [f["latency_ms"]["p99"] for f in figures]
        r.timing("publish p99, the last piece to the second", p99[-1], max(1.5 * p99[1], 50), stall=2000)
        r.key("%.0f MB/s, publish p99 %.0f ms" % (sum(f["bytes"] for f in figures) / (ended - began) / 1e6, p99[-1]))
        settled(b, 12, r, "after it: nothing held")
        sampler.save(c, "a4")


def leaky(c):
    """For the guard only: one free() in eight forgotten in the broker, a short soak."""
    with ScenarioBroker(start=False, disarm="leak") as b:
        b.environment["DISARM_LEAK_ONE_IN"] = "8"
        b.start()
        with Sampler(b, 0.2) as sampler:
            began = time.monotonic()
            segments(c, b, (12,), 2, BAD_TURNS)
            check_flat(c.report, sampler, began, time.monotonic())


if __name__ == "__main__":
    main("A4 TTL soak", [
        Part("soak", soak, fails=["store, used, most"], takes=(28, 1215)),
        Part("leak", leaky, fails=["RssAnon, rise over the last two thirds"], guard_only=True),
    ])
