"""Idempotency-Key: who is not sure whether a publish arrived sends it again, and it is stored once."""
import threading

from sluicetest import BrokerTest, SoloBrokerTest, quote, until

LARGE = b"0123456789abcdef" * 20000  # 320,000 bytes: streamed


class Idempotency(BrokerTest):
    settings = {"inline_max": "64KiB", "max_message_bytes": "1MiB", "max_batch_bytes": "256KiB"}

    def send(self, body="x", key="k", topic=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.broker.publish(topic or self.name, body, dict({"Idempotency-Key": '"%s"' % key}, **headers))

    def send_batch(self, lines, key="k", **headers):
        return self.broker.ask("POST", "/v1/topics/%s/messages:batch" % quote(self.name), lines,
                               dict({"Idempotency-Key": '"%s"' % key, "Content-Type": "application/x-ndjson"}, **headers))

    def count(self):
        return self.broker.topic(self.name)["accepted"]

    def assertReplayed(self, answer, first):
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.header("Idempotent-Replayed"), "true")
        self.assertIsNone(first.header("Idempotent-Replayed"))
        self.assertEqual(answer.json, first.json)
        for name in ("Location", "TTL", "Durability"):
            self.assertEqual(answer.header(name), first.header(name))

    def assertReused(self, answer):
        self.assertEqual((answer.status, answer.json["code"]), (422, "idempotency_key_reused"), answer)

    def test_a_repeat_is_answered_like_the_first_and_not_stored(self):
        first = self.send(TTL="60")
        self.broker.offset(self.name, "between")
        self.assertReplayed(self.send(TTL="60"), first)
        self.assertReplayed(self.send(TTL="1m"), first)
        self.assertEqual(self.count(), 2)
        self.assertIdle()
        self.assertConserved()

    def test_the_key_may_stand_without_quotation_marks(self):
        first = self.send(key="8e03978e-40d5")
        a = self.broker.publish(self.name, "x", {"Idempotency-Key": "8e03978e-40d5"})
        self.assertReplayed(a, first)

    def test_another_message_under_the_key_is_refused(self):
        given = dict(Content_Type="text/plain", Message_Key="a", Message_One="1", Message_Two="2", TTL="60")
        first = self.send("body", **given)
        self.assertReused(self.send("bodY", **given))
        self.assertReused(self.send("", **given))
        for other in (dict(Content_Type="text/html"), dict(Message_Key="b"), dict(Message_One="2"), dict(TTL="61"),
                      dict(Message_Three="3")):
            with self.subTest(other=other):
                self.assertReused(self.send("body", **dict(given, **other)))
        for left_out in given:
            with self.subTest(left_out=left_out):
                self.assertReused(self.send("body", **{k: v for k, v in given.items() if k != left_out}))
        self.assertReused(self.send_batch('{"data":"body"}\n'))
        turned = {k: given[k] for k in reversed(list(given))}  # headers have no order
        self.assertReplayed(self.send("body", **turned), first)
        self.assertEqual(self.count(), 1)

    def test_a_batch_is_replayed_as_one(self):
        lines = '{"data":1}\n{"data":2}\n'
        first = self.send_batch(lines)
        self.assertReplayed(self.send_batch(lines), first)
        self.assertReused(self.send_batch('{"data":1}\n{"data":3}\n'))
        self.assertReused(self.send_batch(lines, TTL="5"))
        self.assertReused(self.send_batch("not even JSON"))
        self.assertEqual(self.count(), 2)
        self.assertIdle()

    def test_keys_are_a_topics_own(self):
        self.assertIsNone(self.send(topic=self.name + "-a").header("Idempotent-Replayed"))
        self.assertIsNone(self.send(topic=self.name + "-b").header("Idempotent-Replayed"))

    def test_the_answer_outlives_the_message(self):
        first = self.send(TTL="1ms")
        until(lambda: self.broker.topic(self.name)["messages"] == 0, what="it has expired")
        self.assertReplayed(self.send(TTL="1ms"), first)
        second = self.send(key="purged")
        self.broker.ask("POST", "/v1/topics/%s:purge" % self.name, '{"all":true}')
        self.assertReplayed(self.send(key="purged"), second)
        self.assertEqual(self.broker.topic(self.name)["messages"], 0)

    def test_a_topic_that_is_deleted_takes_its_keys_with_it(self):
        self.send()
        self.broker.ask("DELETE", "/v1/topics/" + self.name)
        a = self.send()
        self.assertEqual((a.header("Idempotent-Replayed"), a.json["offset"]), (None, 1))

    def test_a_replay_needs_no_place_and_no_condition(self):
        for overflow in ("reject", "hold"):
            with self.subTest(overflow=overflow):
                topic = self.name + overflow
                self.broker.ask("PUT", "/v1/topics/" + topic, '{"max_messages":1,"overflow":"%s"}' % overflow)
                first = self.send(topic=topic, If_Match='"0"')
                self.assertReplayed(self.send(topic=topic, If_Match='"0"', Prefer="wait=0"), first)
                self.assertEqual(self.send(topic=topic, key="l", Prefer="wait=0").status, 507)

    def test_what_was_refused_is_not_remembered(self):
        self.assertEqual(self.send(If_Match='"7"').status, 412)
        self.assertEqual(self.send_batch("no JSON").status, 400)
        self.assertIsNone(self.send("something else").header("Idempotent-Replayed"))

    def test_what_is_no_key_is_refused(self):
        for value in ("", '""', '"a', "a b", '"a", "b"', '"%s"' % ("k" * 256), '"é"', "a;b"):
            with self.subTest(value=value):
                a = self.broker.publish(self.name, "x", {"Idempotency-Key": value})
                self.assertEqual((a.status, a.json["code"]), (400, "bad_header"), a)
        a = self.broker.publish(self.name, "x", {"Idempotency-Key": '"a"', "idempotency-key": '"b"'})
        self.assertEqual(a.status, 400)
        self.assertEqual(self.send(key="k" * 255).status, 201)

    def test_a_large_message_is_hashed_as_it_comes_and_stored_once(self):
        first = self.send(LARGE)
        chunks = self.broker.metric("sluice_commit_bytes_total")
        self.assertReplayed(self.send(LARGE), first)
        with self.broker.client() as c:
            a = c.ask_chunked("POST", "/v1/topics/%s/messages" % self.name, [LARGE[:7], LARGE[7:]],
                              {"Idempotency-Key": '"k"'})
        self.assertReplayed(a, first)
        self.assertReused(self.send(LARGE[:-1] + b"!"))
        self.assertEqual(self.broker.metric("sluice_commit_bytes_total"), chunks)  # nothing was written
        self.assertEqual(self.broker.metric("sluice_uploads_dropped_total"), 0)
        self.assertEqual((self.count(), self.broker.message(self.name, 0).body), (1, LARGE))
        self.assertIdle()

    def test_a_replay_takes_no_room_for_its_body(self):
        self.send(LARGE)
        with self.broker.client() as c:
            c.send(c.head("POST", "/v1/topics/%s/messages" % self.name,
                          {"Idempotency-Key": '"k"', "Content-Length": str(len(LARGE))}))
            c.send(LARGE[:-1])
            until(lambda: self.broker.metric("sluice_publish_buffer_bytes") > 0, what="it is coming in")
            self.assertLess(self.broker.metric("sluice_publish_buffer_bytes"), 4096)
            c.send(LARGE[-1:])
            self.assertEqual(c.answer().header("Idempotent-Replayed"), "true")
        self.assertIdle()

    def test_a_replay_keeps_the_limit_of_a_message(self):
        self.send(LARGE)
        self.assertEqual(self.send(b"x" * 2000000).status, 413)

    def test_of_large_ones_at_the_same_time_one_is_stored(self):
        clients = [self.broker.client() for _ in range(3)]
        for c in clients:
            self.addCleanup(c.close)
            c.send(c.head("POST", "/v1/topics/%s/messages" % self.name,
                          {"Idempotency-Key": '"k"', "Content-Length": str(len(LARGE))}))
            c.send(LARGE[:-1])
        until(lambda: self.broker.metric("sluice_uploads") == 3, what="all are coming in")
        for c in clients:
            c.send(LARGE[-1:])
        answers = [c.answer() for c in clients]
        self.assertEqual([a.json for a in answers], [answers[0].json] * 3)
        self.assertEqual([a.header("Idempotent-Replayed") for a in answers].count("true"), 2)
        self.assertEqual((self.count(), self.broker.message(self.name, 0).body), (1, LARGE))
        self.assertIdle()

    def test_of_many_at_the_same_time_one_is_stored_for_each_key(self):
        def publish():
            with self.broker.client() as c:
                for key in range(40):
                    a = c.ask("POST", "/v1/topics/%s/messages" % self.name, "message %d" % key,
                              {"Idempotency-Key": '"key %d"' % key})
                    answers.append((a.status, key, a.json["offset"], a.header("Idempotent-Replayed")))
        answers = []
        threads = [threading.Thread(target=publish) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual({a[0] for a in answers}, {201})
        self.assertEqual(len({a[1:3] for a in answers}), 40)  # one offset for each key
        self.assertEqual([a[3] for a in answers].count(None), 40)
        self.assertEqual(self.count(), 40)


class IdempotencyOverTime(SoloBrokerTest):
    def send(self, body, key):
        return self.broker.publish("t", body, {"Idempotency-Key": '"%s"' % key})

    def test_it_survives_a_restart_and_a_kill(self):
        self.start()
        first = self.send("x", "k")
        self.broker.restart()
        self.assertEqual((self.send("x", "k").json, self.send("y", "k").status), (first.json, 422))
        self.broker.kill()
        self.broker.start()
        a = self.send("x", "k")
        self.assertEqual((a.json, a.header("Idempotent-Replayed")), (first.json, "true"))
        self.assertEqual(self.broker.topic("t")["messages"], 1)

    def test_who_was_not_answered_before_a_kill_asks_again_and_all_is_stored_once(self):
        """Publishers under load when the process is killed; each repeats what it does not know."""
        self.start()
        known, unknown = {}, []

        def publish(who):
            for i in range(100000):
                key = "%d-%d" % (who, i)
                unknown.append(key)
                try:
                    a = clients[who].ask("POST", "/v1/topics/t/messages", "body of " + key,
                                         {"Idempotency-Key": '"%s"' % key})
                except (ConnectionError, OSError):
                    return
                known[key] = a.json["offset"]
                unknown.remove(key)
        clients = [self.broker.client() for _ in range(8)]
        threads = [threading.Thread(target=publish, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        until(lambda: len(known) > 200, what="the load runs")
        self.broker.kill()
        for t in threads:
            t.join()
        self.broker.start()
        for key in list(known)[-50:] + unknown:
            a = self.send("body of " + key, key)
            self.assertEqual(a.status, 201)
            self.assertEqual(known.setdefault(key, a.json["offset"]), a.json["offset"])
        stored = {}
        next = 0
        while next < self.broker.topic("t")["next"]:
            page = self.broker.read("t", from_=next, limit=1000).json
            for m in page["messages"]:
                self.assertNotIn(m["data"], stored)  # twice would be once too often
                stored[m["data"]] = m["offset"]
            next = page["next"]
        self.assertEqual(stored, {"body of " + k: o for k, o in known.items()})

    def test_a_key_is_forgotten_when_its_window_is_over(self):
        self.start(idempotency_window="1s")
        self.send("x", "k")
        self.assertEqual(self.broker.metric("sluice_idempotency_keys"), 1)
        until(lambda: self.broker.metric("sluice_idempotency_keys") == 0, what="it is swept")
        a = self.send("y", "k")
        self.assertEqual((a.status, a.json["offset"], a.header("Idempotent-Replayed")), (201, 1, None))

    def test_there_are_so_many_keys_and_no_more(self):
        self.start(max_idempotency_keys=3)
        self.assertEqual([self.send("x", k).status for k in "abc"], [201] * 3)
        a = self.send("x", "d")
        self.assertEqual((a.status, a.json["code"], a.json["limit_keys"]), (507, "too_many_keys", 3))
        self.assertIsNotNone(a.header("Retry-After"))
        self.assertEqual(self.send("x", "a").header("Idempotent-Replayed"), "true")
        self.assertEqual(self.broker.publish("t", "without").status, 201)
        self.broker.ask("PATCH", "/v1/limits", '{"max_idempotency_keys":4}')
        self.assertEqual(self.send("x", "d").status, 201)
