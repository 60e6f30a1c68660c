"""Readers of event streams, for tests: the chunked coding and the event stream format, taken apart
byte by byte as the WHATWG's HTML standard says, so that it does not matter where the network cuts."""
import select
import socket
import time
import urllib.parse

from sluicetest import PATIENCE, quote


class Event:
    def __init__(self, id, type, data):
        self.id, self.type, self.data = id, type, data

    def __repr__(self):
        return "<%s %s %.60r>" % (self.id, self.type, self.data)


class Parser:
    """Bytes of an answer in, events out."""

    def __init__(self):
        self.head = None        # status line and headers, once complete
        self.kept = b""
        self.left = 0           # of the chunk
        self.chunked = self.ended = False
        self.text = b""         # of the line that is not complete yet
        self.events, self.comments, self.retry, self.last_id = [], 0, None, ""
        self._begin()

    def _begin(self):
        self.parts, self.type = [], ""

    def feed(self, got):
        self.kept += got
        if self.head is None:
            if b"\r\n\r\n" not in self.kept:
                return
            head, self.kept = self.kept.split(b"\r\n\r\n", 1)
            lines = head.decode().split("\r\n")
            self.head = (lines[0], {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])})
            self.chunked = self.head[1].get("transfer-encoding") == "chunked"
        if not self.chunked:
            text, self.kept = self.kept, b""
            self._lines(text)
        while self.chunked and not self.ended and self._chunk():
            pass

    def _chunk(self):
        """True when something was taken."""
        if self.left:
            part, self.kept = self.kept[:self.left], self.kept[self.left:]
            self.left -= len(part)
            payload = part[:max(0, len(part) - max(0, 2 - self.left))]
            self._lines(payload)
            return bool(part)
        if b"\r\n" not in self.kept:
            return False
        size, self.kept = self.kept.split(b"\r\n", 1)
        self.left = int(size, 16) + 2
        self.ended = self.left == 2
        return True

    def _lines(self, text):
        self.text += text
        *lines, self.text = self.text.split(b"\n")  # the broker writes no other line ends
        for line in lines:
            self._line(line.decode())

    def _line(self, line):
        if not line:
            if self.parts:
                self.events.append(Event(self.last_id, self.type or "message", "\n".join(self.parts)))
            self._begin()
            return
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if not field:
            self.comments += 1
        elif field == "data":
            self.parts.append(value)
        elif field == "event":
            self.type = value
        elif field == "id":
            self.last_id = value
        elif field == "retry":
            self.retry = int(value)
        else:
            raise AssertionError("a field that no browser knows: %r" % line)


def request(broker, topic, headers=None, version="1.1", method="GET", **query):
    lines = ["%s /v1/topics/%s/messages?%s HTTP/%s" % (method, quote(topic), urllib.parse.urlencode(query), version),
             "Host: 127.0.0.1", "Accept: text/event-stream"]
    lines += ["%s: %s" % kv for kv in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Stream(Parser):
    """One that waits for what it is asked for."""

    def __init__(self, broker, topic, headers=None, receive_buffer=None, version="1.1", **query):
        super().__init__()
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", broker.port))
        self.sock.sendall(self.request(broker, topic, headers, version, **query))

    request = staticmethod(request)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def more(self):
        """False at the end."""
        got = self.sock.recv(1 << 16)
        self.feed(got)
        if not got and self.chunked and not self.ended:
            raise ConnectionError("cut in the middle of the stream")
        return bool(got) and not self.ended

    def opened(self):
        while self.retry is None:
            assert self.more(), self.head
        return self

    def take(self, count):
        """The next so many events."""
        while len(self.events) < count:
            if not self.more():
                raise AssertionError("it ended after %r" % self.events[-3:])
        taken, self.events = self.events[:count], self.events[count:]
        return taken

    def data(self, count):
        return [e.data for e in self.take(count)]

    def rest(self):
        while self.more():
            pass
        return self.events


class Crowd:
    """Many that take whatever comes, in one thread."""

    def __init__(self, broker, topic, count, **query):
        self.epoll, self.streams = select.epoll(), {}
        for _ in range(count):
            s = Stream(broker, topic, **query)
            s.sock.setblocking(False)
            self.streams[s.sock.fileno()] = s
            self.epoll.register(s.sock, select.EPOLLIN)

    def __iter__(self):
        return iter(self.streams.values())

    def until(self, done, seconds=PATIENCE):
        """Until `done(stream)` is true of all."""
        over = time.monotonic() + seconds
        waiting = {fd for fd, s in self.streams.items() if not done(s)}
        while waiting:
            if time.monotonic() > over:
                raise AssertionError("%d of %d are not done" % (len(waiting), len(self.streams)))
            for fd, _ in self.epoll.poll(1):
                s = self.streams[fd]
                s.feed(s.sock.recv(1 << 16))
                if done(s):
                    waiting.discard(fd)

    def close(self):
        self.epoll.close()
        for s in self:
            s.close()
