#!/usr/bin/env python3
"""Consumers of subscriptions of every kind beside publishers without end, in 64 MiB.

They ack, nack, extend, reject and die; hundreds wait, some take answers and do not read them; subscriptions are
abandoned, one has a key that is stuck, one gives messages up to a topic that is full. Memory stays below
memory_limit; and when the load is over and the messages have had their time, nothing of it is left: no byte of
any ledger, no row of any subscription, no page of the store.

Guard: messages that live a day. An abandoned subscription then keeps nothing either, but the log is still there.
"""
import json
import threading
import time

from consumers import Consumers, held
from scenario import (KiB, MiB, Part, Sampler, ScenarioBroker, is_sanitized, main, mib, settled,
                      start_hammer, until)

TOPICS, CONNECTIONS, SWEEP = 2, 12, 1.0
MIX = "70%1KiB,25%16KiB,5%100KiB"
LEDGERS = ("publish_buffer", "read_buffer", "json")


def budget(b):
    """Bytes in use and at most of each line, as the broker says."""
    return {row["line"]: row for row in b.ask("GET", "/v1/limits").json["budget"]}


def check_pages(c, b, before, end):
    """They come back a step a turn. What stays is the list of those that are free."""
    def more():
        return b.metric("sluice_store_used_bytes") - before

    slack = 256 * KiB + b.metric("sluice_store_file_bytes") / 256
    while more() > slack and time.monotonic() < end:
        time.sleep(0.1)
    c.report.most("... the store's pages are back", more(), slack, mib, close=False)


def check_rest(c, b, used, patience):
    """After the load, and after the last message's time."""
    r = c.report
    settled(b, patience, r, "after it: nothing held")

    def left():
        rows, lines = held(b), budget(b)
        out = dict(rows, **{k: lines[k]["active_bytes"] for k in LEDGERS if lines[k]["active_bytes"]})
        live = int(b.metric("sluice_messages_live")) - 1  # one lies in the topic of dead letters
        return dict(out, **({"live": live} if live else {}))

    end = time.monotonic() + patience
    while left() and time.monotonic() < end:
        time.sleep(0.1)
    r.check("... of messages, rows and ledgers nothing is left", not left(), str(left() or "0"))
    check_pages(c, b, used, end)
    m = b.metrics()
    parts = [int(m["sluice_messages_" + k]) for k in ("live", "expired_total", "removed_total")]
    r.equal("accepted = live + expired + removed", int(m["sluice_messages_accepted_total"]), sum(parts))


def check_lines(c, b, sampler, began, ended):
    r, lines = c.report, budget(b)
    for name in LEDGERS:
        r.most("line %s, most" % name, lines[name]["high_water_bytes"], lines[name]["limit_bytes"], mib, close=False)
    r.least("receivers who wait, most", int(sampler.most("readers_parked", began, ended)), c.pick(100, 1000))


def everything(c):
    ttl, seconds = c.pick(2, 10), c.pick(4, 300)
    with ScenarioBroker(memory_limit="64MiB", max_connections=c.pick(1000, 2500), write_timeout="2s",
                        default_ttl="1d" if c.guard else "%ds" % ttl) as b:
        topics = ["work-%d" % i for i in range(TOPICS)]
        for t in topics:
            assert b.ask("PUT", "/v1/topics/" + t, "").status == 201
        load = Consumers(b, topics, seconds, waiting=c.pick(120, 1200), idle=c.pick(50, 1000))
        used = b.metric("sluice_store_used_bytes")
        with Sampler(b, c.pick(0.2, 1)) as sampler, load:
            began = time.monotonic()
            f = start_hammer("publish", b, connections=CONNECTIONS, seconds=seconds, size=MIX, topic="work-%d",
                             topics=TOPICS, grace=30).wait()
            ended = time.monotonic()
        c.report.check("publishing: 201 or 503", set(f["status"]) <= {"201", "503"} and f["status"].get("201"),
                       str(f["status"]))
        load.check(c.report)
        c.report.key("%d leased beside %d publishes" % (sum(w.got for w in load.workers()), f["status"].get("201", 0)))
        check_lines(c, b, sampler, began, ended)
        check_rest(c, b, used, ttl + 2 * SWEEP + (1 if c.guard else 30))
        sampler.save(c, "queues")


# ---- many subscriptions of one topic ----

def in_parallel(b, count, each, threads=8):
    failed = []

    def some(first):
        try:
            with b.client() as k:
                for i in range(first, count, threads):
                    each(k, i)
        except Exception as e:
            failed.append(repr(e)[:300])

    running = [threading.Thread(target=some, args=(i,)) for i in range(threads)]
    for t in running:
        t.start()
    for t in running:
        t.join()
    assert not failed, failed[0]


def many(c):
    """A subscription costs a row on disk, and of memory nothing, until somebody asks it."""
    count, ttl = c.pick(1000, 10000), c.pick(2, 3)
    with ScenarioBroker(memory_limit="64MiB", durability="relaxed", default_ttl="1d" if c.guard else "%ds" % ttl) as b:
        b.ask("PUT", "/v1/topics/t", "")
        in_parallel(b, 16, lambda k, i: b.offset("t", b"x" * 1000))
        rss, used = b.rss_anon(), b.metric("sluice_store_used_bytes")
        put = lambda k, i: k.ask("PUT", "/v1/subscriptions/s%d" % i, '{"topic":"t","lease":"200ms"}')  # noqa: E731
        in_parallel(b, count, put)
        made = b.metric("sluice_store_used_bytes")
        c.report.most("disk for each of %d" % count, (made - used) / count, 1 * KiB, lambda v: "%.0f B" % v)
        if not is_sanitized():
            c.report.most("RssAnon for all of them", b.rss_anon() - rss, 4 * MiB, mib)
        until(lambda: not b.metric("sluice_messages_live") or c.guard, 30, what="those from before are gone")
        b.batch("t", "\n".join(json.dumps({"data": "x" * 1000}) for _ in range(50)))
        last = time.monotonic()
        got = []
        # A tenth of them take all, and die with it.
        in_parallel(b, count // 10, lambda k, i: got.append(len(k.ask(
            "POST", "/v1/subscriptions/s%d:receive?limit=50" % i, "").json["messages"])))
        c.report.check("a tenth of them lease", sum(got), sum(got), "of %d" % (count // 10 * 50))
        rows = b.metric("sluice_store_used_bytes") - made
        c.report.figure("disk for each row of a delivery", "%.0f B" % (rows / max(1, sum(got))))
        c.report.key("%.0f B of disk for a subscription" % ((made - used) / count))
        end = last + ttl + (2 if c.guard else 40)
        while b.metric("sluice_messages_live") and time.monotonic() < end:
            time.sleep(0.1)
        c.report.equal("messages, after their time", int(b.metric("sluice_messages_live")), 0)
        check_pages(c, b, made, end)
        c.report.equal("... and rows of deliveries", held(b), {})


if __name__ == "__main__":
    main("Subscriptions", [
        Part("all kinds of consumers", everything, fails=["... of messages, rows and ledgers nothing is left"], takes=(10, 320)),
        Part("many of one topic", many, fails=["messages, after their time"], takes=(4, 30)),
    ])
