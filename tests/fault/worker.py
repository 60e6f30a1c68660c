"""A worker of a subscription, as a process of its own that may be killed at any moment.

It writes down what it does, each line in one write before the next thing is done, so that the kernel
has it whatever becomes of the process. Times are nanoseconds of the machine's monotonic clock.

    Q t                     asks for messages
    N                       there are none
    R t wall until o:d ...  was given these: offset and how often delivered; until when, both in ms
    P o                     has done the work of this one
    A t o ...               sends an ack of these
    D t o:result ...        and this is what became of them: ok, or why not
    X t                     lost its connection instead of an answer
    E                       ended because it was told to
"""
import ctypes
import json
import os
import random
import signal
import time
import traceback

from holder import Holder
from httpclient import Client
from sub_model import ms


class Worker:
    def __init__(self, port, path, name, seed, how):
        """how: limit, lease, work (seconds for each message), singly, insists (acks again), tied (its leases, to a
        connection)."""
        self.port, self.path, self.how = port, path, how
        self.rng = random.Random(seed)
        self.file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.client = self.holder = None
        self.told = False

    def close(self):
        os.close(self.file)

    def stop(self, *_):
        self.told = True

    def note(self, *words):
        os.write(self.file, (" ".join(map(str, words)) + "\n").encode())

    # ---- asking ----

    def ask(self, verb, body=""):
        """None: the connection was lost before the answer."""
        try:
            if self.client is None:
                self.client = Client(self.port)
            return self.client.ask("POST", self.path + ":" + verb, body)
        except OSError:
            self.note("X", time.monotonic_ns())
            self.drop()
            time.sleep(0.02)
            return None

    def drop(self):
        if self.client:
            self.client.close()
        self.client = None

    def receive(self):
        self.note("Q", time.monotonic_ns())
        verb = "receive?limit=%d&lease=%s&wait=1" % (self.how["limit"], self.how["lease"])
        got = self.hold(verb) if self.how["tied"] else self.take(verb)
        if got is None:
            return []
        if not got:
            self.note("N")
        else:
            self.note("R", time.monotonic_ns(), int(time.time() * 1000), int(ms(got[0]["lease_expires"])),
                      *("%d:%d" % (m["offset"], m["deliveries"]) for m in got))
        for m in got:
            assert m["data"] == str(m["offset"]), m
        return got

    def take(self, verb):
        a = self.ask(verb)
        assert a is None or a.status == 200, a
        return a and a.json["messages"]

    def hold(self, verb):
        self.holder = Holder(self, self.path + ":" + verb)
        return self.holder.taken()

    def let_go(self):
        """All is acked, so its answer ends."""
        if self.holder:
            self.holder.end()
            self.holder.close()
        self.holder = None

    # ---- the work ----

    def process(self, m):
        time.sleep(self.how["work"])
        self.note("P", m["offset"])

    def ack(self, messages):
        """Who asks again, because no answer came, may find the lease fenced: it was settled."""
        offsets = [m["offset"] for m in messages]
        body = json.dumps({"leases": [m["lease"] for m in messages]})
        while True:
            self.note("A", time.monotonic_ns(), *offsets)
            a = self.ask("ack", body)
            if a is not None:
                break
            if not self.how["insists"]:
                return
        results = self.results(a, len(messages))
        self.note("D", time.monotonic_ns(), *("%d:%s" % pair for pair in zip(offsets, results)))

    def results(self, a, count):
        assert a.status in (200, 207, 409), a
        if a.status == 200:
            return ["ok"] * count
        return [r.get("code", "ok") for r in a.json["results"]] if "results" in a.json else [a.json["code"]] * count

    def round(self):
        got = self.receive()
        if self.how["singly"]:
            self.rng.shuffle(got)
        for m in got:
            self.process(m)
            if self.how["singly"]:
                self.ack([m])
        if got and not self.how["singly"]:
            self.ack(got)
        self.let_go()

    def run(self):
        signal.signal(signal.SIGTERM, self.stop)
        while not self.told:
            self.round()
        self.note("E")


def spawn(run):
    """The id of a process that does this. It ends with its parent at the latest."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
