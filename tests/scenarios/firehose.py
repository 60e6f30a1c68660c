#!/usr/bin/env python3
"""One firehose of 64 connections beside 10 small publishers, on a slow disk and a full buffer.

What a small one waits for is counted in turns of the disk (max_batch_bytes, at the rate that the
disk really had): it may wait for the turn under way, for its own, and for the groups in which the
ledger's line moves; never for the 16 MiB that the firehose offers. And who shares the disk gets
the same of it, however many connections are used, 64 or 8; topics of one caller by their weights.

Guard: everybody is one caller and one topic, so one flow. Then a small one stands behind the
firehose, and 64 connections get eight times what 8 get.
"""
import os
import time

from scenario import KiB, MiB, Part, Sampler, ScenarioBroker, acks, main, mib, settled, start_hammer, until

RATE = 8000000
BATCH, CAP = 1 * MiB, 2 * MiB
BIG, FIREHOSE, SMALL = 256 * KiB, 64, 10
# The turn under way and its own are two; half of the buffer, by which the line moves, is one
# more. Twice that, for the ends of turns and for the machine. What the firehose offers is 16.
TURNS = 2 * (2 + CAP / 2 / BATCH)
ALIKE = (0.7, 1.4)
RATIO, WEIGHED = "messages of 64 connections to those of 8", "messages of weight 4 to those of weight 1"


def broker():
    return ScenarioBroker(slowdisk=RATE, memory_limit="256MiB", publish_buffer=CAP, max_batch_bytes=BATCH,
                          inline_max=BIG, publish_wait_max="60s")


class Who:
    """Where the small publishers and the firehose come from, and what they publish to."""

    def __init__(self, small, small_topic, firehose, firehose_topic, pulsar=False):
        self.small = {"topic": small_topic, "source": small, "pulsar": pulsar}
        if small.startswith("127.0.1."):
            self.small["per_source"] = 1
        self.firehose = {"topic": firehose_topic, "source": firehose}


APART = Who("127.0.1.1", "small-%d", "127.0.0.2", "firehose")
TOPICS = Who("127.0.0.2", "small-%d", "127.0.0.2", "firehose")
PULSAR = Who("127.0.1.1", "small-%d", "127.0.0.2", "firehose", pulsar=True)
ONE_FLOW = Who("127.0.0.2", "firehose", "127.0.0.2", "firehose")


def start_small(b, who, seconds):
    return start_hammer("publish", b, connections=SMALL, topics=SMALL, own_topic=True, size="1KiB",
                        seconds=seconds, grace=60, **who.small)


def start_firehose(b, seconds, connections=FIREHOSE, **who):
    return start_hammer("publish", b, connections=connections, size=BIG, seconds=seconds, grace=90, **who)


def times(f):
    return "%.0f, %.0f ms" % (f["latency_ms"]["p50"], f["latency_ms"]["p99"])


def check_answers(r, name, f, good):
    r.check("%s: every answer %s" % (name, good), set(f["status"]) == {good} and not f["errors"],
            str(f["status"]), str(f["errors"] or ""))


def drained(b, *loads):
    """They end, and a fast disk takes what they still have in line."""
    for load in loads:
        load.process.terminate()
    b.disk("rate 0")
    return [load.wait() for load in loads]


def flood(c, b, who, seconds):
    """Both at once; the small ones' figures, the firehose's, and bytes a second of the disk."""
    firehose = start_firehose(b, 300, **who.firehose)
    until(lambda: b.metric("sluice_publish_waiting") > FIREHOSE / 2, 20, what="the buffer is full")
    time.sleep(1)
    with Sampler(b, 0.1) as sampler:
        before, began = b.disk_written(), time.monotonic()
        small = start_small(b, who, seconds)
        time.sleep(seconds)
        rate = (b.disk_written() - before) / (time.monotonic() - began)
        waiting = sampler.series("publish_waiting")
    f = small.wait()
    big = drained(b, firehose)[0]
    # A sample may fall into the moment after a group was let in; mostly somebody waits.
    c.report.least("samples at which somebody waits for room, of 100", 100 * sum(w > 0 for w in waiting) // len(waiting), 90)
    c.report.most("gauge, at every sample", int(sampler.most("publish_buffer_bytes")), CAP, mib, close=False)
    return f, big, rate


def beside(c, who):
    seconds, r = c.pick(4, 60), c.report
    if c.guard:
        who = ONE_FLOW
    good = "200" if who.small["pulsar"] else "201"
    with broker() as b:
        alone = start_small(b, who, c.pick(1.5, 20)).wait()
        f, big, rate = flood(c, b, who, seconds)
        turn_ms = BATCH / rate * 1000
        r.figure("a turn of the disk", "%.0f ms" % turn_ms, "%.1f MB/s" % (rate / 1e6))
        r.figure("small alone: p50, p99", times(alone))
        r.figure("small beside the firehose: p50, p99", times(f))
        r.figure("firehose: p50, p99", times(big))
        r.most("small ones' p99, turns of the disk", f["latency_ms"]["p99"] / turn_ms, TURNS, lambda v: "%.1f" % v)
        spread = f["per_connection"]
        r.least("slowest of the small ones, messages", spread["min"], spread["median"] / 2)
        check_answers(r, "small", f, good)
        check_answers(r, "firehose", big, "201")
        r.key("small p50, p99: alone %s; beside %s; turn %.0f ms" % (times(alone), times(f), turn_ms))
        settled(b, 5, r, "after it: nothing held")


def another_address(c):
    beside(c, APART)


def another_topic(c):
    beside(c, TOPICS)


def through_pulsars_door(c):
    beside(c, PULSAR)


def counts(paths):
    return [sum(1 for _ in acks(p)) for p in paths]


def shares(c, first, second, numbers=(FIREHOSE, 8), weight=1, name=None):
    """Two firehoses, of so many connections; what each has stored, once both are in line. The
    first one's topic has this weight."""
    seconds, r = c.pick(5, 60), c.report
    loads = []
    with broker() as b:
        assert b.ask("PUT", "/v1/topics/" + first["topic"], '{"weight":%d}' % weight).status == 201
        paths = [os.path.join(b.folder.name, "acks-%d" % n) for n in numbers]
        for n, path, who in zip(numbers, paths, (first, first if c.guard else second)):
            loads.append(start_firehose(b, 300, n, acks=path, **who))
        until(lambda: b.metric("sluice_publish_waiting") > sum(numbers) / 2, 20, what="the buffer is full")
        time.sleep(1)
        before, began = counts(paths), time.monotonic()
        time.sleep(seconds)
        stored = [y - x for x, y in zip(before, counts(paths))]
        took = time.monotonic() - began
        for n, messages, f in zip(numbers, stored, drained(b, *loads)):
            r.figure("%d connections: MB/s; p50, p99" % n, "%.2f MB/s" % (messages * BIG / took / 1e6), times(f))
        ratio, bounds = stored[0] / max(1, stored[1]), tuple(weight * x for x in ALIKE)
        r.check(name or RATIO, bounds[0] <= ratio <= bounds[1], "%d : %d = %.2f" % (*stored, ratio), "in %.1f to %.1f" % bounds)
        r.key("%d to %d connections, weight %d: %.2f" % (*numbers, weight, ratio))
        settled(b, 5, r, "after it: nothing held")


def shares_of_addresses(c):
    shares(c, {"topic": "a", "source": "127.0.0.2"}, {"topic": "b", "source": "127.0.0.3"})


def shares_of_topics(c):
    shares(c, {"topic": "a", "source": "127.0.0.2"}, {"topic": "b", "source": "127.0.0.2"})


def shares_by_weight(c):
    """Four times the weight, a quarter of the connections."""
    shares(c, {"topic": "a", "source": "127.0.0.2"}, {"topic": "b", "source": "127.0.0.2"},
           numbers=(16, FIREHOSE), weight=4, name=WEIGHED)


P99 = ["small ones' p99, turns of the disk"]

if __name__ == "__main__":
    main("firehose", [
        Part("another address", another_address, fails=P99, takes=(8, 90)),
        Part("another topic", another_topic, fails=P99, takes=(8, 90)),
        Part("through Pulsar's door", through_pulsars_door, fails=P99, takes=(8, 90)),
        Part("shares of addresses", shares_of_addresses, fails=[RATIO], takes=(7, 65)),
        Part("shares of topics", shares_of_topics, fails=[RATIO], takes=(7, 65)),
        Part("shares by weight", shares_by_weight, fails=[WEIGHED], takes=(7, 65)),
    ])
