#!/usr/bin/env python3
"""Eight workers of one subscription, one of them killed every second: nothing is lost, and what was done twice
is counted and explained (worker_check.py says what must be true).

    tests/fault/workers.py              a few thousand messages in a few seconds
    tests/fault/workers.py --full       200,000, and 50,000 in order by key
    tests/fault/workers.py --seed N     repeats a run, as far as chance allows

Half of the workers ack all of an answer at once, the others each message by itself, in another order. Half of
the messages are there at the beginning, the others are published meanwhile.

The plays: `plain`; `key`, in order by key; `broker`, where kill -9 hits the broker as well. Who gets no answer asks
again then: the publisher by Idempotency-Key, and half of the workers, for their acks; `tied`, where leases are
of 12 hours, and end with the connection of a worker that is killed.
"""
import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import worker  # noqa: E402
import worker_check  # noqa: E402
from sluicetest import BIN, PATIENCE, Broker, until  # noqa: E402

WORKERS, LIMIT, BATCH = 8, 50, 100
PLAYS = ("plain", "key", "broker", "tied")
SHORT = {"plain": 4000, "key": 2000, "broker": 2000, "tied": 2000}
FULL = {"plain": 200000, "key": 50000, "broker": 50000, "tied": 50000}
TOPIC, SUBSCRIPTION = "work", "/v1/subscriptions/workers"


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--full", action="store_true")
    p.add_argument("--only", choices=PLAYS)
    p.add_argument("--messages", type=int, help="of each play")
    p.add_argument("--seconds", type=float, help="that the work of a play takes at least")
    p.add_argument("--every", type=float, help="seconds from kill to kill, on average")
    p.add_argument("--lease", type=float, help="seconds")
    p.add_argument("--keys", type=int, default=500)
    p.add_argument("--seed", type=int, default=None)
    a = p.parse_args()
    for name, short, full in (("seconds", 1.5, 80.0), ("every", 0.15, 1.0), ("lease", 2.0, 3.0)):
        if getattr(a, name) is None:
            setattr(a, name, full if a.full else short)
    return a


class Publisher:
    """Batch by batch, each until it is answered; slowly, so that it ends when half of the work is done."""

    def __init__(self, play, start, end, seconds):
        self.play, self.offsets, self.rest = play, range(start, end, BATCH), seconds * BATCH / (end - start)
        self.end = end

    def run(self):
        for at in self.offsets:
            self.publish(at)
            time.sleep(self.rest)

    def publish(self, at):
        lines = "\n".join(json.dumps(self.play.message(n)) for n in range(at, min(at + BATCH, self.end)))
        while True:
            try:
                a = self.play.broker.batch(TOPIC, lines, headers={"Idempotency-Key": '"from-%d"' % at})
                break
            except OSError:
                time.sleep(0.02)
        assert a.status == 201 and a.json["first_offset"] == at, a


class Play:
    def __init__(self, name, count, seed, directory, a):
        self.name, self.count, self.seed, self.directory, self.a = name, count, seed, directory, a
        self.rng = random.Random(seed)
        self.by_key, self.tied = name == "key", name == "tied"
        self.broker = Broker(default_ttl="0")
        self.workers = {}  # by process id: name and number
        self.names, self.broker_kills = {}, []  # when was this worker killed, and the broker?
        self.publisher = None

    def message(self, n):
        return dict({"data": str(n)}, **({"key": self.key(n)} if self.by_key else {}))

    def key(self, n):
        return "k%d" % (n * 7919 % self.a.keys)

    def state(self):
        a = self.broker.ask("GET", SUBSCRIPTION)
        assert a.status == 200, a
        return a.json

    # ---- the workers ----

    def hire(self, number):
        name = "%s-%d" % (self.name, len(self.names))
        how = {"limit": LIMIT, "lease": "12h" if self.tied else "%dms" % (self.a.lease * 1000),
               "tied": self.tied, "singly": number % 2 == 1, "insists": number % 4 < 2,
               "work": self.a.seconds * WORKERS / self.count}
        w = worker.Worker(self.broker.port, SUBSCRIPTION, self.log(name), self.rng.randrange(1 << 30), how)
        pid = worker.spawn(w.run)
        w.close()
        self.workers[pid] = (name, number)
        self.names[name] = None

    def log(self, name):
        return os.path.join(self.directory, name)

    def is_acking(self, name):
        """What it wrote last is that it sends an ack."""
        with open(self.log(name), "rb") as f:
            f.seek(max(0, os.fstat(f.fileno()).st_size - 1000))
            lines = f.read().split(b"\n")
        return len(lines) > 1 and lines[-2].startswith(b"A ")

    def aim(self, name):
        """Every second kill waits a moment for an ack of the one it is meant for: they are quickly answered."""
        end = time.monotonic() + self.rng.choice([0, 0.5 * self.a.every])
        while time.monotonic() < end and not self.is_acking(name):
            pass

    def wait(self, pid):
        """Its exit status, and who it was."""
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), self.workers.pop(pid)

    def kill_one(self):
        pid, (name, _) = self.rng.choice(list(self.workers.items()))
        self.aim(name)
        at = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        status, (name, number) = self.wait(pid)
        assert status == -signal.SIGKILL, "%s had ended before, with %d" % (name, status)
        self.names[name] = at
        self.hire(number)

    def kill_broker(self):
        self.aim(self.rng.choice(list(self.workers.values()))[0])
        before = time.monotonic_ns()
        self.broker.kill()
        self.broker_kills.append((before, time.monotonic_ns()))
        self.broker.start()

    def dismiss(self):
        for pid in list(self.workers):
            os.kill(pid, signal.SIGTERM)
        for pid in list(self.workers):
            status, (name, _) = self.wait(pid)
            assert status == 0, "%s ended with %d" % (name, status)

    def let_die(self):
        for pid in list(self.workers) + [self.publisher] * bool(self.publisher):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    # ---- the story ----

    def begin(self):
        a = self.broker.ask("PUT", SUBSCRIPTION, json.dumps(
            {"topic": TOPIC, "ordering": "key" if self.by_key else "none"}))
        assert a.status == 201, a
        half = self.count // 2 // BATCH * BATCH
        Publisher(self, 0, half, 0).run()
        self.publisher = worker.spawn(Publisher(self, half, self.count, self.a.seconds / 2).run)
        for number in range(WORKERS):
            self.hire(number)

    def is_published(self):
        if self.publisher:
            pid, status = os.waitpid(self.publisher, os.WNOHANG)
            self.publisher = None if pid else self.publisher
            assert status == 0, "the publisher failed"
        return not self.publisher

    def kill_on(self):
        """Until all is published and most of it is done; then whoever is left does the rest."""
        end = time.monotonic() + PATIENCE + 10 * self.a.seconds
        while not self.is_published() or self.state()["acked"] < self.count * 0.8:
            time.sleep(self.rng.uniform(0.5, 1.5) * self.a.every)
            assert time.monotonic() < end, "it does not go on: %s" % self.state()
            self.kill_one()
            if self.name == "broker" and len(self.names) % 4 == 0:
                self.kill_broker()

    def finish(self):
        end = PATIENCE + 2 * self.a.seconds
        until(lambda: self.state()["lag"] == 0, end, 0.1, "all is acked: %s" % self.state())
        self.dismiss()
        before = self.check_end()
        self.broker.restart()
        assert self.check_end()["delivered"] == before["delivered"]

    def check_end(self):
        """All is done, once, and nothing is delivered any more."""
        a = self.broker.ask("POST", SUBSCRIPTION + ":receive?limit=1000")
        s = self.state()
        assert a.json["messages"] == [], a
        assert s["acked"] == self.count and s["next"] == self.count, s
        assert s["dead"] == s["expired"] == 0, s
        assert s["lag"] == s["in_flight"] == s["waiting"] == s["ready"] == s["held"] == 0, s
        return s

    def judge(self):
        logs = [worker_check.Log(name, killed).read(self.log(name)) for name, killed in self.names.items()]
        return worker_check.check(logs, self.count, LIMIT, self.broker_kills, self.tied,
                                  self.key if self.by_key else None)

    def run(self):
        try:
            self.begin()
            self.kill_on()
            self.finish()
            self.broker.stop()
            return self.judge()
        finally:
            self.let_die()
            self.broker.kill()


def tell(play, f, seconds):
    kills = sum(at is not None for at in play.names.values())
    print("ok   %s, seed %d: %d messages, %d workers killed%s in %.1f s; none lost" % (
        play.name, play.seed, play.count, kills,
        ", the broker %d times" % len(play.broker_kills) if play.broker_kills else "", seconds))
    print("     %d deliveries seen, %d more in %d receives that were broken off; %d were acked, and nobody was told" % (
        f["seen"], f["unseen"], f["broken"], f["untold"]))
    print("     processed twice %d times, delivered again %d times; the worker before was killed ..." % (
        sum(f["twice"].values()), sum(f["again"].values())))
    for why in worker_check.REASONS:
        print("       ... %s: %d, %d" % (why, f["twice"][why], f["again"][why]), flush=True)


def one(name, count, seed, a):
    """How many messages were with somebody who was killed; None: it failed."""
    with tempfile.TemporaryDirectory(prefix="sluice-workers-") as directory:
        play = Play(name, count, seed, directory, a)
        began = time.monotonic()
        try:
            figures = play.run()
            tell(play, figures, time.monotonic() - began)
            play.broker.remove()
            return sum(figures["again"].values()) + figures["untold"]
        except Exception as e:
            print("FAIL %s, seed %d: %s\nthe store is kept in %s" % (name, seed, e, play.broker.own), flush=True)
            return None


def main():
    a = arguments()
    first = a.seed if a.seed is not None else random.SystemRandom().randrange(1 << 30)
    print("seed %d, %s" % (first, os.path.relpath(BIN)), flush=True)
    plays = [p for p in PLAYS if a.only in (None, p)]
    met = [one(p, a.messages or (FULL if a.full else SHORT)[p], first, a) for p in plays]
    failed = met.count(None)
    if not failed and not any(met):
        failed += 1
        print("FAIL no kill met a message: this tested nothing")
    print("%d passed, %d failed, 0 skipped" % (len(plays) - met.count(None), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
