"""If-Match: a message is appended only where its publisher expects the end of the topic."""
import threading

from sluicetest import BrokerTest, SoloBrokerTest, quote, until


class IfMatch(BrokerTest):
    settings = {"inline_max": "64KiB", "max_message_bytes": "1MiB", "max_batch_bytes": "256KiB"}

    def append(self, next, body="x", topic=None, **more):
        return self.broker.publish(topic or self.name, body, dict({"If-Match": '"%d"' % next}, **more))

    def append_batch(self, next, lines, topic=None):
        return self.broker.ask("POST", "/v1/topics/%s/messages:batch" % quote(topic or self.name), lines,
                               {"If-Match": '"%d"' % next, "Content-Type": "application/x-ndjson"})

    def assertDiffers(self, answer, next):
        self.assertEqual(answer.status, 412, answer)
        self.assertEqual(answer.header("Content-Type"), "application/problem+json")
        self.assertEqual((answer.json["code"], answer.json["next"], answer.json["retryable"]),
                         ("precondition_failed", next, False))

    def test_a_publisher_who_saw_the_end_appends_to_it(self):
        for i in range(3):
            a = self.append(i, "message %d" % i)
            self.assertEqual((a.status, a.json["offset"]), (201, i))
        self.assertDiffers(self.append(2), 3)
        self.assertDiffers(self.append(4), 3)
        self.assertEqual(self.broker.topic(self.name)["next"], 3)
        self.assertIdle()

    def test_a_batch_is_appended_as_one(self):
        a = self.append_batch(0, '{"data":1}\n{"data":2}\n')
        self.assertEqual((a.status, a.json["first_offset"], a.json["last_offset"]), (201, 0, 1))
        self.assertDiffers(self.append_batch(1, '{"data":3}\n'), 2)
        self.assertDiffers(self.append_batch(3, '{"data":3}\n'), 2)
        self.assertEqual(self.append_batch(2, '{"data":3}\n').status, 201)
        self.assertIdle()

    def test_the_end_of_a_topic_that_is_not_there_is_0(self):
        self.assertDiffers(self.append(1), 0)
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + quote(self.name)).status, 404)
        self.assertEqual(self.append(0).status, 201)

    def test_the_end_of_a_topic_that_was_deleted_is_where_it_was(self):
        self.broker.offset(self.name, "x")
        self.assertEqual(self.broker.ask("DELETE", "/v1/topics/" + quote(self.name)).status, 204)
        self.assertDiffers(self.append(0), 1)
        self.assertEqual(self.append(1).json["offset"], 1)

    def test_messages_that_expired_count(self):
        self.assertEqual(self.append(0, TTL="1ms").status, 201)
        until(lambda: self.broker.topic(self.name)["messages"] == 0, what="it is gone")
        self.assertDiffers(self.append(0), 1)
        self.assertEqual(self.append(1).status, 201)

    def test_what_is_no_offset_is_refused(self):
        for value in ("41", '""', '"-1"', '"x"', '*', 'W/"0"', '"0", "1"', '"0', '"18446744073709551616"', '" 0"'):
            with self.subTest(value=value):
                a = self.broker.publish(self.name, "x", {"If-Match": value})
                self.assertEqual((a.status, a.json["code"]), (400, "bad_header"), a)
        with self.broker.client() as c:
            c.send(c.head("POST", "/v1/topics/%s/messages" % self.name,
                          {"If-Match": '"0"', "if-match": '"0"', "Content-Length": "0"}))
            self.assertEqual(c.answer().status, 400)
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + quote(self.name)).status, 404)

    def test_a_large_message_is_compared_when_all_of_it_has_come(self):
        large = b"x" * 400000
        with self.broker.client() as c:
            c.send(c.head("POST", "/v1/topics/%s/messages" % self.name,
                          {"If-Match": '"0"', "Content-Length": str(len(large))}))
            c.send(large[:-1])
            until(lambda: self.broker.metric("sluice_publish_buffer_bytes") > 0, what="it is coming in")
            self.broker.offset(self.name, "first")
            c.send(large[-1:])
            self.assertDiffers(c.answer(), 1)
        a = self.append(1, large)
        self.assertEqual((a.status, a.json["offset"]), (201, 1))
        self.assertEqual(self.broker.message(self.name, 1).body, large)
        self.assertIdle()
        self.assertConserved()

    def test_one_that_cannot_succeed_any_more_is_refused_before_its_body(self):
        self.broker.offset(self.name, "x")
        with self.broker.client() as c:
            c.send(c.head("POST", "/v1/topics/%s/messages" % self.name,
                          {"If-Match": '"0"', "Content-Length": "900000", "Expect": "100-continue"}))
            a = c.answer()
            self.assertEqual(a.interim, [])
            self.assertDiffers(a, 1)
        self.assertIdle()

    def test_of_many_who_name_the_same_end_one_succeeds(self):
        """A counter kept by compare-and-append: each writes what it read plus one."""
        def count(times):
            with self.broker.client() as c:
                while times:
                    next = int(c.ask("GET", "/v1/topics/%s" % self.name).json["next"])
                    a = c.ask("POST", "/v1/topics/%s/messages" % self.name, str(next), {"If-Match": '"%d"' % next})
                    times -= a.status == 201
                    statuses.append(a.status)
        statuses = []
        self.broker.ask("PUT", "/v1/topics/" + self.name, "{}")
        threads = [threading.Thread(target=count, args=(25,)) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(set(statuses) | {412}, {201, 412})
        self.assertEqual(statuses.count(201), 100)
        stored = [m["data"] for m in self.broker.read(self.name, limit=1000).json["messages"]]
        self.assertEqual(stored, [str(i) for i in range(100)])


class IfMatchWithoutAutoCreate(SoloBrokerTest):
    def test_it_makes_no_topic_that_may_not_be_made(self):
        self.start(auto_create=False)
        a = self.broker.publish("t", "x", {"If-Match": '"0"'})
        self.assertEqual((a.status, a.json["code"]), (404, "topic_not_found"))
