"""Publishers with keys of their own and consumers of subscriptions who are killed with the broker, and what must
be true of their messages afterwards.

 1. A publish that is sent again under its Idempotency-Key, because no answer came or because one is not believed,
    has the offset that it was given, and is in the log once, whole.
 2. What was acked or rejected with a 200 never comes again, and no delivery is given to two.
 3. Every message is acked, given up or still to be done, in numbers that fit exactly; and each that was given up
    is one dead letter, no more.
"""
import collections
import json
import threading

TOPIC, DEAD = "jobs", "jobs.dead"
BRIEF = "brief"  # a topic whose messages do not live long
PUBLISHERS, CONSUMERS, REPEATED = 3, 2, 2
SUBSCRIPTIONS = {
    "free": {"topic": TOPIC, "lease": "1s", "max_deliveries": 4, "dead_letter": DEAD, "backoff": ["0s", "50ms"]},
    "keyed": {"topic": TOPIC, "lease": "1s", "ordering": "key"},
}


class Publisher(threading.Thread):
    """Single messages and batches, until the broker is gone."""

    def __init__(self, broker, name):
        super().__init__(daemon=True)
        self.broker, self.label = broker, name
        self.answered = []  # offsets, of publish 0, 1, 2, ...
        self.wrong = None

    def count(self, n):
        return 10 if n % 4 == 3 else 1

    def data(self, n):
        return ["%s-%d-%d" % (self.label, n, i) for i in range(self.count(n))]

    def publish(self, c, n):
        """The answer; always the same request for the same number."""
        headers = {"Idempotency-Key": '"%s-%d"' % (self.label, n), "Message-Key": "k%d" % (n % 3),
                   "Content-Type": "text/plain"}
        if self.count(n) == 1:
            return c.ask("POST", "/v1/topics/%s/messages" % TOPIC, self.data(n)[0], headers)
        lines = "\n".join(json.dumps({"data": d, "key": "k%d" % (n % 3)}) for d in self.data(n))
        return c.ask("POST", "/v1/topics/%s/messages:batch" % TOPIC, lines,
                     {"Idempotency-Key": headers["Idempotency-Key"], "Content-Type": "application/x-ndjson"})

    def offset(self, a):
        return a.json["offset"] if "offset" in a.json else a.json["first_offset"]

    def run(self):
        try:
            with self.broker.client() as c:
                while not self.wrong:
                    a = self.publish(c, len(self.answered))
                    if a.status != 201 or a.header("Idempotent-Replayed"):
                        self.wrong = a
                        return
                    self.answered.append(self.offset(a))
                    c.ask("POST", "/v1/topics/%s/messages" % BRIEF, "gone soon", {"TTL": "200ms"})
        except OSError:
            pass  # it has been killed

    def again(self, c, n):
        a = self.publish(c, n)
        assert a.status == 201, a
        return self.offset(a), a.header("Idempotent-Replayed") == "true"


class Consumer(threading.Thread):
    """Receives and settles, until the broker is gone."""

    def __init__(self, broker, subscription, rng):
        super().__init__(daemon=True)
        self.broker, self.path, self.rng = broker, "/v1/subscriptions/" + subscription, rng
        self.subscription = subscription
        self.seen = []  # (offset, deliveries)
        self.settled = {"ack": [], "nack": [], "reject": []}  # likewise
        self.unsure = 0  # of those on the way: nobody knows
        self.wrong = None

    def run(self):
        try:
            with self.broker.client() as c:
                while not self.wrong:
                    self.round(c)
        except OSError:
            pass
        except AssertionError as e:
            self.wrong = e

    def round(self, c):
        a = c.ask("POST", self.path + ":receive?limit=%d&wait=1" % self.rng.choice([1, 10, 100]))
        assert a.status == 200, a
        got = a.json["messages"]
        self.seen += [(m["offset"], m["deliveries"]) for m in got]
        self.rng.shuffle(got)
        while got:
            some, got = got[:7], got[7:]
            self.settle(c, self.rng.choice(["ack"] * 7 + ["nack"] * 2 + ["reject"]), some)

    def settle(self, c, verb, some):
        self.unsure = len(some)
        a = c.ask("POST", self.path + ":" + verb, json.dumps({"leases": [m["lease"] for m in some]}))
        assert a.status in (200, 207, 409), a
        results = a.json.get("results", [{"status": a.status}] * len(some))
        self.settled[verb] += [(m["offset"], m["deliveries"]) for m, r in zip(some, results) if r["status"] == 200]
        self.unsure = 0


class Known:
    """Of one subscription, over all rounds."""

    def __init__(self):
        self.done = {}  # offset: the delivery that was acked or rejected
        self.acked = self.rejected = self.unsure = 0
        self.last = collections.defaultdict(int)  # offset: the last delivery that was seen
        self.seen = set()

    def learn(self, c):
        for offset, deliveries in c.seen:
            assert (offset, deliveries) not in self.seen, "delivery %d of offset %d came twice" % (deliveries, offset)
            self.seen.add((offset, deliveries))
            self.last[offset] = max(self.last[offset], deliveries)
        self.done.update(c.settled["ack"] + c.settled["reject"])
        self.acked += len(c.settled["ack"])
        self.rejected += len(c.settled["reject"])
        self.unsure += c.unsure

    def check(self, state):
        for offset, deliveries in self.done.items():
            assert self.last[offset] == deliveries, "offset %d was done with delivery %d, and came %d times" % (
                offset, deliveries, self.last[offset])
        assert self.acked <= state["acked"] <= self.acked + self.unsure, (state, self.acked, self.unsure)
        assert self.rejected <= state["dead"], (state, self.rejected)


class SubLoad:
    """Its rounds, one after the other on one store."""

    def __init__(self, broker, rng):
        self.broker, self.rng = broker, rng
        self.rounds = 0
        self.known = {name: Known() for name in SUBSCRIPTIONS}
        self.old = []  # publishers of earlier rounds
        for name, settings in SUBSCRIPTIONS.items():
            a = broker.ask("PUT", "/v1/subscriptions/" + name, json.dumps(settings))
            assert a.status == 201, a

    def topics(self):
        return TOPIC, DEAD, BRIEF

    def begin(self, rng):
        self.publishers = [Publisher(self.broker, "%d-%d" % (self.rounds, i)) for i in range(PUBLISHERS)]
        self.consumers = [Consumer(self.broker, name, rng) for name in SUBSCRIPTIONS for _ in range(CONSUMERS)]
        self.rounds += 1
        self.start = self.broker.topic(TOPIC)["next"]
        for t in self.publishers + self.consumers:
            t.start()

    def finish(self):
        """How many publishes were answered, and how many deliveries."""
        for t in self.publishers + self.consumers:
            t.join()
            assert not t.wrong, t.wrong
        for c in self.consumers:
            self.known[c.subscription].learn(c)
        return sum(len(p.answered) for p in self.publishers), sum(len(c.seen) for c in self.consumers)

    # ---- after the restart ----

    def check(self):
        """How many publishes were stored though no answer came."""
        with self.broker.client() as c:
            extra = sum(self.check_unsure(c, p) for p in self.publishers)
            for p in self.old[-2 * PUBLISHERS:] + self.publishers:
                for n in self.rng.sample(range(len(p.answered)), min(REPEATED, len(p.answered))):
                    said = p.again(c, n)
                    assert said == (p.answered[n], True), "publish %d of %s had offset %d, now %s" % (
                        n, p.label, p.answered[n], said)
        self.check_log()
        self.check_subscriptions()
        self.old += self.publishers
        return extra

    def check_unsure(self, c, p):
        """The one whose answer did not come is sent again, twice."""
        n = len(p.answered)
        offset, replayed = p.again(c, n)
        assert p.again(c, n) == (offset, True), "publish %d of %s is stored twice" % (n, p.label)
        p.answered.append(offset)
        return replayed

    def log(self):
        at, messages = self.start, []
        while True:
            page = self.broker.read(TOPIC, from_=at, limit=1000).json
            if not page["messages"]:
                return messages
            messages += page["messages"]
            at = page["next"]

    def check_log(self):
        """This round's part of it is what its publishers were told, and nothing else."""
        want = {offset + i: d for p in self.publishers for n, offset in enumerate(p.answered)
                for i, d in enumerate(p.data(n))}
        there = {m["offset"]: m["data"] for m in self.log()}
        assert there == want, "in the log and not told of, or the other way round: %s" % sorted(
            set(there.items()) ^ set(want.items()))[:10]

    def check_subscriptions(self):
        for name, known in self.known.items():
            end = self.broker.topic(TOPIC)["next"]
            s = self.state(name)
            known.check(s)
            assert s["acked"] + s["dead"] + s["lag"] == end, (s, end)
            parts = s["in_flight"] + s["waiting"] + s["ready"] + s["held"] + end - s["next"]
            assert s["lag"] == parts, (s, end)

    def state(self, name):
        a = self.broker.ask("GET", "/v1/subscriptions/" + name)
        assert a.status == 200, a
        return a.json

    # ---- in the end ----

    def drain(self, name):
        """Whatever is left is acked."""
        known, rest = self.known[name], Consumer(self.broker, name, self.rng)
        with self.broker.client() as c:
            while self.state(name)["lag"]:
                a = c.ask("POST", rest.path + ":receive?limit=1000&wait=1")
                rest.seen += [(m["offset"], m["deliveries"]) for m in a.json["messages"]]
                if a.json["messages"]:
                    rest.settle(c, "ack", a.json["messages"])
        known.learn(rest)
        known.check(self.state(name))

    def check_end(self):
        """All is done: acked, or a dead letter, once."""
        for name in self.known:
            self.drain(name)
        dead, at, end = [], 0, self.broker.ask("GET", "/v1/topics/" + DEAD)
        while end.status == 200 and at < end.json["next"]:
            page = self.broker.read(DEAD, from_=at, limit=1000).json
            dead += [int(m["attributes"]["dead-letter-offset"]) for m in page["messages"]]
            at = page["next"]
        s, known = self.state("free"), self.known["free"]
        assert len(dead) == len(set(dead)) == s["dead"], "%d dead letters, of %d messages: %s" % (
            len(dead), len(set(dead)), s)
        assert s["acked"] + s["dead"] == self.broker.topic(TOPIC)["next"], s
        return "%d messages of subscriptions, all done: %d acked, %d dead letters, %d delivered again" % (
            s["next"], s["acked"], s["dead"], s["redelivered"])
