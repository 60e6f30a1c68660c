"""Consumers of subscriptions as a load: those who work, and those who do all that a broker fears.

Everything is on `TOPICS` and a topic "dead" that is full. Publishers are the scenario's own; only the messages
with keys come from here.
"""
import json
import random
import socket
import threading

from scenario import start_play

KEYED, DEAD, QUIET = "keyed", "dead", "quiet"
LEASE = "500ms"


def receive(sub, query="", headers=""):
    return ("send POST /v1/subscriptions/%s:receive%s HTTP/1.1\\r\\nHost: sluice\\r\\nContent-Length: 0\\r\\n%s\\r\\n"
            % (sub, query, headers))


class Thread(threading.Thread):
    """Does `turn` over and over; what went wrong is in `error`."""

    def __init__(self, b):
        super().__init__(daemon=True)
        self.b, self.ended, self.error, self.turns = b, threading.Event(), None, 0

    def run(self):
        try:
            with self.b.client() as k:
                while not self.ended.is_set():
                    self.turn(k)
                    self.turns += 1
        except Exception as e:
            self.error = repr(e)[:300]

    def stop(self):
        self.ended.set()
        self.join()


class Worker(Thread):
    """`share`: of a hundred answers so many are settled by each verb; the rest is left to run out."""

    def __init__(self, b, sub, seed, **share):
        super().__init__(b)
        self.sub, self.random = sub, random.Random(seed)
        self.verbs, self.shares = list(share), list(share.values())
        self.got, self.settled, self.statuses = 0, 0, {}
        self.query = "?limit=50&max_bytes=1MiB&wait=200ms&lease=" + LEASE

    def ask(self, k, verb, body=""):
        a = k.ask("POST", "/v1/subscriptions/%s:%s" % (self.sub, verb), body)
        self.statuses[a.status] = self.statuses.get(a.status, 0) + 1
        return a

    def turn(self, k):
        a = self.ask(k, "receive" + self.query)
        if a.status != 200 or not a.json["messages"]:
            return
        leases = [m["lease"] for m in a.json["messages"]]
        self.got += len(leases)
        verb = self.random.choices(self.verbs + ["leave"], self.shares + [max(0, 100 - sum(self.shares))])[0]
        if verb == "leave":
            return
        if verb == "extend":
            self.ask(k, "extend", json.dumps({"leases": leases, "lease": LEASE}))
            verb = "ack"
        more = {"delay": "50ms"} if verb == "nack" else {}
        a = self.ask(k, verb, json.dumps(dict({"leases": leases}, **more)))
        self.settled += a.json["settled"] if a.status in (200, 207) else 0


class Keys(Thread):
    """Messages of a few keys, of which one is stuck: its first message is leased, and never acked."""

    published = 0

    def turn(self, k):
        lines = "\n".join(json.dumps({"key": "stuck" if i % 5 == 0 else "k%d" % (i % 7), "data": "x" * 200})
                          for i in range(50))
        a = k.ask("POST", "/v1/topics/%s/messages:batch" % KEYED, lines, {"Content-Type": "application/x-ndjson"})
        assert a.status in (201, 503), a
        self.published += 50 if a.status == 201 else 0
        self.ended.wait(0.1)


class Sloths(Thread):
    """Take many messages in one answer and do not read it; after a while they are gone."""

    def __init__(self, b, sub, count):
        super().__init__(b)
        self.sub, self.count = sub, count

    def turn(self, k):
        held = []
        for _ in range(self.count):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", self.b.port))
            s.sendall(k.head("POST", "/v1/subscriptions/%s:receive?limit=1000&lease=%s" % (self.sub, LEASE),
                             {"Content-Length": "0"}))
            held.append(s)
        self.ended.wait(1)
        for s in held:
            s.close()


class Consumers:
    """All of it, for `seconds`. `waiting`: who waits where next to nothing comes, and beside the workers. `steady`: only what
    is the same all the time, so that memory can be held against itself: no large answers, nothing given up."""

    def __init__(self, b, topics, seconds, waiting=100, idle=100, steady=False, ttl=None):
        self.b, self.seconds, self.waiting, self.steady, self.ttl = b, seconds, waiting, steady, ttl
        dead = not steady
        self.subs = []
        self.make_topics(dead)
        for i, t in enumerate(topics):
            for name, settings in (("plain", {}), ("gone", {}), ("slow", {}), ("nack", {"backoff": ["20ms", "100ms"]})):
                self.make("%s-%d" % (name, i), t, **settings)
            if dead:
                self.make("dead-%d" % i, t, max_deliveries=1, dead_letter=DEAD)
        for i in range(idle):
            self.make("idle-%d" % i, topics[i % len(topics)])
        self.make("by-key", KEYED, ordering="key")
        self.make("quiet", QUIET)
        self.threads = self.make_threads(len(topics))
        self.plays = []

    def make_topics(self, dead):
        if dead:  # it is full from the beginning: nothing is ever given up
            assert self.b.ask("PUT", "/v1/topics/" + DEAD, '{"max_messages":1,"overflow":"reject","ttl":"1h"}').status == 201
            self.b.offset(DEAD, b"x")
        for t in KEYED, QUIET:
            settings = {"ttl": "%ds" % self.ttl} if self.ttl else {}
            assert self.b.ask("PUT", "/v1/topics/" + t, json.dumps(settings)).status == 201

    def make(self, sub, topic, **settings):
        a = self.b.ask("PUT", "/v1/subscriptions/" + sub, json.dumps(dict({"topic": topic, "lease": LEASE}, **settings)))
        assert a.status == 201, a
        self.subs.append(sub)

    def make_threads(self, topics):
        out = [Keys(self.b), Worker(self.b, "by-key", 1, ack=60, nack=20)]
        for i in range(topics):
            out += [Worker(self.b, "plain-%d" % i, i, ack=80, extend=10), Worker(self.b, "nack-%d" % i, i, nack=60, ack=30)]
        if self.steady:
            for w in out[1:]:
                w.query = "?limit=20&max_bytes=64KiB&wait=200ms&lease=" + LEASE
            return out
        return out + [Worker(self.b, "dead-0", 9, reject=60, nack=20), Sloths(self.b, "slow-0", 20)]

    def wait_here(self, sub, query, count, status):
        """Receivers who take whatever comes and settle nothing of it, as if they had died."""
        self.plays.append(start_play(self.b, [receive(sub, query), "answer " + status], connections=count, turns=0,
                                     seconds=self.seconds))

    def __enter__(self):
        for sub in self.subs:  # who is abandoned had something once
            if sub.startswith("gone"):
                self.b.ask("POST", "/v1/subscriptions/%s:receive?limit=10" % sub, "")
        for t in self.threads:
            t.start()
        self.wait_here("quiet", "?wait=60s", self.waiting, "200,eof")
        self.wait_here("plain-0", "?wait=1s", self.waiting // 4, "200,503")
        return self

    def __exit__(self, *_):
        for t in self.threads:
            t.ended.set()
        for t in self.threads:
            t.stop()
        for p in self.plays:  # they wait: their connections just end
            p.kill()

    def published(self):
        return sum(t.published for t in self.threads if isinstance(t, Keys))

    def workers(self):
        return [t for t in self.threads if isinstance(t, Worker)]

    def check(self, r):
        """They did work, and nobody was told nonsense."""
        got, settled = (sum(getattr(w, k) for w in self.workers()) for k in ("got", "settled"))
        r.check("consumers: leased, settled", got and settled, "%d, %d" % (got, settled))
        errors = [t.error for t in self.threads if t.error]
        r.check("consumers: none fails", not errors, str(errors[:2] or "none"))
        statuses = {}
        for w in self.workers():
            for k, n in w.statuses.items():
                statuses[k] = statuses.get(k, 0) + n
        bad = {k: n for k, n in statuses.items() if k not in (200, 207, 409, 503)}
        r.check("consumers: 200, 207, 409 or 503", not bad and statuses.get(200), str(statuses))
        r.check("each of them comes round", all(t.turns for t in self.threads), min(t.turns for t in self.threads))


def held(b):
    """What subscriptions still have of messages: of each kind, over all of them."""
    sums, after = {}, ""
    while after is not None:
        a = b.ask("GET", "/v1/subscriptions?limit=200" + ("&after=" + after if after else ""))
        assert a.status == 200, a
        for s in a.json["subscriptions"]:
            for k in "lag", "in_flight", "waiting", "ready", "held":
                sums[k] = sums.get(k, 0) + s[k]
        after = a.json["next"]
    return {k: n for k, n in sums.items() if n}
