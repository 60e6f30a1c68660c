#!/usr/bin/env python3
"""kill -9 at random moments under load, many rounds on one store.

After each restart: every message that was acknowledged is there, whole, in order, at its
offset and nowhere else, and so is every update of the Mercure hub, which is found again by its id
(hub_load.py); publishes that are sent again are stored once, and what subscriptions have finished stays
so (sub_load.py); the ledger starts at 0; the books balance. Every ten rounds the store is proven as
the crash left it (check_store).

    tests/fault/kill9.py [--rounds 50] [--seed N] [--connections 32] [--longest 0.7] [--durability fsync]
    tests/fault/kill9.py --rounds 1 --seed N     repeats one that failed, as far as chance allows
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from hub_load import SETTINGS, HubLoad  # noqa: E402
from sub_load import SubLoad  # noqa: E402
from sluicetest import BIN, Broker, Hammer, hammer, until  # noqa: E402

TOPICS = 4
LOAD = ["load-%d" % i for i in range(TOPICS)]
NAMESPACES = ("load-", "load-1")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=50)
    p.add_argument("--seed", type=int, default=None)
    p.add_argument("--connections", type=int, default=32)
    p.add_argument("--longest", type=float, default=0.7, help="seconds of load before the kill, at most")
    p.add_argument("--full-check-every", type=int, default=10)
    return p.parse_args()


class Round:
    def __init__(self, number, seed, broker, directory, subs, a):
        self.rng = random.Random(seed)
        self.number, self.seed, self.broker, self.a = number, seed, broker, a
        self.acks = os.path.join(directory, "acks-%d" % number)
        self.starts = self.next_offsets()
        self.hub, self.subs = HubLoad(broker, number, self.rng), subs
        self.whole = (number + 1) % a.full_check_every == 0 or number + 1 == a.rounds

    def next_offsets(self, names=LOAD):
        out = {}
        for name in names:
            a = self.broker.ask("GET", "/v1/topics/" + name)
            out[name] = a.json["next"] if a.status == 200 else 0
        return out

    def load(self):
        """Single messages, a few of them large, and batches: every way into the log."""
        common = dict(topics=TOPICS, until_lost=True, seconds=30, run=self.number, grace=1)
        return [
            Hammer("publish", self.broker.address, connections=self.a.connections, acks=self.acks,
                   size=self.rng.choice(["100", "90%200,10%20KiB", "97%1KiB,3%300KiB"]), **common),
            Hammer("publish", self.broker.address, connections=4, acks=self.acks + ".batch", size=120,
                   batch=self.rng.choice([10, 100, 1000]), **dict(common, run=self.number + 1000000)),
        ]

    def kill_under_load(self):
        clients = self.load()
        self.hub.begin()
        self.subs.begin(self.rng)
        until(lambda: os.path.exists(self.acks), what="the load begins")
        time.sleep(self.rng.uniform(0.01, self.a.longest))
        self.broker.kill()
        figures = [c.finish() for c in clients]
        for c in clients:
            c.__exit__()
        return sum(f["messages"] for f in figures)

    def check(self):
        """This round's part of the log, topic by topic."""
        sums = {"acknowledged": 0, "extra": 0}
        for topic, start in self.starts.items():
            f = hammer("verify", self.broker.address, self.acks, self.acks + ".batch", topic=topic, check=False,
                       **{"from": start})
            if f["exit_status"]:
                raise AssertionError("%s: %s\n%s" % (topic, {k: v for k, v in f.items() if k != "stderr"}, f["stderr"]))
            for k in sums:
                sums[k] += f[k]
        return sums

    def all_offsets(self):
        return sum(self.next_offsets(LOAD + list(self.subs.topics())).values()) + self.hub.next_offset()

    def check_books(self):
        """Dead letters may come at any moment: until none came meanwhile."""
        nexts, m = self.all_offsets(), self.broker.metrics()
        while nexts != self.all_offsets():
            nexts, m = self.all_offsets(), self.broker.metrics()
        assert m["sluice_publish_buffer_bytes"] == 0, m["sluice_publish_buffer_bytes"]
        parts = (m["sluice_messages_live"], m["sluice_messages_expired_total"], m["sluice_messages_removed_total"])
        assert m["sluice_messages_accepted_total"] == sum(parts), (m["sluice_messages_accepted_total"], parts)
        self.check_namespaces()
        assert m["sluice_messages_accepted_total"] == nexts, (m["sluice_messages_accepted_total"], nexts)

    def check_namespaces(self):
        topics = self.broker.ask("GET", "/v1/topics").json["topics"]
        for prefix in NAMESPACES:
            says = self.broker.ask("GET", "/v1/namespaces/" + prefix).json
            of = [t for t in topics if t["topic"].startswith(prefix)]
            sums = (len(of), sum(t["messages"] for t in of), sum(t["bytes"] for t in of))
            assert (says["topics"], says["messages"], says["bytes"]) == sums, (says, sums)

    def run(self):
        sent = self.kill_under_load()
        updates = self.hub.finish()
        publishes, deliveries = self.subs.finish()
        if self.whole:
            check_store(self.broker)
        began = time.monotonic()
        self.broker.start()
        took = time.monotonic() - began
        sums = self.check()
        assert sums["acknowledged"] == sent, "%d acknowledged, %d verified" % (sent, sums["acknowledged"])
        extra = sums["extra"] + self.hub.check() + self.subs.check()
        self.check_books()
        print("ok   round %2d seed %d: %d, %d updates, %d with a key acknowledged, %d more were stored; "
              "%d deliveries; ready after %.0f ms" % (
                  self.number, self.seed, sent, updates, publishes, extra, deliveries, took * 1000), flush=True)
        return sent, updates, publishes, deliveries


def check_store(broker):
    """While no broker has it."""
    program = os.path.join(os.path.dirname(BIN), "tests/check_store")
    done = subprocess.run([program, broker.data_dir], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, "the store is not sound:\n" + done.stdout
    print("     the store as the crash left it is sound", flush=True)


def check_all(broker, files):
    f = hammer("verify", broker.address, *files, check=False)
    if f["exit_status"]:
        raise AssertionError("the whole log: %s\n%s" % ({k: v for k, v in f.items() if k != "stderr"}, f["stderr"]))
    print("     the whole log so far: %d messages, all well" % f["messages"], flush=True)


def main():
    a = arguments()
    first_seed = a.seed if a.seed is not None else random.SystemRandom().randrange(1 << 30)
    passed = failed = 0
    counts, files = [0] * 4, []
    broker = Broker(default_ttl="0", **SETTINGS)
    for prefix in NAMESPACES:
        assert broker.ask("PUT", "/v1/namespaces/" + prefix, "{}").status == 201
    subs = SubLoad(broker, random.Random(first_seed))
    print("seed %d, %s" % (first_seed, os.path.relpath(BIN)), flush=True)
    with tempfile.TemporaryDirectory(prefix="sluice-kill9-") as directory:
        for number in range(a.rounds):
            try:
                r = Round(number, first_seed + number, broker, directory, subs, a)
                counts = [x + y for x, y in zip(counts, r.run())]
                files += [r.acks, r.acks + ".batch"]
                if r.whole:
                    check_all(broker, [f for f in files if os.path.exists(f)])
                    r.hub.check_again()
                passed += 1
            except AssertionError as e:
                failed += 1
                print("FAIL round %d seed %d: %s" % (number, first_seed + number, e), flush=True)
                if broker.process is None or broker.process.poll() is not None:
                    break
        try:
            if not failed:
                print("     " + subs.check_end(), flush=True)
            broker.stop()
        except AssertionError as e:
            failed += 1
            print("FAIL at the end: %s" % e, flush=True)
    if failed:
        print("the store of the failure is kept in " + broker.own, flush=True)
    else:
        broker.remove()
    if 0 in counts:
        failed += 1
        print("FAIL nothing was acknowledged: this tested nothing", flush=True)
    print("%d acknowledged in all, %d updates of the hub, %d publishes with a key, %d deliveries" % tuple(counts))
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
