"""Readers of the scenarios, in a process of their own so that they cost the samples nothing.

`burst` fetches one path over many connections at once. `LogReaders` follow a topic's log from
its start, each at a rate of its own with a small receive buffer, and check every message.
"""
import json
import multiprocessing
import selectors
import socket
import time
import zlib

TICK = 0.02


def _connect(port, rcvbuf):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)  # before connect: it sets the window
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.connect(("127.0.0.1", port))
    s.setblocking(False)
    return s


def in_child(work, *args):
    """Starts work(pipe, *args) in a child process; its process and our end of the pipe."""
    ours, theirs = multiprocessing.Pipe()
    p = multiprocessing.get_context("fork").Process(target=work, args=(theirs,) + args, daemon=True)
    p.start()
    theirs.close()
    return p, ours


# ---- a burst ----

class _Fetch:
    def __init__(self, port, path, rcvbuf):
        self.sock = _connect(port, rcvbuf)
        self.sock.send(b"GET %s HTTP/1.1\r\nHost: sluice\r\n\r\n" % path.encode())
        self.head, self.left, self.crc, self.got, self.status = b"", None, 0, 0, 0

    def take(self, data):
        """True when the answer is complete."""
        if self.left is None:
            self.head += data
            if b"\r\n\r\n" not in self.head:
                return False
            head, data = self.head.split(b"\r\n\r\n", 1)
            self.status = int(head.split(b" ", 2)[1])
            lines = dict(x.lower().split(b": ", 1) for x in head.split(b"\r\n")[1:])
            self.left = int(lines[b"content-length"])
        self.left -= len(data)
        self.got += len(data)
        self.crc = zlib.crc32(data, self.crc)
        return self.left <= 0


def _burst(pipe, port, path, n, rcvbuf):
    began = time.monotonic()
    poll = selectors.DefaultSelector()
    open_, statuses, crcs, broken = 0, {}, set(), 0
    for f in [_Fetch(port, path, rcvbuf) for _ in range(n)]:
        poll.register(f.sock, selectors.EVENT_READ, f)
        open_ += 1
    while open_:
        for key, _ in poll.select():
            f, data = key.data, b""
            try:
                data = f.sock.recv(1 << 18)
                over = f.take(data) if data else True
            except OSError:
                over = True
            if not over:
                continue
            broken += f.left != 0
            statuses[f.status] = statuses.get(f.status, 0) + 1
            crcs.add(f.crc)
            poll.unregister(f.sock)
            f.sock.close()
            open_ -= 1
    pipe.send({"statuses": statuses, "crcs": sorted(crcs), "broken": broken, "seconds": time.monotonic() - began})


def start_burst(port, path, n, rcvbuf=65536):
    """`n` connections fetch `path` at the same moment; get the figures from the pipe."""
    return in_child(_burst, port, path, n, rcvbuf)


# ---- readers of a log ----

class _LogReader:
    """GET ?from=next over and over; bytes are taken from the socket at `rate` a second."""

    def __init__(self, port, topic, rate, rcvbuf, crcs, loop):
        self.port, self.topic, self.rate, self.crcs, self.loop = port, topic, rate, crcs, loop
        self.sock = _connect(port, rcvbuf)
        self.next, self.messages, self.wrong, self.bytes, self.pages = 0, 0, 0, 0, []
        self.credit, self.state, self.error = 0.0, "reading", ""
        self.ask()

    def ask(self):
        self.kept, self.need, self.asked = [], None, time.monotonic()
        self.have = 0
        self.sock.send(b"GET /v1/topics/%s/messages?from=%d&limit=1000 HTTP/1.1\r\nHost: sluice\r\n\r\n"
                       % (self.topic.encode(), self.next))

    def end(self, state, error=""):
        self.state, self.error = state, error
        self.sock.close()

    def tick(self, seconds):
        if self.state != "reading" or self.rate == 0:
            return
        self.credit = min(self.credit + seconds * self.rate, max(self.rate, 65536)) if self.rate else 0
        while self.state == "reading" and (self.rate < 0 or self.credit >= 1):
            most = 1 << 18 if self.rate < 0 else min(int(self.credit), 1 << 16)
            try:
                data = self.sock.recv(most)
            except BlockingIOError:
                return
            except OSError as e:
                return self.end("lost", str(e))
            if not data:
                return self.end("lost", "closed by the broker")
            self.credit -= len(data)
            self.bytes += len(data)
            self.feed(data)

    def feed(self, data):
        self.kept.append(data)
        self.have += len(data)
        if self.need is None:
            whole = b"".join(self.kept)
            at = whole.find(b"\r\n\r\n")
            if at < 0:
                return
            head = whole[:at].lower()
            if b" 200 " not in head[:20]:
                return self.end("lost", head[:20].decode())
            self.need = at + 4 + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            self.body_at = at + 4
        if self.have >= self.need:
            self.page(json.loads(b"".join(self.kept)[self.body_at:]))

    def page(self, page):
        self.pages.append((time.monotonic(), (time.monotonic() - self.asked) * 1000))
        for m in page["messages"]:
            if m["offset"] != self.next or zlib.crc32(m["data"].encode()) != self.crcs[self.next]:
                self.wrong += 1
            self.next = m["offset"] + 1
            self.messages += 1
        if self.next >= len(self.crcs):
            if not self.loop:
                return self.end("done")
            self.next = 0
        self.ask()

    def figures(self):
        return {"state": self.state, "error": self.error, "messages": self.messages, "wrong": self.wrong,
                "bytes": self.bytes, "pages": self.pages}


def _log_readers(pipe, port, topic, rates, rcvbuf, crcs, loop):
    readers = [_LogReader(port, topic, r, rcvbuf, crcs, loop) for r in rates]
    last = time.monotonic()
    while True:
        now = time.monotonic()
        for r in readers:
            r.tick(now - last)
        last = now
        if pipe.poll(0 if any(r.rate < 0 and r.state == "reading" for r in readers) else TICK):
            command, i, value = pipe.recv()
            if command == "rate":
                readers[i].rate = value
            elif command == "close":
                readers[i].end("closed")
            elif command == "figures":
                pipe.send([r.figures() for r in readers])
            else:
                return


class LogReaders:
    """rates: bytes a second for each reader; 0: stopped; -1: as fast as it goes."""

    def __init__(self, port, topic, rates, crcs, rcvbuf=4096, loop=False):
        self.process, self.pipe = in_child(_log_readers, port, topic, rates, rcvbuf, crcs, loop)

    def rate(self, i, value):
        self.pipe.send(("rate", i, value))

    def close(self, i):
        self.pipe.send(("close", i, 0))

    def figures(self):
        self.pipe.send(("figures", 0, 0))
        return self.pipe.recv()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pipe.send(("end", 0, 0))
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
