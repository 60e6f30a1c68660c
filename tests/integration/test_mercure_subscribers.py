"""The private updates that tell of who comes to the Mercure hub and who goes, however that happens."""
import json
import random
import threading
import time

import jwt
from hub import HUB
from sluicetest import SoloBrokerTest, quote, until
from subscriptions import ALL, BOOKS, SETTINGS, SubscriptionsTest, Watcher

URN = r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class Told(SubscriptionsTest, SoloBrokerTest):
    """The updates about who comes and goes."""

    def setUp(self):
        super().setUp()
        self.start(**SETTINGS)

    def test_who_comes_and_who_goes(self):
        w = self.watch()
        s = self.subscribe(BOOKS, subscribe=["x"], payload={"user": {"name": "bob"}})
        came = w.take(1)[0]
        s.close()
        gone = w.take(1)[0]
        subscriber = json.loads(came.data)["subscriber"]
        self.assertRegex(subscriber, "^%s$" % URN)
        for event, active in (came, "true"), (gone, "false"):
            self.assertEqual(event.type, "message")
            self.assertRegex(event.id, r"^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-7")
            self.assertEqual(event.data, """{
  "@context": "https://mercure.rocks/",
  "id": "%s/https%%3A%%2F%%2Fexample.com%%2Fbooks%%2F%%7Bid%%7D/%s",
  "type": "Subscription",
  "subscriber": "%s",
  "topic": "https://example.com/books/{id}",
  "active": %s,
  "payload": {"user":{"name":"bob"}}
}""" % (ALL, quote(subscriber), subscriber, active))

    def test_they_are_private_updates_of_the_log(self):
        w = self.watch()
        s = self.subscribe("a b/{c}")
        w.take(1)
        m = self.told()[-1]
        self.assertEqual(m["key"], json.loads(m["data"])["id"])
        self.assertIn("/a%20b%2F%7Bc%7D/", m["key"])
        self.assertEqual((m["attributes"], m["content_type"]), ({"mercure-private": "1"}, "text/plain; charset=utf-8"))
        s.close()
        w.take(1)
        self.assertEqual(self.told()[-1]["key"], m["key"])

    def test_who_may_not_see_them_does_not(self):
        outsider, anybody = self.subscribe("*", subscribe=["https://example.com/x"]), self.subscribe("*")
        until(lambda: len(self.told()) == 2)
        w = self.watch()
        s = self.subscribe("a")
        w.take(1)
        s.close()
        w.take(1)
        self.published([("topic", "end"), ("data", "end")])
        self.assertEqual([e.data for e in outsider.take(1) + anybody.take(1)], ["end", "end"])

    def test_one_for_each_selector(self):
        """More than are under way to the writer at the same time."""
        self.broker.restart(connection_memory="64KiB")
        w = self.watch()
        s = self.subscribe(*["%d" % i for i in range(300)])
        came = w.documents(300)
        s.close()
        gone = w.documents(300)
        self.assertCountEqual([d["topic"] for d in came], ["%d" % i for i in range(300)])
        self.assertCountEqual([d["id"] for d in came], [d["id"] for d in gone])
        self.assertEqual({d["active"] for d in came} | {not d["active"] for d in gone}, {True})
        self.assertEqual(len({d["subscriber"] for d in came}), 1)

    def test_a_client_that_is_killed_is_told_of_once(self):
        w = self.watch()
        s = self.subscribe("a")
        came = w.documents(1)[0]
        s.reset()
        self.assertEqual(w.documents(1)[0], {**came, "active": False})
        self.published([("topic", "x")])
        self.assertEqual([json.loads(m["data"])["active"] for m in self.told()], [True, True, False])

    def listed(self):
        return {s["id"] for s in self.document()["subscriptions"]}

    @staticmethod
    def apply(known, messages):
        for m in messages:
            d = json.loads(m["data"])
            (known.add if d["active"] else known.discard)(d["id"])
        return known

    def test_who_follows_them_from_a_documents_last_event_knows_the_list(self):
        """Whatever happens meanwhile: the document, and what is told behind its lastEventID."""
        random.seed(5)
        known, present = None, []
        for _ in range(6):
            for _ in range(random.randrange(1, 12)):
                if present and random.random() < 0.5:
                    present.pop(random.randrange(len(present))).close()
                else:
                    present.append(self.subscribe(*["t%d" % random.randrange(5) for _ in range(2)]))
            if known is None:
                d = self.document()
                known, last = {s["id"] for s in d["subscriptions"]}, d["lastEventID"]
        until(lambda: self.gauge() == len(present))
        until(lambda: self.apply(set(), self.told()) == self.listed(), what="all is told")
        messages = self.told()
        if last != "earliest":
            messages = messages[[m["id"] for m in messages].index(last) + 1:]
        self.assertEqual(self.apply(known, messages), self.listed())

    def test_two_hundred_who_come_and_go(self):
        """Everybody is told of twice, in this order; gauge, list and sockets agree."""
        crowd = [self.subscribe("t%d" % (i % 7)) for i in range(200)]
        listed = self.document()["subscriptions"]
        self.assertEqual((len(listed), self.gauge(), len({s["subscriber"] for s in listed})), (200, 200, 200))
        for i, s in enumerate(crowd):
            s.reset() if i % 2 else s.close()
        until(lambda: len(self.told()) == 400, what="all is told")
        seen = {}
        for m in self.told():
            d = json.loads(m["data"])
            seen.setdefault(d["id"], []).append(d["active"])
        self.assertEqual((len(seen), {tuple(v) for v in seen.values()}), (200, {(True, False)}))
        self.assertNobodyIsLeft()
        self.assertConserved()


class Churn(SubscriptionsTest, SoloBrokerTest):
    """Many at the same time, on all loops; also for the sanitizers."""

    def come_and_go(self, seed, stop):
        """Until the broker ends, or so many times."""
        chance, present = random.Random(seed), []
        try:
            while not stop.is_set():
                s = Watcher(self.broker, ["t%d" % chance.randrange(9) for _ in range(chance.randrange(1, 4))])
                present.append(s)
                if chance.random() < 0.7:
                    s.opened()
                if len(present) > 5:
                    leaver = present.pop(chance.randrange(6))
                    leaver.reset() if chance.random() < 0.5 else leaver.close()
        except (OSError, AssertionError):
            stop.wait()  # the broker ends
        for s in present:
            s.close()

    def read(self, stop, seen):
        try:
            while not stop.is_set():
                ids = [s["id"] for s in self.document()["subscriptions"]]
                seen.append((len(ids), len(set(ids))))
        except OSError:
            stop.wait()

    def begin(self):
        self.start(**{**SETTINGS, "loops": 3})
        stop, seen = threading.Event(), []
        threads = [threading.Thread(target=self.come_and_go, args=(i, stop)) for i in range(4)]
        threads += [threading.Thread(target=self.read, args=(stop, seen)) for _ in range(2)]
        for t in threads:
            t.start()

        def end():
            stop.set()
            for t in threads:
                t.join()
        self.addCleanup(end)
        until(lambda: len(seen) > 30 and len(self.told()) > 1000, what="some came and went")
        self.assertTrue(all(all_ids == ids for all_ids, ids in seen), seen)
        return end

    def assertAllAreToldOf(self):
        """Each of them twice, in this order."""
        seen = {}
        for m in self.told():
            d = json.loads(m["data"])
            seen.setdefault(d["id"], []).append(d["active"])
        self.assertEqual({tuple(v) for v in seen.values()}, {(True, False)})

    def test_while_the_list_is_read(self):
        self.begin()()
        self.assertNobodyIsLeft()
        self.assertAllAreToldOf()
        self.assertConserved()

    def test_until_the_broker_ends(self):
        end = self.begin()
        self.broker.stop()
        end()
        self.broker.start()
        self.assertAllAreToldOf()
        self.assertNobodyIsLeft()


class Endings(SubscriptionsTest, SoloBrokerTest):
    def ended(self, count=1):
        """So many have been told to have ended; nobody is there."""
        def all_told():
            return [json.loads(m["data"])["active"] for m in self.told()] == count * [True] + count * [False]
        until(all_told, what="%d ends are told" % count)
        self.assertNobodyIsLeft()

    def test_by_the_time_that_a_stream_may_last(self):
        self.start(mercure_write_timeout="1s", mercure_dispatch_timeout="100ms", **SETTINGS)
        self.subscribe("a").rest()
        self.ended()

    def test_by_a_token_that_runs_out(self):
        self.start(mercure_dispatch_timeout="100ms", **SETTINGS)
        self.subscribe("a", subscribe=["a"], expires=time.time() + 2).rest()
        self.ended()

    def test_by_not_taking_what_there_is(self):
        self.start(mercure_dispatch_timeout="1s", **SETTINGS)
        s = self.subscribe("big", receive_buffer=4096)
        for _ in range(40):
            self.published([("topic", "big"), ("data", "x" * 60000)])
        self.assertEqual(self.gauge(), len(self.document()["subscriptions"]))
        until(lambda: self.gauge() == 0, what="it is cut")
        self.ended()

    def test_by_a_shutdown(self):
        """The streams that end are told of, in the log, for who goes on reading there after a restart."""
        self.start(**SETTINGS)
        crowd = [self.subscribe("a", "b") for _ in range(150)]
        until(lambda: len(self.told()) == 300)
        self.broker.restart()
        states = [json.loads(m["data"])["active"] for m in self.told()]
        self.assertEqual(states, 300 * [True] + 300 * [False])
        self.assertEqual(self.document()["subscriptions"], [])
        for s in crowd:
            s.rest()

    def test_a_crash_forgets_who_was_there(self):
        self.start(**SETTINGS)
        self.subscribe("a")
        until(lambda: len(self.told()) == 1)
        tag = self.get().header("ETag")
        self.assertEqual(self.get(headers={"If-None-Match": tag}).status, 304)
        self.broker.kill()
        self.broker.start()
        a = self.get(headers={"If-None-Match": tag})  # the last event is the same, what is listed is not
        self.assertEqual((a.status, a.header("ETag"), a.json["subscriptions"]), (200, tag, []))


class NoRoom(SubscriptionsTest, SoloBrokerTest):
    def hold_the_buffer(self):
        """Full of requests that send nothing: their bytes are reserved, not here."""
        held = []
        for length in 250000, 250000, 250000:
            c = self.broker.client()
            self.addCleanup(c.close)
            c.send(c.head("POST", "/v1/topics/holder/messages:batch",
                          {"Content-Length": str(length), "Content-Type": "application/x-ndjson"}))
            held.append(c)
        until(lambda: self.broker.metric("sluice_publish_waiting") == 1, what="the buffer is held, and one waits")
        return held

    def test_to_tell_it_while_the_publish_buffer_is_full(self):
        """It waits, and neither subscribers nor their list do."""
        self.start(publish_buffer="512KiB", max_batch_bytes="256KiB", inline_max="64KiB", min_body_rate="0", **SETTINGS)
        held = self.hold_the_buffer()
        crowd = [self.subscribe("a", "b") for _ in range(20)]
        crowd.pop().close()
        until(lambda: self.gauge() == 19)
        self.assertEqual(len(self.document()["subscriptions"]), 38)
        self.assertEqual(self.told(), [])
        self.assertTrue(1 < self.broker.metric("sluice_publish_waiting") <= 3)  # one for each loop
        tag = self.get().header("ETag")
        self.assertEqual(self.get(headers={"If-None-Match": tag}).status, 200)  # not all is told
        for c in held:
            c.close()
        until(lambda: len(self.told()) == 42, what="all is told")
        seen = {}
        for m in self.told():
            d = json.loads(m["data"])
            seen.setdefault(d["id"], []).append(d["active"])
        self.assertEqual(sorted(map(tuple, seen.values())), 38 * [(True,)] + 2 * [(True, False)])
        self.assertLessEqual(self.broker.metric("sluice_publish_buffer_high_water_bytes"), 512 << 10)
        for s in crowd:
            s.close()
        until(lambda: len(self.told()) == 80)
        self.assertNobodyIsLeft()

    def test_in_a_log_that_is_full(self):
        """It is tried again, and what was told comes in the right order in the end."""
        self.start(**SETTINGS)
        self.broker.ask("PUT", "/v1/topics/mercure", '{"max_messages":3,"overflow":"reject"}')
        crowd = [self.subscribe("t%d" % i) for i in range(5)]
        for s in crowd[:4]:
            s.close()
        until(lambda: self.gauge() == 1)
        until(lambda: self.broker.metric("sluice_quota_refused_total") > 0)
        self.assertLessEqual(len(self.told()), 3)  # what is told at once is stored as one, or refused as one
        self.assertEqual([s["topic"] for s in self.document()["subscriptions"]], ["t4"])
        self.broker.ask("PATCH", "/v1/topics/mercure", '{"max_messages":0}')
        until(lambda: len(self.told()) == 9, what="all is told")
        seen = {}
        for m in self.told():
            d = json.loads(m["data"])
            seen.setdefault(d["topic"], []).append(d["active"])
        self.assertEqual(seen, {"t4": [True], **{"t%d" % i: [True, False] for i in range(4)}})
        crowd[4].close()
        until(lambda: len(self.told()) == 10)
        self.assertNobodyIsLeft()

    def test_in_a_log_that_is_full_when_the_broker_ends(self):
        self.start(**SETTINGS)
        self.broker.ask("PUT", "/v1/topics/mercure", '{"max_messages":1,"overflow":"reject"}')
        for i in range(5):
            self.subscribe("t%d" % i)
        began = time.monotonic()
        self.broker.restart()  # it ends by itself, with status 0
        self.assertEqual(len(self.told()), 1)
        self.assertLess(time.monotonic() - began, 60)

    def test_for_more_subscribers(self):
        """503, until others leave."""
        self.start(read_buffer="1MiB", inline_max="16KiB", loops=1, **{k: v for k, v in SETTINGS.items() if k != "loops"})
        payload, crowd = {"x": "y" * 4000}, []
        token = jwt.token(subscribe=["a"], payload=payload)
        while True:
            c = self.broker.client()
            self.addCleanup(c.close)
            c.send(c.head("GET", HUB + "?topic=a", {"Authorization": "Bearer " + token}))
            status, headers = c._head()
            if status != 200:
                break
            crowd.append(c)
            until(lambda: self.gauge() == len(crowd))
        self.assertEqual((status, dict(headers)["Retry-After"]), (503, "1"))
        self.assertTrue(40 < len(crowd) < 64, len(crowd))  # 4 KB each, in a quarter of 1 MiB
        self.assertEqual((self.gauge(), len(self.document()["subscriptions"])), (len(crowd), len(crowd)))
        self.assertLessEqual(self.broker.metric("sluice_read_buffer_bytes"), 512 << 10)
        for s in crowd:
            s.close()
        until(lambda: len(self.told()) == 2 * len(crowd))
        self.assertNobodyIsLeft()
        self.subscribe("a", subscribe=["a"], payload=payload)
