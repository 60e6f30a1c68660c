"""The read buffer: who waits for room for an answer, who is refused, and what is given back.

It is held by readers who ask for a page and take nothing of it.
"""
import socket

from sluicetest import SoloBrokerTest, until

BODY = 65000  # four fill a page
HELLO = "hello" * 1000  # does not fit beside the pages that hold it full


class FullReadBuffer(SoloBrokerTest):
    def full(self, **settings):
        """Held by three pages; beside them there is room for next to nothing."""
        b = self.start(**dict(dict(read_buffer="785000", inline_max="64KiB", write_timeout="1m",
                                   read_buffer_wait_max="1m"), **settings))
        for i in range(5):
            b.offset("big", b"%d" % i * BODY)
        b.offset("small", HELLO)
        b.offset("tiny", "x")
        self.holders = []
        for i in range(3):
            self.holders.append(self.slow(b, "/v1/topics/big/messages?max_bytes=%d" % (261000 + i)))
            until(lambda: b.metric("sluice_read_buffer_bytes") >= 4 * BODY * (i + 1), what="it holds its page")
        m = b.metrics()
        self.assertLess(m["sluice_read_buffer_limit_bytes"] - m["sluice_read_buffer_bytes"], len(HELLO))
        self.assertEqual(m["sluice_read_buffer_waiting"], 0)
        return b

    def slow(self, b, path):
        c = b.client()
        self.addCleanup(c.close)
        c.close()
        c.sock = socket.socket()
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.sock.connect(("127.0.0.1", b.port))
        c.sock.settimeout(60)
        c.send(c.head("GET", path))
        return c

    def release(self, n=None):
        for c in self.holders[:n]:
            c.close()
        del self.holders[:n]

    def begin(self, b, path, headers=None):
        c = b.client()
        self.addCleanup(c.close)
        c.send(c.head("GET", path, headers))
        return c

    def in_line(self, b, path, headers=None, count=1):
        before = b.metric("sluice_read_buffer_waiting")
        clients = [self.begin(b, path, headers) for _ in range(count)]
        until(lambda: b.metric("sluice_read_buffer_waiting") == before + count, what="%d more wait" % count)
        return clients if count > 1 else clients[0]

    def given_back(self, b):
        self.release()
        until(lambda: b.metric("sluice_read_buffer_bytes") == 0, what="all of the read buffer is given back")
        m = b.metrics()
        self.assertEqual(m["sluice_read_buffer_waiting"], 0)
        self.assertLessEqual(m["sluice_read_buffer_high_water_bytes"], m["sluice_read_buffer_limit_bytes"])
        self.assertIdle(b)

    # Who waits.

    def test_a_reader_waits_and_is_answered_when_one_leaves(self):
        b = self.full()
        c = self.in_line(b, "/v1/topics/big/messages")
        self.assertTrue(c.is_silent(0.3))
        self.release(1)
        a = c.answer()
        self.assertEqual((a.status, [m["offset"] for m in a.json["messages"]]), (200, [0, 1, 2, 3]))
        self.given_back(b)

    def test_who_holds_a_page_and_reads_on_gets_it_whole_and_lets_others_in(self):
        b = self.full()
        c = self.in_line(b, "/v1/topics/big/messages?from=1")
        a = self.holders[0].answer()
        self.assertEqual([m["data"] for m in a.json["messages"]], ["%d" % i * BODY for i in range(4)])
        self.assertEqual(c.answer().json["next"], 5)
        self.given_back(b)

    def test_patience_ends_with_503_and_retry_after(self):
        b = self.full(read_buffer_wait_max="1s")
        a = self.begin(b, "/v1/topics/big/messages?wait=30").answer()
        self.assertProblem(a, 503, "read_buffer_full", True)
        self.assertGreaterEqual(int(a.header("Retry-After")), 0)
        self.assertGreater(b.metric("sluice_read_buffer_waited_total"), 0)
        self.given_back(b)

    def test_without_patience_it_is_503_at_once(self):
        b = self.start(read_buffer="1MiB", inline_max="64KiB", read_buffer_wait_max="0")
        for i in range(5):
            b.offset("big", b"x" * BODY)
        self.holders = [self.slow(b, "/v1/topics/big/messages") for _ in range(8)]

        def refused():
            m = b.metrics()  # a page for all of them: the others are still on their way
            return m["sluice_read_buffer_waited_total"] == m["sluice_responses_5xx_total"] > 0
        until(refused, what="those too many are refused, each that would have had to wait")
        self.given_back(b)

    def crowd(self, b, count):
        """So many more in line who will take nothing of their pages, each asking something else."""
        for i in range(count):
            before = b.metric("sluice_read_buffer_waiting")
            self.holders.append(self.slow(b, "/v1/topics/big/messages?max_bytes=%d" % (260001 + i)))
            until(lambda: b.metric("sluice_read_buffer_waiting") == before + 1, what="one more waits")

    def test_the_line_of_a_topic_is_first_come_first_served(self):
        b = self.full()
        first = len(self.holders)
        self.crowd(b, 3)
        late = self.in_line(b, "/v1/topics/big/messages?limit=1")  # small, and passes nobody
        for i in range(3):
            self.assertTrue(late.is_silent(0.2))
            self.release(1)
            until(lambda: b.metric("sluice_read_buffer_waiting") <= 3 - i, what="the next is let in")
        self.assertTrue(late.is_silent(0.2))
        self.assertEqual(len(self.holders), first)
        self.release(1)
        self.assertEqual(late.answer().status, 200)
        self.given_back(b)

    def test_the_crowd_of_a_topic_does_not_keep_the_readers_of_others(self):
        b = self.full()
        self.crowd(b, 10)
        other = self.in_line(b, "/v1/topics/small/messages")
        self.release(2)
        self.assertEqual(other.answer().json["messages"][0]["data"], HELLO)
        self.assertGreaterEqual(b.metric("sluice_read_buffer_waiting"), 7)
        self.given_back(b)

    def test_a_small_read_needs_little_room_and_an_empty_one_none(self):
        b = self.full()
        self.assertEqual(b.data("tiny"), ["x"])
        self.assertEqual(b.message("tiny", 0).body, b"x")
        c = self.in_line(b, "/v1/topics/big/messages")
        self.assertEqual(b.data("tiny", from_=1), [])  # somebody is in line, this one need not be
        self.release()
        self.assertEqual(c.answer().status, 200)
        self.given_back(b)

    def test_the_raw_form_a_message_and_a_stream_wait_as_well(self):
        b = self.full()
        b.offset("huge", b"h" * 500000)
        raw = self.in_line(b, "/v1/topics/small/messages", {"Accept": "application/octet-stream"})
        one = self.in_line(b, "/v1/topics/small/messages/0")
        part = self.in_line(b, "/v1/topics/small/messages/0", {"Range": "bytes=1-4000"})
        stream = self.in_line(b, "/v1/topics/huge/messages/0")
        self.release()
        self.assertEqual(raw.answer().text, HELLO)
        self.assertEqual(one.answer().text, HELLO)
        a = part.answer()
        self.assertEqual((a.status, a.body), (206, HELLO[1:4001].encode()))
        self.assertEqual(stream.answer().body, b"h" * 500000)
        self.given_back(b)

    def test_a_message_that_goes_while_its_reader_is_in_line_is_gone(self):
        b = self.full()
        c = self.in_line(b, "/v1/topics/small/messages/0")
        self.assertEqual(b.ask("POST", "/v1/topics/small:purge", '{"all":true}').status, 200)
        self.release()
        self.assertProblem(c.answer(), 410, "message_gone", False)
        self.given_back(b)

    def test_publishers_and_operators_do_not_wait_for_readers(self):
        b = self.full()
        c = self.in_line(b, "/v1/topics/big/messages")
        for i in range(100):
            self.assertEqual(b.publish("t", "x", {"Prefer": "wait=0"}).status, 201)
        for path in ("/healthz", "/readyz", "/metrics", "/v1/limits"):
            self.assertEqual(b.ask("GET", path).status, 200)
        self.assertEqual(b.metric("sluice_read_buffer_waiting"), 1)
        self.release()
        self.assertEqual(c.answer().status, 200)
        self.given_back(b)

    # Parked readers.

    def parked(self, b, topic, count, query="from=latest&wait=50"):
        clients = [self.begin(b, "/v1/topics/%s/messages?%s" % (topic, query)) for _ in range(count)]
        until(lambda: b.metric("sluice_readers_parked") == count, what="%d are parked" % count)
        return clients

    def test_a_parked_reader_that_is_woken_into_a_full_buffer_loses_nothing(self):
        b = self.full()
        b.offset("news", "old")
        clients = self.parked(b, "news", 5)
        b.offset("news", "0" * 5000)
        until(lambda: b.metric("sluice_read_buffer_waiting") == 5, what="all are woken, and wait for room")
        self.assertEqual(b.metric("sluice_readers_parked"), 0)
        b.offset("news", "1" * 5000)
        self.release()
        for c in clients:
            page = c.answer().json
            got = [m["data"] for m in page["messages"]]
            while page["next"] < 3:
                page = c.ask("GET", "/v1/topics/news/messages?from=%d" % page["next"]).json
                got += [m["data"] for m in page["messages"]]
            self.assertEqual(got, ["0" * 5000, "1" * 5000])
        self.given_back(b)

    def test_those_in_line_who_asked_the_same_share_one_answer(self):
        b = self.full()
        for i in range(5):
            b.offset("news", b"%d" % i * BODY)
        clients = self.parked(b, "news", 20)
        delivered = b.metric("sluice_delivered_messages_total")
        b.offset("news", b"n" * BODY)
        until(lambda: b.metric("sluice_read_buffer_waiting") == 20, what="all are woken, and wait for room")
        self.release()
        for c in clients:
            self.assertEqual([m["offset"] for m in c.answer().json["messages"]], [5])
        shared = b.metric("sluice_delivered_messages_total") - delivered
        self.assertLessEqual(shared, b.threads(), "an answer for each loop, at most")
        self.given_back(b)

    # Who leaves.

    def test_three_hundred_that_die_in_line_leave_nothing(self):
        b = self.full()
        clients = self.in_line(b, "/v1/topics/big/messages", count=300)
        watcher = self.begin(b, "/healthz")
        self.assertEqual(watcher.answer().status, 200)
        # The last question's connection may still be closing, and its descriptor is not theirs.
        until(lambda: watcher.metrics()["sluice_connections"] == len(self.holders) + 300 + 1,
              what="nobody but they, the holders and the watcher is left")
        fds = b.open_fds() - 300
        for c in clients:
            c.close()
        until(lambda: b.metric("sluice_read_buffer_waiting") == 0, what="those who left are forgotten")
        until(lambda: b.open_fds() <= fds, what="their descriptors are closed")
        self.given_back(b)
        self.assertEqual(b.read("big").status, 200)

    def test_fifty_that_stop_reading_cost_what_the_buffer_has_and_no_more(self):
        b = self.start(read_buffer="4MiB", inline_max="64KiB", write_timeout="300ms")
        for i in range(5):
            b.offset("big", b"%d" % i * BODY)
        self.holders = [self.slow(b, "/v1/topics/big/messages?from=%d&max_bytes=%d" % (i % 2, 261000 + i))
                        for i in range(50)]
        until(lambda: b.metric("sluice_read_buffer_waiting") > 20, what="most of them wait")
        last = self.begin(b, "/v1/topics/big/messages?limit=1")
        self.assertEqual(last.answer().json["next"], 1)  # those ahead are cut when they stop reading
        m = b.metrics()
        self.assertGreater(m["sluice_connections_stopped_readers_total"], 20)
        self.given_back(b)

    def test_sigterm_answers_those_in_line_and_ends(self):
        b = self.full(drain_timeout="2s")
        clients = [self.in_line(b, "/v1/topics/big/messages?from=%d&wait=30" % (i % 5)) for i in range(10)]
        b.terminate()
        for c in clients:
            self.assertProblem(c.answer(), 503, "draining", True)
            self.assertTrue(c.is_closed())
        self.release()
        b.wait_exit()

    def test_sigterm_ends_although_the_room_is_never_given_back(self):
        b = self.full(drain_timeout="500ms")
        self.in_line(b, "/v1/topics/big/messages", count=20)
        b.terminate()
        b.wait_exit()
