"""Publishers of small messages and the readers that wait for them, in a process of their own.

Each pair has a topic. Its publisher sends so many messages a second, each with the time in it;
its reader follows the topic with a long-poll. Every message must come once, in order.
"""
import json
import threading
import time

from readers import in_child
from sluicetest import Client

SIZE = 1024


class _Pair:
    def __init__(self, port, topic, rate):
        self.port, self.topic, self.rate = port, topic, rate
        self.published, self.delivered, self.wrong, self.error = [], [], 0, ""
        self.acknowledged, self.next, self.ended = 0, 0, threading.Event()
        self.threads = [threading.Thread(target=self.guarded, args=(f,), daemon=True)
                        for f in (self.publish, self.read)]

    def guarded(self, work):
        try:
            with Client(self.port) as k:
                work(k)
        except Exception as e:
            self.error = self.error or repr(e)[:200]

    def publish(self, k):
        due = time.monotonic()
        while not self.ended.is_set():
            began = time.monotonic()
            body = (b"%020d" % int(began * 1e6)).ljust(SIZE, b".")
            a = k.ask("POST", "/v1/topics/%s/messages" % self.topic, body)
            assert a.status == 201, a
            self.published.append((began, (time.monotonic() - began) * 1000))
            self.acknowledged += 1
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            self.ended.wait(max(0, due - time.monotonic()))

    def read(self, k):
        while not (self.ended.is_set() and self.next >= self.acknowledged):
            a = k.ask("GET", "/v1/topics/%s/messages?from=%d&wait=1" % (self.topic, self.next))
            assert a.status == 200, a
            now = time.monotonic()
            for m in json.loads(a.body)["messages"]:
                self.wrong += m["offset"] != self.next or len(m["data"]) != SIZE
                self.next = m["offset"] + 1
                sent = int(m["data"][:20]) / 1e6
                self.delivered.append((sent, (now - sent) * 1000))

    def figures(self):
        return {"published": self.published, "delivered": self.delivered, "wrong": self.wrong, "error": self.error}


def _run(pipe, port, topic, pairs, rate):
    all_ = [_Pair(port, "%s-%d" % (topic, i), rate) for i in range(pairs)]
    for p in all_:
        for t in p.threads:
            t.start()
    pipe.recv()
    for p in all_:
        p.ended.set()
    for p in all_:
        for t in p.threads:
            t.join(30)
    pipe.send([p.figures() for p in all_])


class Pairs:
    """`stop` gives the figures of every pair; times are (when it was sent, milliseconds)."""

    def __init__(self, port, topic, pairs, rate):
        self.process, self.pipe = in_child(_run, port, topic, pairs, rate)

    def stop(self):
        self.pipe.send("end")
        out = self.pipe.recv()
        self.process.join(10)
        return out
