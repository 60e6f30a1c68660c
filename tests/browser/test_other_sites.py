"""Pages of other sites at the hub and at a topic's stream: EventSource and fetch, as browsers do them."""
import urllib.parse

import jwt
from hub import HUB, HubTest
from site_beside import Site
from story import PageTest

TOKEN = jwt.token(publish=["*"], subscribe=["*"])
LISTEN = """
const [url, init] = arguments;
window.seen = []; window.opened = 0;
window.source = new EventSource(url, init);
source.onopen = () => opened++;
for (const type of ["message", "book"])
  source.addEventListener(type, (e) => seen.push([e.type, e.lastEventId, e.data]));
"""
POST = """
const [url, init, fields] = arguments;
return fetch(url, { method: "POST", body: new URLSearchParams(fields), ...init })
  .then(async (answer) => [answer.status, await answer.text()], (e) => [e.name, ""]);
"""
HEADER = """
const [url, init, name] = arguments;
return fetch(url, init).then((answer) => { answer.body.cancel(); return [answer.status, answer.headers.get(name)]; });
"""


class OtherSites(HubTest, PageTest):
    """friend: a site that mercure_cors_origins and mercure_publish_origins have; stranger: one that they do not."""

    @classmethod
    def setUpClass(cls):
        cls.friend, cls.stranger = Site(), Site()
        for site in cls.friend, cls.stranger:
            cls.addClassCleanup(site.close)
        cls.settings = {"memory_limit": "64MiB", "mercure_publisher_jwt_key": jwt.KEY,
                        "mercure_subscriber_jwt_key": jwt.KEY, "mercure_cors_origins": cls.friend.url,
                        "mercure_publish_origins": cls.friend.url}
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.topic = "https://example.com/" + self.id().rsplit(".", 1)[-1]
        self.first = self.next_offset()

    def visit(self, site, path="/"):
        tab = self.browser.tab()
        self.open_tabs.append(tab)
        tab.devtools("Network.clearBrowserCookies")
        tab.go(site.url + path)
        return tab

    def member(self, site):
        """A page of the site, to whom it gave the hub's cookie."""
        return self.visit(site, "/login?" + TOKEN)

    def hub(self, **query):
        return self.broker.url + HUB + ("?" + urllib.parse.urlencode(query) if query else "")

    def listen(self, tab, url=None, **init):
        tab.run(LISTEN, url or self.hub(topic=self.topic), init)

    def opened(self, tab):
        tab.until(lambda: tab.run("return opened") == 1, "the stream is open")

    def closed(self, tab):
        """For good: the browser does not come back."""
        tab.until(lambda: tab.run("return source.readyState") == 2, "the stream is given up")
        self.assertEqual(tab.run("return [opened, seen.length]"), [0, 0])

    def has(self, tab, seen):
        """Exactly these, in this order; none twice, none missing."""
        tab.until(lambda: len(tab.run("return seen")) >= len(seen), "%d events" % len(seen))
        self.assertEqual(tab.run("return seen"), seen)

    def update(self, data, **fields):
        """What a page sees of it."""
        id = self.published([("topic", self.topic), ("data", data)] + list(fields.items()))
        return [fields.get("type", "message"), id, data]

    def refused(self, tab, words):
        """By the browser, which says why. (What it says is no fault of the page.)"""
        said = [e["message"] for e in tab.log() if e["level"] == "SEVERE"]
        self.assertTrue(any(words in line for line in said), said)

    def test_private_updates_come_to_a_page_with_the_cookie_also_after_the_broker_was_away(self):
        tab = self.member(self.friend)
        self.listen(tab, withCredentials=True)
        self.opened(tab)
        seen = [self.update("0", private="on", retry="50"), self.update("two\nlines", private="on", type="book")]
        self.has(tab, seen)
        seen += self.broker.away(lambda: [self.update(str(i), private="on") for i in range(1, 101)])
        seen += [self.update(str(i), private="on") for i in range(101, 151)]  # it may be back or not
        self.has(tab, seen)
        seen.append(self.update("the last", private="on"))
        self.has(tab, seen)
        self.assertEqual(tab.run("return opened"), 2)

    def test_after_a_crash_of_the_broker_the_browser_goes_on_behind_what_it_has(self):
        tab = self.member(self.friend)
        self.listen(tab, withCredentials=True)
        self.opened(tab)
        seen = [self.update("1", private="on", retry="50")]
        self.has(tab, seen)
        self.broker.kill()
        self.broker.start()
        seen += [self.update("2", private="on"), self.update("3")]
        self.has(tab, seen)

    def test_a_page_that_sends_no_cookie_is_nobody(self):
        tab = self.member(self.friend)
        self.listen(tab)
        self.closed(tab)

    def test_a_page_of_a_stranger_gets_nothing_though_it_has_cookie_and_token(self):
        tab = self.member(self.stranger)
        self.listen(tab, withCredentials=True)
        self.closed(tab)
        self.refused(tab, "CORS")
        self.listen(tab, self.hub(topic="*", authorization=TOKEN, lastEventID="earliest"))
        self.closed(tab)
        self.refused(tab, "CORS")

    def test_a_page_that_may_publishes_with_a_token_in_a_header(self):
        """The browser asks for leave first, for this header is none that all pages may send."""
        tab = self.visit(self.friend)
        fields = {"topic": self.topic, "data": "a&b=\u00e4", "id": "urn:" + self.topic}
        said = tab.run(POST, self.hub(), {"headers": {"Authorization": "Bearer " + TOKEN}}, fields)
        self.assertEqual(said, [200, fields["id"]])
        self.assertEqual((self.stored(), self.last()["data"]), (1, fields["data"]))

    def test_a_page_that_may_publishes_with_its_cookie(self):
        tab = self.member(self.friend)
        said = tab.run(POST, self.hub(), {"credentials": "include"}, {"topic": self.topic, "data": "x"})
        self.assertEqual(said[0], 200)
        self.assertEqual(self.stored(), 1)

    def test_why_it_was_refused_is_told_to_a_page_that_may(self):
        tab = self.visit(self.friend)
        said = tab.run(POST, self.hub(), {"headers": {"Authorization": "Bearer " + TOKEN}}, {"data": "x"})
        self.assertEqual(said, [400, 'Missing "topic" parameter\n'])

    def test_a_page_that_reads_with_fetch_is_told_where_its_stream_begins_and_why_it_has_none(self):
        tab = self.visit(self.friend)
        good, bad = ({"headers": {"Authorization": "Bearer " + t, "Last-Event-ID": "lost"}} for t in (TOKEN, TOKEN + "x"))
        self.assertEqual(tab.run(HEADER, self.hub(topic="*"), good, "Last-Event-ID"), [200, "earliest"])
        self.assertEqual(tab.run(HEADER, self.hub(topic="*"), bad, "WWW-Authenticate"),
                         [401, 'Bearer error="invalid_token", error_description="its signature is not of our key"'])

    def test_a_page_may_say_how_long_it_waits_for_room(self):
        tab = self.visit(self.friend)
        headers = {"Authorization": "Bearer " + TOKEN, "Prefer": "wait=5"}
        self.assertEqual(tab.run(POST, self.hub(), {"headers": headers}, {"topic": self.topic})[0], 200)

    def test_a_page_of_a_stranger_publishes_nothing_by_token_or_by_cookie(self):
        tab = self.member(self.stranger)
        for init in {"headers": {"Authorization": "Bearer " + TOKEN}}, {"credentials": "include"}:
            with self.subTest(init=list(init)):
                self.assertEqual(tab.run(POST, self.hub(), init, {"topic": self.topic})[0], "TypeError")
                self.refused(tab, "CORS")
        tab.run(POST, self.hub(), {"mode": "no-cors", "credentials": "include"}, {"topic": self.topic})
        self.assertEqual(self.stored(), 0)

    def test_a_page_that_begins_at_an_offset_misses_nothing_though_it_had_no_event(self):
        self.broker.offset("begin", "old", {"Content-Type": "text/plain"})
        tab = self.visit(self.stranger)
        self.listen(tab, self.broker.url + "/v1/topics/begin/messages?from=%d" % self.broker.topic("begin")["next"])
        self.opened(tab)
        self.broker.away(lambda: self.broker.offset("begin", "new", {"Content-Type": "text/plain"}))
        self.has(tab, [["message", "1", "new"]])

    def test_any_page_reads_what_a_message_has_beside_its_body(self):
        at = self.broker.offset("beside", "x", {"Content-Type": "text/plain", "Message-Key": "k"})
        tab = self.visit(self.stranger)
        url = self.broker.url + "/v1/topics/beside/messages/%d" % at
        self.assertEqual(tab.run(HEADER, url, {}, "Message-Key"), [200, "k"])

    def test_any_page_reads_a_topics_stream_and_goes_on_after_a_restart(self):
        tab = self.visit(self.stranger)
        seen = [["message", str(self.broker.offset("news", d, {"Content-Type": "text/plain"})), d] for d in ("1", "2\n3")]
        self.listen(tab, self.broker.url + "/v1/topics/news/messages")
        self.has(tab, seen)
        self.broker.restart()
        seen.append(["message", str(self.broker.offset("news", "4", {"Content-Type": "text/plain"})), "4"])
        self.has(tab, seen)
