"""Subscriptions: a queue over a topic, by leases, for several workers over plain HTTP."""
import json
import threading
import time

from sluicetest import BrokerTest, SoloBrokerTest, quote, until


class Worker:
    """Short words for what a consumer of a subscription does."""

    def path(self, verb="", sub=None):
        return "/v1/subscriptions/%s%s" % (quote(sub or self.name), verb and ":" + verb)

    def make(self, sub=None, **settings):
        a = self.broker.ask("PUT", self.path(sub=sub), json.dumps(dict({"topic": self.name}, **settings)))
        self.assertIn(a.status, (200, 201), a)
        return a.json

    def say(self, *bodies, key=None):
        for body in bodies:
            self.broker.offset(self.name, body, {"Message-Key": key} if key else None)

    def receive_raw(self, sub=None, client=None, **query):
        q = "&".join("%s=%s" % kv for kv in query.items())
        return (client or self.broker).ask("POST", self.path("receive", sub) + ("?" + q if q else ""), "")

    def receive(self, sub=None, **query):
        a = self.receive_raw(sub, **query)
        self.assertEqual(a.status, 200, a)
        return a.json["messages"]

    def data(self, sub=None, **query):
        return [m["data"] for m in self.receive(sub, **query)]

    def settle(self, verb, *messages, sub=None, **more):
        leases = [m if isinstance(m, str) else m["lease"] for m in messages]
        return self.broker.ask("POST", self.path(verb, sub), json.dumps(dict({"leases": leases}, **more)))

    def ack(self, *messages, sub=None):
        a = self.settle("ack", *messages, sub=sub)
        self.assertEqual(a.status, 200, a)
        self.assertEqual(a.json, {"settled": len(messages)})

    def sub(self, sub=None):
        a = self.broker.ask("GET", self.path(sub=sub))
        self.assertEqual(a.status, 200, a)
        return a.json

    def again(self, sub=None, **query):
        """Messages, as soon as there are some."""
        return until(lambda: self.receive(sub, **query), what="another delivery")


class Queue(Worker, BrokerTest):
    def test_a_thousand_texts_that_are_no_leases_are_told_so(self):
        self.make()
        one = self.settle("reject", "")
        many = self.settle("reject", *[""] * 1000)
        self.assertEqual((many.status, many.status // 100), (one.status, 4), many)

    def test_what_is_acked_never_comes_again(self):
        self.make()
        self.say("a", "b", "c")
        got = self.receive(limit=2)
        self.assertEqual([(m["offset"], m["data"], m["deliveries"]) for m in got], [(0, "a", 1), (1, "b", 1)])
        self.ack(*got)
        rest = self.receive()
        self.assertEqual([m["data"] for m in rest], ["c"])
        self.ack(*rest)
        self.assertEqual(self.receive(), [])
        s = self.sub()
        self.assertEqual((s["lag"], s["acked"], s["in_flight"], s["oldest_unacked"]), (0, 3, 0, None))
        a = self.settle("ack", *rest)  # an ack sent twice
        self.assertProblem(a, 409, "lease_lost", False)

    def test_two_subscriptions_each_get_all(self):
        self.make()
        self.make("other")
        self.say("a")
        self.assertEqual((self.data(), self.data("other")), (["a"], ["a"]))
        self.broker.ask("DELETE", self.path(sub="other"))

    def test_a_lease_that_runs_out_is_taken_over_and_fenced(self):
        self.make(lease="200ms")
        self.say("a")
        first = self.receive()[0]
        second = self.again(lease="1h")[0]
        self.assertEqual((second["data"], second["deliveries"]), ("a", 2))
        self.assertProblem(self.settle("ack", first), 409, "lease_lost")
        self.ack(second)
        self.assertEqual(self.receive(), [])

    def test_some_leases_settled_is_207_with_a_result_for_each(self):
        self.make()
        self.say("a", "b")
        a, b = self.receive()
        self.ack(a)
        said = self.settle("ack", a, b, "nonsense")
        self.assertEqual(said.status, 207, said)
        self.assertEqual(said.json["settled"], 1)
        self.assertEqual([r["status"] for r in said.json["results"]], [409, 200, 409])
        self.assertEqual([r.get("code") for r in said.json["results"]], ["lease_fenced", None, "lease_unknown"])

    def test_a_nack_brings_it_back_at_once_or_later(self):
        self.make(backoff=["1h"])
        self.say("a", "b")
        a, b = self.receive()
        self.assertEqual(self.settle("nack", a, delay="0s").status, 200)
        self.assertEqual(self.data(), ["a"])
        self.assertEqual(self.settle("nack", b).status, 200)
        self.assertEqual((self.receive(), self.sub()["waiting"]), ([], 1))

    def test_an_extended_lease_lives_longer(self):
        self.make(lease="300ms")
        self.say("a", "b")
        a, b = self.receive()
        said = self.settle("extend", a, lease="1h")
        self.assertEqual((said.status, said.json["settled"]), (200, 1), said)
        self.assertGreater(said.json["lease_expires"], a["lease_expires"])
        self.assertEqual([m["data"] for m in self.again()], ["b"])
        self.ack(a)

    def test_who_waits_gets_what_comes(self):
        self.make()
        got = []
        threads = [threading.Thread(target=lambda: got.append(self.data(wait=20))) for _ in range(3)]
        for t in threads:
            t.start()
        until(lambda: self.broker.metric("sluice_readers_parked") == 3, what="three wait")
        self.say("a", "b", "c")
        for t in threads:
            t.join()
        self.assertEqual(sorted(sum(got, [])), ["a", "b", "c"])

    def test_who_waits_gets_what_another_gives_back(self):
        self.make()
        self.say("a")
        a = self.receive()[0]
        got = []
        t = threading.Thread(target=lambda: got.append(self.data(wait=20)))
        t.start()
        until(lambda: self.broker.metric("sluice_readers_parked") == 1, what="one waits")
        self.settle("nack", a)
        t.join()
        self.assertEqual(got, [["a"]])

    def test_no_more_are_out_than_max_in_flight(self):
        self.make(max_in_flight=2)
        self.say("a", "b", "c")
        a, b = self.receive()
        self.assertEqual(self.receive(), [])
        got = []
        t = threading.Thread(target=lambda: got.append(self.data(wait=20)))
        t.start()
        until(lambda: self.broker.metric("sluice_readers_parked") == 1, what="one waits")
        self.ack(a)
        t.join()
        self.assertEqual(got, [["c"]])

    def test_expired_messages_are_never_delivered(self):
        self.make()
        self.broker.offset(self.name, "short", {"TTL": "100ms"})
        self.say("long")
        until(lambda: self.broker.data(self.name) == ["long"], what="one expired")
        got = self.receive()
        self.assertEqual([m["data"] for m in got], ["long"])
        self.assertEqual(self.sub()["lag"], 1)

    def test_seek_replays_and_fences(self):
        self.make()
        self.say("a", "b", "c")
        got = self.receive()
        self.ack(got[0])
        a = self.broker.ask("POST", self.path("seek"), json.dumps({"offset": 1}))
        self.assertEqual((a.status, a.json["lag"], a.json["in_flight"]), (200, 2, 0), a)
        self.assertProblem(self.settle("ack", got[1]), 409, "lease_lost")
        self.assertEqual(self.data(), ["b", "c"])
        self.broker.ask("POST", self.path("seek"), json.dumps({"time": got[0]["time"]}))
        self.assertEqual(self.data(limit=1), ["a"])
        self.broker.ask("POST", self.path("seek"), json.dumps({"offset": "latest"}))
        self.assertEqual((self.receive(), self.sub()["lag"]), ([], 0))

    def test_a_new_one_starts_where_it_is_told(self):
        self.say("a", "b")
        for start, want in (("earliest", ["a", "b"]), ("latest", []), (1, ["b"]), ("2000-01-01T00:00:00Z", ["a", "b"])):
            name = self.name + str(start)
            self.make(name, start=start)
            self.assertEqual(self.data(name), want)

    def test_what_is_made_twice_must_be_the_same(self):
        self.assertEqual(self.make()["lease"], "30s")
        self.assertEqual(self.broker.ask("PUT", self.path(), json.dumps({"topic": self.name})).status, 200)
        a = self.broker.ask("PUT", self.path(), json.dumps({"topic": self.name, "lease": "1s"}))
        self.assertProblem(a, 409, "subscription_exists")

    def test_what_is_wrong_is_told(self):
        for body in ({}, {"topic": ""}, {"topic": 7}, {"topic": "t", "lease": "0s"}, {"topic": "t", "filter": {}},
                     {"topic": "t", "backoff": ["1s"] * 9}, {"topic": "t", "dead_letter": "t"},
                     {"topic": "t", "ordering": "time"}, {"topic": "t", "max_in_flight": 0}, {"topic": "t", "start": -1}):
            self.assertProblem(self.broker.ask("PUT", self.path(), json.dumps(body)), 400, "bad_setting")
        self.assertProblem(self.broker.ask("GET", self.path()), 404, "subscription_not_found")
        self.assertProblem(self.broker.ask("DELETE", self.path()), 404, "subscription_not_found")
        self.assertProblem(self.receive_raw(), 404, "subscription_not_found")
        self.assertProblem(self.settle("ack", "x"), 404, "subscription_not_found")
        self.make()
        for query in ({"limit": 0}, {"lease": "13h"}, {"wait": "soon"}, {"max_bytes": 0}):
            self.assertProblem(self.receive_raw(**query), 400, "bad_parameter")
        for body in ("", "[]", '{"leases":[]}', '{"leases":[1]}', '{"leases":["a"],"delay":"1s"}', '{"leases":"a"}'):
            self.assertProblem(self.broker.ask("POST", self.path("ack"), body), 400, "bad_json")
        for body in ("{}", '{"offset":-1}', '{"time":7}', '{"offset":1,"time":"2000-01-01T00:00:00Z"}'):
            self.assertProblem(self.broker.ask("POST", self.path("seek"), body), 400, "bad_request")

    def test_listed_in_pages(self):
        for i in range(5):
            self.make(self.name + str(i))
        path = "/v1/subscriptions?prefix=%s&limit=2" % self.name
        names, after = [], ""
        while after is not None:
            page = self.broker.ask("GET", path + ("&after=" + after if after else "")).json
            names += [s["subscription"] for s in page["subscriptions"]]
            after = page["next"]
        self.assertEqual(names, [self.name + str(i) for i in range(5)])

    def test_a_large_message_comes_as_a_link(self):
        self.make()
        self.broker.offset(self.name, b"x" * 3000000)
        m = self.receive()[0]
        self.assertEqual(m["size"], 3000000)
        self.assertEqual(len(self.broker.ask("GET", m["href"]).body), 3000000)
        self.ack(m)

    def test_a_topic_that_is_made_again_goes_on(self):
        self.make()
        self.say("a")
        a = self.receive()[0]
        self.broker.ask("DELETE", "/v1/topics/" + self.name)
        self.assertEqual((self.receive(), self.sub()["lag"]), ([], 1))
        self.say("b")
        self.assertEqual(self.data(), ["b"])
        self.ack(a)


class DeadLetters(Worker, BrokerTest):
    def dead(self):
        return self.broker.read(self.name + ".dead").json["messages"] if self.is_there() else []

    def is_there(self):
        return self.broker.ask("GET", "/v1/topics/%s.dead" % self.name).status == 200

    def test_what_was_tried_often_enough_is_a_dead_letter_with_its_story(self):
        self.make(max_deliveries=2, dead_letter=self.name + ".dead")
        self.broker.offset(self.name, "bad", {"Message-Key": "k", "Message-Till": "7", "Content-Type": "text/plain"})
        self.say("good")
        for deliveries in (1, 2):
            bad = self.receive(limit=1)[0]
            self.assertEqual(bad["deliveries"], deliveries)
            self.assertEqual(self.dead(), [])
            self.settle("nack", bad)
        m, = self.dead()
        self.assertEqual((m["data"], m["key"], m["content_type"]), ("bad", "k", "text/plain"))
        self.assertEqual(m["attributes"], {
            "till": "7", "dead-letter-topic": self.name, "dead-letter-offset": "0", "dead-letter-deliveries": "2",
            "dead-letter-subscription": self.name, "dead-letter-reason": "max_deliveries"})
        self.assertEqual(self.data(), ["good"])
        s = self.sub()
        self.assertEqual((s["dead"], s["delivered"], s["redelivered"], s["lag"]), (1, 3, 1, 1))

    def test_a_lease_that_runs_out_counts_as_a_try(self):
        self.make(max_deliveries=1, dead_letter=self.name + ".dead", lease="50ms")
        self.say("a")
        self.receive()
        until(self.dead, what="a dead letter")
        self.assertEqual((self.receive(), self.sub()["lag"]), ([], 0))

    def test_without_a_dead_letter_topic_it_is_dropped(self):
        self.make()
        self.say("a")
        self.assertEqual(self.settle("reject", *self.receive()).status, 200)
        self.assertEqual((self.receive(), self.sub()["dead"], self.sub()["lag"]), ([], 1, 0))

    def test_while_there_is_no_place_it_is_kept_and_not_delivered(self):
        self.broker.ask("PUT", "/v1/topics/%s.dead" % self.name, '{"max_messages":1}')
        self.broker.offset(self.name + ".dead", "in the way")
        self.make(dead_letter=self.name + ".dead")
        self.say("a")
        self.settle("reject", *self.receive())
        s = self.sub()
        self.assertEqual((self.receive(), s["lag"], s["waiting"], s["dead"]), ([], 1, 1, 0))
        self.broker.ask("PATCH", "/v1/topics/%s.dead" % self.name, '{"max_messages":2}')
        until(lambda: self.sub()["dead"] == 1, what="another try")
        self.assertEqual([m["data"] for m in self.dead()], ["in the way", "a"])

    def test_a_large_message_leaves_word_of_where_it_is(self):
        self.make(dead_letter=self.name + ".dead")
        self.broker.offset(self.name, b"x" * 3000000)
        self.settle("reject", *self.receive())
        m, = self.dead()
        self.assertEqual((m["data"], m["attributes"]["dead-letter-size"]), ("", "3000000"))

    def redrive(self, limit=100, sub=None):
        a = self.broker.ask("POST", self.path("redrive", sub) + "?limit=%d" % limit, "")
        self.assertEqual(a.status, 200, a)
        return a.json["redriven"]

    def test_redriven_they_are_messages_again_as_they_were(self):
        self.make(dead_letter=self.name + ".dead")
        self.make("other", dead_letter=self.name + ".dead")
        self.assertEqual(self.redrive(), 0)
        for i in range(3):
            self.broker.offset(self.name, str(i), {"Message-Key": "k", "Message-Till": "7"})
        self.settle("reject", *self.receive("other", limit=1), sub="other")
        self.settle("reject", *self.receive())
        self.assertEqual(len(self.dead()), 4)
        self.assertEqual(self.redrive(limit=2), 2)
        got = self.receive()
        self.assertEqual([(m["offset"], m["data"], m["key"], m["attributes"], m["deliveries"]) for m in got],
                         [(3, "0", "k", {"till": "7"}, 1), (4, "1", "k", {"till": "7"}, 1)])
        self.assertEqual([m["attributes"]["dead-letter-subscription"] for m in self.dead()], ["other", self.name])
        self.assertEqual((self.redrive(), self.redrive()), (1, 0))
        self.assertEqual([m["data"] for m in self.dead()], ["0"])
        self.assertConserved()

    def test_a_redrive_that_finds_no_place_moves_nothing(self):
        self.broker.ask("PUT", "/v1/topics/" + self.name, '{"max_messages":2}')
        self.make(dead_letter=self.name + ".dead")
        self.say("a", "b")
        self.settle("reject", *self.receive())
        self.assertProblem(self.broker.ask("POST", self.path("redrive"), ""), 507, "quota_full")
        self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"before_offset":1}')
        self.assertEqual((self.redrive(), len(self.dead())), (1, 1))
        self.make("none")
        self.assertProblem(self.broker.ask("POST", self.path("redrive", "none"), ""), 400, "bad_request")
        self.assertProblem(self.broker.ask("POST", self.path("redrive", "nobody"), ""), 404, "subscription_not_found")

    def test_it_does_not_make_topics_where_that_is_not_wanted(self):
        b, self.broker = self.broker, SoloBrokerTest.start(self, auto_create=False)
        try:
            self.broker.ask("PUT", "/v1/topics/t", "")
            for body in ({"topic": "x"}, {"topic": "t", "dead_letter": "x"}):
                self.assertProblem(self.broker.ask("PUT", self.path(), json.dumps(body)), 404, "topic_not_found")
        finally:
            self.broker = b

    _stop = SoloBrokerTest._stop


class ByKey(Worker, BrokerTest):
    def test_one_of_a_key_at_a_time_and_other_keys_beside_it(self):
        self.make(ordering="key")
        for i in range(3):
            self.say("a%d" % i, key="a")
            self.say("b%d" % i, key="b")
        self.say("free", "free")
        first = self.receive()
        self.assertEqual([m["data"] for m in first], ["a0", "b0", "free", "free"])
        self.assertEqual((self.receive(), self.sub()["held"], self.sub()["lag"]), ([], 4, 8))
        self.ack(first[0])
        second = self.receive()
        self.assertEqual([m["data"] for m in second], ["a1"])
        self.settle("nack", *second)  # comes again, before a2
        self.settle("reject", first[1])
        self.assertEqual([m["data"] for m in self.receive()], ["a1", "b1"])

    def test_a_stuck_key_stops_only_itself(self):
        self.make(ordering="key", backoff=["1h"])
        self.say("stuck", key="a")
        self.settle("nack", *self.receive())
        for i in range(50):
            self.say("behind", key="a")
            self.say(str(i), key="k%d" % i)
        self.assertEqual(self.data(limit=1000), [str(i) for i in range(50)])
        self.assertEqual(self.sub()["held"], 50)

    def test_the_next_of_a_key_is_there_when_the_one_before_expires(self):
        self.make(ordering="key", lease="100ms")
        self.broker.offset(self.name, "short", {"Message-Key": "a", "TTL": "150ms"})
        self.say("long", key="a")
        self.receive(lease="1s")
        self.assertEqual(self.data(wait=20), ["long"])

    def test_workers_see_each_key_in_order(self):
        """Eight workers, each slow in its own way; per key the acks are in order."""
        self.make(ordering="key")
        for i in range(60):
            self.say(str(i), key=str(i % 5))
        done, lock = [], threading.Lock()

        def work():
            with self.broker.client() as c:
                while len(done) < 60:
                    for m in self.receive_raw(client=c, limit=3, wait=1).json["messages"]:
                        with lock:
                            done.append((m["key"], int(m["data"])))
                        a = c.ask("POST", self.path("ack"), json.dumps({"leases": [m["lease"]]}))
                        assert a.status == 200, a
        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for key in range(5):
            self.assertEqual([n for k, n in done if k == str(key)], list(range(key, 60, 5)))


class Abandoned(Worker, SoloBrokerTest):
    def test_a_subscription_that_nobody_asks_is_emptied_as_messages_expire(self):
        b = self.start()
        b.ask("PUT", "/v1/topics/" + self.name, '{"ttl":"2s"}')
        self.make(ordering="key", lease="100ms")
        for i in range(20):
            self.say(str(i), key=str(i % 3))
        self.assertEqual(len(self.receive()), 3)
        self.assertEqual(self.sub()["held"], 17)
        until(lambda: self.sub()["lag"] == 0, what="all expired")
        s = self.sub()
        self.assertEqual((s["in_flight"], s["waiting"], s["ready"], s["held"], s["expired"]), (0, 0, 0, 0, 20))

    def test_deleting_it_frees_what_it_kept(self):
        b = self.start()
        self.make()
        self.say(*[str(i) for i in range(50)])
        self.receive(limit=50)
        self.assertEqual(b.ask("DELETE", self.path()).status, 204)
        self.assertProblem(self.receive_raw(), 404, "subscription_not_found")
        self.make()
        self.assertEqual(len(self.receive(limit=50)), 50)


class Restarted(Worker, SoloBrokerTest):
    def test_leases_acks_and_counts_outlive_a_crash(self):
        b = self.start()
        self.make(lease="1h")
        self.say("a", "b", "c")
        a, bb, c = self.receive()
        self.ack(bb)
        self.settle("nack", c)
        b.kill()
        b.start()
        self.assertEqual([(m["data"], m["deliveries"]) for m in self.receive()], [("c", 2)])
        self.ack(a)
        self.assertEqual((self.receive(), self.sub()["acked"]), ([], 2))

    def test_who_leaves_while_it_waits_takes_nothing_along(self):
        b = self.start()
        self.make()
        clients = [b.client() for _ in range(20)]
        for c in clients:
            c.send(c.head("POST", self.path("receive") + "?wait=30", {"Content-Length": "0"}))
        until(lambda: b.metric("sluice_readers_parked") == 20, what="twenty wait")
        self.assertEqual(self.sub()["waiters"], 20)
        for c in clients:
            c.close()
        self.assertIdle(b)
        self.assertEqual(self.sub()["waiters"], 0)
        self.say("a")
        self.assertEqual([m["deliveries"] for m in self.receive()], [1])

    def test_a_shutdown_answers_those_who_wait(self):
        b = self.start()
        self.make()
        with b.client() as c:
            c.send(c.head("POST", self.path("receive") + "?wait=30", {"Content-Length": "0"}))
            until(lambda: b.metric("sluice_readers_parked") == 1, what="one waits")
            b.terminate()
            self.assertEqual(c.answer().json, {"messages": []})
        b.wait_exit()
        b.process = None
        b.start()
        self.assertEqual(self.sub()["lag"], 0)

    def test_many_who_wait_get_each_message_once(self):
        b = self.start()
        self.make()
        clients = [b.client() for _ in range(100)]
        for c in clients:
            self.addCleanup(c.close)
            c.send(c.head("POST", self.path("receive") + "?limit=1&wait=5", {"Content-Length": "0"}))
        until(lambda: self.sub()["waiters"] == 100, what="a hundred wait")
        b.batch(self.name, "\n".join(json.dumps({"data": str(i)}) for i in range(60)))
        got = sum((c.answer().json["messages"] for c in clients), [])
        self.assertEqual(sorted(int(m["data"]) for m in got), list(range(60)))
        self.assertEqual({m["deliveries"] for m in got}, {1})
        self.ack(*got)
        self.assertEqual((self.sub()["lag"], self.sub()["waiters"]), (0, 0))
        self.assertIdle(b)
