#!/usr/bin/env python3
"""A8: a stream goes on where it was: after a restart, under a publisher, and at its own speed.

By a topic's own stream and by the Mercure hub. Events have numbers from 1 on, in their data, and the
hub's in their ids as well.

Guards: a client that asks for the wrong place after the restart; one that comes back without its
last id while others publish; a broker that cuts who is slow.
"""
import functools
import json
import threading
import time
import urllib.parse

from scenario import KiB, Part, ScenarioBroker, main, mib
import hub
import jwt
from sse import Stream

BODY = 100


class Topic:
    """The stream of a topic: an event's id is its offset."""

    name, log = "topic", "events"
    settings = {}
    lives = {"sse_max_life": "1h"}
    cuts = {"write_timeout": "1s", "min_read_rate": "1GiB"}

    @staticmethod
    def publish(b, first, count, pause=0.0):
        with b.client(60) as c:
            for at in range(first, first + count, 50):
                lines = "".join(json.dumps({"data": ("%d " % i).ljust(BODY, ".")}) + "\n"
                                for i in range(at, min(at + 50, first + count)))
                a = c.ask("POST", "/v1/topics/events/messages:batch", lines, {"Content-Type": "application/x-ndjson"})
                assert a.status == 201, a
                time.sleep(pause)

    @staticmethod
    def id(number):
        return str(number - 1)

    @staticmethod
    def start(b, **named):
        return Stream(b, "events", **named)

    at_the_earliest = {}
    at_the_end = {"from": "latest"}

    @staticmethod
    def unknown_is_told(stream):
        return stream.take(1)[0].type == "unknown"

    @staticmethod
    def lost_is_told(stream, kept):
        """`kept`: the number of the first that is there."""
        told = stream.take(1)[0]
        return told.type == "skipped" and json.loads(told.data)["next"] == kept - 1


class Hub:
    """The Mercure hub: an event's id is what its publisher says. Each is a commit of its own, so the disk is
    not waited for."""

    name, log = "hub", "mercure"
    settings = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_anonymous": True, "durability": "relaxed"}
    lives = {"mercure_write_timeout": "1h"}
    cuts = {"mercure_dispatch_timeout": "1s", "write_timeout": "1s", "min_read_rate": "1GiB"}

    @classmethod
    def publish(cls, b, first, count, pause=0.0):
        with b.client(60) as c:
            for at in range(first, first + count, 50):
                numbers = range(at, min(at + 50, first + count))
                c.send(b"".join(cls._request(c, i) for i in numbers))
                for i in numbers:
                    a = c.answer("POST")
                    assert a.status == 200 and a.text == cls.id(i), a
                time.sleep(pause)

    @classmethod
    def _request(cls, c, number):
        body = urllib.parse.urlencode({"topic": "https://example.com/%d" % number, "id": cls.id(number),
                                       "data": ("%d " % number).ljust(BODY, ".")}).encode()
        headers = dict(hub.authorized(), **{"Content-Type": hub.FORM, "Content-Length": str(len(body))})
        return c.head("POST", hub.HUB, headers) + body

    @staticmethod
    def id(number):
        return "urn:number:%d" % number

    @staticmethod
    def start(b, **named):
        return hub.Subscriber(b, ["https://example.com/{number}"], **named)

    at_the_earliest = {"lastEventID": "earliest"}
    at_the_end = {}

    @staticmethod
    def unknown_is_told(stream):
        return stream.opened().before == "earliest"

    @staticmethod
    def lost_is_told(stream, kept):
        return stream.opened().before == "earliest"


def after(door, number):
    return {"headers": {"Last-Event-ID": door.id(number)}}


def number_of(event):
    return int(event.data.split()[0])


def take(stream, count):
    return [number_of(e) for e in stream.take(count)]


# ---- after a restart ----

def restart(c, door):
    count, place = 5000, 1000
    everything = list(range(1, count + 1))
    with ScenarioBroker(**door.settings) as b:
        door.publish(b, 1, count)
        b.restart()
        r = c.report
        with door.start(b, **(door.at_the_earliest if c.guard else after(door, place))) as s:
            r.check("behind 1000: the other 4,000, each once, in order", take(s, count - place) == everything[place:],
                    "%d events" % (count - place))
        with door.start(b, **door.at_the_earliest) as s:
            r.check("earliest: all 5,000", take(s, count) == everything)
        with door.start(b, **after(door, count + 7)) as s:
            r.check("an id that is not known is told, then all come", door.unknown_is_told(s) and take(s, count) == everything)
        with door.start(b, **after(door, count)).opened() as s:
            door.publish(b, count + 1, 50)
            r.check("behind the last: what is published then", take(s, 50) == list(range(count + 1, count + 51)))
        b.ask("POST", "/v1/topics/%s:purge" % door.log, '{"before_offset":3000}')
        b.restart()
        with door.start(b, **after(door, place)) as s:
            r.check("an id that is gone: it is told that something is lost", door.lost_is_told(s, 3001))
            r.check("... and then comes what is there", take(s, 2050) == list(range(3001, count + 51)))


# ---- under a publisher ----

def follow(b, door, count, guard, out):
    """A reader that leaves every so often and comes back."""
    got, place, took = [], door.at_the_earliest, 0
    while len(got) < count and (not guard or took < 30):
        took += 1
        with door.start(b, **place) as s:
            if guard:
                s.opened()
                s.sock.settimeout(2)
            try:
                got += take(s, min(count - len(got), 100 + 37 * took))
            except TimeoutError:
                break
        place = door.at_the_end if guard else after(door, got[-1])
    out.append((got, took))


def publishing(c, door):
    count, readers = c.pick(3000, 20000), c.pick(20, 50)
    with ScenarioBroker(**door.settings) as b:
        results = []
        threads = [threading.Thread(target=follow, args=(b, door, count, c.guard, results)) for _ in range(readers)]
        for t in threads:
            t.start()
        door.publish(b, 1, count, 0.02)
        for t in threads:
            t.join()
        whole = [got == list(range(1, count + 1)) for got, _ in results]
        c.report.equal("readers without a gap or a duplicate", sum(whole), readers)
        c.report.key("%d readers came back %d times in %d events" % (readers, sum(n for _, n in results), count))


# ---- at its own speed ----

def read_slowly(b, door, count, rate, out):
    with door.start(b, receive_buffer=4 * KiB, **door.at_the_earliest) as s:
        s.sock.settimeout(60)
        try:
            while len(s.events) < count:
                got = s.sock.recv(int(rate / 10))
                if not got:
                    break
                s.feed(got)
                time.sleep(0.1)
        except ConnectionError:
            pass
        out.append([number_of(e) for e in s.events])


def slow(c, door):
    count, readers, rate = c.pick(1500, 5000), 20, (10 if c.guard else c.pick(60, 10)) * KiB
    results = []
    with ScenarioBroker(**door.settings, **door.lives, **(door.cuts if c.guard else {})) as b:
        door.publish(b, 1, count // 2)
        threads = [threading.Thread(target=read_slowly, args=(b, door, count, rate, results)) for _ in range(readers)]
        for t in threads:
            t.start()
        door.publish(b, 1 + count // 2, count - count // 2, 0.05)
        for t in threads:
            t.join()
        r = c.report
        r.equal("slow readers with every event once", sum(got == list(range(1, count + 1)) for got in results), readers)
        r.most("read buffer, most: a block each", int(b.metric("sluice_read_buffer_high_water_bytes")),
               readers * 36 * KiB, mib)


STORIES = ((restart, (4, 4), "behind 1000: the other 4,000, each once, in order"),
           (publishing, (4, 20), "readers without a gap or a duplicate"),
           (slow, (8, 90), "slow readers with every event once"))

if __name__ == "__main__":
    main("A8 resume", [Part("%s, %s" % (story.__name__, door.name), functools.partial(story, door=door), takes=takes,
                            fails=[fails])
                       for story, takes, fails in STORIES for door in (Topic, Hub)])
