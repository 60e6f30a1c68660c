"""Clients that others wrote: curl with the lines of our documents, and the requests that Symfony makes."""
import http.cookiejar
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request

import jwt
from hub import FORM, HUB, HubTest
from sluicetest import PATIENCE, BrokerTest, SoloBrokerTest, clean_env, until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SETTINGS = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_subscriber_jwt_key": jwt.KEY}
BOOK = "https://example.com/books/1"
# The token that the protocol's own documentation has in its examples.
DOCUMENTED = (
    "eyJhbGciOiJIUzI1NiJ9.eyJtZXJjdXJlIjp7InB1Ymxpc2giOlsiKiJdLCJzdWJzY3JpYmUiOlsiaHR0cHM6Ly9leGFtcGxlLmNvbS9teS1wcml2"
    "YXRlLXRvcGljIiwie3NjaGVtZX06Ly97K2hvc3R9L2RlbW8vYm9va3Mve2lkfS5qc29ubGQiLCIvLndlbGwta25vd24vbWVyY3VyZS9zdWJzY3JpcH"
    "Rpb25zey90b3BpY317L3N1YnNjcmliZXJ9Il0sInBheWxvYWQiOnsidXNlciI6Imh0dHBzOi8vZXhhbXBsZS5jb20vdXNlcnMvZHVuZ2xhcyIsInJl"
    "bW90ZUFkZHIiOiIxMjcuMC4wLjEifX19.KKPIikwUzRuB3DTpVw6ajzwSChwFw5omBMmMcWKiDcM")


def documented(path, beginning):
    """The only command of a document that begins so, with the lines that go on from it."""
    with open(os.path.join(ROOT, path)) as f:
        found = re.findall(r"^%s(?:.*\\\n)*.*$" % re.escape(beginning), f.read(), re.M)
    assert len(found) == 1, (path, beginning, found)
    return found[0]


class CurlTest(HubTest, SoloBrokerTest):
    def setUp(self):
        super().setUp()
        self.broker = self.start(**SETTINGS)
        with open(os.path.join(self.broker.own, "token"), "w") as f:
            f.write(jwt.token(publish=["*"], subscribe=["*"]))

    def here(self, command):
        return ["bash", "-c", command.replace("127.0.0.1:7070", self.broker.address)]

    def do(self, command):
        """What it prints."""
        return subprocess.run(self.here(command), cwd=self.broker.own, env=clean_env(), check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE).stdout

    def stay(self, command, wanted, meanwhile=lambda: None):
        """Lets it run beside the test until it has printed `wanted`, and ends it; all that it printed."""
        path = os.path.join(self.broker.own, "seen")

        def seen():
            with open(path) as f:
                return f.read()
        with open(path, "w") as out:
            client = subprocess.Popen(self.here("exec " + command), cwd=self.broker.own, env=clean_env(), stdout=out,
                                      stderr=subprocess.DEVNULL)
        try:
            self.until_read(client)
            meanwhile()
            until(lambda: wanted in seen(), what="%r, after %r," % (wanted, seen()))
        finally:
            client.kill()
            client.wait()
        until(lambda: self.streams() == 0, what="the broker notices that curl has gone")
        return seen()

    def streams(self):
        return self.broker.metric("sluice_sse_subscribers")  # those of the hub are among them

    def until_read(self, client):
        until(lambda: client.poll() is not None or self.streams() == 1, what="curl is there")
        self.assertIsNone(client.poll(), "curl ended")


class Curl(CurlTest):
    def test_the_line_of_the_readme_stays_and_goes_on_where_it_ended(self):
        read = documented("README.md", "curl -N -H 'Accept: text/event-stream' ")
        publish = documented("README.md", "curl -d 'hello' ")
        self.do(publish)
        first = self.stay(read, "id: 1\ndata: hello\n\n", lambda: self.do(publish))
        self.assertEqual(re.findall("^id: .*|^data: .*", first, re.M),
                         ["id: 0", "data: hello", "id: 1", "data: hello"])
        self.do(publish)
        self.broker.restart()
        again = self.stay(read + " -H 'Last-Event-ID: 1'", "id: 3\ndata: hello\n\n", lambda: self.do(publish))
        self.assertEqual(re.findall("^id: .*|^data: .*", again, re.M),
                         ["id: 2", "data: hello", "id: 3", "data: hello"])

    def test_the_line_of_the_hub_stays_and_goes_on_where_it_ended(self):
        read = documented("http/MERCURE.md", "curl -N ")
        publish = self.do_publish
        publish("missed")
        first = self.stay(read, "data: seen\n\n", lambda: publish("seen", "private=on", "type=book"))
        last = re.fullmatch(":\nevent: book\nid: (.*)\ndata: seen\n\n", first)[1]
        publish("between")
        self.broker.restart()
        again = self.stay(read + " -H 'Last-Event-ID: %s'" % last, "data: after\n\n", lambda: publish("after"))
        self.assertRegex(again, "^:\nid: .*\ndata: between\n\nid: .*\ndata: after\n\n$")

    def do_publish(self, data, *fields):
        line = 'curl -sf http://127.0.0.1:7070%s -H "Authorization: Bearer $(cat token)" -d topic=%s -d data=%s'
        return self.do(line % (HUB, BOOK, data) + "".join(" -d " + f for f in fields))

    def test_the_token_of_the_protocols_documentation_is_good_with_the_key_there(self):
        """A public key and a public token: for trying things out, as the example here does."""
        line = ("curl -sf -d 'topic=https://example.com/my-private-topic' -d 'data={\"foo\": \"updated value\"}' "
                "-d private=on -H 'Authorization: Bearer %s' -X POST http://127.0.0.1:7070%s" % (DOCUMENTED, HUB))
        read = "curl -N -H 'Authorization: Bearer %s' '%s%s?topic=https://example.com/my-private-topic'"
        seen = self.stay(read % (DOCUMENTED, self.broker.url, HUB), "\n\n", lambda: self.do(line))
        self.assertIn('data: {"foo": "updated value"}\n\n', seen)


class Symfony(HubTest, BrokerTest):
    """Its component symfony/mercure, which API Platform uses; the requests are written here as it makes them."""

    settings = SETTINGS
    HEADERS = {"Accept": "*/*", "User-Agent": "Symfony HttpClient (Curl)", "Accept-Encoding": "gzip"}

    def publish(self, **fields):
        """Hub::publish: null fields are left out, a list is the field again, a blank is a plus."""
        parts = []
        for name, value in fields.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    parts.append("%s=%s" % (name, urllib.parse.quote_plus(str(one)).replace("~", "%7E")))
        headers = dict(self.HEADERS, **{"Content-Type": FORM, **jwt.bearer(publish=["*"])})
        a = self.broker.ask("POST", HUB, "&".join(parts), headers)
        self.assertEqual(a.status, 200, a)
        self.assertIsNone(a.header("Content-Encoding"))
        return a.text

    def member(self, **more):
        return self.subscribe([self.topic, self.topic + "/{x}"], jwt.bearer(subscribe=["*"]), **more).opened()

    def setUp(self):
        super().setUp()
        self.topic = "https://example.com/" + self.name

    def test_an_update_with_all_that_it_can_have(self):
        s = self.member()
        topics, data = [self.topic, self.topic + "/a b~c"], '{"@id":"\\/books\\/1","title":"D\u00fcne & + %20"}'
        self.assertEqual(self.publish(topic=topics, data=data, private="on", id="urn:" + self.name, type="book", retry=1500),
                         "urn:" + self.name)
        s.take(1)
        self.assertEqual(s.body.decode(), ":\nevent: book\nretry: 1500\nid: urn:%s\ndata: %s\n\n" % (self.name, data))
        self.assertEqual(self.last()["attributes"]["mercure-alternates"], topics[1])

    def test_one_with_as_little_as_it_can_have(self):
        s = self.member()
        id = self.publish(topic=[self.topic], data="", private=None, id=None, type=None, retry=None)
        s.take(1)
        self.assertEqual(s.body.decode(), ":\nid: %s\ndata: \n\n" % id)
        self.assertNotIn("attributes", self.last())

    def test_fields_with_nothing_in_them_are_as_good_as_none(self):
        s = self.member()
        id = self.publish(topic=[self.topic], data="x", private="on", id="", type="", retry="")
        self.assertRegex(id, "^urn:uuid:")
        s.take(1)
        self.assertEqual(s.body.decode(), ":\nid: %s\ndata: x\n\n" % id)
        self.assertEqual(self.last()["attributes"], {"mercure-private": "1"})

    def test_its_cookie_is_for_the_hub_only_and_subscribes(self):
        """Authorization::setCookie, in a page's answer of the same host: its path is the hub's."""
        token = jwt.token(publish=[], subscribe=[self.topic], exp=round(time.time() + 3600, 6))
        jar = http.cookiejar.CookieJar()
        page = urllib.request.Request("http://127.0.0.1/page")
        jar.extract_cookies(SetCookie("mercureAuthorization=%s; path=%s; httponly; samesite=strict" % (token, HUB)), page)
        sent = {path: self.cookie(jar, path) for path in ("/v1/topics", HUB + "?topic=x", HUB + "/subscriptions")}
        self.assertEqual(list(sent.values()), [None] + ["mercureAuthorization=" + token] * 2)
        s = self.subscribe(self.topic, {"Cookie": sent[HUB + "?topic=x"]}).opened()
        self.publish(topic=[self.topic], data="secret", private="on")
        self.assertEqual(s.data(1), ["secret"])

    def cookie(self, jar, path):
        request = urllib.request.Request("http://127.0.0.1" + path)
        jar.add_cookie_header(request)
        return request.get_header("Cookie")

    def test_the_polyfills_parameter_goes_on(self):
        """event-source-polyfill sends no header; tests/clients has the library itself."""
        first = self.publish(topic=[self.topic], data="1", private="on")
        second = self.publish(topic=[self.topic], data="2", private="on")
        for name in "lastEventID", "lastEventId", "Last-Event-Id", "last_event_id":
            with self.subTest(name=name):
                s = self.member(**{name: first})
                self.assertEqual(s.ids(1), [second])
                self.assertEqual(s.before, first)

    def test_of_two_such_parameters_the_one_behind_counts(self):
        """The polyfill puts its own behind what the page's address has."""
        first, second = (self.publish(topic=[self.topic], data=d, private="on") for d in "12")
        s = self.member(lastEventID="earliest", lastEventId=first)
        self.assertEqual((s.before, s.ids(1)), (first, [second]))


class SetCookie:
    """An answer, for http.cookiejar."""

    def __init__(self, value):
        self.value = value

    def info(self):
        return self

    def get_all(self, name, default=()):
        return [self.value] if name.lower() == "set-cookie" else list(default)
