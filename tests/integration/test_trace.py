"""traceparent: kept with the message, and given back however it is read."""
import json

from sluicetest import BrokerTest, quote

ONE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


class Trace(BrokerTest):
    def attributes(self):
        return [m.get("attributes") for m in self.broker.read(self.name).json["messages"]]

    def batch(self, lines, **headers):
        a = self.broker.ask("POST", "/v1/topics/%s/messages:batch" % quote(self.name), lines,
                            dict({"Content-Type": "application/x-ndjson"}, **headers))
        self.assertEqual(a.status, 201, a)

    def test_it_comes_back_as_a_header_and_as_an_attribute(self):
        self.broker.offset(self.name, "x", {"traceparent": ONE, "Message-Source": "till"})
        for path, headers in (("/0", {}), ("?from=0", {"Accept": "application/octet-stream"})):
            a = self.broker.ask("GET", "/v1/topics/%s/messages%s" % (self.name, path), headers=headers)
            self.assertEqual((a.header("traceparent"), a.header("Message-Source")), (ONE, "till"))
            self.assertIsNone(a.header("Message-Traceparent"))
        self.assertEqual(self.attributes(), [{"traceparent": ONE, "source": "till"}])
        a = self.broker.ask("GET", "/v1/topics/%s/messages" % self.name, headers={"Accept": "application/x-ndjson"})
        self.assertEqual(json.loads(a.body)["attributes"]["traceparent"], ONE)

    def test_one_that_is_ill_formed_is_ignored(self):
        for value in ("", "x", ONE + "-more", ONE.upper(), ONE.replace("00-", "ff-", 1), "00-" + "0" * 32 + ONE[35:]):
            with self.subTest(value=value):
                self.assertEqual(self.broker.publish(self.name, "x", {"traceparent": value}).status, 201)
        self.assertEqual(self.attributes(), [None] * 6)

    def test_the_header_goes_before_an_attribute_of_this_name(self):
        self.broker.offset(self.name, "x", {"Message-Traceparent": "mine", "traceparent": ONE})
        self.broker.offset(self.name, "x", {"Message-Traceparent": "mine"})
        self.assertEqual(self.attributes(), [{"traceparent": ONE}, {"traceparent": "mine"}])

    def test_a_batch_gives_it_to_all_who_have_none(self):
        self.batch('{"data":1}\n{"data":2,"attributes":{"TraceParent":"%s","a":"b"}}\n{"data":3,"attributes":{"a":"b"}}\n'
                   % OTHER, traceparent=ONE)
        self.assertEqual(self.attributes(), [{"traceparent": ONE}, {"traceparent": OTHER, "a": "b"},
                                             {"traceparent": ONE, "a": "b"}])

    def test_a_message_with_very_many_attributes_is_stored_without(self):
        many = {"n%d" % i: "v" * 500 for i in range(40)}
        self.batch(json.dumps({"data": 1, "attributes": many}) + "\n", traceparent=ONE)
        self.assertEqual(self.attributes(), [many])

    def test_another_try_is_another_span_and_the_same_message(self):
        first = self.broker.publish(self.name, "x", {"traceparent": ONE, "Idempotency-Key": '"k"'})
        again = self.broker.publish(self.name, "x", {"traceparent": OTHER, "Idempotency-Key": '"k"'})
        self.assertEqual((again.json, again.header("Idempotent-Replayed")), (first.json, "true"))
        self.assertEqual(self.attributes(), [{"traceparent": ONE}])
