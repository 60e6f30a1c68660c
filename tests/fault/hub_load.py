"""Publishers at the Mercure hub who are killed with it, and what must be true of their updates afterwards.

 1. Every update that was answered is in the hub's log once, with the id that was answered, and what one
    publisher sent is there in its order.
 2. Beside these there are at most those whose answers were still to come: one for each publisher.
 3. Resuming behind an id goes on exactly behind its place. Of an id that was given again it is the first one's.
"""
import threading
import urllib.parse

import jwt
from hub import FORM, HUB, Subscriber

SETTINGS = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_subscriber_jwt_key": jwt.KEY}
PUBLISHERS = 16
AGAIN = "urn:again"  # an id that is given again and again
RESUMED = 50         # how many of a round's answered ids are resumed behind, and the last ones
BOTH = jwt.bearer(publish=["*"], subscribe=["*"])


class Publisher(threading.Thread):
    """Publishes until the broker is gone."""

    def __init__(self, broker, name):
        super().__init__(daemon=True)
        self.broker, self.label = broker, name
        self.answered = []  # (data, id)
        self.wrong = None   # an answer that was none of those that may come

    def data(self, n):
        return "%s-%d" % (self.label, n)

    def fields(self, n):
        """Most with an id of their own; of the rest some share one, and for some the hub makes it."""
        id = AGAIN if n % 16 == 3 else "" if n % 4 == 1 else "urn:" + self.data(n)
        fields = [("topic", "https://example.com/%d" % (n % 3)), ("topic", "all"), ("id", id), ("data", self.data(n))]
        return fields + [("private", "on")] * (n % 2)

    def run(self):
        headers = dict(BOTH, **{"Content-Type": FORM})
        try:
            with self.broker.client() as c:
                while not self.wrong:
                    n = len(self.answered)
                    a = c.ask("POST", HUB, urllib.parse.urlencode(self.fields(n)), headers)
                    if a.status == 200:
                        self.answered.append((self.data(n), a.text))
                    else:
                        self.wrong = a
        except OSError:
            pass  # it has been killed


class HubLoad:
    """One round of it."""

    def __init__(self, broker, number, rng):
        self.broker, self.number, self.rng = broker, number, rng
        self.start = self.next_offset()
        self.publishers = [Publisher(broker, "%d-%d" % (number, i)) for i in range(PUBLISHERS)]

    def next_offset(self):
        a = self.broker.ask("GET", "/v1/topics/mercure")
        return a.json["next"] if a.status == 200 else 0

    def begin(self):
        for p in self.publishers:
            p.start()

    def finish(self):
        """How many were answered."""
        for p in self.publishers:
            p.join()
            assert not p.wrong, p.wrong
        return sum(len(p.answered) for p in self.publishers)

    def log(self):
        """This round's, as the native API gives it."""
        updates, at = [], self.start
        while True:
            page = self.broker.read("mercure", from_=at, limit=1000).json
            if not page.get("messages"):
                return updates
            updates += page["messages"]
            at = page["next"]

    def check(self):
        """After the restart. How many were stored that nobody was told of."""
        if self.next_offset() == self.start:
            assert not any(p.answered for p in self.publishers), "answered, and the log is as it was"
            return 0
        log = self.log()
        assert [m["offset"] for m in log] == list(range(self.start, self.start + len(log))), "offsets are not in a row"
        places = {m["data"]: m for m in log}
        assert len(places) == len(log), "an update is there twice"
        extra = sum(self.check_publisher(p, places) for p in self.publishers)
        assert not places, "updates that nobody sent: %s" % list(places)[:5]
        self.check_resume(log)
        return extra

    def check_publisher(self, p, places):
        last = -1
        for data, id in p.answered:
            m = places.pop(data, None)
            assert m, "%s was answered and is not there" % data
            assert m["id"] == id, "%s was answered, and there is %s" % (id, m)
            assert last < m["offset"], "%s is out of order" % data
            last = m["offset"]
        unsure = places.pop(p.data(len(p.answered)), None)
        assert not unsure or last < unsure["offset"], "%s is out of order" % unsure
        return 1 if unsure else 0

    def check_resume(self, log):
        sentinel = self.publish("sentinel")
        ids = [m["id"] for m in log] + [sentinel]
        own = [i for i, id in enumerate(ids[:-1]) if id != AGAIN]
        for i in self.rng.sample(own, min(RESUMED, len(own))) + own[-PUBLISHERS:]:
            assert self.behind(ids[i]) == ids[i + 1], "behind %s comes not %s" % (ids[i], ids[i + 1])

    def publish(self, name):
        a = self.broker.ask("POST", HUB, urllib.parse.urlencode({"topic": "all", "data": "%d-%s" % (self.number, name)}),
                            dict(BOTH, **{"Content-Type": FORM}))
        assert a.status == 200, a
        return a.text

    def behind(self, id):
        """The first that is sent to who has seen this one."""
        s = Subscriber(self.broker, "all", dict(BOTH, **{"Last-Event-ID": id}))
        try:
            s.opened()
            assert s.before == id, "%s was asked for, and it begins behind %s" % (id, s.before)
            return s.ids(1)[0]
        finally:
            s.close()

    def check_again(self):
        """Of all rounds: the id that was given again."""
        page = self.broker.read("mercure", from_=0, limit=1000).json["messages"]
        first = next((i for i, m in enumerate(page) if m["id"] == AGAIN), None)
        if first is not None and first + 1 < len(page):
            assert self.behind(AGAIN) == page[first + 1]["id"], "the first %s is not found" % AGAIN
