"""Doors that the broker opens itself: dead letters come in by one, and messages go out by push. They are
held against the same promises as those of test_doors: quotas, time to live, bytes, nothing lost."""
import datetime
import json
import threading

from sluicetest import SoloBrokerTest, until
from test_push import Pushing
from test_subscriptions import Worker

INLINE = 64 << 10
SETTINGS = {"publish_buffer": "512KiB", "inline_max": "64KiB", "max_batch_bytes": "256KiB"}


class DeadLetters(Worker, SoloBrokerTest):
    def given(self, **dead):
        self.start(**SETTINGS)
        self.dead = self.name + ".dead"
        self.assertEqual(self.broker.ask("PUT", "/v1/topics/" + self.dead, json.dumps(dead)).status, 201)
        self.make(dead_letter=self.dead)

    def letters(self):
        found, at, end = [], 0, None
        while at != end:
            page = self.broker.read(self.dead, from_=at).json
            found, at, end = found + page["messages"], page["next"], page["end"]
        return found

    def assertFits(self, place, more):
        """Two of three have a place, and the third when there is more."""
        self.say("a", "b", "c")
        self.assertEqual(self.settle("reject", *self.receive()).json["settled"], 3)
        s = self.sub()
        self.assertEqual((s["dead"], s["waiting"], len(self.letters())), (2, 1, 2), place)
        self.assertEqual(self.receive(), [])
        more()
        until(lambda: self.sub()["dead"] == 3, what="the third has its place")
        self.assertEqual([m["data"] for m in self.letters()], ["a", "b", "c"])
        self.assertEqual(self.sub()["lag"], 0)
        self.assertConserved()

    def test_the_topics_quota_holds(self):
        self.given(max_messages=2)
        self.assertFits("topic", lambda: self.broker.ask("PATCH", "/v1/topics/" + self.dead, '{"max_messages":3}'))

    def test_the_namespaces_quota_holds(self):
        self.given()
        a = self.broker.ask("PUT", "/v1/namespaces/" + self.dead, '{"max_messages":2}')
        self.assertEqual(a.status, 201, a)
        self.assertFits("namespace", lambda: self.broker.ask("DELETE", "/v1/namespaces/" + self.dead))

    def test_the_topics_ttl_is_theirs(self):
        self.given(ttl="90m")
        self.say("a")
        self.settle("reject", *self.receive())
        m, = self.letters()
        times = [datetime.datetime.strptime(m[k], "%Y-%m-%dT%H:%M:%S.%f%z") for k in ("time", "expires_at")]
        self.assertEqual((times[1] - times[0]).total_seconds(), 5400)

    def test_many_at_once_stay_within_what_the_writer_has(self):
        """Sixteen times what a batch may have: several turns, and one answer."""
        self.given()
        for i in range(64):
            self.say("%d" % i + "x" * (INLINE - 100))
        got = []
        while len(got) < 64:
            got += self.receive(limit=100, max_bytes="16MiB")
        self.assertEqual(self.settle("reject", *got).json, {"settled": 64})
        self.assertEqual([m["data"].rstrip("x") for m in self.letters()], ["%d" % i for i in range(64)])
        lines = {row["line"]: row for row in self.broker.ask("GET", "/v1/limits").json["budget"]}
        for name in "writer", "publish_buffer", "read_buffer", "json":
            self.assertLessEqual(lines[name]["high_water_bytes"], lines[name]["limit_bytes"], lines[name])
        self.assertGreater(lines["writer"]["high_water_bytes"], INLINE)
        self.assertIdle()
        self.assertConserved()


class Pushed(Pushing, SoloBrokerTest):
    def test_its_bytes_are_in_the_ledger_while_they_go_out(self):
        self.start(push_private=True, loops=1)
        hold = threading.Event()
        self.addCleanup(hold.set)
        e = self.endpoint(lambda got: hold.wait(60) and 200)
        self.make(e.url())
        self.assertEqual(self.broker.metric("sluice_read_buffer_bytes"), 0)
        self.say("x" * 100000)
        until(lambda: e.now == 1, what="it is on its way")
        self.assertGreater(self.broker.metric("sluice_read_buffer_bytes"), 100000)
        hold.set()
        self.all_acked(1)
        until(lambda: self.broker.metric("sluice_read_buffer_bytes") == 0, what="it is given back")
        self.assertConserved()
