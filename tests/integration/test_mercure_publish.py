"""Publishing to the Mercure hub: who may, what is refused and why, and what is in the log then."""
import json
import time
import unittest
import urllib.parse

import jwt
from hub import FORM, HUB, HubTest, authorized
from sluicetest import BrokerTest, SoloBrokerTest, until
from sse import Stream

SETTINGS = {"mercure_publisher_jwt_key": jwt.KEY, "inline_max": "64KiB", "publish_buffer": "512KiB",
            "max_batch_bytes": "256KiB", "min_body_rate": "0"}
TOPIC = "https://example.com/books/1"


class Publishing(HubTest, BrokerTest):
    settings = SETTINGS

    def setUp(self):
        super().setUp()
        self.broker.ask("POST", "/v1/topics/mercure:purge", '{"all":true}')
        self.first = self.next_offset()

    # What is stored.

    def test_an_update_is_answered_with_its_id_and_is_in_the_log(self):
        a = self.post([("topic", TOPIC), ("data", "hello"), ("id", "urn:x:1")])
        self.assertEqual((a.status, a.body), (200, b"urn:x:1"))
        self.assertEqual(a.header("Content-Type"), "text/plain; charset=utf-8")
        self.assertEqual(a.header("Durability"), "fsync")
        m = self.last()
        self.assertEqual((m["key"], m["data"], m["content_type"]), (TOPIC, "hello", "text/plain; charset=utf-8"))
        self.assertNotIn("attributes", m)

    def test_all_that_an_update_has_is_in_the_log(self):
        self.published([("topic", TOPIC), ("topic", "b"), ("topic", "c æ"), ("data", "d"), ("private", ""),
                        ("type", "book"), ("retry", "1500"), ("id", "i")])
        self.assertEqual(self.last()["attributes"], {
            "mercure-alternates": "b\nc æ", "mercure-type": "book", "mercure-retry": "1500", "mercure-private": "1"})

    def test_the_native_api_gives_the_same_bytes(self):
        for data in "a+b&c=d%41\r\n\r\x00\ttwo\n\n", "", "æ€\U0001f600", "x" * 65536:
            with self.subTest(data=data[:20]):
                self.published([("topic", TOPIC), ("data", data)])
                m = self.last()
                self.assertEqual(m["data"], data)
                raw = self.broker.message("mercure", m["offset"])
                self.assertEqual(raw.body, data.encode())
                self.assertEqual(raw.header("Message-Key"), TOPIC)

    def test_no_topic_can_write_a_header(self):
        self.published([("topic", TOPIC), ("topic", "b"), ("data", "x"), ("id", "i")])
        self.assertEqual(self.broker.message("mercure", self.last()["offset"]).header("Message-Mercure-Alternates"), "b")
        self.published([("topic", TOPIC), ("topic", "b"), ("topic", "Set-Cookie: a=b"), ("data", "x"), ("type", "t")])
        a = self.broker.message("mercure", self.last()["offset"])
        self.assertEqual((a.status, a.text, a.header("Message-Mercure-Type")), (200, "x", "t"))
        self.assertIsNone(a.header("Set-Cookie"))
        self.assertIsNone(a.header("Message-Mercure-Alternates"))

    def test_an_update_without_data_is_an_empty_one(self):
        self.published([("topic", TOPIC)])
        self.assertEqual(self.last()["data"], "")

    def test_an_id_is_made_where_none_is_given(self):
        seen = []
        for form in ("topic=a", "topic=a&id=", "topic=a&id"):
            before = int(time.time() * 1000)
            seen.append(self.post(form).text)
            self.assertRegex(seen[-1], "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
            stamp = int(seen[-1][9:].replace("-", "")[:12], 16)
            self.assertLessEqual(before - 1000, stamp)
            self.assertLessEqual(stamp, int(time.time() * 1000) + 1000)
        self.assertEqual(len(set(seen)), 3)

    def test_a_retry_of_zero_or_nothing_is_none(self):
        for retry in "", "0", "000":
            self.published([("topic", "a"), ("retry", retry)])
            self.assertNotIn("attributes", self.last())

    def test_of_fields_that_come_again_the_first_counts(self):
        self.post("topic=a&data=1&data=2&id=x&id=y&type=t&type=u&retry=1&retry=no")
        m = self.last()
        self.assertEqual((m["key"], m["data"]), ("a", "1"))
        self.assertEqual(m["attributes"], {"mercure-type": "t", "mercure-retry": "1"})

    def test_only_the_body_counts(self):
        a = self.broker.ask("POST", HUB + "?topic=a&data=x", "data=y", dict(authorized(), **{"Content-Type": FORM}))
        self.assertRefused(a, 400, 'Missing "topic" parameter')

    def test_a_body_in_chunks_is_as_good(self):
        with self.broker.client() as c:
            a = c.ask_chunked("POST", HUB, [b"topic=a&da", b"ta=he%6", b"C%6Co"],
                              dict(authorized(), **{"Content-Type": FORM + "; charset=utf-8"}))
        self.assertEqual(a.status, 200, a)
        self.assertEqual(self.last()["data"], "hello")

    def test_a_thousand_topics_are_fine_and_no_more(self):
        topics = ["t%d" % i for i in range(1001)]
        self.published([("topic", t) for t in topics[:1000]])
        m = self.last()
        self.assertEqual([m["key"]] + m["attributes"]["mercure-alternates"].split("\n"), topics[:1000])
        self.assertRefused(self.post([("topic", t) for t in topics]), 400, "at most 1000 topics")
        self.assertEqual(self.stored(), 1)

    def test_a_client_that_leaves_does_not_take_its_update_back(self):
        body = urllib.parse.urlencode([("topic", "a"), ("data", "x" * 1000)]).encode()
        c = self.broker.client()
        headers = dict(authorized(), **{"Content-Type": FORM, "Content-Length": str(len(body))})
        c.send(c.head("POST", HUB, headers) + body)
        c.close()
        until(lambda: self.stored() == 1, what="it is stored")
        self.assertIdle()

    # What is refused. The order in which things are looked at is that of the protocol.

    def test_what_is_wrong_with_a_form_is_said_and_nothing_is_stored(self):
        long = "x" * 256
        for form, status, text in (
                ("", 400, 'Missing "topic" parameter'),
                ("data=x", 400, 'Missing "topic" parameter'),
                ("topic=a&data=%zz", 400, "Bad Request"),
                ("topic=a&%=x", 400, "Bad Request"),
                ("topic=a&retry=soon", 400, 'Invalid "retry" parameter'),
                ("topic=a&retry=-1", 400, 'Invalid "retry" parameter'),
                ("topic=a&retry=1.5", 400, 'Invalid "retry" parameter'),
                ("topic=a&retry=18446744073709551616", 400, 'Invalid "retry" parameter'),
                ("topic=", 400, "topic 1"),
                ("topic=*", 400, "topic 1"),
                ("topic=a&topic=b%0Ac", 400, "topic 2"),
                ("topic=a%00", 400, "topic 1"),
                ("topic=a%C2%85", 400, "topic 1"),
                ("topic=%FF", 400, "topic 1"),
                ("topic=" + "x" * 1025, 400, "topic 1"),
                ("topic=/.well-known/mercure/subscriptions/x", 403, "/.well-known/mercure"),
                ("topic=a&topic=https%3A%2F%2Fother.example%2F.well-known%2Fmercure", 403, "/.well-known/mercure"),
                ("topic=a&id=%23x", 400, 'Invalid "id" parameter'),
                ("topic=a&id=earliest", 400, 'Invalid "id" parameter'),
                ("topic=a&id=" + long, 400, 'Invalid "id" parameter'),
                ("topic=a&type=mercure", 400, 'Invalid "type" parameter'),
                ("topic=a&type=" + long, 400, 'Invalid "type" parameter'),
                ("topic=a&type=%FF", 400, 'Invalid "type" parameter'),
                ("topic=a&data=%C3", 400, "not UTF-8"),
        ):
            with self.subTest(form=form[:60]):
                self.assertRefused(self.post(form), status, text)
        self.assertEqual(self.stored(), 0)
        self.assertIdle()

    def test_no_field_can_write_lines_into_an_event(self):
        for field in "id", "type":
            for bad in "%0A", "%0D", "%00", "%0D%0Adata%3A+x":
                with self.subTest(field=field, bad=bad):
                    self.assertRefused(self.post("topic=a&%s=x%sy" % (field, bad)), 400, field)
        self.assertEqual(self.stored(), 0)

    def test_a_body_that_is_no_form_is_refused(self):
        for type in None, "text/plain", "application/json", "multipart/form-data; boundary=x", FORM + "x":
            with self.subTest(type=type):
                self.assertRefused(self.post("topic=a", type=type), 400, FORM)
        self.assertEqual(self.stored(), 0)

    def test_the_first_thing_that_is_wrong_decides(self):
        nobody, other = {}, authorized("https://example.com/{x}")
        reserved = "/.well-known/mercure/x"
        for form, headers, status, text in (
                ("%zz", nobody, 401, ""),
                ("data=%zz", other, 400, "Bad Request"),
                ("retry=no", other, 400, "topic"),
                ("topic=a&retry=no", other, 400, "retry"),
                ("topic=" + reserved, other, 403, "does not cover"),
                ("topic=" + reserved + "&id=%0A", None, 403, "hub's own"),
                ("topic=a&id=%0A&data=%FF", None, 400, "id"),
        ):
            with self.subTest(form=form):
                self.assertRefused(self.post(form, headers), status, text)

    # Who may.

    def test_without_a_token_that_publishes_nobody_may(self):
        other_alg = jwt.sign({"mercure": {"publish": ["*"]}}, header={"alg": "HS512"})
        for name, headers in (
                ("none", {}),
                ("no claim", jwt.bearer()),
                ("no mercure at all", {"Authorization": "Bearer " + jwt.sign({"sub": "somebody with a name"})}),
                ("an empty claim", jwt.bearer(publish=[])),
                ("a subscriber's", jwt.bearer(subscribe=["*"])),
                ("another key", jwt.bearer(publish=["*"], key=jwt.KEY + "x")),
                ("another algorithm", {"Authorization": "Bearer " + other_alg}),
                ("run out", jwt.bearer(publish=["*"], exp=int(time.time()) - 100)),
                ("not yet", jwt.bearer(publish=["*"], nbf=int(time.time()) + 1000)),
        ):
            with self.subTest(token=name):
                self.assertRefused(self.post("topic=a", headers), 401)
        self.assertEqual(self.stored(), 0)

    def test_nobody_without_a_token_gets_to_send_a_body(self):
        with self.broker.client() as c:
            a = c.ask("POST", HUB, None, {"Content-Type": FORM, "Content-Length": "200000", "Expect": "100-continue"})
        self.assertRefused(a, 401)
        self.assertEqual(a.interim, [])

    def test_every_topic_must_be_covered_by_the_token(self):
        to_books = authorized("https://example.com/books/{id}", "literal")
        for topics, status in (
                (["https://example.com/books/1"], 200),
                (["literal"], 200),
                (["literal", "https://example.com/books/2"], 200),
                (["https://example.com/books/{id}"], 200),
                (["other"], 403),
                (["https://example.com/books/1", "other"], 403),
                (["https://example.com/books/1/2"], 403),
                (["Literal"], 403),
        ):
            with self.subTest(topics=topics):
                a = self.post([("topic", t) for t in topics], to_books)
                self.assertEqual(a.status, status, a)
        self.assertRefused(self.post([("topic", "literal"), ("topic", "x/y")], to_books), 403, "x/y")
        self.assertEqual(self.stored(), 4)

    def test_a_token_for_all_covers_all(self):
        for topic in "a", TOPIC, "æ", "{x}", "a b":
            self.published([("topic", topic)], authorized("other", "*"))

    # How much.

    def test_data_may_be_as_large_as_inline_max_however_it_is_encoded(self):
        form = "topic=a&data=" + "%78" * 65536
        self.assertEqual(self.post(form).status, 200)
        self.assertEqual(self.last()["data"], "x" * 65536)
        self.assertRefused(self.post(form + "x"), 413, "64KiB (inline_max)")
        self.assertEqual(self.stored(), 1)

    def test_a_body_no_form_can_need_is_refused_before_it_is_read(self):
        with self.broker.client() as c:
            a = c.ask("POST", HUB, None, dict(authorized(), **{"Content-Type": FORM, "Content-Length": "400000",
                                                              "Expect": "100-continue"}))
        self.assertRefused(a, 413)
        self.assertEqual(a.interim, [])

    def test_topics_together_have_a_limit_which_is_named(self):
        self.published([("topic", "%d" % (10 + i) + "x" * 1022) for i in range(32)])
        m = self.last()
        self.assertEqual(len(m["attributes"]["mercure-alternates"]), 31 * 1025 - 1)
        self.assertRefused(self.post([("topic", "%d" % (10 + i) + "x" * 1022) for i in range(33)]), 413, "32768")
        self.assertEqual(self.stored(), 1)

    # Other ways.

    def test_no_other_door_leads_into_the_hubs_log(self):
        self.published([("topic", "a")])
        for answer in (self.broker.publish("mercure", "x"),
                       self.broker.publish("mercure", "x" * 100000),
                       self.broker.batch("mercure", '{"data":1}\n'),
                       self.broker.batch("mercure", '[{"data":1}]', "application/json")):
            self.assertProblem(answer, 403, "reserved_topic", retryable=False)
        self.assertEqual(self.stored(), 1)
        self.assertIdle()

    def test_the_native_api_keeps_the_log_in_order(self):
        self.published([("topic", "a")])
        b = self.broker
        self.assertEqual(b.ask("PATCH", "/v1/topics/mercure", '{"max_messages":1,"overflow":"reject"}').status, 200)
        self.assertRefused(self.post("topic=b"), 507)
        self.assertEqual(b.ask("POST", "/v1/topics/mercure:purge", '{"all":true}').json["removed"], 1)
        self.assertEqual(self.post("topic=b").status, 200)
        self.assertEqual([m["key"] for m in self.log()], ["b"])

    def test_another_verb_is_answered_in_the_hubs_manner(self):
        self.assertRefused(self.broker.ask("PUT", HUB, "x"), 405)


class OtherSettings(HubTest, SoloBrokerTest):
    def test_without_a_key_nobody_publishes_and_the_answer_says_what_is_missing(self):
        self.start()
        self.assertRefused(self.post("topic=a"), 401, "mercure_publisher_jwt_key")

    def test_the_log_has_the_name_and_the_ttl_that_are_set(self):
        self.start(mercure_topic="news æ", mercure_ttl="90m", default_ttl="1h", **SETTINGS)
        self.published([("topic", "a"), ("data", "x")])
        m = self.log("news æ")[0]
        self.assertEqual(m["data"], "x")
        hours = [int(m[t][11:13]) * 60 + int(m[t][14:16]) for t in ("time", "expires_at")]
        self.assertIn((hours[1] - hours[0]) % (24 * 60), (89, 90))
        self.assertProblem(self.broker.publish("news æ", "x"), 403, "reserved_topic")
        self.assertEqual(self.broker.publish("mercure", "x").status, 201)

    def test_a_pulsar_name_can_be_the_hubs(self):
        topic = "persistent://public/default/hub"
        self.start(mercure_topic=topic, **SETTINGS)
        self.published([("topic", "a"), ("data", "x")])
        a = self.broker.ask("POST", "/topics/persistent/public/default/hub", '{"messages":[{"payload":"x"}]}',
                            {"Content-Type": "application/json"})
        self.assertEqual(a.status, 403, a)
        self.assertIn("reason", a.json)
        self.assertEqual(self.broker.topic(topic)["next"], 1)

    def test_the_hub_makes_its_log_where_publishers_may_make_none(self):
        self.start(auto_create=False, **SETTINGS)
        self.published([("topic", "a"), ("data", "x")])
        self.assertEqual([m["data"] for m in self.log()], ["x"])
        self.assertProblem(self.broker.publish("other", "x"), 404, "topic_not_found")

    def test_the_largest_update_fits_into_the_least_read_buffer(self):
        self.start(read_buffer="672KiB", **SETTINGS)
        data = "\x01" * 65536  # six times as long in JSON
        topics = ["\\" * 1022 + "%d" % (10 + i) for i in range(32)]
        name = "\\" * 255
        self.published([("topic", t) for t in topics] + [("data", data), ("id", name), ("type", name)])
        m = self.log()[0]
        self.assertEqual((m["data"], m["id"], m["key"]), (data, name, topics[0]))
        self.assertEqual(m["attributes"]["mercure-alternates"], "\n".join(topics[1:]))
        a = self.broker.read("mercure", {"Accept": "application/x-ndjson"})
        self.assertEqual(json.loads(a.text)["attributes"], m["attributes"])
        self.assertEqual(self.broker.message("mercure", 0).text, data)
        s = Stream(self.broker, "mercure", **{"envelope": 1, "from": "earliest"})
        self.assertEqual(json.loads(s.data(1)[0])["attributes"], m["attributes"])
        s.close()

    def test_updates_outlive_a_restart(self):
        self.start(**SETTINGS)
        self.published([("topic", "a"), ("topic", "b"), ("data", "x"), ("id", "i"), ("private", "on")])
        before = self.log()
        self.broker.restart()
        self.assertEqual(self.log(), before)

    def test_a_full_store_is_said_and_what_was_accepted_is_there(self):
        self.start(map_size="8MiB", **SETTINGS)
        accepted, a = [], None
        while len(accepted) < 1000:
            data = "%06d" % len(accepted) + "x" * 50000
            a = self.post([("topic", "a"), ("data", data)])
            if a.status != 200:
                break
            accepted.append(data[:6])
        self.assertRefused(a, 507, "Nothing of this request was stored")
        self.assertGreater(len(accepted), 20)
        self.assertEqual(self.broker.topic("mercure")["messages"], len(accepted))
        self.assertEqual(self.broker.message("mercure", len(accepted) - 1).text[:6], accepted[-1])
        self.assertEqual(self.broker.publish("other", "x" * 60000).status, 507)
        self.broker.ask("POST", "/v1/topics/mercure:purge", '{"all":true}')
        until(lambda: self.post("topic=a").status == 200, what="room after a purge")

    def test_what_updates_take_of_the_publish_buffer_is_bounded_and_given_back(self):
        self.start(**SETTINGS)
        held = []
        for _ in range(2):
            c = self.broker.client()
            self.addCleanup(c.close)
            c.send(c.head("POST", HUB, dict(authorized(), **{"Content-Type": FORM, "Content-Length": "250000"})))
            held.append(c)
        until(lambda: self.broker.metric("sluice_publish_buffer_bytes") >= 500000, what="the buffer is held")
        a = self.post("topic=a&data=" + "x" * 30000, dict(authorized(), Prefer="wait=0"))
        self.assertRefused(a, 503)
        self.assertGreaterEqual(int(a.header("Retry-After")), 1)
        for c in held:
            c.close()
        self.assertIdle()
        self.published([("topic", "t%d" % i) for i in range(1000)] + [("data", "%" * 65536)])
        self.assertIdle()
        self.assertLessEqual(self.broker.metric("sluice_publish_buffer_high_water_bytes"), 512 << 10)


if __name__ == "__main__":
    unittest.main()
