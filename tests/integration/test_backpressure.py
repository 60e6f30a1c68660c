"""The publish buffer: who waits, who is refused, in which order, and what is given back."""
import json
import threading
import time

from sluicetest import SoloBrokerTest, until

LIMIT = 512 * 1024
BODY = 200000  # two of these fit beside each other, a third does not


class FullBuffer(SoloBrokerTest):
    """Held full by uploads that send nothing: their bytes are reserved, not here."""

    def full(self, **settings):
        b = self.start(publish_buffer="512KiB", max_message_bytes="256KiB", inline_max="256KiB",
                       min_body_rate="0", max_batch_bytes="256KiB", **settings)
        self.holders = []
        for _ in range(2):
            c = b.client()
            self.addCleanup(c.close)
            c.send(c.head("POST", "/v1/topics/holder/messages", {"Content-Length": str(BODY)}))
            self.holders.append(c)
        until(lambda: b.metric("sluice_publish_buffer_bytes") >= 2 * BODY, what="the buffer is held")
        return b

    def release(self, n=2):
        for c in self.holders[:n]:
            c.send(b"h" * BODY)
            self.assertEqual(c.answer().status, 201)
        del self.holders[:n]

    def begin(self, b, body, headers=None, send=None):
        c = b.client()
        self.addCleanup(c.close)
        c.send(c.head("POST", "/v1/topics/t/messages", dict(headers or {}, **{"Content-Length": str(len(body))})) +
               (body if send is None else body[:send]))
        return c

    def test_who_does_not_want_to_wait_is_refused_at_once(self):
        b = self.full()
        a = b.publish("t", b"x" * BODY, {"Prefer": "wait=0"})
        self.assertProblem(a, 503, "buffer_full", True)
        self.assertGreaterEqual(int(a.header("Retry-After")), 0)
        self.assertEqual(b.ask("GET", "/v1/topics/t").status, 404)
        self.release()
        self.assertEqual(b.publish("t", b"x" * BODY, {"Prefer": "wait=0"}).status, 201)
        self.assertIdle(b)

    def test_who_waits_is_let_in_when_there_is_room(self):
        b = self.full()
        c = self.begin(b, b"x" * BODY)
        until(lambda: b.metric("sluice_publish_waiting") == 1, what="one waits")
        self.assertTrue(c.is_silent(0.3))
        self.release()
        self.assertEqual(c.answer().status, 201)
        self.assertEqual(len(b.message("t", 0).body), BODY)
        self.assertIdle(b)

    def test_patience_ends_with_503_and_not_before(self):
        b = self.full(publish_wait_max="1s")
        for headers, seconds in (({"Prefer": "wait=0.5"}, 0), ({}, 1), ({"Prefer": "wait=100"}, 1)):
            began = time.monotonic()
            c = self.begin(b, b"x" * BODY, headers)
            a = c.answer()
            took = time.monotonic() - began
            if headers.get("Prefer") == "wait=0.5" and a.status == 400:
                continue  # RFC 7240: wait is in whole seconds
            self.assertProblem(a, 503, "buffer_full", True)
            self.assertIsNotNone(a.header("Retry-After"))
            self.assertGreaterEqual(took, seconds - 0.01)  # the broker's clock ticks in milliseconds
        self.release()
        self.assertIdle(b)

    def test_the_line_is_first_come_first_served(self):
        b = self.full()
        clients = []
        for i in range(6):
            clients.append(self.begin(b, b"%d" % i + b"x" * (BODY - 1)))
            until(lambda: b.metric("sluice_publish_waiting") == i + 1, what="%d wait" % (i + 1))
        self.release()
        for c in clients:
            self.assertEqual(c.answer().status, 201)
        order = [int(b.message("t", i).body[:1]) for i in range(6)]
        # Two fit at a time; those two are on their way together and may arrive either way.
        self.assertTrue(all(abs(order.index(i) - i) <= 1 for i in range(6)), order)
        self.assertIdle(b)

    def test_a_small_one_does_not_pass_a_large_one_that_waits(self):
        b = self.full()
        large = self.begin(b, b"L" * BODY)
        until(lambda: b.metric("sluice_publish_waiting") == 1)
        small = self.begin(b, b"s")
        until(lambda: b.metric("sluice_publish_waiting") == 2, what="the small one stands in line")
        self.assertTrue(small.is_silent(0.3))
        self.release()
        self.assertEqual(large.answer().status, 201)
        self.assertEqual(small.answer().status, 201)

    def test_who_leaves_the_line_frees_it(self):
        b = self.full()
        # A little of the body only: behind a full receive window nobody can see a client leave.
        clients = [self.begin(b, b"x" * BODY, send=10) for _ in range(4)] + [self.begin(b, b"x" * BODY)]
        until(lambda: b.metric("sluice_publish_waiting") == 5)
        for c in clients[:4]:
            c.close()
        until(lambda: b.metric("sluice_publish_waiting") == 1, what="those who left are forgotten")
        self.release()
        self.assertEqual(clients[4].answer().status, 201)
        self.assertIdle(b)

    def test_an_upload_that_leaves_gives_its_bytes_back(self):
        b = self.full()
        for c in self.holders:
            c.close()
        self.assertIdle(b)
        self.assertEqual(b.publish("t", b"x" * BODY, {"Prefer": "wait=0"}).status, 201)

    def test_expect_100_waits_for_the_room(self):
        b = self.full()
        c = b.client()
        self.addCleanup(c.close)
        c.send(c.head("POST", "/v1/topics/t/messages", {"Content-Length": str(BODY), "Expect": "100-continue"}))
        self.assertTrue(c.is_silent(0.3))
        self.release()
        self.assertEqual(c._line(), b"HTTP/1.1 100 Continue")
        c._line()
        c.send(b"x" * BODY)
        self.assertEqual(c.answer().status, 201)

    def test_a_chunked_upload_waits_as_well(self):
        b = self.full()
        c = b.client()
        self.addCleanup(c.close)
        done = []
        t = threading.Thread(target=lambda: done.append(
            c.ask_chunked("POST", "/v1/topics/t/messages", [b"x" * 20000] * 10)))
        t.start()
        time.sleep(0.3)
        self.assertLessEqual(b.metric("sluice_publish_buffer_bytes"), LIMIT)
        self.release()
        t.join()
        self.assertEqual(done[0].status, 201)
        self.assertEqual(len(b.message("t", 0).body), BODY)
        self.assertIdle(b)

    def test_a_batch_waits_as_well(self):
        b = self.full()
        lines = (json.dumps({"data": "x" * 980}) + "\n").encode() * 200
        a = b.ask("POST", "/v1/topics/t/messages:batch", lines,
                  {"Content-Type": "application/x-ndjson", "Prefer": "wait=0"})
        self.assertProblem(a, 503, "buffer_full", True)
        self.release()
        self.assertEqual(b.batch("t", lines).json["count"], 200)
        self.assertIdle(b)

    def test_readers_and_admin_are_served_while_it_is_full(self):
        b = self.full()
        for path in ("/healthz", "/readyz", "/metrics", "/v1/limits", "/v1/topics"):
            self.assertEqual(b.ask("GET", path).status, 200)
        self.assertEqual(b.ask("PUT", "/v1/topics/new").status, 201)
        m = b.metrics()
        self.assertLessEqual(m["sluice_publish_buffer_high_water_bytes"], m["sluice_publish_buffer_limit_bytes"])
        self.assertEqual(m["sluice_publish_buffer_limit_bytes"], LIMIT)

    def test_chunked_uploads_that_grow_together_do_not_lock_up(self):
        """Each holds a part and wants more than is left for all: somebody must get through."""
        b = self.start(publish_buffer="1MiB", max_message_bytes="1MiB", inline_max="64KiB",
                       max_batch_bytes="64KiB", min_body_rate="0")
        done = []

        def upload(i):
            with b.client() as c:
                done.append(c.ask_chunked("POST", "/v1/topics/t/messages", [b"%d" % i * 20000] * 20).status)
        threads = [threading.Thread(target=upload, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(set(done)), [201] if 503 not in done else [201, 503], done)
        self.assertEqual(b.topic("t")["messages"], done.count(201))
        self.assertIdle(b)
        self.assertLessEqual(b.metric("sluice_publish_buffer_high_water_bytes"), 1 << 20)

    def test_the_smallest_buffer_still_passes_every_message_it_allows(self):
        """The start is refused below it, and at it no message within max_message_bytes is too large."""
        settings = dict(inline_max="64KiB", max_batch_bytes="64KiB", max_message_bytes="1MiB")
        with self.assertRaisesRegex(Exception, "publish_buffer = 256KiB is too small for one message"):
            self.start(publish_buffer="256KiB", **settings)
        b = self.start(publish_buffer="352KiB", **settings)
        self.assertEqual(b.publish("t", b"x" * 60000).status, 201)
        self.assertEqual(b.publish("t", b"x" * 200000).status, 201)
        with b.client() as c:
            self.assertEqual(c.ask_chunked("POST", "/v1/topics/t/messages", [b"y" * 20000] * 20).status, 201)
