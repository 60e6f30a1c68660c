"""Where the programs of crowd/ subscribe and publish: one door of the broker each."""
import urllib.parse

import jwt


class Native:
    """Event streams of a topic. `name` may have %d, for the number of a topic."""

    name, gauge, published = "native", "sse_subscribers", "201"
    settings = {}

    @staticmethod
    def subscribe(name):
        return {"path": "/v1/topics/%s/messages?from=latest" % name}

    @staticmethod
    def listed(client):
        """How many subscribers a list of them has; None: there is no list."""
        return None

    @staticmethod
    def publish(name):
        return {"path": "/v1/topics/%s/messages" % name}

    @staticmethod
    def timeouts(write_seconds, heartbeat_seconds, life_seconds):
        return {"write_timeout": "%ds" % write_seconds, "sse_heartbeat": "%ds" % heartbeat_seconds,
                "sse_max_life": "%ds" % life_seconds}


class Mercure:
    """A Mercure hub that everybody may subscribe to, and that knows who has."""

    name, gauge, published = "mercure", "mercure_subscribers", "200"
    settings = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_anonymous": True,
                "mercure_subscriber_jwt_key": jwt.KEY, "mercure_subscriptions": True}
    url = "/.well-known/mercure"

    @staticmethod
    def topic(name):
        return urllib.parse.quote("https://example.com/", safe="") + name

    @classmethod
    def subscribe(cls, name):
        return {"path": "%s?topic=%s" % (cls.url, cls.topic(name))}

    @classmethod
    def listed(cls, client):
        a = client.ask("GET", cls.url + "/subscriptions", headers=jwt.bearer(subscribe=["*"]))
        assert a.status == 200, a
        return len(a.json["subscriptions"])

    @classmethod
    def publish(cls, name):
        return {"path": cls.url, "front": "topic=%s&data=" % cls.topic(name), "type": "application/x-www-form-urlencoded",
                "token": jwt.token(publish=["*"])}

    @staticmethod
    def timeouts(write_seconds, heartbeat_seconds, life_seconds):
        return {"mercure_dispatch_timeout": "%ds" % write_seconds, "mercure_heartbeat": "%ds" % heartbeat_seconds,
                "mercure_write_timeout": "%ds" % (life_seconds + write_seconds)}  # it ends so much before


DOORS = {door.name: door for door in (Native, Mercure)}
