#!/usr/bin/env python3
"""A1: many slow readers of a long log, a fast one beside them, a publisher meanwhile.

A slow reader costs its cap of memory and no more, pins nothing in the store, and delays
nobody. One that picks up speed gets everything in order; one that stops is cut after
write_timeout; those that leave leave nothing.

Guards: pages without a bound for `slow`; for `stopped` an answer held whole, a socket with the
kernel's own send buffer, and no write_timeout. That no snapshot is held across a socket wait
cannot be switched off from outside: that bound has no guard.
"""
import os
import socket
import time
import zlib

from readers import LogReaders
from scenario import (KiB, MiB, Part, Sampler, ScenarioBroker, acks, hammer, is_sanitized, main, mib, payload,
                      post, quantile, settled, start_play, unacknowledged, until)

CAP = 256 * KiB  # of output for one connection
SLOW = 50
KERNEL = 128 * KiB  # of a connection's send queue: socket_buffer, which the kernel doubles


class Load1:
    """CI: 64 MiB of backlog and half a minute instead of 512 MiB and two."""

    def __init__(self, c):
        self.messages = c.pick(1024, 8192)
        # Without its protection (pages of a bounded size): messages that pass any page.
        self.size = 64 * KiB if not c.guard else 1 * MiB
        if c.guard:
            self.messages //= 16
        self.seconds, self.baseline = c.pick(18, 120), c.pick(4, 20)
        self.ttl = c.pick(3, 10)
        self.rate = 64 * KiB


def fill(b, load):
    """The backlog; the checksum of every message by its offset."""
    path = os.path.join(b.folder.name, "acks")
    hammer("publish", b.address, connections=16, seconds=0, requests=load.messages, size=load.size,
           topic="backlog", acks=path)
    crcs = [0] * load.messages
    for _, offset, run, conn, seq, size in acks(path):
        crcs[offset] = zlib.crc32(payload(run, conn, seq, size))
    return crcs


def publisher(b, load, seconds):
    return start_play(b, [post("other", 1024, "TTL: %d\\r\\n" % load.ttl), "fill 1024", "answer 201"],
                      connections=8, turns=0, rate=200, seconds=seconds)


def page_times(figures, since=0):
    return [ms for t, ms in figures["pages"] if t >= since]


def baseline(b, load, crcs):
    with LogReaders(b.port, "backlog", [-1], crcs, rcvbuf=1 << 18, loop=True) as fast:
        p = publisher(b, load, load.baseline)
        f = p.wait()
        return quantile(page_times(fast.figures()[0])), f["latency_ms"]["p99"]


def check_held(c, sampler, idle, began, ended, ttl):
    r = c.report
    inside = sampler.between(began, ended)
    r.most("bytes queued for output, at every sample", int(sampler.most("read_buffer_bytes")),
           SLOW * CAP, mib)
    if not is_sanitized():
        r.most("RssAnon, most", sampler.most("RssAnon", began, ended), idle + SLOW * CAP + 32 * MiB, mib)
    r.most("given to the kernel and not acknowledged, most", sampler.most("kernel_queues", began, ended),
           (SLOW + 2) * KERNEL, mib, close=False)
    r.most("oldest reader of the store, seconds", sampler.most("store_oldest_reader_seconds"), 1.0,
           lambda v: "%.3f" % v)
    check_store(c, inside, began + (ended - began) / 2, ttl)
    r.key("queued %s, RssAnon %s" % (mib(sampler.most("read_buffer_bytes")), mib(sampler.most("RssAnon", began, ended))))


def check_store(c, samples, half, ttl):
    """The second half (the last minute) against the end of the first: as a whole, and what is not
    the backlog, which would hide the rest."""
    early = max(s["store_used_bytes"] for s in samples if half - 2 * ttl <= s["t"] <= half)
    late = max(s["store_used_bytes"] for s in samples if s["t"] >= half)
    start = samples[0]["store_used_bytes"]
    c.report.most("store, used in the second half to used before", late, 1.1 * early, mib, close=False)
    c.report.most("... without the backlog", late - start, 1.1 * (early - start) + 1 * MiB, mib, close=False)


def catch_up(c, slow, load):
    began = time.monotonic()
    slow.rate(0, -1)
    f = slow.figures()[0]
    while f["state"] == "reading" and time.monotonic() < began + 60:
        time.sleep(0.2)
        f = slow.figures()[0]
    c.report.check("one picks up speed: all in order, checksums equal",
                   f["state"] == "done" and f["messages"] == load.messages and not f["wrong"],
                   "%d of %d" % (f["messages"], load.messages), "%s, %d wrong" % (f["state"], f["wrong"]))
    c.report.figure("... in", "%.1f s" % (time.monotonic() - began), "<= 60 s, else it is not done")


def slow_consumers(c):
    load = Load1(c)
    extra = {"inline_max": "2MiB"} if c.guard else {}
    with ScenarioBroker(memory_limit="512MiB" if c.guard else "256MiB", write_timeout="60s", **extra) as b:
        idle = b.rss_anon()
        crcs = fill(b, load)
        fast_base, publish_base = baseline(b, load, crcs)
        fds = b.open_fds()
        with Sampler(b, queues=True) as sampler, \
                LogReaders(b.port, "backlog", [-1], crcs, rcvbuf=1 << 18, loop=True) as fast, \
                LogReaders(b.port, "backlog", [load.rate] * SLOW, crcs) as slow:
            began = time.monotonic()
            f = publisher(b, load, load.seconds).wait()
            ended = time.monotonic()
            figures = slow.figures()
            fast_figures = fast.figures()[0]
            fast.close(0)
            check_held(c, sampler, idle, began, ended, load.ttl)
            c.report.check("all slow readers still read, nothing wrong",
                           all(x["state"] in ("reading", "done") and not x["wrong"] for x in figures),
                           sum(x["messages"] for x in figures), str([x["error"] for x in figures if x["error"]][:1] or ""))
            c.report.figure("a slow reader's bytes a second", int(figures[1]["bytes"] / (ended - began)), "of %d" % load.rate)
            c.report.timing("p99 of a page for the fast reader", quantile(page_times(fast_figures, began)),
                            max(250, 2 * fast_base), stall=2000)
            c.report.timing("p99 of a publish", f["latency_ms"]["p99"], max(250, 2 * publish_base), stall=2000)
            c.report.figure("... without slow readers", "%.1f, %.1f ms" % (fast_base, publish_base))
            c.report.check("every publish 201", set(f["status"]) == {"201"}, str(f["status"]))
            catch_up(c, slow, load)
            for i in range(1, SLOW):
                slow.close(i)
        settled(b, 10, c.report, "the other 49 close: nothing held", fds)
        sampler.save(c, "a1")


# ---- readers that stop ----

def bytes_underway(client, port):
    """What the broker has given to the kernel for this connection and the client did not take:
    the client's receive queue and the broker's send queue."""
    waiting = len(client.recv(32 * MiB, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    return waiting + unacknowledged(port, client.getsockname()[1])


def ask_and_stop(b, path):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(30)
    s.connect(("127.0.0.1", b.port))
    s.sendall(b"GET %s HTTP/1.1\r\nHost: sluice\r\n\r\n" % path.encode())
    got = b""
    while len(got) < 1024:
        got += s.recv(1024 - len(got))
    return s, got


def take_rest(s, got):
    """Reads on to the end of the answer; its body."""
    while b"\r\n\r\n" not in got:
        got += s.recv(65536)
    head, body = got.split(b"\r\n\r\n", 1)
    need = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    parts, have = [body], len(body)
    while have < need:
        data = s.recv(1 << 18)
        if not data:
            break
        parts.append(data)
        have += len(data)
    return b"".join(parts)


# The protection off: an answer is held whole, the kernel takes what it likes, nobody is cut.
WHOLE = {"inline_max": "16MiB", "memory_limit": "4GiB", "max_message_bytes": "64MiB", "write_timeout": "1h",
         "disarm": "sndbuf"}


def stopped(c):
    """A reader takes 1 KiB of a large answer and stops."""
    body = os.urandom(32 * MiB if not c.guard else 12 * MiB)
    settings = WHOLE if c.guard else {"write_timeout": "8s"}
    with ScenarioBroker(**settings) as b:
        assert b.publish("large", body).status == 201
        with b.client() as asking:
            connections = 1  # this one; that of the publish may be closing still
            until(lambda: connections_of(asking) == connections, 10, what="alone")
            fds = b.open_fds()
            s, got = ask_and_stop(b, "/v1/topics/large/messages/0")
            time.sleep(5)
            check_stopped(c, b, s)
            if not c.guard:
                c.report.check("it reads on: all of it, equal", take_rest(s, got) == body, mib(len(body)))
            s.close()
            cut(c, b, fds, asking, connections)
        if c.guard:
            b.kill()


def check_stopped(c, b, s):
    m = b.metrics()
    # The kernel's two buffers: the broker's SO_SNDBUF of 64 KiB, doubled, and the client's.
    c.report.most("stopped for 5 s: sent by the broker", 1024 + bytes_underway(s, b.port), 1 * MiB + 192 * KiB, mib)
    c.report.most("... held for it", int(m["sluice_read_buffer_bytes"]), CAP, mib)
    c.report.most("... oldest reader of the store, seconds", m["sluice_store_oldest_reader_seconds"], 1.0)


def connections_of(asking):
    """By one connection that stays, so that the question itself is always counted once."""
    for line in asking.ask("GET", "/metrics").text.splitlines():
        if line.startswith("sluice_connections "):
            return int(line.split()[1])
    raise KeyError("sluice_connections")


def cut(c, b, fds, asking, connections):
    """Stopped for good: cut after write_timeout, each once, and nothing is left."""
    line = [ask_and_stop(b, "/v1/topics/large/messages/0")[0] for _ in range(20)]
    began = time.monotonic()
    bound = 8 + 5
    while b.open_fds() - fds > 0 and time.monotonic() < began + bound:
        time.sleep(0.1)
    c.report.figure("stopped for good: seconds until cut", "%.1f" % (time.monotonic() - began), "write_timeout 8 s")
    c.report.most("... descriptors above idle after %d s" % bound, b.open_fds() - fds, 2)
    settled(b, 0.5, c.report, "... nothing held", fds)
    # The questions of `settled` have connections of their own: the last may be closing still.
    end = time.monotonic() + 1
    while connections_of(asking) != connections and time.monotonic() < end:
        time.sleep(0.02)
    c.report.equal("... connections", connections_of(asking), connections)
    for s in line:
        s.close()


if __name__ == "__main__":
    main("A1 slow consumers", [
        Part("slow", slow_consumers, fails=["bytes queued for output, at every sample", "RssAnon, most"], takes=(23, 170)),
        Part("stopped", stopped, takes=(15, 15),
             fails=["stopped for 5 s: sent by the broker", "... held for it", "... descriptors above idle after 13 s",
                    "... nothing held", "... connections"]),
    ])
