#!/usr/bin/env python3
"""A8: a stream goes on where it was: after a restart, under a publisher, and at its own speed.

Guards: a client that asks for the wrong place after the restart; one that comes back without its
last id while others publish; a broker that cuts who is slow.
"""
import json
import threading
import time

from scenario import KiB, Part, ScenarioBroker, main, mib
from sse import Stream

BODY = 100


def publish(b, first, count, pause=0.0):
    with b.client(60) as c:
        for at in range(first, first + count, 50):
            lines = "".join(json.dumps({"data": ("%d " % i).ljust(BODY, ".")}) + "\n"
                            for i in range(at, min(at + 50, first + count)))
            a = c.ask("POST", "/v1/topics/events/messages:batch", lines, {"Content-Type": "application/x-ndjson"})
            assert a.status == 201, a
            time.sleep(pause)


def ids(stream, count):
    with stream as s:
        return [int(e.id) if e.type == "message" else e.type for e in s.take(count)]


def restart(c):
    count = 5000
    with ScenarioBroker() as b:
        publish(b, 0, count)
        b.restart()
        r = c.report
        place = {"from": 1000} if c.guard else {"headers": {"Last-Event-ID": "1000"}}
        r.check("behind 1000: the rest, each once, in order",
                ids(Stream(b, "events", **place), count - 1001) == list(range(1001, count)), "%d events" % (count - 1001))
        r.check("earliest: all", ids(Stream(b, "events"), count) == list(range(count)), "%d events" % count)
        r.check("an id that is not known is told, then all",
                ids(Stream(b, "events", headers={"Last-Event-ID": str(count + 7)}), count + 1) == ["unknown", *range(count)])
        last = Stream(b, "events", headers={"Last-Event-ID": str(count - 1)}).opened()
        publish(b, count, 50)
        r.check("behind the last: what is published then", ids(last, 50) == list(range(count, count + 50)))
        b.ask("POST", "/v1/topics/events:purge", '{"before_offset":3000}')
        b.restart()
        with Stream(b, "events", headers={"Last-Event-ID": "999"}) as s:
            told, first = s.take(2)
        r.check("an id that is gone: what is lost is told", told.type == "skipped" and first.id == "3000" and
                json.loads(told.data) == {"skipped": 2000, "next": 3000}, told.data)


def follow(b, count, guard, out):
    """A reader that leaves every so often and comes back."""
    got, place, took = [], {}, 0
    while len(got) < count and (not guard or took < 30):
        took += 1
        with Stream(b, "events", **place) as s:
            if guard:
                s.opened()
                s.sock.settimeout(2)
            try:
                got += [int(e.id) for e in s.take(min(count - len(got), 100 + 37 * took))]
            except TimeoutError:
                break
        place = {"from": "latest"} if guard else {"headers": {"Last-Event-ID": str(got[-1])}}
    out.append((got, took))


def publishing(c):
    count, readers = c.pick(3000, 20000), c.pick(20, 50)
    with ScenarioBroker() as b:
        results = []
        threads = [threading.Thread(target=follow, args=(b, count, c.guard, results)) for _ in range(readers)]
        for t in threads:
            t.start()
        publish(b, 0, count, 0.02)
        for t in threads:
            t.join()
        whole = [got == list(range(count)) for got, _ in results]
        c.report.equal("readers without a gap or a duplicate", sum(whole), readers)
        c.report.key("%d readers came back %d times in %d events" % (readers, sum(n for _, n in results), count))


def slow(c):
    count, readers, rate = c.pick(1500, 5000), 20, c.pick(60, 10) * KiB
    settings = {"write_timeout": "1s", "min_read_rate": "1GiB"} if c.guard else {}
    results = []

    def read(b):
        with Stream(b, "events", receive_buffer=4 * KiB) as s:
            s.sock.settimeout(60)
            try:
                while len(s.events) < count:
                    s.feed(s.sock.recv(int(rate / 10)) or 1 // 0)
                    time.sleep(0.1)
            except (ConnectionError, ZeroDivisionError):
                pass
            results.append([int(e.id) for e in s.events])
    with ScenarioBroker(sse_max_life="1h", **settings) as b:
        publish(b, 0, count // 2)
        threads = [threading.Thread(target=read, args=(b,)) for _ in range(readers)]
        for t in threads:
            t.start()
        publish(b, count // 2, count - count // 2, 0.05)
        for t in threads:
            t.join()
        r = c.report
        r.equal("slow readers with every event once", sum(got == list(range(count)) for got in results), readers)
        r.most("read buffer, most: a block each", int(b.metric("sluice_read_buffer_high_water_bytes")),
               readers * 36 * KiB, mib)


if __name__ == "__main__":
    main("A8 resume", [
        Part("restart", restart, fails=["behind 1000: the rest, each once, in order"], takes=(3, 3)),
        Part("publishing", publishing, fails=["readers without a gap or a duplicate"], takes=(4, 20)),
        Part("slow", slow, fails=["slow readers with every event once"], takes=(8, 90)),
    ])
