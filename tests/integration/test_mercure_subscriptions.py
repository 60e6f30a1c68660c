"""Who is subscribed to the Mercure hub: its documents, and the private updates that tell of who comes and goes."""
import json
import random
import socket
import struct
import time
import unittest
import urllib.parse

import jwt
from sluicetest import BrokerTest, SoloBrokerTest, quote, until
from sse import Parser

HUB = "/.well-known/mercure"
ALL = HUB + "/subscriptions"
ANY = "/.well-known/mercure/subscriptions{/topic}{/subscriber}"
SETTINGS = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_subscriber_jwt_key": jwt.KEY, "mercure_anonymous": True,
            "mercure_subscriptions": True, "loops": 2}
BOOKS = "https://example.com/books/{id}"
URN = r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def form(*fields):
    return urllib.parse.urlencode(fields)


class Subscriber(Parser):
    def __init__(self, broker, *topics, token=None, exact=(), last=None, receive_buffer=None):
        super().__init__()
        query = [("topic", t) for t in topics] + [("match", t) for t in exact]
        lines = ["GET %s?%s HTTP/1.1" % (HUB, urllib.parse.urlencode(query)), "Host: x"]
        lines += ["Authorization: Bearer " + token] if token else []
        lines += ["Last-Event-ID: " + last] if last else []
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(60)
        self.sock.connect(("127.0.0.1", broker.port))
        self.sock.sendall("\r\n".join(lines + ["", ""]).encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def more(self):
        """False at the end."""
        got = self.sock.recv(1 << 16)
        self.feed(got)
        return bool(got) and not self.ended

    def opened(self):
        while not self.comments:
            assert self.more(), (self.head, self.kept)
        return self

    def take(self, count):
        """The next so many events."""
        while len(self.events) < count:
            assert self.more(), "it ended after %r" % self.events[-3:]
        taken, self.events = self.events[:count], self.events[count:]
        return taken

    def documents(self, count):
        """Of the next so many events about subscriptions."""
        return [json.loads(e.data) for e in self.take(count)]

    def until_the_end(self):
        while self.more():
            pass

    def close(self):
        self.sock.close()

    def reset(self):
        """As when its process is killed with unread data."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class SubscriptionsTest:
    def subscribe(self, *topics, subscribe=None, payload=None, expires=None, **options):
        claims = {"exp": expires} if expires else {}
        token = jwt.token(subscribe=subscribe or [], payload=payload, **claims) if subscribe or payload or expires else None
        s = Subscriber(self.broker, *topics, token=token, **options)
        self.addCleanup(s.close)
        return s.opened()

    def watch(self):
        """Sees all that is told from here on; its own beginning has been told."""
        w = self.subscribe(ANY, subscribe=[ANY])
        w.own = w.documents(1)[0]
        self.assertEqual((w.own["topic"], w.own["active"]), (ANY, True))
        return w

    def get(self, *names, rights=(ANY,), headers=None, query="", method="GET"):
        path = "/".join([ALL] + [quote(n) for n in names]) + query
        return self.broker.ask(method, path, headers={**jwt.bearer(subscribe=list(rights)), **(headers or {})})

    def document(self, *names, **options):
        a = self.get(*names, **options)
        self.assertEqual(a.status, 200, a)
        return a.json

    def subscriptions(self, *names):
        """Without those of watchers."""
        return [s for s in self.document(*names)["subscriptions"] if s["topic"] != ANY]

    def told(self):
        """What the log tells of subscriptions, oldest first."""
        return [m for m in self.log() if m.get("key", "").startswith(ALL)]

    def log(self):
        messages, next, end = [], 0, None
        while next != end:
            a = self.broker.read("mercure", from_=next, limit=1000)
            if a.status == 404:
                break
            messages += a.json["messages"]
            next, end = a.json["next"], a.json["end"]
        return messages

    def publish(self, *fields):
        a = self.broker.ask("POST", HUB, form(*fields),
                            {**jwt.bearer(publish=["*"]), "Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(a.status, 200, a)
        return a.text

    def gauge(self):
        return int(self.broker.metric("sluice_mercure_subscribers"))

    def assertNobodyIsLeft(self):
        """All is told, and all that it took is given back."""
        until(lambda: self.gauge() == 0, what="nobody is subscribed")
        self.assertEqual(self.document()["subscriptions"], [])
        until(lambda: self.broker.metric("sluice_read_buffer_bytes") == 0, what="the read buffer is empty")
        self.assertIdle()


class Who(SubscriptionsTest, BrokerTest):
    settings = SETTINGS

    def test_needs_a_token_also_where_anybody_may_subscribe(self):
        a = self.broker.ask("GET", ALL)
        self.assertEqual((a.status, a.body, a.header("WWW-Authenticate")), (401, b"Unauthorized\n", "Bearer"))
        a = self.broker.ask("GET", ALL, headers=jwt.bearer(subscribe=["*"], key="another"))
        self.assertEqual(a.status, 401)
        self.assertIn("invalid_token", a.header("WWW-Authenticate"))

    def test_needs_a_selector_for_the_urls_path(self):
        one = "%s/%s/%s" % (ALL, quote(BOOKS), quote("urn:uuid:1"))
        exact, by_topic = "%s/%s" % (ALL, quote(BOOKS)), ALL + "/{topic}"
        for path, rights, status in ((ALL, ["*"], 200), (ALL, [ALL], 200), (ALL, [ANY], 200), (ALL, ["a", ALL], 200),
                                     (ALL, [], 403), (ALL, ["a"], 403), (ALL, [by_topic], 403), (ALL, [HUB], 403),
                                     (exact, [exact], 200), (exact, [by_topic], 200), (exact, [ANY], 200),
                                     (exact, [ALL], 403), (exact, [exact + "/{subscriber}"], 403),
                                     (one, [one], 404), (one, [exact + "/{subscriber}"], 404), (one, [exact], 403)):
            with self.subTest(path=path, rights=rights):
                a = self.broker.ask("GET", path, headers=jwt.bearer(subscribe=rights))
                self.assertEqual(a.status, status, a)
                if status != 200:
                    self.assertEqual(a.header("Content-Type"), "text/plain; charset=utf-8")

    def test_a_right_to_publish_is_none_to_read(self):
        self.assertEqual(self.broker.ask("GET", ALL, headers=jwt.bearer(publish=["*"])).status, 403)

    def test_the_query_is_no_part_of_the_path(self):
        token = jwt.token(subscribe=[ALL])
        a = self.broker.ask("GET", ALL + "?authorization=" + token)
        self.assertEqual((a.status, a.json["id"]), (200, ALL))
        self.assertNotIn(token, a.text)

    def test_it_does_not_matter_how_the_client_encodes(self):
        right = "%s/%s" % (ALL, quote("a:b c"))
        for path in "a:b%20c", "a%3ab%20c", "%61%3Ab%20c":
            with self.subTest(path=path):
                self.assertEqual(self.broker.ask("GET", ALL + "/" + path, headers=jwt.bearer(subscribe=[right])).status, 200)

    def test_a_path_that_is_not_well_encoded(self):
        self.assertEqual(self.broker.ask("GET", ALL + "/%zz", headers=jwt.bearer(subscribe=["*"])).status, 400)

    def test_others_methods_do_not_work(self):
        for method in "POST", "PUT", "DELETE":
            a = self.broker.ask(method, ALL, headers=jwt.bearer(publish=["*"], subscribe=["*"]))
            self.assertEqual((a.status, a.header("Allow")), (405, "GET, HEAD, OPTIONS"), a)

    def test_what_is_no_such_path_is_not_found(self):
        for path in ALL + "/", ALL + "/a/", ALL + "/a/b/c":
            self.assertEqual(self.broker.ask("GET", path, headers=jwt.bearer(subscribe=["*"])).status, 404, path)


class SharedBrokerTest(SubscriptionsTest, BrokerTest):
    settings = SETTINGS

    def tearDown(self):
        self.doCleanups()
        self.assertNobodyIsLeft()
        super().tearDown()


class Documents(SharedBrokerTest):

    def test_an_empty_list(self):
        a = self.get()
        last = self.told()[-1]["id"] if self.told() else "earliest"
        self.assertEqual(a.json, {"@context": "https://mercure.rocks/", "id": ALL, "type": "Subscriptions",
                                  "lastEventID": last, "subscriptions": []})
        self.assertEqual(a.header("Content-Type"), "application/ld+json")
        self.assertEqual(a.header("ETag"), '"%s"' % last)
        self.assertIn("must-revalidate", a.header("Cache-Control"))
        self.assertEqual(a.header("Link"), '</.well-known/mercure>; rel="mercure"')

    def test_all_of_all_subscribers(self):
        w = self.watch()
        self.subscribe(BOOKS, "*", payload={"user": "bob", "n": [1, 2.5, None]}, subscribe=["a"])
        first = w.documents(2)
        self.subscribe(BOOKS)
        second = w.documents(1)
        listed = self.document()
        self.assertEqual(set(listed), {"@context", "id", "type", "lastEventID", "subscriptions"})

        def in_a_list(document):
            return {k: v for k, v in document.items() if k != "@context"}
        expected = [in_a_list(d) for d in first + second + [w.own]]
        self.assertCountEqual(listed["subscriptions"], expected)
        self.assertEqual([d.get("payload") for d in first + second], 2 * [{"user": "bob", "n": [1, 2.5, None]}] + [None])
        self.assertNotIn("payload", second[0])
        self.assertEqual(listed["lastEventID"], self.told()[-1]["id"])
        subscribers = {s["subscriber"] for s in listed["subscriptions"]}
        self.assertEqual((len(subscribers), self.gauge()), (3, 3))

    def test_those_of_one_selector(self):
        w = self.watch()
        self.subscribe(BOOKS, "https://example.com/books/1")
        self.subscribe("https://example.com/books/1")
        w.documents(3)
        for topic, count in (BOOKS, 1), ("https://example.com/books/1", 2), ("https://example.com/books/2", 0):
            d = self.document(topic)
            self.assertEqual(d["id"], "%s/%s" % (ALL, quote(topic)))
            self.assertEqual([s["topic"] for s in d["subscriptions"]], count * [topic])

    def test_one(self):
        w = self.watch()
        s = self.subscribe(BOOKS, payload="me")
        told = w.documents(1)[0]
        d = self.document(BOOKS, told["subscriber"])
        self.assertEqual(d, {**told, "lastEventID": self.told()[-1]["id"]})
        self.assertEqual(self.broker.ask("GET", told["id"], headers=jwt.bearer(subscribe=[told["id"]])).json["id"], told["id"])
        for names in (("*", told["subscriber"]), (BOOKS, told["subscriber"][:-1] + "x"), (BOOKS, "x")):
            self.assertEqual(self.get(*names).status, 404)
        s.close()
        w.documents(1)
        self.assertEqual(self.get(BOOKS, told["subscriber"]).status, 404)

    def test_selectors_of_all_kinds_are_addressed(self):
        odd = ["a b+c", "ä/ö", "50%", 'say "x"\\', "*", "{not closed", "a\tb", "https://example.com/?q={q}#f", "x" * 1024]
        w = self.watch()
        self.subscribe(*odd)
        told = w.documents(len(odd))
        self.assertCountEqual([t["topic"] for t in told], odd)
        for t in told:
            self.assertEqual(t["id"], "%s/%s/%s" % (ALL, quote(t["topic"]), quote(t["subscriber"])))
            self.assertEqual(self.document(t["topic"], t["subscriber"])["topic"], t["topic"])
            self.assertEqual(len(self.document(t["topic"])["subscriptions"]), 1)
        self.assertCountEqual([s["topic"] for s in self.subscriptions()], odd)

    def test_a_selector_counts_once_though_it_is_asked_for_in_two_ways(self):
        w = self.watch()
        s = self.subscribe(BOOKS, BOOKS, exact=[BOOKS])
        w.documents(1)
        self.assertEqual(len(self.subscriptions()), 1)
        s.close()
        self.assertFalse(w.documents(1)[0]["active"])

    def test_a_selector_longer_than_any_topic_is_refused(self):
        a = self.broker.ask("GET", "%s?topic=%s" % (HUB, "x" * 1025))
        self.assertEqual((a.status, self.gauge()), (400, 0), a)

    def test_head_says_how_long_it_is(self):
        w = self.watch()
        for i in range(60):
            self.subscribe("a" * 300 + "%d" % i)
        w.documents(60)
        for names in (), ("a" * 300 + "7",), (ANY, w.own["subscriber"]):
            whole = self.get(*names)
            with self.broker.client() as c:
                path = "/".join([ALL] + [quote(n) for n in names])
                head = c.ask("HEAD", path, headers=jwt.bearer(subscribe=[ANY]))
                self.assertEqual(int(head.header("Content-Length")), len(whole.body))
                self.assertEqual(head.header("ETag"), whole.header("ETag"))
                self.assertEqual(c.ask("GET", "/healthz").status, 200)  # no byte of a body stood in between
        self.assertGreater(len(self.get().body), 60 * 600)

    def test_a_head_of_the_hub_is_no_subscriber(self):
        a = self.broker.ask("HEAD", HUB + "?topic=a")
        self.assertEqual((a.status, self.gauge(), self.document()["subscriptions"]), (200, 0, []))


class Unchanged(SharedBrokerTest):
    """If-None-Match."""

    def tag(self, *names, **options):
        return self.get(*names, **options).header("ETag")

    def ask_again(self, tag, *names, **options):
        return self.get(*names, headers={"If-None-Match": tag}, **options)

    def test_a_document_that_is_known_is_not_sent_again(self):
        w = self.watch()
        for names in (), (ANY,), (ANY, w.own["subscriber"]):
            tag = self.tag(*names)
            id = tag[1:-1]
            for known in (tag, "W/" + tag, id, '"x", W/%s , "y"' % tag, '"x",' + tag, "*"):
                with self.subTest(names=names, known=known):
                    a = self.ask_again(known, *names)
                    self.assertEqual((a.status, a.body, a.header("ETag")), (304, b"", tag))
            for other in ('"x"', id + "x", id[:-1], '"%s' % id, '"x%s"' % id, ""):
                with self.subTest(names=names, other=other):
                    self.assertEqual(self.ask_again(other, *names).status, 200)

    def test_what_was_told_since_makes_it_another(self):
        w = self.watch()
        tag = self.tag()
        s = self.subscribe("a")
        w.documents(1)
        self.assertEqual(len(self.ask_again(tag).json["subscriptions"]), 2)
        tag = self.tag()
        s.close()
        w.documents(1)
        self.assertEqual(len(self.ask_again(tag).json["subscriptions"]), 1)

    def test_a_token_that_does_not_see_what_is_told_sees_no_document_of_before(self):
        """The tag is the last event that it sees, and that is another one: it may be the same, the list is not."""
        w = self.watch()
        public = self.publish(("topic", "news"))
        tag = self.tag(rights=[ALL])
        self.assertEqual(tag, '"%s"' % public)
        self.assertEqual(self.ask_again(tag, rights=[ALL]).status, 304)
        s = self.subscribe("a")
        w.take(1)
        a = self.ask_again(tag, rights=[ALL])
        self.assertEqual((a.status, a.header("ETag"), len(a.json["subscriptions"])), (200, tag, 2))
        public = self.publish(("topic", "news"))
        self.assertEqual(self.ask_again(public, rights=[ALL]).status, 304)
        s.close()
        w.take(1)

    def test_the_id_of_a_private_event_is_for_those_who_may_see_it(self):
        self.watch()
        public = self.publish(("topic", "news"))
        private = self.publish(("topic", "secret"), ("private", "on"))
        self.assertEqual(self.document(rights=[ALL])["lastEventID"], public)
        self.assertEqual(self.document(rights=[ALL, "secret"])["lastEventID"], private)
        self.assertEqual(self.document(rights=["*"])["lastEventID"], private)

    def test_an_id_that_a_tag_cannot_hold_is_encoded_there(self):
        self.watch()
        id = 'a "b" 50% ä,'
        self.publish(("topic", "news"), ("id", id))
        a = self.get()
        self.assertEqual((a.json["lastEventID"], a.header("ETag")), (id, '"a%20%22b%22%2050%25%20ä,"'))
        self.assertEqual(self.ask_again(a.header("ETag")).status, 304)


class FarBack(SharedBrokerTest):
    settings = {**SETTINGS, "durability": "relaxed"}

    def publish_secrets(self, count):
        headers = {**jwt.bearer(publish=["*"]), "Content-Type": "application/x-www-form-urlencoded"}
        with self.broker.client() as c:
            for _ in range(count):
                last = c.ask("POST", HUB, "topic=secret&private=on", headers)
                self.assertEqual(last.status, 200)
        return last.text

    def test_an_event_behind_a_long_run_of_others_secrets(self):
        """None is named in the end, which means that all follows: nothing is missed."""
        public = self.publish(("topic", "news"))
        self.publish_secrets(1023)
        self.assertEqual(self.document(rights=[ALL])["lastEventID"], public)
        secret = self.publish_secrets(1)
        self.assertEqual(self.document(rights=[ALL])["lastEventID"], "earliest")
        self.assertEqual(self.document(rights=["*"])["lastEventID"], secret)
        self.assertEqual(self.get(rights=[ALL], headers={"If-None-Match": '"earliest"'}).status, 200)


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
        self.publish(("topic", "end"), ("data", "end"))
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
        self.publish(("topic", "x"))
        self.assertEqual([json.loads(m["data"])["active"] for m in self.told()], [True, True, False])

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
        until(lambda: sum(1 if json.loads(m["data"])["active"] else -1 for m in self.told()) ==
              len(self.document()["subscriptions"]), what="all is told")
        messages = self.told()
        if last != "earliest":
            messages = messages[[m["id"] for m in messages].index(last) + 1:]
        for m in messages:
            d = json.loads(m["data"])
            (known.add if d["active"] else known.discard)(d["id"])
        self.assertEqual(known, {s["id"] for s in self.document()["subscriptions"]})

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


class Endings(SubscriptionsTest, SoloBrokerTest):
    def ended(self, count=1):
        """So many have been told to have ended; nobody is there."""
        def all_told():
            return [json.loads(m["data"])["active"] for m in self.told()] == count * [True] + count * [False]
        until(all_told, what="%d ends are told" % count)
        self.assertNobodyIsLeft()

    def test_by_the_time_that_a_stream_may_last(self):
        self.start(mercure_write_timeout="1s", mercure_dispatch_timeout="100ms", **SETTINGS)
        self.subscribe("a").until_the_end()
        self.ended()

    def test_by_a_token_that_runs_out(self):
        self.start(mercure_dispatch_timeout="100ms", **SETTINGS)
        self.subscribe("a", subscribe=["a"], expires=time.time() + 2).until_the_end()
        self.ended()

    def test_by_not_taking_what_there_is(self):
        self.start(mercure_dispatch_timeout="1s", **SETTINGS)
        s = self.subscribe("big", receive_buffer=4096)
        for _ in range(40):
            self.publish(("topic", "big"), ("data", "x" * 60000))
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
            s.until_the_end()

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
        self.assertEqual(len(self.told()), 3)
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


class Long(SubscriptionsTest, SoloBrokerTest):
    def test_a_list_of_many_megabytes_takes_one_piece_of_memory(self):
        self.start(read_buffer="4MiB", inline_max="64KiB", **SETTINGS)
        crowd = []
        for i in range(300):
            crowd.append(self.subscribe(*["a%d" % j + "/" * 20 for j in range(40)], subscribe=["x"], payload={"x": "y" * 400}))
        with self.broker.client() as c:
            before = self.broker.metric("sluice_read_buffer_bytes")
            c.send(c.head("GET", ALL, jwt.bearer(subscribe=["*"])))
            until(lambda: self.broker.metric("sluice_read_buffer_bytes") > before, what="it is on its way")
            self.assertLess(self.broker.metric("sluice_read_buffer_bytes") - before, 64 << 10)
            a = c.answer()
        self.assertGreater(len(a.body), 6 << 20)
        self.assertEqual(len({s["id"] for s in a.json["subscriptions"]}), 12000)
        self.assertEqual(len(a.json["subscriptions"]), 12000)
        # One that is half read does not keep anybody from coming and going, nor what it says from being well.
        with self.broker.client() as c:
            c.send(c.head("GET", ALL, jwt.bearer(subscribe=["*"])))
            until(lambda: self.broker.metric("sluice_read_buffer_bytes") > before, what="it is on its way")
            for s in crowd[::2]:
                s.close()
            until(lambda: self.gauge() == 150, what="half of them left")
            self.subscribe("late")
            rest = c.answer().json["subscriptions"]
        stayed = {s["subscriber"] for s in self.document()["subscriptions"] if s["topic"] != "late"}
        self.assertEqual(len(stayed), 150)
        self.assertLessEqual(stayed, {s["subscriber"] for s in rest})
        self.assertNotIn("late", {s["topic"] for s in rest})
        for s in crowd:
            s.close()


class Off(SubscriptionsTest, SoloBrokerTest):
    def test_nothing_is_kept_and_nothing_is_told(self):
        self.start(**{k: v for k, v in SETTINGS.items() if k != "mercure_subscriptions"})
        s = self.subscribe("a", payload="x", subscribe=["*"])
        for names in (), ("a",), ("a", "urn:uuid:1"):
            self.assertEqual(self.get(*names, rights=["*"]).status, 404)
        self.assertEqual(self.broker.ask("POST", ALL, "", jwt.bearer(publish=["*"])).status, 404)
        s.close()
        until(lambda: self.gauge() == 0)
        self.publish(("topic", "x"))
        self.assertEqual((self.told(), self.broker.topic("mercure")["next"]), ([], 1))
        self.subscribe("x" * 1025)


if __name__ == "__main__":
    unittest.main()
