"""A worker whose leases are tied to its connection (Prefer: lease=connection)."""
import json
import select
import socket
import struct

from httpclient import Client

PREFER = {"Prefer": "lease=connection", "Content-Length": "0"}


class Holder(Client):
    """Its answer stays open. What it has been given is in `messages` once it has `taken` it."""

    def __init__(self, broker, path, headers=None, version="1.1"):
        super().__init__(broker.port)
        self.text, self.chunked, self.ended, self.messages, self.headers = b"", version == "1.1", False, None, []
        head = self.head("POST", path, dict(PREFER, **(headers or {})))
        self.send(head.replace(b"HTTP/1.1", b"HTTP/" + version.encode(), 1))

    def header(self, name):
        return dict((k.lower(), v) for k, v in self.headers).get(name.lower())

    def _piece(self):
        """The next bytes of the body; b"" at its end."""
        if not self.chunked:
            got, self.kept = self.kept or self.sock.recv(1 << 16), b""
        else:
            n = int(self._line(), 16)
            got = self._exactly(n)
            assert self._line() == b""
        self.ended = not got
        self.text += got
        return got

    def _document(self):
        try:
            self.messages = json.loads(self.text)["messages"]
        except ValueError:
            self.messages = None
        return self.messages

    def taken(self):
        """The messages, while the answer stays open; [] when there were none, so that it did not."""
        status, self.headers = self._head()
        assert status == 200, (status, self.headers, self.kept)
        length = self.header("Content-Length")
        if length:
            self.text, self.ended = self._exactly(int(length)), True
            return self._document()
        while self._document() is None:
            assert self._piece(), "it ended in the middle: %r" % self.text
        return self.messages

    def end(self):
        """Reads on until the answer has come to its proper end: what came behind the document."""
        before = len(self.text)
        while not self.ended and self._piece():
            pass
        return self.text[before:]

    def reset(self):
        """As when its process is killed with something left to read."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def wait_for_all(holders):
    """Until each of them has its first bytes: for crowds, in no order."""
    left = {h.sock.fileno(): h for h in holders}
    epoll = select.epoll()
    for fd in left:
        epoll.register(fd, select.EPOLLIN)
    while left:
        for fd, _ in epoll.poll():
            epoll.unregister(fd)
            left.pop(fd).taken()
    epoll.close()
