"""Subscribers of the hub that end for every reason at once: cut because they take nothing, their life over,
their client gone, the broker told to stop. Each is torn down once, and none of those who read misses an event.
What the counts agree on here a sanitizer looks at more closely (tests/run runs this with each)."""
import random
import select
import socket
import threading
import time

import jwt
from hub import FORM, HUB, request
from sluicetest import SoloBrokerTest, log, until
from sse import Parser

SETTINGS = {"mercure_publisher_jwt_key": jwt.KEY, "mercure_anonymous": True, "mercure_dispatch_timeout": "100ms",
            "mercure_write_timeout": "800ms", "mercure_heartbeat": "50ms", "receive_buffer": "4KiB",
            "inline_max": "64KiB"}
BIG = "x" * 30000


class Guest:
    """One that comes again whenever it has gone."""

    kinds = ("reads", "reads", "stops", "leaves", "leaves", "says more")
    leavers = ("leaves", "stops")

    def __init__(self, crowd, number):
        self.crowd, self.kind = crowd, self.kinds[number % len(self.kinds)]
        self.next = 0       # of one that reads: the event that has to come now
        self.visits = 0
        self.come()

    def come(self):
        self.visits += 1
        self.parser, self.sock = Parser(), socket.socket()
        if self.kind != "reads":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.setblocking(False)
        # who stops may be ended cleanly before it is cut, and does not hear of it: all of that is in the kernel
        self.leaves = time.monotonic() + (2 if self.kind == "stops" else 0) + random.random() * 0.4
        self.sent = False
        self.sock.connect_ex(("127.0.0.1", self.crowd.broker.port))
        self.crowd.add(self)

    def ready(self, events):
        """False when it has gone."""
        if not self.sent:
            return self.asks()
        if self.kind == "reads":
            return self.reads()
        if self.kind == "stops":
            return not events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP)
        try:
            return bool(self.sock.recv(1 << 14))
        except OSError:
            return False

    def asks(self):
        self.sent = True
        last = "e%d" % (self.next - 1) if self.next else "earliest"
        topics = ["x"] if self.kind == "reads" else ["{any}", "y%d" % random.randrange(50)]
        try:
            self.sock.send(request(self.crowd.broker, topics, {"Last-Event-ID": last}))
        except OSError:
            return False
        self.crowd.wants(self, 0 if self.kind == "stops" else select.EPOLLIN)
        return True

    def reads(self):
        try:
            got = self.sock.recv(1 << 18)
        except OSError:
            return False
        self.parser.feed(got)
        if self.parser.head and self.parser.head[0].split()[1] != "200":
            return False  # no place: it comes again
        for event in self.parser.events:
            assert event.id == "e%d" % self.next, "%s came, and not e%d" % (event.id, self.next)
            self.next += 1
        self.parser.events.clear()
        return bool(got) and not self.parser.ended

    def goes_on(self):
        """What it does by itself, now and then."""
        if self.kind == "says more" and random.random() < 0.05:
            try:
                self.sock.send(b"GET / HTTP/1.1\r\n")
            except OSError:
                pass
        return self.kind not in self.leavers or time.monotonic() < self.leaves


class Guests:
    def __init__(self, broker, count):
        self.broker, self.epoll, self.here = broker, select.epoll(), {}
        self.all = [Guest(self, i) for i in range(count)]

    def add(self, guest):
        self.here[guest.sock.fileno()] = guest
        self.epoll.register(guest.sock, select.EPOLLOUT)

    def wants(self, guest, events):
        self.epoll.modify(guest.sock, events | select.EPOLLRDHUP)

    def gone(self, guest):
        self.epoll.unregister(guest.sock)
        del self.here[guest.sock.fileno()]
        guest.sock.close()

    def turn(self, again=True):
        gone = [self.here[fd] for fd, events in self.epoll.poll(0.02) if not self.here[fd].ready(events)]
        gone += [g for g in self.here.values() if g not in gone and not g.goes_on()]
        for guest in gone:
            self.gone(guest)
            if again:
                guest.come()

    def run(self, done):
        while not done():
            self.turn()

    def close(self):
        for guest in list(self.here.values()):
            self.gone(guest)
        self.epoll.close()


class AllAtOnce(SoloBrokerTest):
    def publisher(self):
        """Until it is told to stop, or the broker stops."""
        headers = dict(jwt.bearer(publish=["*"]), **{"Content-Type": FORM, "Prefer": "wait=5"})
        try:
            with self.broker.client() as c:
                while not self.enough.is_set():
                    data = BIG if self.published % 8 == 0 else str(self.published)
                    body = "topic=x&topic=y%d&id=e%d&data=%s" % (random.randrange(50), self.published, data)
                    if c.ask("POST", HUB, body, headers).status == 200:
                        self.published += 1
        except (OSError, AssertionError):
            assert self.stopping, "the publisher's connection broke"

    def begin(self, count, events):
        """With all guests there and so many events published: the crowd."""
        self.start(**SETTINGS)
        self.fds = self.broker.open_fds()
        self.published, self.stopping, self.enough = 0, False, threading.Event()
        thread = threading.Thread(target=self.publisher)
        guests = Guests(self.broker, count)
        self.addCleanup(guests.close)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.enough.set)
        over = time.monotonic() + 3
        guests.run(lambda: self.published >= events and time.monotonic() > over and self.all_reasons_were_seen())
        return guests

    def all_reasons_were_seen(self):
        m = self.broker.metrics()
        return m["sluice_connections_stopped_readers_total"] > 0 and m["sluice_readers_left_total"] > 0

    def said(self, guests):
        log("%d events, %d visits" % (self.published, sum(g.visits for g in guests.all)))

    def test_all_are_torn_down_once_and_who_reads_misses_nothing(self):
        guests = self.begin(150, 50)
        self.enough.set()
        readers = [g for g in guests.all if g.kind == "reads"]
        guests.run(lambda: all(g.next == self.published for g in readers))
        self.said(guests)
        guests.close()
        for name in ("sluice_mercure_subscribers", "sluice_sse_subscribers", "sluice_read_buffer_bytes",
                     "sluice_read_buffer_waiting"):
            until(lambda: self.broker.metric(name) == 0, what=name + " is 0")
        until(lambda: self.broker.metric("sluice_connections") == 1, what="only the question's connection is left")
        until(lambda: self.broker.open_fds() <= self.fds + 1, what="descriptors are given back")
        self.assertIdle()

    def test_a_shutdown_in_the_middle_of_it_ends_all(self):
        guests = self.begin(150, 20)
        self.stopping = True
        self.broker.terminate()
        guests.run(lambda: self.broker.process.poll() is not None)
        self.enough.set()
        self.said(guests)
        self.broker.wait_exit()
