"""Every way in for messages, held against the same table of promises. A route that could store
messages and stands in neither of the two tables below fails the last test. Ways that no request of a
publisher drives: WithoutARequest, and test_doors_within."""
import datetime
import json
import os
import re
import unittest

import jwt
from sluicetest import ROOT, SoloBrokerTest, quote, until

INLINE = 64 << 10
MESSAGE = 1 << 20
BATCH = 256 << 10
HUB = "/.well-known/mercure"
HUB_LIMIT = 3 * (INLINE + (32 << 10) + 2 * 255) + 1005 * 16  # data, topics, id and type as %XX; names of fields
SETTINGS = {"publish_buffer": "512KiB", "inline_max": "64KiB", "max_message_bytes": "1MiB",
            "max_batch_bytes": "256KiB", "min_body_rate": "0", "mercure_publisher_jwt_key": jwt.KEY}


def native(path):
    return lambda topic: "/v1/topics/%s/%s" % (quote(topic), path)


def pulsar(path):
    """For topics such as persistent://public/default/x."""
    def of(topic):
        domain, name = topic.split("://public/default/")
        return path % (domain, quote(name))
    return of


def of_objects(member, form):
    return lambda texts: form % ",".join(json.dumps({member: t}) for t in texts)


class Door:
    def __init__(self, name, route, path, body, limit, bad, many=True, topic="%s", type="text/plain", ok=201,
                 chunked=False, error="application/problem+json", large=1, token=None, makes_topic=False,
                 says=None):
        self.name, self.route, self.path, self.body, self.limit, self.bad = name, route, path, body, limit, bad
        self.many, self.topic, self.type, self.ok, self.chunked = many, topic, type, ok, chunked
        self.error, self.large, self.token = error, large, token
        self.says = says or {}  # headers
        self.makes_topic = makes_topic  # a single one, its own, and always

    def texts(self):
        """What a request of this door brings; some 30 KB, or more than is ever held whole."""
        return ["%d" % i + "x" * (10000 * self.large) for i in range(3 if self.many else 1)]

    def headers(self, more=None):
        token = {"Authorization": "Bearer " + self.token} if self.token else {}
        return dict({"Content-Type": self.type}, **token, **self.says, **more or {})

    def send(self, broker, topic, body=None, headers=None):
        body = self.body(self.texts()) if body is None else body
        body = body.encode() if isinstance(body, str) else body
        with broker.client() as c:
            if self.chunked:
                half = len(body) // 2
                return c.ask_chunked("POST", self.path(topic), [body[:half], body[half:]], self.headers(headers))
            return c.ask("POST", self.path(topic), body, self.headers(headers))


def door_of_one(name, **options):
    return Door(name, "POST /v1/topics/{}/messages", native("messages"), lambda texts: texts[0], MESSAGE,
                (None, {"TTL": "soon"}), many=False, **options)


def door_of_batches(name, body, bad, type):
    return Door(name, "POST /v1/topics/{}/messages:batch", native("messages:batch"), body, BATCH, (bad, {}), type=type)


def door_of_pulsar(domain, tail="", shape=""):
    return Door("pulsar, %s%s" % (domain, tail), "POST /topics/%s/{}/{}/{}%s" % (domain, shape),
                pulsar("/topics/%s/public/default/%s" + tail), of_objects("payload", '{"messages":[%s]}'), BATCH,
                ('{"messages":[{"payload":"a"},7]}', {}), topic=domain + "://public/default/%s",
                type="application/json", ok=200, error="application/json")


def door_of_hub():
    return Door("the hub", "POST " + HUB, lambda topic: HUB, lambda texts: "topic=a&data=" + texts[0], HUB_LIMIT,
                ("topic=a&data=%zz", {}), many=False, large=3, topic="%s-the-hubs-own",
                type="application/x-www-form-urlencoded", ok=200, error="text/plain; charset=utf-8",
                token=jwt.token(publish=["*"]), makes_topic=True)


EVENT = {"specversion": "1.0", "source": "/doors", "type": "test", "datacontenttype": "text/plain"}


def events(texts):
    return [dict(EVENT, id=str(i), data=t) for i, t in enumerate(texts)]


def door_of_events(name, path):
    return Door(name, "POST /v1/topics/{}/" + path, native(path), lambda texts: json.dumps(events(texts)), BATCH,
                (json.dumps(events(["a"]) + [{}]), {}), type="application/cloudevents-batch+json")


DOORS = [
    door_of_one("one message", large=3),
    door_of_one("one message, chunked", chunked=True, large=3),
    door_of_one("a large upload", large=20),
    door_of_one("a large upload, chunked", chunked=True, large=20),
    door_of_batches("NDJSON", lambda texts: "".join(json.dumps({"data": t}) + "\n" for t in texts),
                    '{"data":"a"}\n{"date":"b"}\n', "application/x-ndjson"),
    door_of_batches("an object of messages", of_objects("data", '{"messages":[%s]}'),
                    '{"messages":[{"data":"a"},{}]}', "application/json"),
    door_of_batches("an array of messages", of_objects("data", "[%s]"), '[{"data":"a"},{}]', "application/json"),
    door_of_one("a binary event", large=3, says={"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/", "ce-type": "t"}),
    Door("a structured event", "POST /v1/topics/{}/messages", native("messages"),
         lambda texts: json.dumps(events(texts)[0]), BATCH, (json.dumps(EVENT), {}), many=False,
         type="application/cloudevents+json", large=3),
    door_of_events("a batch of events", "messages:batch"),
    door_of_events("a batch of events by the other route", "messages"),
    door_of_pulsar("persistent"),
    door_of_pulsar("persistent", "/partitions/0", "/partitions/{}"),
    door_of_pulsar("non-persistent"),
    door_of_pulsar("non-persistent", "/partitions/0", "/partitions/{}"),
    door_of_hub(),
]

# Routes that change something and bring no messages.
NO_DOORS = {"POST /v1/topics/{}:purge", "PUT /v1/topics/{}", "PUT /v1/namespaces/{}",
            # These lease and settle messages that are stored already.
            "PUT /v1/subscriptions/{}", *("POST /v1/subscriptions/{}:" + verb for verb in
                                          ("receive", "ack", "nack", "extend", "reject", "seek", "redrive")),
            # These take messages out, and move a subscription's cursor.
            "POST /topics/persistent/{}/{}/{}/{}/message", "POST /topics/non-persistent/{}/{}/{}/{}/message"}


class TheTable:
    def each_door(self):
        """Each door with a topic of its own for this test."""
        for i, door in enumerate(DOORS):
            yield door, door.topic % ("%s-%d" % (self.name, i))

    def start(self, **settings):
        hubs = next(topic for door, topic in self.each_door() if door.makes_topic)
        super().start(mercure_topic=hubs, **settings)

    def given_topic(self, topic, **settings):
        a = self.broker.ask("PUT", "/v1/topics/" + quote(topic), json.dumps(settings))
        self.assertEqual(a.status, 201, a)

    def assertRefused(self, door, answer, status):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.header("Content-Type"), door.error)

    def assertNothingStored(self, topic):
        a = self.broker.ask("GET", "/v1/topics/" + quote(topic))
        if a.status != 404:
            self.assertEqual((a.json["next"], a.json["messages"], a.json["bytes"]), (0, 0, 0))


class Doors(TheTable, SoloBrokerTest):
    def setUp(self):
        super().setUp()
        self.start(**SETTINGS)

    def test_what_comes_in_is_stored(self):
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                a = door.send(self.broker, topic)
                self.assertEqual((a.status, a.header("Durability")), (door.ok, "fsync"), a)
                for i, text in enumerate(door.texts()):
                    self.assertEqual(self.broker.message(topic, i).text, text)
                self.assertEqual(self.broker.topic(topic)["next"], len(door.texts()))
        self.assertIdle()
        self.assertConserved()

    def test_its_bytes_are_in_the_ledger_while_they_come_in(self):
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                body = door.body(door.texts()).encode()
                with self.broker.client() as c:
                    framing = {"Transfer-Encoding": "chunked"} if door.chunked else {"Content-Length": str(len(body))}
                    c.send(c.head("POST", door.path(topic), door.headers(framing)))
                    c.send(b"%x\r\n%s\r\n" % (len(body), body) if door.chunked else body[:-1])
                    least = len(body) if len(body) <= INLINE else 2 * 131056
                    until(lambda: self.broker.metric("sluice_publish_buffer_bytes") >= least, what="it is reserved")
                    c.send(b"0\r\n\r\n" if door.chunked else body[-1:])
                    self.assertEqual(c.answer().status, door.ok)
                self.assertIdle()

    def test_no_more_than_its_limit_comes_in(self):
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                with self.broker.client() as c:
                    if door.chunked:
                        c.send(c.head("POST", door.path(topic), door.headers({"Transfer-Encoding": "chunked"})))
                        c.send(b"%x\r\n%s\r\n" % (door.limit + 1, b" " * (door.limit + 1)))
                    else:  # refused by its length alone
                        c.send(c.head("POST", door.path(topic), door.headers({"Content-Length": str(door.limit + 1)})))
                    self.assertRefused(door, c.answer(), 413)
                self.assertNothingStored(topic)
        self.assertIdle()

    def test_bad_input_stores_nothing(self):
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                body, headers = door.bad
                self.assertRefused(door, door.send(self.broker, topic, body, headers), 400)
                self.assertNothingStored(topic)
        self.assertIdle()

    def test_who_breaks_off_stores_nothing(self):
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                body = door.body(door.texts()).encode()
                with self.broker.client() as c:
                    framing = {"Transfer-Encoding": "chunked"} if door.chunked else {"Content-Length": str(len(body))}
                    c.send(c.head("POST", door.path(topic), door.headers(framing)))
                    c.send(b"%x\r\n%s\r\n" % (len(body), body) if door.chunked else body[:-1])
                    until(lambda: self.broker.metric("sluice_publish_buffer_bytes") > 0, what="it is coming in")
                self.assertIdle()
                self.assertNothingStored(topic)

    def test_the_topics_quota_holds(self):
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                self.given_topic(topic, max_bytes=9000, overflow="reject")
                a = door.send(self.broker, topic)
                self.assertRefused(door, a, 507)
                self.assertIsNotNone(a.header("Retry-After"))
                self.assertNothingStored(topic)
        self.assertIdle()

    def test_the_namespaces_quota_holds_and_a_refused_topic_is_not_made(self):
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                a = self.broker.ask("PUT", "/v1/namespaces/" + quote(topic), '{"max_bytes":9000}')
                self.assertEqual(a.status, 201, a)
                self.assertRefused(door, door.send(self.broker, topic), 507)
                self.assertEqual(self.broker.ask("GET", "/v1/topics/" + quote(topic)).status, 404)
                self.broker.ask("PATCH", "/v1/namespaces/" + quote(topic), '{"max_bytes":0,"max_topics":1}')
                self.assertEqual(door.send(self.broker, topic).status, door.ok)
                if not door.makes_topic:
                    self.assertRefused(door, door.send(self.broker, topic + "-second"), 507)
                    self.assertEqual(self.broker.ask("GET", "/v1/topics/" + quote(topic + "-second")).status, 404)
                self.broker.ask("DELETE", "/v1/namespaces/" + quote(topic))
        self.assertIdle()
        self.assertConserved()

    def test_the_topics_ttl_is_given_to_all(self):
        def at(text):
            return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                self.given_topic(topic, ttl="90m")
                self.assertEqual(door.send(self.broker, topic).status, door.ok)
                messages = self.broker.read(topic).json["messages"]
                self.assertEqual(len(messages), len(door.texts()))
                for m in messages:
                    self.assertEqual((at(m["expires_at"]) - at(m["time"])).total_seconds(), 5400)

    def test_a_wait_that_is_none_is_refused(self):
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                self.assertRefused(door, door.send(self.broker, topic, headers={"Prefer": "wait=soon"}), 400)
                self.assertNothingStored(topic)


class DoorsShut(TheTable, SoloBrokerTest):
    def hold_the_buffer(self):
        """Full of requests that send nothing: their bytes are reserved, not here."""
        held = []
        for _ in range(2):
            c = self.broker.client()
            self.addCleanup(c.close)
            c.send(c.head("POST", "/v1/topics/holder/messages:batch",
                          {"Content-Length": "250000", "Content-Type": "application/x-ndjson"}))
            held.append(c)
        until(lambda: self.broker.metric("sluice_publish_buffer_bytes") >= 500000, what="the buffer is held")
        return held

    def test_when_the_buffer_is_full(self):
        self.start(**SETTINGS)
        held = self.hold_the_buffer()
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                a = door.send(self.broker, topic, headers={"Prefer": "wait=0"})
                self.assertRefused(door, a, 503)
                self.assertGreaterEqual(int(a.header("Retry-After")), 1)
                self.assertNothingStored(topic)
        for c in held:
            c.close()
        self.assertIdle()
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                self.assertEqual(door.send(self.broker, topic, headers={"Prefer": "wait=0"}).status, door.ok)
        self.assertLessEqual(self.broker.metric("sluice_publish_buffer_high_water_bytes"), 512 << 10)

    def test_until_there_is_room_for_who_waits(self):
        self.start(**SETTINGS)
        held = self.hold_the_buffer()
        waiting = []
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                body = door.body(door.texts()).encode()
                c = self.broker.client()
                self.addCleanup(c.close)
                framing = {"Transfer-Encoding": "chunked"} if door.chunked else {"Content-Length": str(len(body))}
                c.send(c.head("POST", door.path(topic), door.headers(framing)))
                until(lambda: self.broker.metric("sluice_publish_waiting") == len(waiting) + 1, what="it waits")
                waiting.append((door, topic, c, body))
        for c in held:
            c.close()
        for door, topic, c, body in waiting:
            with self.subTest(door=door.name):
                c.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if door.chunked else body)
                self.assertEqual(c.answer().status, door.ok)
                self.assertEqual(self.broker.topic(topic)["next"], len(door.texts()))
        self.assertIdle()

    def test_when_the_topics_rate_is_used_up(self):
        self.start(topic_rate_bytes=1, rate_burst="1ms", **SETTINGS)
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                self.assertEqual(door.send(self.broker, topic).status, door.ok)  # into debt, for hours
                a = door.send(self.broker, topic)
                self.assertRefused(door, a, 429)
                self.assertGreater(int(a.header("Retry-After")), 60)
                self.assertEqual(self.broker.topic(topic)["next"], len(door.texts()))
        self.assertIdle()

    def test_outside_a_topic_that_is_full_and_holds(self):
        self.start(**SETTINGS)
        waiting = []
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                self.given_topic(topic, max_messages=len(door.texts()), overflow="hold")
                self.assertEqual(door.send(self.broker, topic).status, door.ok)
                a = door.send(self.broker, topic, headers={"Prefer": "wait=0"})
                self.assertRefused(door, a, 507)
                self.assertGreaterEqual(int(a.header("Retry-After")), 1)
                self.assertEqual(self.broker.topic(topic)["next"], len(door.texts()))
                body = door.body(door.texts()).encode()
                c = self.broker.client()
                self.addCleanup(c.close)
                framing = {"Transfer-Encoding": "chunked"} if door.chunked else {"Content-Length": str(len(body))}
                c.send(c.head("POST", door.path(topic), door.headers(framing)))
                waiting.append((door, topic, c, body))
                until(lambda: self.broker.metric("sluice_publishers_held") == len(waiting), what="it waits outside")
        self.assertEqual(self.broker.metric("sluice_publish_buffer_bytes"), 0)
        for door, topic, c, body in waiting:
            with self.subTest(door=door.name):
                self.broker.ask("POST", "/v1/topics/%s:purge" % quote(topic), '{"all":true}')
                c.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if door.chunked else body)
                self.assertEqual(c.answer().status, door.ok)
                self.assertEqual(self.broker.topic(topic)["next"], 2 * len(door.texts()))
        self.assertIdle()
        self.assertConserved()

    def test_to_topics_that_may_not_be_made(self):
        self.start(auto_create=False, **SETTINGS)
        for door, topic in self.each_door():
            with self.subTest(door=door.name):
                if door.makes_topic:
                    self.assertEqual(door.send(self.broker, topic).status, door.ok)
                    continue
                self.assertRefused(door, door.send(self.broker, topic), 404)
                self.assertEqual(self.broker.ask("GET", "/v1/topics/" + quote(topic)).status, 404)
        self.assertIdle()


class WithoutARequest(SoloBrokerTest):
    """What the hub itself puts into its log when subscribers come and go: a way in that no client's POST drives. What
    it does while the publish buffer is full is in test_mercure_subscribers."""

    def start(self, **settings):
        super().start(mercure_anonymous=True, mercure_subscriptions=True, mercure_topic=self.name, **SETTINGS, **settings)

    def subscriber(self, topic="a"):
        c = self.broker.client()
        self.addCleanup(c.close)
        c.send(c.head("GET", HUB + "?topic=" + topic))
        return c

    def stored(self):
        a = self.broker.ask("GET", "/v1/topics/" + self.name)
        return 0 if a.status == 404 else a.json["next"]

    def test_its_bytes_are_in_the_ledger_and_are_given_back(self):
        self.start()
        for i in range(5):
            c = self.subscriber("x" * 1000)
            until(lambda: self.stored() == 2 * i + 1, what="it is told that the subscriber has come")
            c.close()
            until(lambda: self.stored() == 2 * i + 2, what="it is told that the subscriber has left")
        self.assertIdle()
        self.assertGreater(self.broker.metric("sluice_publish_buffer_high_water_bytes"), 1000)
        self.assertConserved()

    def test_the_topics_quota_and_ttl_hold(self):
        self.start()
        self.broker.ask("PUT", "/v1/topics/" + self.name, '{"max_messages":2,"overflow":"reject","ttl":"90m"}')
        for i in range(2):
            self.subscriber()  # what is told at once is refused as one
            until(lambda: self.stored() == i + 1, what="it is told that the subscriber has come")
        self.subscriber()
        until(lambda: self.broker.metric("sluice_quota_refused_total") > 0)
        self.assertEqual(self.stored(), 2)
        for m in self.broker.read(self.name).json["messages"]:
            times = [datetime.datetime.strptime(m[k], "%Y-%m-%dT%H:%M:%S.%f%z") for k in ("time", "expires_at")]
            self.assertEqual((times[1] - times[0]).total_seconds(), 5400)
        self.assertIdle()

    def test_the_namespaces_quota_holds(self):
        self.start()
        self.broker.ask("PUT", "/v1/namespaces/" + quote(self.name), '{"max_messages":1,"overflow":"reject"}')
        self.subscriber()
        until(lambda: self.stored() == 1, what="it is told that the subscriber has come")
        self.subscriber()
        until(lambda: self.broker.metric("sluice_quota_refused_total") > 0)
        self.assertEqual(self.stored(), 1)
        self.broker.ask("DELETE", "/v1/namespaces/" + quote(self.name))
        until(lambda: self.stored() == 2, what="it is tried again")
        self.assertIdle()

    def test_the_log_is_made_also_where_topics_may_not_be(self):
        self.start(auto_create=False)
        self.subscriber()
        until(lambda: self.stored() == 1)


class Routes(unittest.TestCase):
    """Is every route in one of the two tables, and in no more than one?"""

    def read(self, path):
        with open(os.path.join(ROOT, path)) as f:
            return f.read()

    def changing_routes(self):
        rows = re.findall(r'\{\s*"(POST|PUT|PATCH)",\s*"(/[^"]*)",\s*(?:NULL|"(\w+)")', self.read("http/routes.c"))
        return {"%s %s" % (m, re.sub(r"\{\w+\}", "{}", path) + (verb and ":" + verb)) for m, path, verb in rows
                if m != "PATCH"}

    def documented_routes(self):
        found, path = set(), None
        for line in self.read("http/openapi.yaml").split("\n"):
            path = (re.match(r"  (/\S+):$", line) or [None, path])[1]
            method = re.match(r"    (post|put):$", line)
            if method and path:
                found.add("%s %s" % (method[1].upper(), re.sub(r"\{\w+\}", "{}", path)))
        return found

    def test_every_route_that_brings_messages_is_in_the_table(self):
        doors = {d.route for d in DOORS}
        self.assertGreater(len(self.changing_routes()), 5)
        self.assertEqual(self.changing_routes(), doors | NO_DOORS)
        self.assertEqual(self.documented_routes(), doors | NO_DOORS)
        self.assertFalse(doors & NO_DOORS)
