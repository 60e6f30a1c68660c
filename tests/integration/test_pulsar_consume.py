"""Pulsar-like consume: one message of a subscription a request, each to one consumer."""
import json
import threading

from sluicetest import BrokerTest, SoloBrokerTest, quote, until


class Consumer:
    def path(self, tail="", domain="persistent"):
        return "/topics/%s/public/default/%s%s" % (domain, quote(self.name), tail)

    def produce(self, *payloads, broker=None):
        body = json.dumps({"messages": [p if isinstance(p, dict) else {"payload": p} for p in payloads]})
        a = (broker or self.broker).ask("POST", self.path(), body, {"Content-Type": "application/json"})
        self.assertEqual(a.status, 200, a)

    def consume(self, sub="s", ms=0, query="?initialPosition=earliest", broker=None):
        return (broker or self.broker).ask("POST", self.path("/%s/message%s" % (sub, query)),
                                           json.dumps({"timeoutMillis": ms}))

    def body(self, *a, **k):
        answer = self.consume(*a, **k)
        return answer.body.decode() if answer.status == 200 else answer.status


class Consume(Consumer, BrokerTest):
    def test_messages_come_in_order_with_what_belongs_to_them(self):
        self.produce({"payload": "a", "key": "k", "eventTime": 5, "sequenceId": 2, "properties": {"x": "y"}}, "b")
        a = self.consume()
        self.assertEqual((a.status, a.body), (200, b"a"), a)
        for name, value in (("Message-Id", "0:0:-1"), ("Partition-Key", "k"), ("Event-Time", "5"),
                            ("Sequence-Id", "2"), ("Property-x", "y")):
            self.assertEqual(a.header("X-Pulsar-" + name), value)
        self.assertEqual(a.header("Content-Type"), "text/plain; charset=utf-8")
        self.assertEqual((self.body(), self.body()), ("b", 204))

    def test_two_consumers_share_and_two_subscriptions_do_not(self):
        self.produce(*[str(i) for i in range(20)])
        got = []

        def drink():
            for _ in range(10):
                got.append(self.body())
        threads = [threading.Thread(target=drink) for _ in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(got, key=int), [str(i) for i in range(20)])
        self.assertEqual((self.body(), self.body("other")), (204, "0"))

    def test_a_new_subscription_starts_behind_what_is_there(self):
        self.produce("before")
        self.assertEqual(self.body(query=""), 204)
        self.produce("after")
        self.assertEqual(self.body(query=""), "after")

    def test_as_many_of_those_who_wait_are_woken_as_there_are_messages(self):
        self.produce("first")
        self.assertEqual(self.body(), "first")
        got = []
        threads = [threading.Thread(target=lambda: got.append(self.body(ms=2000))) for _ in range(4)]
        for t in threads:
            t.start()
        self.produce("x", "y")
        for t in threads:
            t.join()
        self.assertEqual(sorted(got, key=str), [204, 204, "x", "y"])

    def test_expired_messages_are_passed_over(self):
        self.broker.offset("persistent://public/default/" + self.name, "gone soon", {"TTL": "50ms"})
        self.produce("alive")
        until(lambda: len(self.broker.data("persistent://public/default/" + self.name)) == 1, what="one expired")
        self.assertEqual((self.body(), self.body()), ("alive", 204))

    def test_a_large_message_comes_whole(self):
        large = "0123456789" * 40000
        self.broker.offset("persistent://public/default/" + self.name, large)
        self.assertTrue(self.body() == large)
        self.assertEqual(self.body(), 204)

    def test_what_is_wrong_is_told(self):
        self.assertEqual(self.body(), 404)
        self.produce("a")
        for bad in ("[", "[]", '{"timeoutMillis":-1}', '{"timeoutMillis":"soon"}', "{} {}"):
            a = self.broker.ask("POST", self.path("/s/message"), bad)
            self.assertEqual((a.status, set(a.json)), (400, {"reason"}), a)
        self.assertEqual(self.consume(query="?initialPosition=7").status, 400)
        self.assertEqual(self.consume(sub="%FF").status, 412)
        self.assertEqual(self.broker.ask("GET", self.path("/s/message")).status, 405)
        self.assertEqual(self.body(), "a")  # nothing of this moved the subscription

    def test_a_subscription_ends_by_itself_or_with_its_topic(self):
        self.produce("a")
        self.assertEqual((self.body(), self.body()), ("a", 204))
        self.assertEqual(self.broker.ask("DELETE", self.path("/subscription/s")).status, 204)
        self.assertEqual(self.broker.ask("DELETE", self.path("/subscription/s")).status, 404)
        self.assertEqual(self.body(), "a")
        self.broker.ask("DELETE", "/v1/topics/" + quote("persistent://public/default/" + self.name))
        self.produce("again")
        self.assertEqual(self.body(), "again")


class Restarted(Consumer, SoloBrokerTest):
    def test_a_subscription_stands_where_it_stood(self):
        b = self.start()
        self.produce("a", "b", broker=b)
        self.assertEqual(self.body(broker=b), "a")
        b.restart()
        self.assertEqual((self.body(broker=b), self.body(broker=b)), ("b", 204))

    def held_at_most(self, b):
        """Of the read buffer, before anybody asked for /metrics or read."""
        rows = b.ask("GET", "/v1/limits").json["budget"]
        return next(row["high_water_bytes"] for row in rows if row["line"] == "read_buffer")

    def test_a_consumer_pays_for_its_job_though_nothing_is_there(self):
        b = self.start()
        self.produce("a", broker=b)
        self.assertEqual(self.body(broker=b, query=""), 204)
        self.assertGreater(self.held_at_most(b), 400)
        b.restart()
        self.assertEqual(b.ask("DELETE", self.path("/subscription/s")).status, 204)
        self.assertGreater(self.held_at_most(b), 400)

    def test_what_was_given_is_counted(self):
        b = self.start()
        self.produce("a", "b", broker=b)
        self.assertEqual((self.body(broker=b), self.body(broker=b), self.body(broker=b)), ("a", "b", 204))
        self.assertEqual(b.metric("sluice_consume_messages_total"), 2)
        self.assertEqual(b.metric("sluice_consume_lost_total"), 0)

    def parked(self, b, count, ms=60000):
        """Consumers that wait, each on a connection of its own."""
        clients = [b.client() for _ in range(count)]
        for c in clients:
            self.addCleanup(c.close)
            body = json.dumps({"timeoutMillis": ms})
            c.send(c.head("POST", self.path("/s/message"), {"Content-Length": str(len(body))}) + body.encode())
        until(lambda: b.metric("sluice_readers_parked") == count, what="%d wait" % count)
        return clients

    def test_who_leaves_while_it_waits_takes_nothing_along(self):
        b = self.start()
        self.produce("before", broker=b)
        self.assertEqual(self.body(broker=b), "before")
        for c in self.parked(b, 20):
            c.close()
        self.assertIdle(b)
        self.produce("after", broker=b)
        self.assertEqual((self.body(broker=b), self.body(broker=b)), ("after", 204))

    def test_a_shutdown_answers_those_who_wait(self):
        b = self.start()
        self.produce("before", broker=b)
        self.assertEqual(self.body(broker=b), "before")
        clients = self.parked(b, 20)
        b.terminate()
        self.assertEqual({c.answer().status for c in clients} - {204, 503}, set())
        b.wait_exit(30)
        b.start()
        self.produce("after", broker=b)
        self.assertEqual((self.body(broker=b), self.body(broker=b)), ("after", 204))

    def test_many_who_wait_get_each_message_once(self):
        b = self.start()
        self.produce("before", broker=b)
        self.assertEqual(self.body(broker=b), "before")
        clients = self.parked(b, 50, 5000)
        self.produce(*[str(i) for i in range(30)], broker=b)
        answers = [c.answer() for c in clients]
        got = [a.body.decode() for a in answers if a.status == 200]
        self.assertEqual(sorted(got, key=int), [str(i) for i in range(30)])
        self.assertEqual({a.status for a in answers}, {200, 204})
        self.assertIdle(b)
