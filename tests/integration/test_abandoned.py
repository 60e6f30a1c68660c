"""Subscriptions that nobody asks any more: they keep nothing, neither memory nor disk, beyond their topic's time."""
import json
import unittest

from sluicetest import PATIENCE, SoloBrokerTest, until

COUNT = 2000  # messages, in two batches


class Abandoned(SoloBrokerTest):
    def subscribe(self, name, **settings):
        a = self.broker.ask("PUT", "/v1/subscriptions/" + name, json.dumps(dict({"topic": "t"}, **settings)))
        self.assertEqual(a.status, 201, a)

    def publish(self):
        for first in range(0, COUNT, 1000):
            lines = "\n".join(json.dumps({"data": "x" * 500, "key": "k%d" % (i % 20)}) for i in range(first, first + 1000))
            self.assertEqual(self.broker.batch("t", lines).status, 201)

    def receive(self, name, **query):
        q = "&".join("%s=%s" % kv for kv in dict({"limit": 1000, "max_bytes": "1MiB"}, **query).items())
        a = self.broker.ask("POST", "/v1/subscriptions/%s:receive?%s" % (name, q), "")
        self.assertEqual(a.status, 200, a)
        return [m["lease"] for m in a.json["messages"]]

    def rows(self):
        """Of all subscriptions: what the store keeps of messages, beside the log."""
        listed = self.broker.ask("GET", "/v1/subscriptions").json["subscriptions"]
        return sum(s[k] for s in listed for k in ("in_flight", "waiting", "ready", "held"))

    def used(self):
        return self.broker.metric("sluice_store_used_bytes")

    def lines(self):
        budget = self.broker.ask("GET", "/v1/limits").json["budget"]
        return {r["line"]: r["active_bytes"] for r in budget if r["line"] in ("publish_buffer", "read_buffer", "json")}

    def is_abandoned(self, ttl):
        """Each in its own way; false when this machine took longer for it than the messages live."""
        self.assertIn(self.broker.ask("PATCH", "/v1/topics/t", '{"ttl":"%ds"}' % ttl).status, (200, 201))
        self.publish()
        leased = self.receive("leased")
        leases = self.receive("nacked")
        a = self.broker.ask("POST", "/v1/subscriptions/nacked:nack", json.dumps({"leases": leases, "delay": "7d"}))
        of_each_key = self.receive("by-key")  # the others are held
        rows, used, live = self.rows(), self.used(), self.broker.metric("sluice_messages_live")
        if live < COUNT:
            return False
        self.assertEqual((a.status, a.json["settled"], len(of_each_key)), (200, len(leases), 20))
        self.assertGreaterEqual(rows, len(leased) + len(leases) + 20)
        self.assertGreater(used, COUNT * 500)
        return True

    def test_nothing_of_them_is_left_when_the_messages_have_had_their_time(self):
        self.start(default_ttl="0")
        self.assertEqual(self.broker.ask("PUT", "/v1/topics/t", '{"ttl":"1h"}').status, 201)
        for name in "leased", "nacked", "never":
            self.subscribe(name, lease="100ms", max_in_flight=10000)
        self.subscribe("by-key", ordering="key", lease="100ms")
        used = self.used()
        for ttl in 2, 8, 32:
            done = self.is_abandoned(ttl)
            until(lambda: self.broker.metric("sluice_messages_live") == 0, seconds=ttl + PATIENCE, what="all expire")
            if done:
                break
        self.assertTrue(done)
        until(lambda: self.rows() == 0, what="no row is left")
        until(lambda: self.used() <= used + (64 << 10), what="the pages are back")
        until(lambda: not any(self.lines().values()), what="no ledger holds a byte")
        listed = self.broker.ask("GET", "/v1/subscriptions").json["subscriptions"]
        self.assertEqual({s["lag"] for s in listed}, {0})
        self.assertConserved()


if __name__ == "__main__":
    unittest.main()
