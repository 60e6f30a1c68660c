"""Where the programs of crowd/ subscribe and publish: one door of the broker each."""
import base64
import hashlib
import hmac
import json
import urllib.parse

KEY = "a key that the tests share with the hub"


def jwt(claims, key=KEY):
    """A JSON Web Token, HS256."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    text = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.new(key.encode(), text, hashlib.sha256).digest())).decode()


class Native:
    """Event streams of a topic. `name` may have %d, for the number of a topic."""

    name, gauge, published = "native", "sse_subscribers", "201"
    settings = {}

    @staticmethod
    def subscribe(name):
        return {"path": "/v1/topics/%s/messages?from=latest" % name}

    @staticmethod
    def publish(name):
        return {"path": "/v1/topics/%s/messages" % name}

    @staticmethod
    def timeouts(write_seconds, heartbeat_seconds, life_seconds):
        return {"write_timeout": "%ds" % write_seconds, "sse_heartbeat": "%ds" % heartbeat_seconds,
                "sse_max_life": "%ds" % life_seconds}


class Mercure:
    """A Mercure hub that everybody may subscribe to."""

    name, gauge, published = "mercure", "mercure_subscribers", "200"
    settings = {"mercure_publisher_jwt_key": KEY, "mercure_anonymous": True}
    url = "/.well-known/mercure"

    @staticmethod
    def topic(name):
        return urllib.parse.quote("https://example.com/", safe="") + name

    @classmethod
    def subscribe(cls, name):
        return {"path": "%s?topic=%s" % (cls.url, cls.topic(name))}

    @classmethod
    def publish(cls, name):
        return {"path": cls.url, "front": "topic=%s&data=" % cls.topic(name), "type": "application/x-www-form-urlencoded",
                "token": jwt({"mercure": {"publish": ["*"]}})}

    @staticmethod
    def timeouts(write_seconds, heartbeat_seconds, life_seconds):
        return {"mercure_dispatch_timeout": "%ds" % write_seconds, "mercure_heartbeat": "%ds" % heartbeat_seconds,
                "mercure_write_timeout": "%ds" % (life_seconds + write_seconds)}  # it ends so much before


DOORS = {door.name: door for door in (Native, Mercure)}
