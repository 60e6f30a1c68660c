"""What the tests of the Mercure hub do: publish updates, subscribe, look into the log."""
import urllib.parse

import jwt
import sse

HUB = "/.well-known/mercure"
FORM = "application/x-www-form-urlencoded"


def authorized(*selectors):
    return jwt.bearer(publish=list(selectors) or ["*"])


def request(broker, topics, headers=None, version="1.1", method="GET", **query):
    """Of these topics: a list, or one."""
    pairs = [("topic", t) for t in ([topics] if isinstance(topics, str) else topics)] + list(query.items())
    lines = ["%s %s?%s HTTP/%s" % (method, HUB, urllib.parse.urlencode(pairs), version), "Host: 127.0.0.1"]
    lines += ["%s: %s" % kv for kv in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Subscriber(sse.Stream):
    """Of the hub. `body` is all that came, without the chunked coding."""

    request = staticmethod(request)

    def __init__(self, *args, **named):
        self.body = b""
        super().__init__(*args, **named)

    def _lines(self, text):
        self.body += text
        if self.head[0].split()[1] == "200":
            super()._lines(text)

    def opened(self):
        while not self.comments:
            assert self.more() and self.head[0].split()[1] == "200", self.head
        return self

    def ids(self, count):
        return [e.id for e in self.take(count)]

    @property
    def before(self):
        """The event before the first that is sent, as the answer's head says."""
        return self.head[1].get("last-event-id")


class HubTest:
    def post(self, body, headers=None, type=FORM):
        """A form as text or bytes, or its fields as a list of pairs."""
        if isinstance(body, list):
            body = urllib.parse.urlencode(body)
        headers = dict(authorized() if headers is None else headers)
        if type:
            headers["Content-Type"] = type
        return self.broker.ask("POST", HUB, body, headers)

    def published(self, fields, headers=None):
        """The id."""
        a = self.post(fields, headers)
        self.assertEqual(a.status, 200, a)
        return a.text

    def subscribe(self, topics, headers=None, **more):
        s = Subscriber(self.broker, topics, headers, **more)
        self.addCleanup(s.close)
        return s

    def refused(self, *args, **named):
        """The answer to somebody who would subscribe."""
        with self.broker.client() as c:
            c.send(request(self.broker, *args, **named))
            return c.answer(named.get("method", "GET"))

    def assertRefused(self, answer, status, text=""):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.header("Content-Type"), "text/plain; charset=utf-8")
        self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
        self.assertIn(text, answer.text)
        self.assertTrue(answer.text.endswith("\n"), answer)

    def log(self, topic="mercure"):
        a = self.broker.read(topic)
        return [] if a.status == 404 else a.json["messages"]

    def last(self):
        return self.log()[-1]

    def next_offset(self):
        a = self.broker.ask("GET", "/v1/topics/mercure")
        return 0 if a.status == 404 else a.json["next"]

    def stored(self):
        """How many updates were, since the test began."""
        return self.next_offset() - self.first
