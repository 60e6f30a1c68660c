"""The long-poll: woken by a publish, empty when its time is over, gone with its client."""
import threading
import time

from sluicetest import BrokerTest, log, until


class Wait(BrokerTest):
    def setUp(self):
        super().setUp()
        self.broker.ask("PUT", "/v1/topics/" + self.name)

    def parked(self, query, headers=None, topic=None):
        before = self.broker.metric("sluice_readers_parked")
        c = self.broker.client()
        self.addCleanup(c.close)
        c.send(c.head("GET", "/v1/topics/%s/messages?%s" % (topic or self.name, query), headers))
        until(lambda: self.broker.metric("sluice_readers_parked") == before + 1, what="the reader is parked")
        return c

    def test_a_publish_wakes_it(self):
        c = self.parked("wait=50")
        self.broker.offset(self.name, "news")
        page = c.answer().json
        self.assertEqual([m["data"] for m in page["messages"]], ["news"])
        self.assertEqual(page["next"], 1)
        self.assertIdle()

    def test_it_is_empty_when_the_time_is_over_and_not_before(self):
        for wait, seconds in (("1", 1.0), ("300ms", 0.3)):
            began = time.monotonic()
            a = self.broker.read(self.name, wait=wait)
            took = time.monotonic() - began
            self.assertEqual((a.status, a.json["messages"], a.json["next"]), (200, [], 0))
            self.assertGreaterEqual(took, seconds - 0.01)  # the broker's clock ticks in milliseconds
            log("wait=%s was answered %.0f ms late" % (wait, (took - seconds) * 1000))

    def test_what_is_there_already_is_not_waited_for(self):
        self.broker.offset(self.name, "old")
        self.assertEqual(len(self.broker.read(self.name, wait=60).json["messages"]), 1)

    def test_latest_waits_for_what_comes(self):
        self.broker.offset(self.name, "old")
        c = self.parked("from=latest&wait=50")
        self.broker.offset(self.name, "new")
        self.assertEqual([m["data"] for m in c.answer().json["messages"]], ["new"])

    def test_an_offset_ahead_waits_until_it_is_there(self):
        c = self.parked("from=2&wait=50")
        self.broker.offset(self.name, "0")
        self.broker.offset(self.name, "1")
        self.assertTrue(c.is_silent(0.3))
        self.broker.offset(self.name, "2")
        self.assertEqual([m["data"] for m in c.answer().json["messages"]], ["2"])

    def test_other_topics_wake_nobody(self):
        c = self.parked("wait=2")
        for i in range(50):
            self.broker.offset("other-%d" % i, "x")
        self.assertEqual(c.answer().json["messages"], [])

    def test_every_reader_of_a_topic_is_woken(self):
        clients = [self.parked("wait=50") for _ in range(20)]
        self.broker.offset(self.name, "all")
        for c in clients:
            self.assertEqual([m["data"] for m in c.answer().json["messages"]], ["all"])
        self.assertIdle()

    def test_a_batch_wakes_with_all_its_messages(self):
        c = self.parked("wait=50")
        self.broker.batch(self.name, '{"data":1}\n{"data":2}\n{"data":3}\n')
        self.assertEqual([m["data"] for m in c.answer().json["messages"]], [1, 2, 3])

    def test_the_raw_form_waits_too(self):
        c = self.parked("wait=50", {"Accept": "application/octet-stream"})
        self.broker.offset(self.name, b"\0raw")
        a = c.answer()
        self.assertEqual((a.status, a.body, a.header("Message-Offset")), (200, b"\0raw", "0"))
        c = self.parked("from=1&wait=1", {"Accept": "application/octet-stream"})
        self.assertEqual(c.answer().status, 204)

    def test_ndjson_waits_too(self):
        c = self.parked("wait=50", {"Accept": "application/x-ndjson"})
        self.broker.offset(self.name, "line")
        self.assertIn('"data":"line"', c.answer().text)

    def test_a_large_message_wakes_it_with_its_name(self):
        c = self.parked("wait=50")
        self.broker.offset(self.name, b"x" * 500000)
        self.assertEqual(c.answer().json["messages"][0]["size"], 500000)

    def test_it_may_wait_for_a_topic_that_is_not_there_yet(self):
        """API.md: a reader of `news` waits before the first message makes the topic."""
        c = self.parked("wait=50", topic="unborn")
        self.broker.offset("unborn", "first")
        self.assertEqual([m["data"] for m in c.answer().json["messages"]], ["first"])

    def test_the_connection_goes_on_after_an_answer(self):
        c = self.parked("wait=50")
        self.broker.offset(self.name, "0")
        self.assertEqual(c.answer().json["next"], 1)
        c.send(c.head("GET", "/v1/topics/%s/messages?from=1&wait=50" % self.name))
        until(lambda: self.broker.metric("sluice_readers_parked") == 1)
        self.broker.offset(self.name, "1")
        self.assertEqual(c.answer().json["next"], 2)

    def test_a_reader_that_leaves_is_forgotten(self):
        left = self.broker.metric("sluice_readers_left_total")
        clients = [self.parked("wait=50") for _ in range(5)]
        for c in clients:
            c.close()
        self.assertIdle(seconds=5)
        self.assertEqual(self.broker.metric("sluice_readers_left_total"), left + 5)

    def test_deleting_the_topic_answers_its_readers(self):
        c = self.parked("wait=3")
        self.assertEqual(self.broker.ask("DELETE", "/v1/topics/" + self.name).status, 204)
        self.assertIn(c.answer().status, (200, 404))
        self.assertIdle()

    def test_no_wakeup_is_lost_in_a_conversation(self):
        """Two sides that each wait for the other: one lost wakeup and it takes 20 s a turn."""
        turns, late = 200, []

        def answerer():
            with self.broker.client() as c:
                for i in range(turns):
                    c.ask("GET", "/v1/topics/%s/messages?from=%d&wait=20" % (self.name, i))
                    c.ask("POST", "/v1/topics/%s-back/messages" % self.name, b"pong")
        other = threading.Thread(target=answerer)
        other.start()
        with self.broker.client() as c:
            for i in range(turns):
                began = time.monotonic()
                c.ask("POST", "/v1/topics/%s/messages" % self.name, b"ping")
                a = c.ask("GET", "/v1/topics/%s-back/messages?from=%d&wait=20" % (self.name, i))
                self.assertEqual(len(a.json["messages"]), 1)
                if time.monotonic() - began > 10:
                    late.append(i)
        other.join()
        self.assertEqual(late, [])
