"""Pulsar's REST produce routes: its answers, our promises. The first class mirrors the cases
that Pulsar's own tests have for this API."""
import json
import os
import time

from sluicetest import BrokerTest, SoloBrokerTest, quote, until


class Door:
    """Asks in Pulsar's way; self.name is the test's own topic in public/default."""

    def path(self, domain="persistent", tail=""):
        return "/topics/%s/public/default/%s%s" % (domain, quote(self.name), tail)

    def full(self, domain="persistent"):
        return "%s://public/default/%s" % (domain, self.name)

    def produce(self, request, path=None, headers=None, broker=None):
        body = request if isinstance(request, (str, bytes)) else json.dumps(request)
        return (broker or self.broker).ask("POST", path or self.path(), body,
                                           dict({"Content-Type": "application/json"}, **headers or {}))

    def results(self, request, path=None):
        """The results of a request that is answered with 200."""
        a = self.produce(request, path)
        self.assertEqual((a.status, a.header("Content-Type")), (200, "application/json"), a)
        self.assertEqual(set(a.json), {"messagePublishResults", "schemaVersion"})
        self.assertEqual(a.json["schemaVersion"], 0)
        return a.json["messagePublishResults"]

    def stored(self, offset):
        return {"messageId": "0:%d:-1" % offset, "errorCode": 0, "schemaVersion": 0}

    def refused(self, why):
        return {"messageId": "-1", "errorCode": 2, "errorMsg": why, "schemaVersion": 0}

    def assertReason(self, answer, status, contains=""):
        """Pulsar's form of an error, and nothing else."""
        self.assertEqual((answer.status, answer.header("Content-Type")), (status, "application/json"), answer)
        self.assertEqual(set(answer.json), {"reason"})
        self.assertIn(contains, answer.json["reason"])
        self.assertTrue(answer.json["reason"])

    def assertNothingStored(self, topic=None):
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + quote(topic or self.full())).status, 404)


class AsUpstream(Door, BrokerTest):
    def test_produce_to_a_topic_that_is_not_partitioned(self):
        messages = [{"key": "my-key", "payload": "RestProducer:%d" % i, "eventTime": 1603045262772, "sequenceId": i}
                    for i in range(1, 4)]
        results = self.results({"producerName": "my-producer", "messages": messages})
        self.assertEqual(results, [self.stored(i) for i in range(3)])
        for r in results:
            self.assertEqual(r["messageId"].split(":")[2], "-1")
        self.assertEqual(self.broker.data(self.full()), ["RestProducer:%d" % i for i in range(1, 4)])

    def test_produce_to_the_one_partition(self):
        tail = "/partitions/0"
        self.assertEqual(self.results({"messages": [{"payload": "a"}]}, self.path(tail=tail)), [self.stored(0)])
        self.assertEqual(self.results({"messages": [{"payload": "b"}]}), [self.stored(1)])
        self.assertEqual(self.broker.data(self.full()), ["a", "b"])

    def test_other_partitions_are_not_found(self):
        for n in ("1", "7", "-1", "x", "0x0", "99999999999999999999"):
            with self.subTest(partition=n):
                self.assertReason(self.produce({"messages": [{"payload": "a"}]}, self.path(tail="/partitions/" + n)),
                                  404, "not found")
        self.assertNothingStored()

    def test_a_partition_of_a_partition_is_a_bad_request(self):
        path = "/topics/persistent/public/default/x-partition-3"
        self.assertReason(self.produce({"messages": [{"payload": "a"}]}, path + "/partitions/0"), 400)
        self.assertNothingStored("persistent://public/default/x-partition-3")
        self.assertEqual(self.produce({"messages": [{"payload": "a"}]}, path).status, 200)

    def test_some_messages_fail_and_the_status_is_still_200(self):
        results = self.results({"messages": [
            {"payload": "1"}, {"key": "no payload"}, {"payload": "2"}, {"payload": "3", "deliverAfterMs": -1}]})
        self.assertEqual(results, [
            self.stored(0), self.refused("payload is missing"), self.stored(1),
            self.refused("deliverAfterMs must be whole milliseconds")])
        self.assertEqual(self.broker.data(self.full()), ["1", "2"])

    def test_a_delayed_message_is_hidden_from_native_subscriptions(self):
        self.broker.ask("PUT", "/v1/subscriptions/" + self.name, json.dumps({"topic": self.full()}))
        at = int(time.time() + 3600) * 1000
        self.assertEqual(self.results({"messages": [
            {"payload": "a", "deliverAt": at}, {"payload": "b", "deliverAt": str(at), "eventTime": at},
            {"payload": "c", "deliverAfterMs": 3600000}, {"payload": "d", "deliverAfterMs": 3600000, "eventTime": str(at)},
            {"payload": "e", "deliverAfterMs": 3600000, "eventTime": 5}, {"payload": "f", "deliverAt": 0}]}),
            [self.stored(i) for i in range(6)])
        got = self.broker.ask("POST", "/v1/subscriptions/%s:receive" % self.name, "").json["messages"]
        self.assertEqual([m["data"] for m in got], ["e", "f"])  # an hour after its event is long past
        due = [m.get("deliver_at") for m in self.broker.read(self.full()).json["messages"]]
        self.assertEqual((due[0], due[4], due[5]), (due[1], None, None))
        self.assertLess(due[0], due[3])

    def test_a_request_with_a_message_that_would_expire_first_stores_nothing(self):
        self.broker.ask("PUT", "/v1/topics/" + quote(self.full()), '{"ttl":"1m"}')
        a = self.produce({"messages": [{"payload": "a"}, {"payload": "b", "deliverAfterMs": 60000}]})
        self.assertReason(a, 400, "expires at")
        self.assertEqual(self.broker.topic(self.full())["accepted"], 0)

    def test_without_a_schema_payloads_are_strings(self):
        text = "zwölf \"x\" \\ \n\t\u0000 \U0001f600"
        self.results({"messages": [{"payload": text}, {"payload": ""}]})
        a = self.broker.message(self.full(), 0)
        self.assertEqual((a.text, a.header("Content-Type")), (text, "text/plain; charset=utf-8"))
        self.assertEqual(self.broker.message(self.full(), 1).body, b"")

    def test_a_string_schema_and_a_bytes_schema(self):
        for type, content in (("STRING", "text/plain; charset=utf-8"), ("BYTES", "application/octet-stream")):
            with self.subTest(type=type):
                schema = json.dumps({"name": "", "schema": "", "type": type, "properties": {}})
                before = self.results({"messages": [{"payload": "p"}], "valueSchema": schema})[0]["messageId"]
                a = self.broker.message(self.full(), int(before.split(":")[1]))
                self.assertEqual((a.body, a.header("Content-Type")), (b"p", content))

    def test_other_schemas_are_refused_and_nothing_is_stored_empty(self):
        good = {"messages": [{"payload": "42"}]}
        for type in ("INT8", "INT16", "INT32", "INT64", "FLOAT", "DOUBLE", "BOOLEAN", "JSON", "AVRO", "DATE"):
            with self.subTest(type=type):
                schema = json.dumps({"name": "", "schema": "", "type": type, "properties": {}})
                self.assertReason(self.produce(dict(good, valueSchema=schema)), 400, "unsupported schema")
                self.assertReason(self.produce(dict(good, keySchema=schema)), 400, "unsupported schema")
        self.assertReason(self.produce(dict(good, schemaVersion=5)), 400, "unsupported schema")
        self.assertReason(self.produce(dict(good, valueSchema="no schema")), 400)
        self.assertNothingStored()

    def test_no_messages_are_answered_with_an_empty_list(self):
        self.assertEqual(self.results({"messages": []}), [])
        self.assertNothingStored()

    def test_a_bad_envelope_is_a_bad_request(self):
        for body in ("", "{", "[]", "7", "{}", '{"messages":null}', '{"messages":[1]}', '{"messages":[{"payload":"a"}',
                     '{"messages":[{"payload":"a"}]}]', '{"messages":[{"payload":"a"},{"payload":"\x01"}]}',
                     '{"messages":[{"payload":"a"}],"producerName":5}', b'{"messages":[{"payload":"\xff"}]}'):
            with self.subTest(body=body):
                self.assertReason(self.produce(body), 400)
        self.assertNothingStored()

    def test_names_that_are_none_are_412(self):
        for path in ("persistent/a%20b/default/x", "persistent/public/a%2Fb/x", "persistent/public/default/%00",
                     "persistent/public/default/" + "x" * 250, "non-persistent/public/d%C3%A4/x"):
            with self.subTest(path=path):
                self.assertReason(self.produce({"messages": []}, "/topics/" + path), 412, "Invalid topic name")

    def test_only_json_is_understood(self):
        for type in ("text/plain", "application/x-www-form-urlencoded", "application/json5"):
            self.assertReason(self.produce({"messages": []}, headers={"Content-Type": type}), 415)
        self.assertEqual(self.produce({"messages": []}, headers={"Content-Type": "Application/JSON;charset=utf-8"})
                         .status, 200)

    def test_only_post_works(self):
        a = self.broker.ask("GET", self.path())
        self.assertReason(a, 405)
        self.assertEqual(a.header("Allow"), "POST, OPTIONS")
        self.assertReason(self.broker.ask("POST", "/topics/persistent/public/default"), 404)

    def test_authoritative_is_ignored(self):
        self.assertEqual(self.results({"messages": [{"payload": "a"}]}, self.path() + "?authoritative=true"),
                         [self.stored(0)])


class Kept(Door, BrokerTest):
    """What of a message is kept, and where the native API shows it."""

    def message(self, m, **envelope):
        offset = int(self.results(dict(envelope, messages=[m]))[0]["messageId"].split(":")[1])
        return self.broker.read(self.full(), from_=offset, limit=1).json["messages"][0]

    def test_every_field_comes_back(self):
        m = self.message({"payload": "p", "key": "k", "eventTime": "1603045262772", "sequenceId": 7,
                          "properties": {"Trace": "1", "b": "zwei"}}, producerName="till 7")
        self.assertEqual((m["data"], m["key"], m["attributes"]),
                         ("p", "k", {"trace": "1", "b": "zwei", "pulsar-event-time": "1603045262772",
                                     "pulsar-seq": "7", "pulsar-producer": "till 7"}))
        a = self.broker.message(self.full(), m["offset"])
        self.assertEqual((a.header("Message-Key"), a.header("Message-Trace"), a.header("Message-Pulsar-Producer")),
                         ("k", "1", "till 7"))

    def test_what_is_not_sent_is_not_there(self):
        m = self.message({"payload": "p", "key": ""})
        self.assertNotIn("key", m)
        self.assertNotIn("attributes", m)

    def test_fields_that_pulsar_ignores_are_ignored(self):
        m = self.message({"payload": "p", "context": "c", "schemaVersion": 3, "keySchema": "x", "encryptionParam": {},
                          "compressionType": "LZ4", "uncompressedMessageSize": 5, "replicationClusters": ["a"],
                          "disableReplication": True, "unheard-of": [1, {}]})
        self.assertEqual(m["data"], "p")
        self.assertNotIn("attributes", m)

    def test_persistent_and_not_are_two_topics_kept_alike(self):
        self.assertEqual(self.results({"messages": [{"payload": "a"}]}), [self.stored(0)])
        for tail in ("", "/partitions/0"):
            self.results({"messages": [{"payload": "b"}]}, self.path("non-persistent", tail))
        self.broker.restart()
        self.assertEqual(self.broker.data(self.full()), ["a"])
        self.assertEqual(self.broker.data(self.full("non-persistent")), ["b", "b"])

    def test_ids_never_come_again(self):
        self.results({"messages": [{"payload": "a"}, {"payload": "b"}]})
        self.assertEqual(self.broker.ask("DELETE", "/v1/topics/" + quote(self.full())).status, 204)
        self.assertEqual(self.results({"messages": [{"payload": "c"}]}), [self.stored(2)])

    def test_a_slash_in_a_name_is_encoded(self):
        self.name = "a/b:purge"
        self.results({"messages": [{"payload": "x"}]})
        self.assertEqual(self.broker.data("persistent://public/default/a/b:purge"), ["x"])

    def test_the_topics_ttl_holds(self):
        self.broker.ask("PUT", "/v1/topics/" + quote(self.full()), '{"ttl":"300ms"}')
        self.results({"messages": [{"payload": "a"}, {"payload": "b"}]})
        until(lambda: self.broker.topic(self.full())["expired"] == 2, what="both expired")
        self.assertEqual(self.broker.data(self.full()), [])
        self.assertConserved()

    def test_durability_is_said(self):
        self.assertEqual(self.produce({"messages": [{"payload": "a"}]}).header("Durability"), "fsync")

    def test_a_chunked_request_works(self):
        with self.broker.client() as c:
            a = c.ask_chunked("POST", self.path(), [b'{"messages":[{"pay', b'load":"x"}]}'],
                              {"Content-Type": "application/json"})
        self.assertEqual((a.status, a.json["messagePublishResults"]), (200, [self.stored(0)]))


class Hostile(Door, BrokerTest):
    settings = {"max_batch_bytes": "1MiB", "publish_buffer": "4MiB"}

    def grown(self, request):
        """The answer, and by how much the broker's own memory is larger after it."""
        before = self.broker.rss_anon()
        a = self.produce(request)
        return a, self.broker.rss_anon() - before

    def assertSmall(self, growth):
        exe = os.readlink("/proc/%d/exe" % self.broker.process.pid)
        if "san" not in os.path.basename(os.path.dirname(exe)):
            self.assertLess(growth, 12 << 20)  # a turn's pages, the body; a tree would be 40 MiB

    def test_wide_and_deep_documents_move_no_memory(self):
        wide = "[" + "1," * 500000 + "1]"
        deep = "[" * 500000 + "]" * 500000
        for value, status in ((wide, 200), (deep, 400), ('"' + "\\u0061" * 160000 + '"', 200), ("1" * 1000000, 200)):
            for text in ('{"x":%s,"messages":[{"payload":"p"}]}', '{"messages":[{"payload":"p","x":%s}]}'):
                a, growth = self.grown(text % value)
                self.assertEqual(a.status, status, a)
                self.assertSmall(growth)
        self.assertIdle()

    def test_the_answer_is_never_in_memory_as_a_whole(self):
        """An answer 4 times as long as its request."""
        count = 16000
        a, growth = self.grown('{"messages":[%s]}' % ",".join(['{"payload":""}'] * count))
        self.assertEqual(a.status, 200)
        results = a.json["messagePublishResults"]
        self.assertEqual(results, [self.stored(i) for i in range(count)])
        self.assertEqual(self.broker.topic(self.full())["messages"], count)
        self.assertSmall(growth)
        self.assertIdle()

    def test_too_many_messages_are_413(self):
        self.assertReason(self.produce('{"messages":[%s]}' % ",".join(['{"payload":""}'] * 16385)), 413, "16384")
        self.assertNothingStored()

    def test_a_million_wrong_messages_are_one_error(self):
        a, growth = self.grown('{"messages":[%s]}' % ",".join(["{}"] * 300000))
        self.assertReason(a, 400, "more than 64 messages are wrong, the first is message 0: payload is missing")
        self.assertSmall(growth)
        self.assertNothingStored()

    def test_as_many_wrong_messages_as_may_be_cost_no_good_one(self):
        results = self.results({"messages": [{}] * 64 + [{"payload": "good"}]})
        self.assertEqual(results[-1], self.stored(0))
        self.assertEqual(len(results), 65)

    def test_a_producers_name_in_every_message_counts(self):
        request = {"producerName": "x" * 255, "messages": [{"payload": ""}] * 10000}
        self.assertReason(self.produce(request), 413, "producerName")
        self.assertNothingStored()
        self.assertEqual(len(self.results(dict(request, messages=[{"payload": ""}] * 1000))), 1000)

    def test_the_last_of_two_members_counts(self):
        self.results('{"messages":[{"payload":"a"}],"messages":[{"payload":"b","payload":"c"}]}')
        self.assertEqual(self.broker.data(self.full()), ["c"])

    def test_who_does_not_read_a_long_answer_holds_little(self):
        with self.broker.client() as c:
            body = '{"messages":[%s]}' % ",".join(['{"payload":""}'] * 16000)
            c.send(c.head("POST", self.path(), {"Content-Type": "application/json", "Content-Length": str(len(body))}) +
                   body.encode())
            until(lambda: self.broker.ask("GET", "/v1/topics/" + quote(self.full())).status == 200, what="it is stored")
            until(lambda: self.broker.metric("sluice_publish_buffer_bytes") < 8192, what="the body is given back")
        self.assertIdle()


class Refused(Door, SoloBrokerTest):
    """Errors that the core makes are told in Pulsar's way as well."""

    def test_an_unknown_topic_without_auto_create(self):
        self.start(auto_create=False)
        self.assertReason(self.produce({"messages": [{"payload": "a"}]}), 404,
                          "Topic persistent://public/default/%s not found" % self.name)
        self.broker.ask("PUT", "/v1/topics/" + quote(self.full()))
        self.assertEqual(self.produce({"messages": [{"payload": "a"}]}).status, 200)

    def test_a_slow_body(self):
        self.start(min_body_rate="10KiB", body_grace="300ms")
        with self.broker.client() as c:
            c.send(c.head("POST", self.path(), {"Content-Type": "application/json", "Content-Length": "50000"}) + b"{")
            self.assertReason(c.answer(), 408, "min_body_rate")
        self.assertIdle(self.broker)

    def test_a_chunked_body_over_the_limit(self):
        self.start(max_batch_bytes="128KiB")
        with self.broker.client() as c:
            c.send(c.head("POST", self.path(), {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}) +
                   b"%x\r\n%s\r\n" % (200000, b" " * 200000))
            self.assertReason(c.answer(), 413)
        self.assertIdle(self.broker)

    def test_a_wait_that_is_none(self):
        self.start()
        self.assertReason(self.produce({"messages": []}, headers={"Prefer": "wait=soon"}), 400, "Prefer")
