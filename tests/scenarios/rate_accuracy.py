#!/usr/bin/env python3
"""Rate limits over ten seconds: what is stored is what the limit says, within 5 %.

Three scopes (broker, topic, caller), two units (messages, bytes), three doors (one message, a
batch, Pulsar's REST API): eighteen flows, each offered twice its limit at least. What was stored
in ten seconds is counted by the messages' own stored times. Then each flow is put in debt: it is
refused and told when to come back; before that it is refused again, then it is let in.

Ten seconds begin with a full bucket, which holds a quarter of a second's tokens: 2.5 % of the 5.

The limits of a topic, and of a caller, are shown by six flows of one broker that do not know of
each other; the broker's by two callers with two topics each. A stall of the load longer than
rate_burst loses tokens, as it should; such time is taken off what is expected, and is little.

Guard: a bucket that holds ten seconds instead of a quarter of one; and a limit that is halved
once somebody was told when to come back.
"""
import datetime
import json
import socket
import threading
import time

from scenario import KiB, Part, ScenarioBroker, main, start_hammer
from sluicetest import Client

SCOPES, UNITS, DOORS = ("broker", "topic", "caller"), ("messages", "bytes"), ("one", "batch", "pulsar")
SECONDS, WITHIN, BURST, STALLED_MOST = 10, 0.05, 0.25, 2.0
BATCH, DEBT = 10, 3
NATIVE = "persistent:%2F%2Fpublic%2Fdefault%2F"


class Caller(Client):
    """From an address of its own."""

    def __init__(self, port, source):
        self.host, self.kept = "127.0.0.1:%d" % port, b""
        self.sock = socket.create_connection(("127.0.0.1", port), 60, (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Flow:
    def __init__(self, scope, unit, door, per_s, number):
        self.scope, self.unit, self.door, self.per_s = scope, unit, door, per_s
        self.name = "%s, %s, %s" % (scope, unit, door)
        self.topics = 1 if scope == "topic" else 2
        self.pattern = "%s-%s-%s-%%d" % (scope, unit, door)
        self.source = "127.0.%d.1" % (2 + number)
        self.size = 60 if unit == "messages" else 1 * KiB
        self.count = 1 if door == "one" else BATCH

    def topic(self, i):
        return (NATIVE if self.door == "pulsar" else "") + self.pattern.replace("%d", str(i))

    def body(self, i):
        text = "x" * self.size
        if self.door == "pulsar":
            return json.dumps({"messages": [{"payload": text}] * self.count}, separators=(",", ":"))
        return text if self.door == "one" else '{"data":"%s"}\n' % text * self.count

    def ask(self, client, i=0):
        if self.door == "pulsar":
            return client.ask("POST", "/topics/persistent/public/default/" + self.pattern.replace("%d", str(i)), self.body(i))
        if self.door == "one":
            return client.ask("POST", "/v1/topics/%s/messages" % self.topic(i), self.body(i))
        return client.ask("POST", "/v1/topics/%s/messages:batch" % self.topic(i), self.body(i),
                          {"Content-Type": "application/x-ndjson"})

    def cost(self):
        """Of a stored message: a limit in bytes is one of the bodies that came."""
        return 1 if self.unit == "messages" else len(self.body(0)) / self.count

    def offer(self, b):
        """Who is refused rests for 50 ms: these offer four times the limit and more."""
        requests = self.per_s / self.cost() / self.count
        connections = max(4, int(4 * requests / 20))
        return start_hammer("publish", b, connections=connections, seconds=SECONDS + 1, size=self.size,
                            topic=self.pattern, topics=self.topics, source=self.source,
                            per_source=-(-connections // 2) if self.scope == "broker" else connections,
                            pulsar=self.door == "pulsar", batch=None if self.door == "one" else BATCH, grace=10)

    # ---- what is stored ----

    def stored(self, b):
        """When, in seconds."""
        out = []
        with b.client() as k:
            for i in range(self.topics):
                page, at = True, 0
                while page:
                    answer = k.ask("GET", "/v1/topics/%s/messages?from=%d&limit=1000" % (self.topic(i), at)).json
                    page, at = answer["messages"], answer["next"]
                    out += [datetime.datetime.fromisoformat(m["time"]).timestamp() for m in page]
        return sorted(out)

    def measure(self, b, f):
        times = self.stored(b)
        within = [t for t in times if t < times[0] + SECONDS]
        ends = within + [times[0] + SECONDS]
        self.stalled = sum(max(0, y - x - BURST) for x, y in zip(ends, ends[1:]))
        self.sum = len(within) * self.cost()
        self.offered = f["requests"] * self.count * self.cost() / (SECONDS + 1)
        self.figures = f

    # ---- and what a refusal says ----

    def into_debt(self, b):
        """Takes so many seconds of the limit at once. Who is refused may lose its connection."""
        n = DEBT * self.per_s
        body, path = ("x" * n, "messages") if self.unit == "bytes" else ('{"data":1}\n' * n, "messages:batch")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with Caller(b.port, self.source) as k:
                a = k.ask("POST", "/v1/topics/%s/%s" % (self.topic(0), path), body,
                          {"Content-Type": "application/x-ndjson"})
            if a.status == 201:
                return
            time.sleep(0.1)
        raise AssertionError("no way into debt: %r" % a)

    def setting(self):
        return "%s_rate_%s" % ("publish" if self.scope == "broker" else self.scope, self.unit)

    def come_back(self, b, guard):
        """What the refusal said, and the statuses of the same request then."""
        self.into_debt(b)
        with Caller(b.port, self.source) as k:
            refused, at = self.ask(k), time.monotonic()
            self.statuses = [refused.status]
            self.told = int(refused.header("Retry-After") or 0)
            self.why = self.door != "pulsar" or "reason" in (refused.json or {})
            if refused.status != 429:
                return
            if guard:
                b.ask("PATCH", "/v1/limits", '{"%s":%d}' % (self.setting(), self.per_s // 2))
            early = at + self.told - 1.25
            time.sleep(max(0, early - time.monotonic()))
            if time.monotonic() < early + 0.2:
                self.statuses.append(self.ask(k).status)
            time.sleep(max(0, at + self.told - time.monotonic()))
            self.statuses.append(self.ask(k).status)

    def is_honest(self):
        """Every answer is a message stored, or a 429 that says when and why."""
        f = self.figures
        return not f["untold"] and not f["errors"] and set(f["status"]) == {str(self.admitted()), "429"} and self.why

    def admitted(self):
        return 200 if self.door == "pulsar" else 201

    def report(self, r):
        most = self.per_s * SECONDS
        least = self.per_s * (SECONDS - self.stalled)
        r.check(count_check(self), least * (1 - WITHIN) <= self.sum <= most * (1 + WITHIN) and self.stalled <= STALLED_MOST,
                "%d = %.1f %%" % (self.sum, 100 * self.sum / most),
                "of %d; offered %.1f x%s" % (most, self.offered / self.per_s,
                                             ", stalled %.1f s" % self.stalled if self.stalled else ""))
        true = self.statuses in ([429, 429, self.admitted()], [429, self.admitted()]) and DEBT - 1 <= self.told <= DEBT + 1
        r.check(refusal_check(self), true, ", ".join(str(s) for s in self.statuses), "told %d s" % self.told)


def count_check(flow):
    return flow.name + ": stored in 10 s"


def refusal_check(flow):
    return flow.name + ": Retry-After is true"


def settings_of(flows, guard, durability):
    out = {"rate_burst": "10s" if guard else "250ms", "durability": durability}
    for flow in flows:
        out[flow.setting()] = flow.per_s
    return out


def together(work, items):
    """Each in a thread; an exception in one is one here."""
    errors = []

    def guarded(item):
        try:
            work(item)
        except Exception as e:
            errors.append(e)
    threads = [threading.Thread(target=guarded, args=(item,)) for item in items]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def run_group(flows, guard, durability):
    """One broker."""
    with ScenarioBroker(memory_limit="64MiB", **settings_of(flows, guard, durability)) as b:
        loads = [(flow, flow.offer(b)) for flow in flows]
        for flow, load in loads:
            flow.measure(b, load.wait())
        together(lambda flow: flow.come_back(b, guard), flows)


def flows_of(messages, octets):
    """All, and those that share a broker."""
    kinds = [(s, u, d) for s in SCOPES for u in UNITS for d in DOORS]
    flows = [Flow(s, u, d, messages if u == "messages" else octets, i) for i, (s, u, d) in enumerate(kinds)]
    groups = [[f for f in flows if f.scope == s] for s in SCOPES if s != "broker"]
    return flows, groups + [[f] for f in flows if f.scope == "broker"]


def all_flows(c):
    flows, groups = flows_of(c.pick(200, 500), c.pick(100, 250) * KiB)
    together(lambda group: run_group(group, c.guard, c.pick("relaxed", "fsync")), groups)
    r = c.report
    for flow in flows:
        flow.report(r)
    wrong = [f for f in flows if not f.is_honest()]
    r.check("every answer: stored, or 429 that says when and why", not wrong,
            "%d answers" % sum(f.figures["requests"] for f in flows), str([(f.name, f.figures["status"]) for f in wrong] or ""))
    if not c.guard:
        r.least("least offered, of the limit", min(f.offered / f.per_s for f in flows), 2.0, lambda v: "%.1f x" % v)
    off = [abs(f.sum / (f.per_s * SECONDS) - 1) for f in flows]
    r.key("worst of %d: %.1f %% off" % (len(off), 100 * max(off)))


CHECKS = [check(f) for f in flows_of(1, 1)[0] for check in (count_check, refusal_check)]

if __name__ == "__main__":
    main("rate accuracy", [Part("every scope, unit and door", all_flows, fails=CHECKS, takes=(15, 20))])
