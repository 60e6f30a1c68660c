"""Time to live: exact for readers, space given back soon after, nothing lost from the books."""
import time

from sluicetest import BrokerTest, log, until


class Ttl(BrokerTest):
    def test_a_message_past_its_time_is_never_delivered(self):
        """Read all the time around the end: whatever is delivered was still alive when asked."""
        self.broker.offset(self.name, "stays", {"TTL": "1h"})
        published = time.time()
        self.broker.offset(self.name, "goes", {"TTL": "700ms"})
        end = time.time() + 0.7
        seen = 0
        with self.broker.client() as c:
            while time.time() < end + 0.4:
                asked = time.time()
                got = [m["data"] for m in c.ask("GET", "/v1/topics/%s/messages" % self.name).json["messages"]]
                if "goes" in got:
                    seen += 1
                    self.assertLess(asked, end)
                elif asked > published:
                    self.assertGreaterEqual(time.time(), published + 0.699)  # whole milliseconds
        self.assertGreater(seen, 0)
        self.assertEqual(self.broker.data(self.name), ["stays"])
        self.assertEqual(self.broker.message(self.name, 1).status, 410)

    def test_the_topics_ttl_is_the_default_of_its_messages(self):
        self.broker.ask("PUT", "/v1/topics/" + self.name, '{"ttl":"300ms"}')
        self.broker.offset(self.name, "x")
        until(lambda: self.broker.data(self.name) == [], what="it expires")

    def test_offsets_stay_when_messages_go(self):
        for i in range(3):
            self.broker.offset(self.name, str(i), {"TTL": "200ms"})
        until(lambda: self.broker.topic(self.name)["messages"] == 0, what="the sweep")
        t = self.broker.topic(self.name)
        self.assertEqual((t["earliest"], t["next"], t["expired"], t["bytes"]), (3, 3, 3, 0))
        self.assertEqual(self.broker.offset(self.name, "new"), 3)
        page = self.broker.read(self.name, from_=0).json
        self.assertEqual((page["skipped"], [m["offset"] for m in page["messages"]]), (3, [3]))

    def test_a_batch_may_say_its_ttl_once(self):
        a = self.broker.batch(self.name, b'{"data":"short"}\n{"data":"long","ttl":"1h"}\n', headers={"TTL": "300ms"})
        self.assertEqual(a.status, 201, a)
        until(lambda: self.broker.data(self.name) == ["long"], what="the short one expires")
        self.assertProblem(self.broker.batch(self.name, b'{"data":1}\n', headers={"TTL": "soon"}), 400, "bad_header")

    def test_a_long_lived_message_in_front_pins_nothing(self):
        self.broker.offset(self.name, "stays", {"TTL": "1h"})
        for _ in range(10):
            lines = '{"data":"%s","ttl":"1s"}\n' % ("x" * 100) * 5000
            self.assertEqual(self.broker.batch(self.name, lines).status, 201)
        full = self.broker.metrics()
        self.assertGreater(full["sluice_messages_live"], 5000)
        until(lambda: self.broker.topic(self.name)["messages"] == 1, what="the short-lived go")
        self.assertEqual(self.broker.data(self.name), ["stays"])
        m = self.broker.metrics()
        self.assertLess(m["sluice_store_used_bytes"], full["sluice_store_used_bytes"])

    def test_the_books_balance_at_every_moment(self):
        """accepted = live + expired + removed, sampled while all three move."""
        self.broker.ask("PUT", "/v1/topics/%s-quota" % self.name, '{"max_bytes":20000,"overflow":"drop_oldest"}')
        samples, end = 0, time.monotonic() + 3
        with self.broker.client() as c:
            while time.monotonic() < end:
                c.ask("POST", "/v1/topics/%s/messages:batch" % self.name, b'{"data":"x","ttl":"300ms"}\n' * 200,
                      {"Content-Type": "application/x-ndjson"})
                c.ask("POST", "/v1/topics/%s-quota/messages" % self.name, b"x" * 5000)
                if samples % 10 == 9:
                    c.ask("POST", "/v1/topics/%s:purge" % self.name, b'{"all":true}')
                self.assertConserved()
                samples += 1
        m = self.broker.metrics()
        for moved in ("sluice_messages_expired_total", "sluice_messages_removed_total"):
            self.assertGreater(m[moved], 0)
        log("the books balanced in %d samples" % samples)

    def test_a_waiting_reader_is_not_woken_by_what_is_dead_on_arrival(self):
        """TTL 0 (RFC 8030) is for those that wait now, or for nobody; it is never read later."""
        a = self.broker.publish(self.name, "x", {"TTL": "0"})
        self.assertIn(a.status, (201, 400), a)
        if a.status == 201:
            self.assertEqual(self.broker.data(self.name), [])


class DefaultTtl(BrokerTest):
    settings = {"default_ttl": "400ms"}

    def test_the_brokers_default_holds_where_nothing_else_is_said(self):
        self.broker.offset(self.name, "x")
        until(lambda: self.broker.data(self.name) == [], what="it expires")
        until(lambda: self.broker.topic(self.name)["messages"] == 0, what="the sweep")

    def test_a_topic_and_a_message_may_live_longer(self):
        """It stands in where neither says anything; it is a default, not a cap."""
        self.broker.ask("PUT", "/v1/topics/" + self.name, '{"ttl":"1h"}')
        self.broker.offset(self.name, "long")
        self.broker.offset(self.name + "-m", "longer", {"TTL": "1h"})
        time.sleep(0.6)
        self.assertEqual(self.broker.data(self.name), ["long"])
        self.assertEqual(self.broker.data(self.name + "-m"), ["longer"])


class NoTtl(BrokerTest):
    settings = {"default_ttl": "0"}

    def test_without_a_ttl_a_message_never_expires(self):
        a = self.broker.publish(self.name, "x")
        self.assertEqual(a.status, 201)
        self.assertIsNone(a.json.get("expires_at"))
        self.assertEqual(self.broker.data(self.name), ["x"])
