"""The documents of active subscriptions: who may read them, what they say, and when they are the same."""
import jwt
from hub import FORM, HUB
from sluicetest import BrokerTest, SoloBrokerTest, quote, until
from subscriptions import ALL, ANY, BOOKS, SETTINGS, SharedBrokerTest, SubscriptionsTest


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
        s = self.subscribe(BOOKS, BOOKS, match=BOOKS)
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
        public = self.published([("topic", "news")])
        tag = self.tag(rights=[ALL])
        self.assertEqual(tag, '"%s"' % public)
        self.assertEqual(self.ask_again(tag, rights=[ALL]).status, 304)
        s = self.subscribe("a")
        w.take(1)
        a = self.ask_again(tag, rights=[ALL])
        self.assertEqual((a.status, a.header("ETag"), len(a.json["subscriptions"])), (200, tag, 2))
        public = self.published([("topic", "news")])
        self.assertEqual(self.ask_again(public, rights=[ALL]).status, 304)
        s.close()
        w.take(1)

    def test_the_id_of_a_private_event_is_for_those_who_may_see_it(self):
        self.watch()
        public = self.published([("topic", "news")])
        private = self.published([("topic", "secret"), ("private", "on")])
        self.assertEqual(self.document(rights=[ALL])["lastEventID"], public)
        self.assertEqual(self.document(rights=[ALL, "secret"])["lastEventID"], private)
        self.assertEqual(self.document(rights=["*"])["lastEventID"], private)

    def test_an_id_that_a_tag_cannot_hold_is_encoded_there(self):
        self.watch()
        id = 'a "b" 50% ä,'
        self.published([("topic", "news"), ("id", id)])
        a = self.get()
        self.assertEqual((a.json["lastEventID"], a.header("ETag")), (id, '"a%20%22b%22%2050%25%20ä,"'))
        self.assertEqual(self.ask_again(a.header("ETag")).status, 304)


class FarBack(SharedBrokerTest):
    settings = {**SETTINGS, "durability": "relaxed"}

    def publish_secrets(self, count):
        headers = {**jwt.bearer(publish=["*"]), "Content-Type": FORM}
        with self.broker.client() as c:
            for _ in range(count):
                last = c.ask("POST", HUB, "topic=secret&private=on", headers)
                self.assertEqual(last.status, 200)
        return last.text

    def test_an_event_behind_a_long_run_of_others_secrets(self):
        """None is named in the end, which means that all follows: nothing is missed."""
        public = self.published([("topic", "news")])
        self.publish_secrets(1023)
        self.assertEqual(self.document(rights=[ALL])["lastEventID"], public)
        secret = self.publish_secrets(1)
        self.assertEqual(self.document(rights=[ALL])["lastEventID"], "earliest")
        self.assertEqual(self.document(rights=["*"])["lastEventID"], secret)
        self.assertEqual(self.get(rights=[ALL], headers={"If-None-Match": '"earliest"'}).status, 200)

    def test_a_token_of_many_selectors_does_not_look_back_as_far(self):
        """Each of them is held against each event."""
        public, rights = self.published([("topic", "news")]), [ALL] + ["%d" % i for i in range(200)]
        self.publish_secrets(60)
        self.assertEqual(self.document(rights=rights)["lastEventID"], public)
        self.publish_secrets(300)
        self.assertEqual(self.document(rights=rights)["lastEventID"], "earliest")
        self.assertEqual(self.document(rights=[ALL])["lastEventID"], public)


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
        self.published([("topic", "x")])
        self.assertEqual((self.told(), self.broker.topic("mercure")["next"]), ([], 1))
        self.subscribe("x" * 1025)
