"""CloudEvents 1.0 over HTTP: binary, structured and batched, in and out."""
import base64
import json

from sluicetest import BrokerTest, quote

REQUIRED = {"ce-specversion": "1.0", "ce-id": "a-1", "ce-source": "/tills/7", "ce-type": "com.example.paid"}
EVENT = {"specversion": "1.0", "id": "a-1", "source": "/tills/7", "type": "com.example.paid"}
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"


class Events(BrokerTest):
    settings = {"inline_max": "64KiB", "max_message_bytes": "1MiB", "max_batch_bytes": "256KiB"}

    def post(self, body, type=STRUCTURED, route="messages", **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self.broker.ask("POST", "/v1/topics/%s/%s" % (quote(self.name), route), body,
                               dict({"Content-Type": type}, **headers))

    def binary(self, body="x", headers=None, **more):
        return self.broker.publish(self.name, body, dict(REQUIRED, **(headers or {}), **more))

    def raw(self, offset=0):
        return self.broker.message(self.name, offset)

    def event(self, offset=0):
        a = self.broker.ask("GET", "/v1/topics/%s/messages/%d" % (quote(self.name), offset), headers={"Accept": STRUCTURED})
        self.assertEqual((a.status, a.header("Content-Type"), a.header("Message-Offset")), (200, STRUCTURED, str(offset)))
        return a.json

    def assertBad(self, answer, *words):
        self.assertEqual((answer.status, answer.json["code"]), (400, "bad_event"), answer)
        for word in words:
            self.assertIn(word, answer.json["detail"])

    def assertNothingStored(self):
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + quote(self.name)).status, 404)

    # Binary.

    def test_a_binary_event_comes_back_as_it_came(self):
        a = self.binary('{"total":1}', {"Content-Type": "application/json", "ce-subject": "order 7", "CE-Time": "2026-01-02T03:04:05Z"})
        self.assertEqual((a.status, a.json["offset"]), (201, 0))
        a = self.raw()
        for name, value in REQUIRED.items():
            self.assertEqual(a.header(name), value)
        self.assertEqual((a.header("ce-subject"), a.header("ce-time"), a.header("Content-Type"), a.text),
                         ("order%207", "2026-01-02T03:04:05Z", "application/json", '{"total":1}'))
        self.assertEqual(self.event(), dict(EVENT, subject="order 7", time="2026-01-02T03:04:05Z",
                                            datacontenttype="application/json", data={"total": 1}))
        listed = self.broker.read(self.name).json["messages"][0]["attributes"]
        self.assertEqual(listed, dict(REQUIRED, **{"ce-subject": "order 7", "ce-time": "2026-01-02T03:04:05Z"}))

    def test_values_are_percent_encoded_as_the_binding_says(self):
        text = 'Euro € 😀 100% "quoted"'
        encoded = "Euro%20%E2%82%AC%20%F0%9F%98%80%20100%25%20%22quoted%22"
        self.assertEqual(self.binary(headers={"ce-subject": encoded}).status, 201)
        self.assertEqual(self.raw().header("ce-subject"), encoded)
        self.assertEqual(self.event()["subject"], text)
        self.assertEqual(self.binary(headers={"ce-subject": '"in \\"marks\\""'}).status, 201)
        self.assertEqual(self.event(1)["subject"], 'in "marks"')

    def test_each_required_attribute_is_required(self):
        for name in REQUIRED:
            with self.subTest(name=name):
                left = {k: v for k, v in REQUIRED.items() if k != name}
                self.assertBad(self.broker.publish(self.name, "x", left), name)
                self.assertBad(self.broker.publish(self.name, "x", dict(left, **{name: ""})), name)
        self.assertNothingStored()

    def test_what_no_event_may_say_is_refused(self):
        for headers in ({"ce-specversion": "0.3"}, {"ce-time": "yesterday"}, {"ce-subject": "100%"}, {"ce-subject": "%zz"},
                        {"ce-my-name": "x"}, {"ce-datacontenttype": "text/plain"}, {"ce-data": "x"},
                        {"ce-subject": "%00"}, {"ce-subject": "%ff"}, {"ce-x": "a", "CE-X": "b"}):
            with self.subTest(headers=headers):
                self.assertBad(self.binary(headers=headers), list(headers)[-1])
        a = self.broker.publish(self.name, "x", {"Message-Ce-Id": "x"})
        self.assertEqual((a.status, a.json["code"]), (400, "bad_header"))
        self.assertNothingStored()

    def test_a_large_binary_event_is_streamed_and_named_where_it_is_not_inlined(self):
        large = b"x" * 300000
        self.assertEqual(self.binary(large, {"Content-Type": "image/png"}).status, 201)
        a = self.raw()
        self.assertEqual((a.body, a.header("ce-id")), (large, "a-1"))
        self.assertEqual(self.event(), dict(EVENT, datacontenttype="image/png",
                                            dataref="/v1/topics/%s/messages/0" % self.name))

    # Structured.

    def test_a_structured_event_is_a_message_with_attributes(self):
        self.assertEqual(self.post(dict(EVENT, subject="s", data={"n": 1}, numberext=-7, flagext=True, noext=None)).status, 201)
        a = self.raw()
        self.assertEqual((a.header("Content-Type"), json.loads(a.text)), ("application/json", {"n": 1}))
        self.assertEqual([a.header("ce-" + n) for n in ("id", "numberext", "flagext", "noext")], ["a-1", "-7", "true", None])
        self.assertEqual(self.event(), dict(EVENT, subject="s", datacontenttype="application/json", data={"n": 1},
                                            numberext="-7", flagext="true"))

    def test_data_is_what_its_type_says(self):
        for given, type, body in (
                ({"data": "text", "datacontenttype": "text/xml"}, "text/xml", b"text"),
                ({"data": "a string"}, "application/json", b'"a string"'),
                ({"data": None}, "application/json", b"null"),
                ({"data": [1, 2], "datacontenttype": "application/vnd.x+json"}, "application/vnd.x+json", b"[1, 2]"),
                ({"data_base64": "AAEC/w=="}, "application/octet-stream", b"\0\1\2\xff"),
                ({"data_base64": "AAEC/w==", "datacontenttype": "image/png"}, "image/png", b"\0\1\2\xff"),
                ({}, "application/octet-stream", b"")):
            with self.subTest(given=given):
                offset = self.post(dict(EVENT, **given)).json["offset"]
                a = self.raw(offset)
                self.assertEqual((a.header("Content-Type"), a.body), (type, body))
                again = dict(EVENT, **given)
                if "data" in given or "data_base64" in given:
                    again.setdefault("datacontenttype", type)
                self.assertEqual(self.event(offset), again)

    def test_numbers_in_the_data_stay_as_they_are_written(self):
        self.post('{"data":{"n":12345678901234567890.10},"id":"a-1","source":"s","type":"t","specversion":"1.0"}')
        self.assertEqual(self.raw().text, '{"n":12345678901234567890.10}')

    def test_headers_of_the_request_hold_for_a_structured_event_too(self):
        a = self.post(dict(EVENT, data=1), TTL="60", Message_Key="k", Message_Lane="fast", Idempotency_Key='"i"',
                      If_Match='"0"', ce_id="ignored")
        self.assertEqual((a.status, a.header("TTL"), a.json["offset"]), (201, "60", 0))
        again = self.post(dict(EVENT, data=1), TTL="60", Message_Key="k", Message_Lane="fast", Idempotency_Key='"i"')
        self.assertEqual((again.json, again.header("Idempotent-Replayed")), (a.json, "true"))
        self.assertEqual(self.post(dict(EVENT, data=2), Idempotency_Key='"i"').status, 422)
        m = self.broker.read(self.name).json["messages"]
        self.assertEqual(len(m), 1)
        self.assertEqual((m[0]["key"], m[0]["attributes"]["lane"], m[0]["attributes"]["ce-id"]), ("k", "fast", "a-1"))
        self.assertEqual(self.event(), dict(EVENT, datacontenttype="application/json", data=1, partitionkey="k", lane="fast"))

    def test_a_structured_event_that_is_none_is_refused(self):
        for name in EVENT:
            self.assertBad(self.post({k: v for k, v in EVENT.items() if k != name}), name)
        for wrong in ({"id": ""}, {"id": {}}, {"specversion": "0.3"}, {"time": "soon"}, {"Upper": "x"}, {"my-ext": "x"},
                      {"n": 1.5}, {"n": 4294967296}, {"data": 1, "data_base64": "AA=="}, {"data_base64": "!"}, {"data_base64": 1},
                      {"data": {}, "datacontenttype": "text/plain"}, {"subject": "a\nb"}, {"datacontenttype": ""}):
            with self.subTest(wrong=wrong):
                self.assertBad(self.post(dict(EVENT, **wrong)))
        for text in ("", "[]", "{", "1", json.dumps(EVENT) + "x", json.dumps(EVENT)[:-1] + ',"id":"b"}'):
            with self.subTest(text=text):
                self.assertBad(self.post(text))
        self.assertNothingStored()
        self.assertIdle()

    def test_another_format_is_not_read(self):
        for type in ("application/cloudevents+avro", "application/cloudevents"):
            self.assertEqual(self.post("x", type).status, 415)
        self.assertEqual(self.post(EVENT, STRUCTURED, "messages:batch").status, 415)

    def test_one_that_is_too_large_for_its_form_is_refused(self):
        self.assertEqual(self.post(dict(EVENT, data="x" * 70000)).status, 413)
        self.assertEqual(self.post(dict(EVENT, data="x" * 300000)).status, 413)
        self.assertBad(self.post(dict(EVENT, **{"e%d" % i: "v" * 200 for i in range(41)})), "8192")
        many = dict(EVENT, **{"e%d" % i: "v" * 130 for i in range(50)})
        self.assertEqual(self.post(many).status, 201)
        self.assertIdle()

    # Batched.

    def test_a_batch_is_stored_as_one_by_either_route(self):
        events = [dict(EVENT, id=str(i), data={"i": i}) for i in range(3)]
        for route in ("messages", "messages:batch"):
            a = self.post(events, BATCHED, route)
            self.assertEqual((a.status, a.json["count"]), (201, 3))
        self.assertEqual([self.event(i)["id"] for i in range(6)], ["0", "1", "2"] * 2)
        self.assertIdle()

    def test_one_bad_event_and_nothing_of_a_batch_is_stored(self):
        a = self.post([EVENT, {k: v for k, v in EVENT.items() if k != "type"}], BATCHED)
        self.assertEqual((a.status, a.json["code"], a.json["index"]), (400, "bad_batch", 1))
        self.assertIn("type", a.json["detail"])
        for body in ([], EVENT, "", [[]], [1]):
            self.assertEqual(self.post(body, BATCHED).status, 400)
        self.assertNothingStored()

    # Out.

    def test_a_log_of_events_is_read_as_a_batch(self):
        for i in range(3):
            self.post(dict(EVENT, id=str(i), data=i))
        ask = "/v1/topics/%s/messages?from=1&limit=%d"
        a = self.broker.ask("GET", ask % (self.name, 10), headers={"Accept": BATCHED})
        self.assertEqual((a.status, a.header("Content-Type"), a.header("Message-Next")), (200, BATCHED, "3"))
        self.assertEqual(a.json, [dict(EVENT, id=str(i), data=i, datacontenttype="application/json") for i in (1, 2)])
        a = self.broker.ask("GET", ask % (self.name, 1), headers={"Accept": BATCHED})
        self.assertEqual((len(a.json), a.header("Message-Next")), (1, "2"))
        a = self.broker.ask("GET", "/v1/topics/%s/messages?from=3" % self.name, headers={"Accept": BATCHED})
        self.assertEqual((a.json, a.header("Message-Next")), ([], "3"))
        self.assertIdle()

    def test_what_was_read_as_a_batch_can_be_published_as_one(self):
        self.binary("plain", {"Content-Type": "text/plain", "ce-subject": "%E2%82%AC"})
        self.binary(b"\0\xff", {"Content-Type": "image/png"})
        a = self.broker.ask("GET", "/v1/topics/%s/messages" % self.name, headers={"Accept": BATCHED})
        self.assertEqual(self.post(a.body, BATCHED).status, 201)
        self.assertEqual([self.event(0), self.event(1)], [self.event(2), self.event(3)])
        self.assertEqual([self.raw(0).body, self.raw(1).body], [self.raw(2).body, self.raw(3).body])

    def test_a_message_that_is_no_event_is_wrapped_in_one(self):
        a = self.broker.publish(self.name, b"\0\xff", {"Message-Key": "k", "Message-Lane": "fast", "Message-X-Y": "lost",
                                                      "Message-Source": "not the event's"})
        self.assertEqual(self.event(), {
            "specversion": "1.0", "id": "0", "source": "/v1/topics/" + self.name, "type": "sluice.message",
            "time": a.json["time"], "partitionkey": "k", "lane": "fast", "datacontenttype": "application/octet-stream",
            "data_base64": base64.b64encode(b"\0\xff").decode()})

    def test_caches_are_told_that_the_form_depends_on_accept(self):
        self.binary()
        self.assertIn("Accept", self.raw().header("Vary"))

    def test_events_come_to_streams_and_subscriptions_with_their_attributes(self):
        self.broker.ask("PUT", "/v1/subscriptions/" + self.name, json.dumps({"topic": self.name, "start": "earliest"}))
        self.binary()
        a = self.broker.ask("POST", "/v1/subscriptions/%s:receive" % self.name)
        self.assertEqual(a.json["messages"][0]["attributes"], REQUIRED)
