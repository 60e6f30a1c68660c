"""An HTTP client for tests: sends exactly what it is told, and reads one answer at a time.

Standard library only, Python 3.11.
"""
import json
import socket

PATIENCE = 60  # seconds until a test that waits for something gives up; never a verdict on speed


class Answer:
    def __init__(self, status, headers, body, interim):
        self.status, self.headers, self.body, self.interim = status, headers, body, interim

    def header(self, name):
        """The value of a header that stands there at most once, or None."""
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        assert len(values) <= 1, "%s stands there %d times" % (name, len(values))
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return "<%d %r %r>" % (self.status, self.headers, self.body[:300])


class Client:
    """One connection. Sends exactly what it is told, reads one answer at a time."""

    def __init__(self, port, timeout=PATIENCE):
        self.host = "127.0.0.1:%d" % port
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.kept = b""

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data)

    def head(self, method, path, headers=None):
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + self.host]
        lines += ["%s: %s" % kv for kv in (headers or {}).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")

    def ask(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if isinstance(body, str):
            body = body.encode()
        if body is not None and "Content-Length" not in headers:
            headers["Content-Length"] = str(len(body))
        self.send(self.head(method, path, headers) + (body or b""))
        return self.answer(method)

    def ask_chunked(self, method, path, chunks, headers=None):
        headers = dict(headers or {}, **{"Transfer-Encoding": "chunked"})
        self.send(self.head(method, path, headers))
        for c in chunks:
            if c:
                self.send(b"%x\r\n%s\r\n" % (len(c), c))
        self.send(b"0\r\n\r\n")
        return self.answer(method)

    def metrics(self):
        """Over this connection: a new one might be refused, and would count itself."""
        a = self.ask("GET", "/metrics")
        assert a.status == 200, a
        lines = (line.rsplit(" ", 1) for line in a.text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, value in lines}

    def _more(self):
        got = self.sock.recv(1 << 18)
        if not got:
            raise ConnectionError("closed in the middle of an answer; so far: %r" % self.kept[:500])
        self.kept += got

    def _line(self):
        while b"\r\n" not in self.kept:
            self._more()
        line, self.kept = self.kept.split(b"\r\n", 1)
        return line

    def _exactly(self, n):
        if n > len(self.kept):
            parts, have = [self.kept], len(self.kept)
            while have < n:
                got = self.sock.recv(min(1 << 20, n - have))
                if not got:
                    raise ConnectionError("closed with %d bytes to come" % (n - have))
                parts.append(got)
                have += len(got)
            self.kept = b"".join(parts)
        data, self.kept = self.kept[:n], self.kept[n:]
        return data

    def _chunks(self):
        parts = []
        while True:
            n = int(self._line().split(b";")[0], 16)
            if n == 0:
                while self._line():
                    pass
                return b"".join(parts)
            parts.append(self._exactly(n))
            assert self._line() == b""

    def _head(self):
        version, status = self._line().split(b" ")[:2]
        assert version == b"HTTP/1.1", version
        headers = []
        while True:
            line = self._line()
            if not line:
                return int(status), headers
            k, v = line.split(b":", 1)
            headers.append((k.decode("latin-1"), v.strip().decode("utf-8", "surrogateescape")))

    def answer(self, method="GET"):
        interim = []
        status, headers = self._head()
        while status < 200:
            interim.append(status)
            status, headers = self._head()
        low = {k.lower(): v for k, v in headers}
        body = b""
        if method != "HEAD" and status not in (204, 304):
            if low.get("transfer-encoding", "").lower() == "chunked":
                body = self._chunks()
            elif "content-length" in low:
                body = self._exactly(int(low["content-length"]))
            else:
                body = self.rest()
        return Answer(status, headers, body, interim)

    def rest(self):
        """All that comes until the broker closes."""
        while True:
            got = self.sock.recv(1 << 18)
            if not got:
                data, self.kept = self.kept, b""
                return data
            self.kept += got

    def is_closed(self, within=PATIENCE):
        """True when the broker closes this connection in time, without another byte."""
        self.sock.settimeout(within)
        try:
            return self.kept == b"" and self.sock.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def is_silent(self, seconds):
        """True when nothing at all comes for so long."""
        self.sock.settimeout(seconds)
        try:
            self.kept += self.sock.recv(1 << 16)
            return False
        except TimeoutError:
            return not self.kept
        finally:
            self.sock.settimeout(PATIENCE)
