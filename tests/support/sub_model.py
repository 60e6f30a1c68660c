"""A subscription against a simple model of it: random steps, with crashes among them.

The model knows what a message may be: new, leased until a time, to wait until a time, finished.
Times are the broker's own (lease_expires), and a step has its moment somewhere between being
asked and being answered; where a lease ends in between, both outcomes are right. What was
asked when the broker was killed may have been done or not, until it is seen.

Always: what was acked never comes again; nothing comes before its time, be it that of a retry or
its own (deliver_at, also after a seek), or after its expiry; a lease that ended or was taken over settles nothing; deliveries are counted right; one message of
a key at a time, in order; where there is a filter, nothing that it is against, and what it lets through. In the end nothing is lost: every message was acked, is a dead letter,
once, or has expired.
"""
import datetime
import json
import os
import random
import subprocess
import time

from sluicetest import BIN

DONE, DEAD, PASSED = "acked", "dead", "passed over"


def now_ms():
    return time.time() * 1000


def ms(text):
    at = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return at.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000


class Message:
    def __init__(self, offset, key, expires, deliver_at=0, wanted=True):
        self.offset, self.key, self.expires = offset, key, expires
        self.deliver_at, self.wanted = deliver_at, wanted
        self.forget()

    def forget(self):
        self.end = None if self.wanted else PASSED  # DONE, DEAD, PASSED
        self.maybe_end = False  # it was asked for in a crash
        self.not_before = self.deliver_at  # delayed, leased, or waiting, until then at least
        self.lease = None       # the last that was given
        self.deliveries = 0
        self.maybe_more = 0     # deliveries that nobody saw

    def is_open(self, at):
        """Certainly not finished at this time."""
        return not self.end and not self.maybe_end and (not self.expires or self.expires > at)


class Wrong(AssertionError):
    pass


class Play:
    def __init__(self, broker, seed, topic="t"):
        self.b, self.seed, self.topic = broker, seed, topic
        self.rng = random.Random(seed)
        self.messages = []
        self.old_leases = []  # taken over, or void since a seek
        self.steps, self.seeks, self.log = 0, 0, []
        self.by_key = self.rng.random() < 0.5
        self.max_deliveries = self.rng.choice([0, 0, 3])
        self.max_in_flight = self.rng.choice([1000, 1000, 7])
        self.acked = self.maybe_acked = self.proofs = self.delayed = 0
        self.filtered = self.rng.random() < 0.5
        self.settings = {"topic": topic, "ordering": "key" if self.by_key else "none", "lease": "1h",
                         "max_deliveries": self.max_deliveries, "dead_letter": topic + ".dead",
                         "max_in_flight": self.max_in_flight, "backoff": ["0s", "20ms"]}
        if self.filtered:
            self.settings["filter"] = {"attributes": {"kind": "wanted"}}

    # ---- asking ----

    def check(self, true, *what):
        if not true:
            raise Wrong("seed %d, step %d: %s\nlast steps:\n%s" % (
                self.seed, self.steps, " ".join(map(str, what)), "\n".join(self.log[-30:])))

    def note(self, *what):
        self.log.append("  %d %s" % (self.steps, " ".join(map(str, what))))

    def path(self, verb=""):
        return "/v1/subscriptions/s" + (verb and ":" + verb)

    def ask(self, method, path, body=""):
        """(answer, just before, just after)"""
        t0 = now_ms()
        a = self.b.ask(method, path, body if isinstance(body, str) else json.dumps(body))
        return a, t0, now_ms()

    def begin(self):
        a = self.ask("PUT", self.path(), self.settings)[0]
        self.check(a.status == 201, a)

    # ---- steps ----

    def publish(self):
        lines = []
        for _ in range(self.rng.choice([1, 1, 3, 20])):
            m = {"data": "x"}
            if self.rng.random() < 0.8:
                m["key"] = self.rng.choice("abc")
            if self.rng.random() < 0.2:
                m["ttl"] = self.rng.choice(["30ms", "300ms", "1500ms"])
            if self.rng.random() < 0.2 and m.get("ttl") != "30ms":
                m.update(self.delay())
            if self.rng.random() < 0.6:
                m["attributes"] = {"kind": self.rng.choice(["wanted", "wanted", "other"])}
            lines.append(json.dumps(m))
        a = self.b.batch(self.topic, "\n".join(lines))
        self.check(a.status == 201, a)
        self.note("publish", a.json)
        self.learn()

    def delay(self):
        self.delayed += 1
        after = self.rng.choice([5, 50, 200])  # less than any ttl beside it
        if self.rng.random() < 0.7:
            return {"deliver_after": "%dms" % after}
        at = datetime.datetime.fromtimestamp(time.time() + after / 1000, datetime.timezone.utc)
        return {"deliver_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}

    def learn(self):
        """What is in the log, as the log says it; what expired before anybody saw it stays unknown."""
        start = len(self.messages)
        page = self.b.read(self.topic, from_=start, limit=1000).json
        seen = {m["offset"]: m for m in page["messages"]}
        for offset in range(start, page["end"]):
            m = seen.get(offset)
            expires = ms(m["expires_at"]) if m and "expires_at" in m else 0
            deliver_at = ms(m["deliver_at"]) if m and "deliver_at" in m else 0
            wanted = not self.filtered or not m or m.get("attributes") == {"kind": "wanted"}
            self.messages.append(Message(offset, m and m.get("key"), expires if m else 1, deliver_at, wanted))

    def receive(self):
        limit = self.rng.choice([1, 1, 5, 50])
        lease = self.rng.choice(["30ms", "200ms", "1h", "1h"])
        a, t0, t1 = self.ask("POST", self.path("receive") + "?limit=%d&lease=%s" % (limit, lease))
        self.check(a.status == 200, a)
        got = a.json["messages"]
        self.note("receive", limit, lease, [(m["offset"], m["deliveries"], m.get("key")) for m in got])
        self.check(len(got) <= limit, "too many")
        for m in got:
            self.delivered(m, t0, t1)
        if self.by_key:
            keys = [m["key"] for m in got if "key" in m]
            self.check(len(keys) == len(set(keys)), "two of a key at once")
        out = sum(m.not_before > t1 and m.lease is not None and not m.maybe_end for m in self.messages)
        self.check(out <= self.max_in_flight, out, "are out, more than max_in_flight")

    def delivered(self, got, t0, t1):
        m = self.messages[got["offset"]]
        self.check(not m.end, "offset", m.offset, "comes again, although", m.end)
        self.check(m.not_before <= t1, "offset", m.offset, "comes before its time,", m.not_before - t1, "ms")
        self.check(not m.expires or m.expires > t0, "offset", m.offset, "has expired")
        least = m.deliveries + 1
        self.check(least <= got["deliveries"] <= least + m.maybe_more, "offset", m.offset, "was delivered",
                   m.deliveries, "times")
        if self.max_deliveries:
            self.check(got["deliveries"] <= self.max_deliveries, "offset", m.offset, "delivered too often")
        if self.by_key and m.key:
            for before in self.messages[:m.offset]:
                self.check(before.key != m.key or not before.is_open(t1) or self.may_be_dead(before, t1),
                           "offset", m.offset, "comes before", before.offset, "of its key")
        if m.lease:
            self.old_leases.append(m.lease)
        m.maybe_end, m.maybe_more = False, 0  # whatever a crash left open: it is here
        m.deliveries, m.lease = got["deliveries"], got["lease"]
        m.not_before = ms(got["lease_expires"])

    def may_be_dead(self, m, at):
        """Its last lease is over."""
        return self.max_deliveries and m.deliveries >= self.max_deliveries and m.not_before <= at

    def some(self):
        held = [m for m in self.messages if m.lease]
        return self.rng.sample(held, min(len(held), self.rng.choice([1, 1, 4, 30])))

    def settle(self):
        chosen = self.some()
        if not chosen:
            return
        verb = self.rng.choice(["ack", "ack", "ack", "nack", "extend", "reject"])
        body = {"leases": [m.lease for m in chosen]}
        if verb == "nack" and self.rng.random() < 0.5:
            body["delay"] = self.rng.choice(["0s", "50ms"])
        if verb == "extend":
            body["lease"] = self.rng.choice(["40ms", "1h"])
        a, t0, t1 = self.ask("POST", self.path(verb), body)
        self.check(a.status in (200, 207, 409), a)
        results = ([200] * len(chosen) if a.status == 200 else [409] * len(chosen) if a.status == 409 else
                   [r["status"] for r in a.json["results"]])
        self.note(verb, {k: v for k, v in body.items() if k != "leases"},
                  [(m.offset, r) for m, r in zip(chosen, results)])
        for m, result in zip(chosen, results):
            self.settled(m, verb, result == 200, body, a, t0, t1)

    def settled(self, m, verb, done, body, answer, t0, t1):
        if m.not_before <= t0 or m.end:
            self.check(not done, "a lease of offset", m.offset, "that was over could", verb)
        elif m.not_before > t1 and not m.maybe_more and not m.maybe_end:
            self.check(done, "a lease of offset", m.offset, "that is good could not", verb)
        if not done:
            return
        if verb == "extend":
            m.not_before = ms(answer.json["lease_expires"])
            return
        m.lease = None
        if verb == "ack":
            m.end = DONE
            self.acked += 1
        elif verb == "reject" or (self.max_deliveries and m.deliveries >= self.max_deliveries):
            m.end = DEAD if not m.expires or m.expires > t1 else PASSED
            m.maybe_end = False
        else:
            delay = {"0s": 0, "50ms": 50}[body["delay"]] if "delay" in body else 0 if m.deliveries == 1 else 20
            m.not_before = t0 + delay - 1  # the broker's clock has whole milliseconds

    def old_lease(self):
        """One that was taken over, or that a seek has made void."""
        if self.old_leases:
            a = self.ask("POST", self.path("ack"), {"leases": [self.rng.choice(self.old_leases[-3:])]})[0]
            self.check(a.status == 409, "an old lease is good:", a)

    def seek(self):
        if self.rng.random() < 0.8:
            return
        to = self.rng.randint(max(0, len(self.messages) - 60), len(self.messages))
        a = self.ask("POST", self.path("seek"), {"offset": to})[0]
        self.check(a.status == 200, a)
        self.note("seek", to)
        self.seeks += 1
        for m in self.messages:
            if m.lease:
                self.old_leases.append(m.lease)
            m.forget()
            if m.offset < to:
                m.end = PASSED

    def sleep(self):
        time.sleep(self.rng.choice([0.01, 0.05, 0.25]))

    def restart(self):
        self.note("restart")
        self.b.restart()

    def crash(self):
        """Killed with something under way."""
        what = self.rng.choice([self.half_an_ack, self.half_a_receive, self.half_a_publish, lambda c: None])
        with self.b.client() as c:
            what(c)
            time.sleep(self.rng.choice([0, 0, 0.002, 0.01]))
            self.b.kill()
        self.note("killed in", getattr(what, "__name__", "nothing"))
        self.prove()
        self.b.start()
        self.learn()

    def prove(self):
        """The store as the crash left it, where the program for that was built."""
        program = os.path.join(os.path.dirname(BIN), "tests/check_store")
        if os.access(program, os.X_OK):
            done = subprocess.run([program, self.b.data_dir], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.check(done.returncode == 0, "the store is not sound:", done.stdout)
            self.proofs += 1

    def half(self, c, path, body):
        c.send(c.head("POST", path, {"Content-Length": str(len(body))}) + body.encode())

    def half_an_ack(self, c):
        chosen = self.some()
        self.half(c, self.path("ack"), json.dumps({"leases": [m.lease for m in chosen]}))
        for m in chosen:
            m.maybe_end = True
            self.maybe_acked += 1

    def half_a_receive(self, c):
        self.half(c, self.path("receive") + "?limit=5&lease=100ms", "")
        for m in self.messages:
            m.maybe_more += not m.end
            if m.lease and m.not_before < now_ms() + 1000:
                m.maybe_end |= bool(self.max_deliveries)  # its last delivery may be the one nobody saw

    def half_a_publish(self, c):
        self.half(c, "/v1/topics/%s/messages" % self.topic, "half")

    # ---- all of it ----

    def step(self):
        self.steps += 1
        steps = [(self.publish, 20), (self.receive, 40), (self.settle, 40), (self.sleep, 6), (self.old_lease, 8),
                 (self.seek, 4), (self.crash, 1), (self.restart, 0.5)]
        self.rng.choices([s for s, _ in steps], [w for _, w in steps])[0]()

    def finish(self):
        """Acks all that comes, until nothing is left; leases of an hour are acked by their text."""
        for m in self.messages:
            if m.lease:
                self.ask("POST", self.path("nack"), {"leases": [m.lease], "delay": "0s"})
        end = time.monotonic() + 30
        while self.take_rest():
            self.check(time.monotonic() < end, "it does not end:", self.ask("GET", self.path())[0].json,
                       [m.offset for m in self.messages if m.is_open(now_ms())])
            time.sleep(0.02)
        dead = self.dead_letters()
        at = now_ms()
        for m in self.messages:
            ends = (m.end == DONE) + (m.offset in dead) + (m.end == PASSED)
            open_ = m.is_open(at) and m.end is None and m.offset not in dead
            self.check(not open_, "offset", m.offset, "is lost: deliveries", m.deliveries)
            self.check(m.end != DONE or ends == 1 or self.seeks, "offset", m.offset, "is acked, and a dead letter")

    def take_rest(self):
        a, t0, t1 = self.ask("POST", self.path("receive") + "?limit=100&lease=1h")
        got = a.json["messages"]
        for m in got:
            known = self.messages[m["offset"]]
            self.check(known.end not in (DONE, DEAD), "offset", known.offset, "comes again, although", known.end)
            self.check(known.wanted, "offset", known.offset, "comes, although the filter is against it")
            known.end, known.maybe_end = DONE, False
        if got:
            a = self.ask("POST", self.path("ack"), {"leases": [m["lease"] for m in got]})[0]
            self.check(a.status == 200, a)
        return self.ask("GET", self.path())[0].json["lag"]

    def dead_letters(self):
        """Offsets of the topic; since the last seek each is there once at most."""
        if self.b.ask("GET", "/v1/topics/%s.dead" % self.topic).status != 200:
            return set()
        found = self.b.read(self.topic + ".dead", limit=1000).json["messages"]
        offsets = [int(m["attributes"]["dead-letter-offset"]) for m in found]
        if not self.seeks:
            self.check(len(offsets) == len(set(offsets)), "a dead letter is there twice")
        return set(offsets)


def play(broker, seed, steps):
    p = Play(broker, seed)
    p.begin()
    for _ in range(steps):
        p.step()
    p.finish()
    return p
