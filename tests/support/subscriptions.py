"""What the tests of active subscriptions do: subscribe, read what is told of it, ask for the documents."""
import json
import socket
import struct

import jwt
from hub import HUB, HubTest, Subscriber
from sluicetest import BrokerTest, quote, until

ALL = HUB + "/subscriptions"
ANY = ALL + "{/topic}{/subscriber}"
SETTINGS = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_subscriber_jwt_key": jwt.KEY, "mercure_anonymous": True,
            "mercure_subscriptions": True, "loops": 2}
BOOKS = "https://example.com/books/{id}"


class Watcher(Subscriber):
    def documents(self, count):
        """Of the next so many events about subscriptions."""
        return [json.loads(e.data) for e in self.take(count)]

    def reset(self):
        """As when its process is killed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class SubscriptionsTest(HubTest):
    def subscribe(self, *topics, subscribe=None, payload=None, expires=None, **more):
        """One whose stream has begun; with a token where there is something to say in it."""
        headers = None
        if subscribe or payload or expires:
            headers = jwt.bearer(subscribe=subscribe or [], payload=payload, **({"exp": expires} if expires else {}))
        s = Watcher(self.broker, list(topics), headers, **more)
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

    def gauge(self):
        return int(self.broker.metric("sluice_mercure_subscribers"))

    def assertNobodyIsLeft(self):
        """All is told, and all that it took is given back."""
        until(lambda: self.gauge() == 0, what="nobody is subscribed")
        self.assertEqual(self.document()["subscriptions"], [])
        until(lambda: self.broker.metric("sluice_read_buffer_bytes") == 0, what="the read buffer is empty")
        self.assertIdle()


class SharedBrokerTest(SubscriptionsTest, BrokerTest):
    settings = SETTINGS

    def tearDown(self):
        self.doCleanups()
        self.assertNobodyIsLeft()
        super().tearDown()
