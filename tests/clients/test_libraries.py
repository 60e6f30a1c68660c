"""The libraries eventsource and event-source-polyfill at the Mercure hub and at a topic's event stream."""
import time
import urllib.parse

import jwt
from hub import HUB, HubTest
from listener import Listener
from sluicetest import SoloBrokerTest

TOPIC = "https://example.com/books/1"
BOOKS = "https://example.com/books/{id}"
SETTINGS = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_subscriber_jwt_key": jwt.KEY}


class LibraryTest(HubTest, SoloBrokerTest):
    library = None
    options = {}

    def setUp(self):
        super().setUp()
        self.broker = self.start(**SETTINGS)

    def listen(self, url, headers=None, types=(), **options):
        one = Listener(self.library, self.broker.url + url, headers, types, **{**self.options, **options})
        self.addCleanup(one.close)
        return one


class AtTheHub:
    def subscribe(self, *selectors, token=None, types=(), **query):
        """Without a word about it its token covers what it asks for."""
        selectors = selectors or (BOOKS,)
        headers = {"Authorization": "Bearer " + (token or jwt.token(subscribe=list(selectors)))}
        query = urllib.parse.urlencode([("topic", s) for s in selectors] + list(query.items()))
        return self.listen(HUB + "?" + query, headers, types)

    def update(self, data, topic=TOPIC, **fields):
        """What who gets it gets."""
        return self.published([("topic", topic), ("data", data)] + list(fields.items())), data

    def test_private_updates_come_to_whose_token_covers_them(self):
        member = self.subscribe()
        other = self.subscribe(BOOKS, token=jwt.token(subscribe=["https://example.com/films/{id}"]))
        for one in member, other:
            one.opened()
        secret = self.update("secret", private="on", retry="50")
        known = self.update("two\nlines, and \u00e6\u20ac\U0001f600")
        member.has([secret, known])
        other.has([known])

    def test_an_update_with_a_type_is_an_event_of_that_name(self):
        one = self.subscribe(types=["book"]).opened()
        book = self.update('{"title":"Dune"}', type="book", id="urn:example:1")
        plain = self.update("x")
        one.has([book, plain])
        self.assertEqual([s["type"] for s in one.said if "type" in s], ["book", "message"])

    def test_it_goes_on_over_a_restart(self):
        one = self.subscribe().opened()
        first = self.update("1", private="on", retry="50")
        one.has([first])
        self.broker.restart()
        second = self.update("2", private="on")
        one.has([first, second])
        self.broker.kill()
        self.broker.start()
        third = self.update("3", private="on")
        one.has([first, second, third])

    def test_a_hundred_updates_while_it_is_away_come_once_each(self):
        one = self.subscribe().opened()
        seen = [self.update("0", private="on", retry="50")]
        one.has(seen)
        seen += self.broker.away(lambda: [self.update(str(i), private="on") for i in range(1, 101)])
        seen += [self.update(str(i), private="on") for i in range(101, 151)]  # it may be back or not
        one.has(seen)
        seen.append(self.update("the last"))
        one.has(seen)

    def test_after_it_had_nothing_it_misses_what_was_published_while_it_was_away_and_no_more(self):
        """It knows no id: only what comes when it is back is for it."""
        one = self.subscribe().opened()
        self.broker.away(lambda: self.update("missed"))
        one.opened(2)
        one.has([self.update("new")])

    def test_a_token_that_is_not_good_makes_it_give_up(self):
        bad = self.subscribe(token=jwt.token(subscribe=["*"], key="another"))
        self.assertEqual(bad.gave_up(), 401)
        self.assertEqual(bad.count("open"), 0)

    def test_when_its_token_is_over_it_is_told_so(self):
        """Until then it comes back whenever the hub ends its stream, which is a little early."""
        first = self.update("1", private="on", retry="50")
        token = jwt.token(subscribe=["*"], exp=time.time() + 8)
        one = self.subscribe(token=token, lastEventID="earliest").has([first])
        self.assertEqual(one.gave_up(), 401)
        one.has([first])

    def test_a_token_in_the_address_is_as_good(self):
        query = urllib.parse.urlencode({"topic": BOOKS, "authorization": jwt.token(subscribe=[BOOKS])})
        one = self.listen(HUB + "?" + query).opened()
        first = self.update("1", private="on", retry="50")
        one.has([first])
        self.broker.restart()
        one.has([first, self.update("2", private="on")])


class AtATopic:
    def stream(self, **more):
        return self.listen("/v1/topics/news/messages", **more)

    def send(self, *bodies, type="text/plain"):
        return [(str(self.broker.offset("news", b, {"Content-Type": type})), b) for b in bodies]

    def test_history_and_then_live(self):
        seen = self.send("one", "two\nlines")
        one = self.stream(types=["base64"]).has(seen)
        seen += self.send("three")
        self.broker.offset("news", b"\xff\xfe", {"Content-Type": "image/png"})
        one.has(seen + [("3", "//4=")])

    def test_a_hundred_messages_while_it_is_away_come_once_each(self):
        seen = self.send("first")
        one = self.stream().has(seen)
        seen += self.broker.away(lambda: self.send(*map(str, range(100))))
        seen += self.send(*map(str, range(100, 150)))
        one.has(seen)
        seen += self.send("the last")
        one.has(seen)


class EventSource(LibraryTest):
    library = "eventsource"


class Polyfill(LibraryTest):
    library = "polyfill"


class EventSourceAtTheHub(AtTheHub, EventSource):
    pass


class EventSourceAtATopic(AtATopic, EventSource):
    pass


class PolyfillAtTheHub(AtTheHub, Polyfill):
    pass


class PolyfillAsItsOwnersAdviseForMercure(AtTheHub, Polyfill):
    options = {"lastEventIdQueryParameterName": "Last-Event-Id"}


class PolyfillAtATopic(AtATopic, Polyfill):
    pass
