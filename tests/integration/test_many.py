"""Thousands at once. SLUICE_FULL=1 makes it a minute of load and all 10,000 under sanitizers too."""
import os
import tempfile
import threading
import time

from sluicetest import BIN, Hammer, SoloBrokerTest, hammer, log, until

FULL = bool(os.environ.get("SLUICE_FULL"))
SANITIZED = "asan" in BIN or "tsan" in BIN
SECONDS = float(os.environ.get("SLUICE_MANY_SECONDS") or (60 if FULL else 10))
READERS = int(os.environ.get("SLUICE_MANY_READERS") or (10000 if FULL or not SANITIZED else 2000))


class Sampler:
    """Looks at /metrics all the time, on a connection of its own."""

    def __init__(self, broker):
        self.broker, self.samples, self.stopping = broker, [], False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopping:
            self.samples.append(self.broker.metrics())
            time.sleep(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()

    def most(self, name):
        return max(s[name] for s in self.samples)

    def least(self, name):
        return min(s[name] for s in self.samples)


class ManyPublishers(SoloBrokerTest):
    def test_a_thousand_publishers_through_one_megabyte(self):
        """No stall, no lost wakeup, nobody starved, and the gauge keeps its promise."""
        b = self.start(publish_buffer="1MiB")
        with tempfile.TemporaryDirectory() as d, Sampler(b) as s:
            acks = os.path.join(d, "acks")
            f = hammer("publish", b.address, connections=1000, seconds=SECONDS, topics=8, acks=acks,
                       size="70%1KiB,25%4KiB,5%16KiB")
            v = hammer("verify", b.address, acks)
        self.assertEqual(f["errors"], {})
        self.assertEqual(list(f["status"]), ["201"])
        self.assertEqual((v["acknowledged"], v["extra"]), (f["messages"], 0))
        each = f["per_connection"]
        self.assertGreaterEqual(each["min"], each["median"] / 4, each)
        self.assertLessEqual(s.most("sluice_publish_buffer_bytes"), 1 << 20)
        self.assertLessEqual(s.most("sluice_publish_buffer_high_water_bytes"), 1 << 20)
        for name in ("sluice_publish_buffer_bytes", "sluice_publish_waiting", "sluice_requests_in_flight"):
            self.assertGreaterEqual(s.least(name), 0, name)
        self.assertGreater(s.most("sluice_publish_waiting"), 0, "the buffer never filled: this tested nothing")
        self.assertIdle(b)
        log("%.0f/s, slowest connection %d, median %d, p99 %.0f ms, longest %.0f ms, high water %d" % (
            f["per_second"], each["min"], each["median"], f["latency_ms"]["p99"], f["latency_ms"]["max"],
            s.most("sluice_publish_buffer_high_water_bytes")))

    def test_publishers_that_do_not_wait_are_told_the_truth(self):
        """wait=0: every answer is 201 or 503, and exactly the 201 are stored."""
        b = self.start(publish_buffer="512KiB", inline_max="64KiB", max_batch_bytes="64KiB")
        with tempfile.TemporaryDirectory() as d:
            acks = os.path.join(d, "acks")
            f = hammer("publish", b.address, connections=200, seconds=min(SECONDS, 5), size="30000", prefer_wait="0",
                       acks=acks)
            v = hammer("verify", b.address, acks)
        self.assertEqual(f["errors"], {})
        self.assertLessEqual(set(f["status"]), {"201", "503"})
        self.assertEqual((v["acknowledged"], v["extra"]), (f["status"]["201"], 0))
        self.assertIdle(b)
        log("201: %d, 503: %d" % (f["status"]["201"], f["status"].get("503", 0)))

    def test_publishers_that_break_off_leave_nothing(self):
        b = self.start(publish_buffer="16MiB", idle_timeout="2s", write_timeout="2s")
        before = b.open_fds()
        for mode in ("reset", "stop", "head", "half"):
            hammer("slow", b.address, mode=mode, connections=200, size=20000, seconds=1, topic="slow-" + mode)
        until(lambda: b.open_fds() <= before + 2, what="descriptors back")
        self.assertIdle(b)
        self.assertEqual(b.topic("slow-half")["messages"], 200)
        for mode in ("reset", "stop", "head"):
            self.assertEqual(b.ask("GET", "/v1/topics/slow-" + mode).status, 404)
        self.assertConserved()


class ManyReaders(SoloBrokerTest):
    def park(self, b, n):
        h = Hammer("park", b.address, connections=n, topic="parked", stdin=True, wait=60)
        self.addCleanup(h.__exit__)
        parked = h.figures()
        self.assertEqual((parked["in_time"], parked["parked"], parked["errors"]), (True, n, {}))
        self.assertEqual(b.metric("sluice_readers_parked"), n)
        return h

    def broker_for_many(self):
        b = self.start(max_connections=READERS + 200, memory_limit="512MiB")
        b.ask("PUT", "/v1/topics/parked")
        return b

    def test_every_parked_reader_is_answered_once(self):
        b = self.broker_for_many()
        idle = b.rss_anon()
        h = self.park(b, READERS)
        log("%d parked: %.2f KiB of anonymous memory each" % (READERS, (b.rss_anon() - idle) / READERS / 1024))
        f = h.say("fire")
        self.assertEqual((f["in_time"], f["answers"], f["errors"]), (True, READERS, {}))
        self.assertEqual(f["status"], {"200": READERS, "201": 1})
        self.assertIdle(b)
        log("published to last answer: %.0f ms" % f["answer_ms"]["max"])

    def test_half_of_the_readers_leave(self):
        """Descriptors and gauges are back within 2 s; the others still wait and are answered."""
        b = self.broker_for_many()
        h = self.park(b, READERS)
        half = READERS // 2
        fds = b.open_fds()
        closed = h.say("close %d" % half)
        self.assertEqual((closed["parked"], closed["closed"]), (READERS - half, half))
        began = time.monotonic()
        limit = 10 if SANITIZED else 2
        until(lambda: b.metric("sluice_readers_parked") == READERS - half, limit, what="the gauge is back")
        until(lambda: b.open_fds() <= fds - half + 2, max(0.1, limit - (time.monotonic() - began)), what="descriptors back")
        log("back after %.0f ms" % ((time.monotonic() - began) * 1000))
        f = h.say("fire")
        self.assertEqual((f["in_time"], f["answers"]), (True, READERS - half))
        self.assertEqual(f["status"], {"200": READERS - half, "201": 1})
        self.assertIdle(b)
        self.assertEqual(b.metric("sluice_readers_left_total"), half)

    def test_readers_that_poll_on_miss_nothing(self):
        b = self.broker_for_many()
        n = min(READERS, 500)
        b.offset("parked", "first")
        with Hammer("park", b.address, connections=n, topic="parked", stdin=True, **{"from": "1"}, repoll=True) as h:
            h.figures()
            published = 0
            for _ in range(5):
                for _ in range(20):
                    b.offset("parked", "x" * 50)
                    published += 1
                h.say("run 0.2")
            f = until(lambda: (h.say("run 0.2"), b.metric("sluice_readers_parked") == n)[1] and h.say("run 0.2"))
            self.assertEqual((f["messages"], f["errors"]), (n * published, {}))
        self.assertIdle(b)

    def test_sigterm_answers_them_all(self):
        b = self.broker_for_many()
        h = self.park(b, READERS)
        b.terminate()
        f = h.say("wait")
        self.assertEqual((f["in_time"], f["status"], f["errors"]), (True, {"200": READERS}, {}))
        b.wait_exit()
