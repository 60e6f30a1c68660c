"""Messages of gigabytes, sent and fetched by processes of their own, never held whole."""
import socket
import time
import zlib

BLOCK = 1 << 20


def block(i):
    """The i-th MiB of a large message; no two are alike."""
    return (b"%015d\n" % i) * (BLOCK // 16)


def crc_of(n):
    crc = 0
    for i in range(n // BLOCK):
        crc = zlib.crc32(block(i), crc)
    return crc


def slice_of(start, end):
    """The bytes from `start` up to and without `end`."""
    data = b"".join(block(i) for i in range(start // BLOCK, -(-end // BLOCK)))
    return data[start % BLOCK:start % BLOCK + end - start]


def _head(s):
    got = b""
    while b"\r\n\r\n" not in got:
        data = s.recv(65536)
        if not data:
            raise ConnectionError("closed: %r" % got[:200])
        got += data
    head, rest = got.split(b"\r\n\r\n", 1)
    return head, rest


def upload(pipe, port, topic, n):
    began = time.monotonic()
    try:
        s = socket.create_connection(("127.0.0.1", port), 120)
        s.sendall(b"POST /v1/topics/%s/messages HTTP/1.1\r\nHost: sluice\r\nContent-Length: %d\r\n\r\n"
                  % (topic.encode(), n))
        for i in range(n // BLOCK):
            s.sendall(block(i))
        head, rest = _head(s)
        pipe.send({"status": int(head.split(b" ")[1]), "seconds": time.monotonic() - began, "text": rest[:200]})
    except OSError as e:
        pipe.send({"status": 0, "seconds": time.monotonic() - began, "text": repr(e)})


def download(pipe, port, path, rate=0):
    """Status, Content-Length, bytes and checksum of what came. `rate`: so many bytes a second,
    through a small receive buffer; 0: as fast as it comes."""
    began = time.monotonic()
    out = {"status": 0, "length": -1, "got": 0, "crc": 0, "text": ""}
    try:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536 if rate else 262144)
        s.settimeout(120)
        s.connect(("127.0.0.1", port))
        s.sendall(b"GET %s HTTP/1.1\r\nHost: sluice\r\n\r\n" % path.encode())
        head, data = _head(s)
        out["status"] = int(head.split(b" ")[1])
        out["length"] = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while data or out["got"] < out["length"]:
            out["crc"] = zlib.crc32(data, out["crc"])
            out["got"] += len(data)
            if rate:
                time.sleep(max(0, began + out["got"] / rate - time.monotonic()))
            data = s.recv(1 << 18) if out["got"] < out["length"] else b""
            if not data:  # it is complete, or was cut: `got` tells
                break
    except OSError as e:
        out["text"] = repr(e)
    pipe.send(dict(out, seconds=time.monotonic() - began))


def result(child, pipe, seconds=600):
    """What an upload or download in a child process said; it does not outlive the question."""
    said = pipe.recv() if pipe.poll(seconds) else {"status": -1, "seconds": seconds, "text": "no end", "got": 0, "crc": 0}
    child.kill()
    child.join()
    return said
