"""What the native API tells of the Mercure hub, and what it does not."""
import jwt
from hub import HubTest
from sluicetest import BrokerTest, SoloBrokerTest, until


class Discovery(HubTest, BrokerTest):
    settings = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_anonymous": True}

    def links(self, path, method="GET", headers=None):
        with self.broker.client() as c:
            a = c.ask(method, path, headers=headers)
        return a.status, a.header("Link")

    def test_a_topic_and_its_messages_say_where_the_hub_is(self):
        name = "a b/ä"
        self.broker.offset(name, "x")
        path = "/v1/topics/a%20b%2F%C3%A4"
        link = '</.well-known/mercure>; rel="mercure", <%s>; rel="self"' % path
        for method in "GET", "HEAD":
            for at in path, path + "/messages", path + "/messages?from=latest", path + "/messages?from=latest&wait=1ms":
                self.assertEqual(self.links(at, method), (200, link), at)
            self.assertEqual(self.links(path + "/messages", method, {"Accept": "application/octet-stream"}), (200, link))
        self.assertEqual(self.links(path + "/messages", "HEAD", {"Accept": "text/event-stream"}), (200, link))
        self.assertEqual(self.links("/v1/topics/none"), (404, None))
        self.assertEqual(self.links("/v1/topics"), (200, None))

    def test_all_who_waited_for_the_same_are_told(self):
        path = "/v1/topics/%s/messages?from=latest&wait=1m" % self.name
        self.broker.offset(self.name, "x")
        clients = [self.broker.client() for _ in range(5)]
        for c in clients:
            self.addCleanup(c.close)
            c.send(c.head("GET", path))
        until(lambda: self.broker.metric("sluice_readers_parked") == 5, what="all wait")
        self.broker.offset(self.name, "news")
        for c in clients:
            self.assertIn('rel="mercure"', c.answer().header("Link"))

    def test_pages_of_other_origins_may_see_it(self):
        self.broker.offset(self.name, "x")
        a = self.broker.ask("GET", "/v1/topics/" + self.name, headers={"Origin": "https://shop.example"})
        self.assertEqual((a.header("Access-Control-Expose-Headers"), a.header("Link") is None), ("*", False))

    def test_what_is_published_there_is_no_update(self):
        s = self.subscribe("*").opened()
        self.broker.offset(self.name, "x")
        self.published([("topic", "x"), ("data", "first")])
        self.assertEqual(s.data(1), ["first"])


class NoDiscovery(SoloBrokerTest):
    def test_a_broker_whose_hub_nobody_uses_says_nothing_of_it(self):
        self.start()
        self.broker.offset("t", "x")
        for path in "/v1/topics/t", "/v1/topics/t/messages":
            self.assertIsNone(self.broker.ask("GET", path).header("Link"))
