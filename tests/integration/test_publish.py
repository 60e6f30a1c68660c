"""One message in: what is accepted, what is answered, and that the bytes come back."""
import datetime
import hashlib
import os
import random
import time

from sluicetest import BrokerTest, quote


class Publish(BrokerTest):
    def test_a_message_is_answered_with_its_place(self):
        a = self.broker.publish(self.name, "hello")
        self.assertEqual(a.status, 201)
        self.assertEqual(a.header("Location"), "/v1/topics/%s/messages/0" % self.name)
        self.assertEqual(a.header("Durability"), "fsync")
        self.assertEqual(a.json["topic"], self.name)
        self.assertEqual(a.json["offset"], 0)
        for field in ("time", "expires_at"):
            self.assertRegex(a.json[field], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(self.broker.ask("GET", a.header("Location")).body, b"hello")

    def test_offsets_rise_by_one(self):
        self.assertEqual([self.broker.offset(self.name, "x") for _ in range(5)], [0, 1, 2, 3, 4])

    def test_the_time_is_now(self):
        before = time.time()
        said = self.broker.publish(self.name, "x").json["time"]
        at = datetime.datetime.strptime(said, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
        self.assertGreaterEqual(at, before - 0.002)
        self.assertLessEqual(at, time.time() + 0.002)

    def test_without_a_type_it_is_an_octet_stream(self):
        self.broker.offset(self.name, "x")
        a = self.broker.message(self.name, 0)
        self.assertEqual(a.header("Content-Type"), "application/octet-stream")

    def test_the_content_type_comes_back_as_it_was(self):
        for i, type in enumerate(["text/plain; charset=\"x y\"", "application/json", "application/json; v=1",
                                  "text/plain; charset=utf-8", "x/y", "image/png"]):
            self.broker.offset(self.name, "1", {"Content-Type": type})
            self.assertEqual(self.broker.message(self.name, i).header("Content-Type"), type)

    def test_key_and_attributes_come_back(self):
        self.broker.offset(self.name, "x", {
            "Message-Key": "user-42", "Message-Source": "till 7", "Message-X-Long-Name": "a, b; c=\"d\""})
        m = self.broker.read(self.name).json["messages"][0]
        self.assertEqual(m["key"], "user-42")
        self.assertEqual({k.lower(): v for k, v in m["attributes"].items()},
                         {"source": "till 7", "x-long-name": "a, b; c=\"d\""})
        a = self.broker.message(self.name, 0)
        self.assertEqual(a.header("Message-Key"), "user-42")
        self.assertEqual(a.header("Message-Source"), "till 7")
        self.assertEqual(a.header("Message-X-Long-Name"), "a, b; c=\"d\"")

    def test_an_attribute_in_utf8_comes_back(self):
        self.broker.offset(self.name, "x", {"Message-City": "Köln", "Message-Key": "日本"})
        m = self.broker.read(self.name).json["messages"][0]
        self.assertEqual(m["key"], "日本")
        self.assertEqual(list(m["attributes"].values()), ["Köln"])

    def test_an_empty_message_is_a_message(self):
        self.assertEqual(self.broker.offset(self.name, b""), 0)
        a = self.broker.message(self.name, 0)
        self.assertEqual((a.status, a.body), (200, b""))
        self.assertEqual(self.broker.topic(self.name)["messages"], 1)

    def test_random_bytes_of_many_sizes_come_back(self):
        rng = random.Random(7)
        sizes = [1, 2, 127, 128, 4095, 4096, 65536, 131055, 131056, 131057, 131072, 131073, 262144, 1000003]
        bodies = [rng.randbytes(n) for n in sizes]
        with self.broker.client() as c:
            for i, body in enumerate(bodies):
                a = c.ask("POST", "/v1/topics/%s/messages" % self.name, body)
                self.assertEqual((a.status, a.json["offset"]), (201, i))
            for i, body in enumerate(bodies):
                a = c.ask("GET", "/v1/topics/%s/messages/%d" % (self.name, i))
                self.assertEqual(a.status, 200)
                self.assertEqual(hashlib.sha256(a.body).digest(), hashlib.sha256(body).digest(), sizes[i])

    def test_every_byte_value_comes_back(self):
        body = bytes(range(256)) * 3
        self.broker.offset(self.name, body, {"Content-Type": "text/plain"})
        self.assertEqual(self.broker.message(self.name, 0).body, body)

    def test_chunked_bodies_are_put_together(self):
        parts = [os.urandom(n) for n in (1, 100, 70000, 3, 200000, 5)]
        with self.broker.client() as c:
            a = c.ask_chunked("POST", "/v1/topics/%s/messages" % self.name, parts)
            self.assertEqual(a.status, 201)
            a = c.ask_chunked("POST", "/v1/topics/%s/messages" % self.name, [])
            self.assertEqual(a.status, 201)
        self.assertEqual(self.broker.message(self.name, 0).body, b"".join(parts))
        self.assertEqual(self.broker.message(self.name, 1).body, b"")

    def test_json_comes_back_as_it_was_written(self):
        """Large numbers, escapes, order and blanks: what a JSON library would change."""
        texts = ['{"n":9007199254740993}', '"\\u0000 cut?"', '{"b":1,"a":2,"b":3}', ' [ 1 , 2 ]\n',
                 '-0.0', '1E400', '"\\ud83d\\ude00 \\/ /"', '[12345678901234567890.00]', 'null', '""']
        for i, text in enumerate(texts):
            self.broker.offset(self.name, text, {"Content-Type": "application/json"})
            self.assertEqual(self.broker.message(self.name, i).text, text)
        listed = self.broker.read(self.name).text
        for text in texts:
            self.assertIn('"data":' + text.strip(), listed.replace('"data": ', '"data":'))

    def test_what_only_claims_to_be_json_is_a_string(self):
        for text in ['01', '{"a":1', "{'a':1}", '[1,]', 'nul', '"\t"', '1 2', '\ufeff{}', '']:
            with self.subTest(text=text):
                o = self.broker.offset(self.name, text, {"Content-Type": "application/json"})
                m = self.broker.read(self.name, from_=o).json["messages"][0]
                self.assertEqual(m["data"], text)

    def test_json_types_with_a_suffix_are_json(self):
        for type in ("application/json; charset=utf-8", "application/vnd.x+json", "Application/JSON"):
            with self.subTest(type=type):
                o = self.broker.offset(self.name, '{"n":1}', {"Content-Type": type})
                self.assertEqual(self.broker.read(self.name, from_=o).json["messages"][0]["data"], {"n": 1})

    def test_text_is_a_string_and_other_bytes_are_base64(self):
        self.broker.offset(self.name, "grüße\n\"quoted\" \\ \u0001 \U0001f600", {"Content-Type": "text/plain"})
        self.broker.offset(self.name, b"\xff\xfe\x00")
        self.broker.offset(self.name, b"overlong \xc0\x80")
        m = self.broker.read(self.name).json["messages"]
        self.assertEqual(m[0]["data"], "grüße\n\"quoted\" \\ \u0001 \U0001f600")
        self.assertEqual(m[1]["data_base64"], "//4A")
        self.assertNotIn("data", m[2])

    def test_a_ttl_is_echoed_and_sets_the_end(self):
        a = self.broker.publish(self.name, "x", {"TTL": "60"})
        self.assertEqual((a.status, a.header("TTL")), (201, "60"))
        self.assertEqual(self.life(a), 60)
        a = self.broker.publish(self.name, "x", {"TTL": "5m"})
        self.assertEqual((a.header("TTL"), self.life(a)), ("300", 300))

    def test_the_topic_caps_the_ttl(self):
        self.broker.ask("PUT", "/v1/topics/" + self.name, '{"ttl":"90s"}')
        a = self.broker.publish(self.name, "x", {"TTL": "1h"})
        self.assertEqual((a.header("TTL"), self.life(a)), ("90", 90))
        self.assertEqual(self.life(self.broker.publish(self.name, "x")), 90)
        self.assertEqual(self.life(self.broker.publish(self.name, "x", {"TTL": "10"})), 10)

    def life(self, answer):
        def at(text):
            return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
        return round(at(answer.json["expires_at"]) - at(answer.json["time"]), 3)

    def test_a_bad_header_stores_nothing(self):
        for headers in ({"TTL": "soon"}, {"TTL": "-1"}, {"TTL": ""}, {"TTL": "1.5x"},
                        {"Message-Key": "k" * 1025}):
            with self.subTest(headers=headers):
                self.assertProblem(self.broker.publish(self.name, "x", headers), 400, retryable=False)
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + self.name).status, 404)

    def test_names_are_one_encoded_segment(self):
        for name in ("a/b", "a b", "ü/日本", "100%", "a%2Fb", "..", ".", "a:b", "x" * 255, "q?x=1&y#z", "+", "~*!'()"):
            with self.subTest(name=name):
                self.assertEqual(self.broker.offset(name, name), 0)
                self.assertEqual(self.broker.data(name), [name])
                self.assertEqual(self.broker.topic(name)["topic"], name)
                location = self.broker.publish(name, "again").header("Location")
                self.assertEqual(self.broker.ask("GET", location).body, b"again")

    def test_a_and_its_encoded_form_are_the_same_topic(self):
        self.broker.offset("same-ab", "x")
        self.assertEqual(self.broker.ask("GET", "/v1/topics/%73ame-%61b/messages").json["end"], 1)

    def test_names_that_are_none_are_refused(self):
        for path in ("", "%00", "a%0Ab", "%7F", "%FF", "%C0%80", "x" * 256, "%ED%A0%80", "a%", "a%2", "a%zz"):
            with self.subTest(path=path):
                a = self.broker.ask("POST", "/v1/topics/%s/messages" % path, "x")
                self.assertIn(a.status, (400, 404), a)
                self.assertProblem(a, a.status)

    def test_too_large_is_said_with_the_limit(self):
        with self.broker.client() as c:
            c.send(c.head("POST", "/v1/topics/big/messages", {"Content-Length": str(1 << 40)}))
            p = self.assertProblem(c.answer(), 413, retryable=False)
            self.assertEqual(p["limit_bytes"], 64 << 20)


class SmallMessages(BrokerTest):
    settings = {"max_message_bytes": "64KiB", "auto_create": False}

    def setUp(self):
        super().setUp()
        self.broker.ask("PUT", "/v1/topics/" + quote(self.name))

    def test_exactly_the_limit_is_fine(self):
        self.broker.offset(self.name, b"x" * 65536)
        self.assertProblem(self.broker.publish(self.name, b"x" * 65537), 413)
        self.assertEqual(self.broker.topic(self.name)["next"], 1)

    def test_a_chunked_body_is_cut_at_the_limit(self):
        with self.broker.client() as c:
            a = c.ask_chunked("POST", "/v1/topics/%s/messages" % self.name, [b"x" * 65536])
            self.assertEqual(a.status, 201)
        with self.broker.client() as c:
            path = "/v1/topics/%s/messages" % self.name
            c.send(c.head("POST", path, {"Transfer-Encoding": "chunked"}))
            c.send(b"%x\r\n%s\r\n1\r\ny\r\n" % (65536, b"x" * 65536))
            self.assertProblem(c.answer(), 413)
        self.assertEqual(self.broker.topic(self.name)["next"], 1)

    def test_without_auto_create_an_unknown_topic_is_404(self):
        self.assertProblem(self.broker.publish("no-such-topic", "x"), 404, "topic_not_found", False)
        self.assertProblem(self.broker.batch("no-such-topic", '{"data":1}\n'), 404, "topic_not_found")
        self.assertEqual(self.broker.ask("GET", "/v1/topics/no-such-topic").status, 404)


class LargeMessages(BrokerTest):
    settings = {"publish_buffer": "2MiB", "max_message_bytes": "256MiB"}

    def test_a_message_larger_than_the_buffer_passes_through_it(self):
        body = random.Random(1).randbytes(24 << 20)
        self.assertEqual(self.broker.offset(self.name, body), 0)
        self.assertEqual(self.broker.message(self.name, 0).body, body)
        m = self.broker.metrics()
        self.assertLessEqual(m["sluice_publish_buffer_high_water_bytes"],
                             m["sluice_publish_buffer_limit_bytes"])
        self.assertIdle()

    def test_a_large_message_is_named_not_inlined(self):
        body = b"{}" + b" " * 300000
        self.broker.offset(self.name, body, {"Content-Type": "application/json"})
        self.broker.offset(self.name, "small")
        m = self.broker.read(self.name).json["messages"]
        self.assertEqual(m[0]["size"], len(body))
        self.assertEqual(self.broker.ask("GET", m[0]["href"]).body, body)
        self.assertNotIn("data", m[0])
        self.assertEqual(m[1]["data"], "small")

    def test_an_upload_that_breaks_off_leaves_nothing(self):
        with self.broker.client() as c:
            c.send(c.head("POST", "/v1/topics/%s/messages" % self.name, {"Content-Length": "5000000"}))
            c.send(b"x" * 3000000)
        self.assertIdle()
        self.assertEqual(self.broker.ask("GET", "/v1/topics/" + self.name).status, 404)
        self.assertConserved()

    def test_parts_of_a_message_can_be_asked_for(self):
        body = random.Random(2).randbytes(700000)
        self.broker.offset(self.name, body)
        for range, part in (("bytes=0-0", body[:1]), ("bytes=131000-262200", body[131000:262201]),
                            ("bytes=699990-", body[699990:]), ("bytes=-5", body[-5:]),
                            ("bytes=5-9999999", body[5:])):
            with self.subTest(range=range):
                a = self.broker.message(self.name, 0, {"Range": range})
                self.assertEqual((a.status, a.body == part), (206, True), a.headers)
                first = len(body) - len(part) if range != "bytes=0-0" and part != body[131000:262201] else \
                    (0 if len(part) == 1 else 131000)
                self.assertEqual(a.header("Content-Range"),
                                 "bytes %d-%d/%d" % (first, first + len(part) - 1, len(body)))
        a = self.broker.message(self.name, 0, {"Range": "bytes=700000-"})
        self.assertProblem(a, 416)

    def test_several_large_uploads_at_once_all_arrive(self):
        bodies = [random.Random(i).randbytes(3 << 20) for i in range(8)]
        clients = [self.broker.client() for _ in bodies]
        for c, body in zip(clients, bodies):
            c.send(c.head("POST", "/v1/topics/%s/messages" % self.name, {"Content-Length": str(len(body))}))
        import threading
        threads = [threading.Thread(target=c.send, args=(b,)) for c, b in zip(clients, bodies)]
        for t in threads:
            t.start()
        offsets = [c.answer().json["offset"] for c in clients]
        for t in threads:
            t.join()
        for c in clients:
            c.close()
        self.assertEqual(sorted(offsets), list(range(8)))
        for o, body in zip(offsets, bodies):
            self.assertEqual(self.broker.message(self.name, o).body, body)
        self.assertIdle()
