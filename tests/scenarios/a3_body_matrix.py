#!/usr/bin/env python3
"""A3: every way a request's body can go, many times each; afterwards nothing is held.

After each case the gauges of what clients hold are exactly 0, the descriptors are back, and
anonymous memory has not grown. The parts need different brokers: a plain one, one that
evicts slow bodies soon, one whose publish buffer is full, one that is stopped meanwhile.

Guards: a forgotten free() for `bodies`, no min_body_rate for `stalled`, no sight of a client that
hangs up for `suspended`, a SIGTERM that ends the program at once for `stopped`.
"""
import time

from scenario import (MiB, Part, ScenarioBroker, is_sanitized, main, mib, play, post,
                      settled, start_play, until)

LIMIT = 64 * 1024     # max_message_bytes; above inline_max, so that bodies stream as well
INLINE = 16 * 1024
BODY = 4096           # one segment on loopback
HELD = 100000         # a body of the part where the publish buffer is full

CHUNKED = post("t")
TWO = post("t", 5)[:-len("\\r\\n\\r\\n")]

# name, script, and what makes it different: connections, the time it may take to settle.
PLAIN = [
    ("1 body in one segment", [post("t", BODY), "fill %d" % BODY, "answer 201"]),
    ("2 body in four segments", [post("t", BODY)] + ["fill 1024", "pause 1"] * 4 + ["answer 201"]),
    ("2s as 2, streamed into chunks", [post("t", 4 * INLINE)] + ["fill %d" % INLINE, "pause 1"] * 4 + ["answer 201"]),
    ("3 chunked, data in the last segment",
     [CHUNKED, r"send 5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", "answer 201"]),
    ("4 chunked, the empty chunk by itself",
     [CHUNKED, r"send 5\r\nhello\r\n", "pause 1", r"send 0\r\n\r\n", "answer 201"]),
    ("5 client closes after the headers", [post("t", BODY), "pause 2", "close"]),
    ("6 client closes in the middle of a body", [post("t", BODY), "fill 2000", "pause 2", "close"]),
    ("6s as 6, streamed", [post("t", LIMIT), "fill %d" % (2 * INLINE), "pause 2", "close"]),
    ("7 client resets in the middle of a body", [post("t", BODY), "fill 2000", "pause 2", "reset"]),
    ("7s as 7, chunked and streamed",
     [CHUNKED, r"send 9000\r\n", "fill 32768", "pause 2", "reset"]),
    ("8 Content-Length over the limit", [post("t", LIMIT + 1), "answer 413", "close"]),
    ("8s as 8, and the body is sent", [post("t", 2 * LIMIT), "fill %d" % (2 * LIMIT), "answer 413", "close"]),
    ("9 chunked, over the limit in the last chunk",
     [CHUNKED, r"send f000\r\n", "fill 61440", r"send \r\n2000\r\n", "fill 8192",
      r"send \r\n0\r\n\r\n", "answer 413", "close"]),
    ("10 unsupported content type",
     [post("t", 4, "Content-Type: text/plain\\r\\n", "messages:batch"), "fill 4", "answer 415"]),
    ("11 malformed JSON batch",
     [post("t", 16, "Content-Type: application/json\\r\\n", "messages:batch"), 'send {"messages":[{]}', "answer 400"]),
    ("11n malformed NDJSON batch",
     [post("t", 22, "Content-Type: application/x-ndjson\\r\\n", "messages:batch"),
      r'send {"data":1}\n{"data":2}}', "answer 400"]),
    ("12 unknown topic", [post("unknown", BODY), "fill %d" % BODY, "answer 404"]),
    ("13 two pipelined requests",
     [TWO + r"\r\n\r\nfirst" + TWO[len("send "):] + r"\r\n\r\nother", "answer 201", "answer 201"]),
]
STALLED = [
    ("14 Expect: 100-continue, then nothing",
     [post("t", BODY, "Expect: 100-continue\\r\\n"), "answer 408,eof", "close"]),
    ("15 body stalls past the timeout", [post("t", BODY), "fill 2000", "answer 408,eof", "close"]),
    ("15s as 15, chunked and streamed",
     [CHUNKED, r"send 9000\r\n", "fill 20000", "answer 408,eof", "close"]),
]


def scale(c, turns):
    """A sanitized broker gets a tenth."""
    return turns // 10 if is_sanitized() else turns


def drain(b):
    """Lets the case before, or the warm-up, end; whether it did in time is checked elsewhere."""
    end = time.monotonic() + 15
    while b.metrics()["sluice_requests_in_flight"] and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.1)


def growth(b, since, most=2 * MiB):
    """Of RssAnon. A quiet broker looks once a second whether it can give memory back. A sanitizer
    keeps what is freed: there it says nothing."""
    if is_sanitized():
        return 0
    end = time.monotonic() + 5
    while b.rss_anon() > since + most and time.monotonic() < end:
        time.sleep(0.1)
    return max(0, b.rss_anon() - since)


def run_case(c, b, name, script, turns, connections=64, patience=1, **options):
    before = b.rss_anon()
    play(b, script, connections=connections, turns=max(connections, turns // 10), **options)
    drain(b)
    rss, fds = before + growth(b, before, MiB), c.idle_fds
    f = play(b, script, connections=connections, turns=turns, **options)
    wrong = f["broken"] + f["wrong_status"]
    c.report.check(name + ": as scripted", f["finished"] == turns and not wrong,
                   "%d of %d" % (f["finished"], turns), str(f["status"]))
    if wrong:
        print("      errors %s  %s" % (f["errors"], f["stderr"][:300].strip()))
    settled(b, patience, c.report, name + ": nothing held", fds)
    if not is_sanitized():
        c.report.most(name + ": RssAnon growth", growth(b, rss), 2 * MiB, mib)


def idle(c, b):
    assert b.ask("PUT", "/v1/topics/t", "").status in (200, 201)
    time.sleep(0.2)
    c.idle_fds = b.open_fds()


def bodies(c):
    leak = {"disarm": "leak"} if c.guard else {}
    with ScenarioBroker(start=False, auto_create=False, max_message_bytes=LIMIT, inline_max=INLINE,
                        default_ttl="20s", map_size="8GiB", **leak) as b:
        b.environment.update(DISARM_LEAK_ONE_IN="1") if c.guard else None
        b.start()
        idle(c, b)
        for i, (name, script) in enumerate(PLAIN):
            run_case(c, b, name, script, scale(c, c.pick(2000, 200000 if i < 2 else 20000)))
            if c.guard:
                return
        name, script = PLAIN[0]
        run_case(c, b, "18 connect, one request, close", ["open"] + script + ["close"],
                 scale(c, 10000))
        near = max((v for k, v in c.report.closeness.items() if k.endswith("growth")), default=0)
        c.report.key("%d cases, most growth %s" % (len(PLAIN) + 1, mib(near * 2 * MiB)))


def stalled(c):
    with ScenarioBroker(auto_create=False, max_message_bytes=LIMIT, inline_max=INLINE, default_ttl="20s",
                        body_grace="500ms", min_body_rate="0" if c.guard else "1KiB") as b:
        idle(c, b)
        for name, script in STALLED:
            turns = scale(c, c.pick(600, 20000))
            run_case(c, b, name, script, 64 if c.guard else turns, connections=64 if c.guard else 200,
                     patience=2.5, timeout=4 if c.guard else 30)


def fill_buffer(b):
    """Uploads that declare a body and send none of it hold all of the publish buffer."""
    held = []
    while b.metric("sluice_publish_waiting") == 0:
        k = b.client()
        k.send(k.head("POST", "/v1/topics/t/messages", {"Content-Length": str(HELD)}))
        held.append(k)
        time.sleep(0.02)
    held.pop().close()
    until(lambda: b.metric("sluice_publish_waiting") == 0, what="the one too many is forgotten")
    return held


def suspended(c):
    with ScenarioBroker(auto_create=False, max_message_bytes="256KiB", publish_buffer="1MiB",
                        max_batch_bytes="128KiB", min_body_rate="0", publish_wait_max="1m",
                        disarm="hangup" if c.guard else None) as b:
        assert b.ask("PUT", "/v1/topics/t", "").status == 201
        if c.guard:  # it would not forget the one too many
            held = [b.client() for _ in range(10)]
            for k in held:
                k.send(k.head("POST", "/v1/topics/t/messages", {"Content-Length": str(HELD)}))
            time.sleep(0.5)
        else:
            held = fill_buffer(b)
        fds = b.open_fds()
        suspend(c, b, fds, scale(c, c.pick(2000, 20000)))
        for k in held:
            k.close()
        settled(b, 2, c.report, "16 the buffer given back: nothing held")


def suspend(c, b, fds, turns):
    for how in ("close", "reset"):
        rss = b.rss_anon()
        name = "16 suspended, then %s" % how
        for n in (256, turns):
            f = play(b, ["open", post("t", HELD), "fill 500", "pause 20", how], connections=64, turns=n)
        c.report.equal(name + ": as scripted", f["finished"], turns)
        end = time.monotonic() + 2

        def left():
            m = b.metrics()
            return int(m["sluice_publish_waiting"]), b.open_fds() - fds
        while time.monotonic() < end and (left()[0] or left()[1] > 2):
            time.sleep(0.05)
        waiting, open_ = left()
        c.report.check(name + ": forgotten", not waiting and open_ <= 2,
                       "%d waiting, %d fds" % (waiting, open_), "0, +2 in 2 s")
        if not is_sanitized():
            c.report.most(name + ": RssAnon growth", growth(b, rss), 2 * MiB, mib)


def stopped(c):
    """17: SIGTERM while bodies are in flight. It ends by itself with 0, sanitizer-clean; what
    was acknowledged is there after the start."""
    script = [post("t", BODY), "fill 1000", "pause 20", "fill %d" % (BODY - 1000), "answer 201,503,eof"]
    acknowledged, slowest, stored, statuses = 0, 0.0, 0, []
    rounds = c.pick(4, 40)
    with ScenarioBroker(max_message_bytes=LIMIT, inline_max=INLINE, disarm="sigterm" if c.guard else None) as b:
        for _ in range(rounds):
            load = start_play(b, script, connections=64, turns=0, seconds=30)
            time.sleep(0.7)
            status, took = b.end(12)
            statuses.append(status)
            slowest = max(slowest, took)
            acknowledged += load.stop()["status"].get("201", 0)
            b.start()
            stored = b.topic("t")["messages"]
        c.report.check("17 ends with status 0", statuses == [0] * rounds, "%d of %d" % (statuses.count(0), rounds))
        c.report.most("17 seconds to the end", slowest, 11.0, lambda v: "%.1f" % v)
        c.report.check("17 acknowledged is there", acknowledged <= stored <= acknowledged + 64 * rounds,
                       "%d" % acknowledged, "<= stored %d" % stored)
        c.report.least("17 something was acknowledged", acknowledged, 64)
        settled(b, 1, c.report, "17 nothing held after the start")


if __name__ == "__main__":
    main("A3 request bodies, zero residue", [
        Part("bodies", bodies, fails=["1 body in one segment: RssAnon growth"], takes=(12, 280)),
        Part("stalled", stalled, takes=(15, 380),
             fails=["14 Expect: 100-continue, then nothing: as scripted", "15 body stalls past the timeout: as scripted"]),
        Part("suspended", suspended, fails=["16 suspended, then close: forgotten"], takes=(2, 20)),
        Part("stopped", stopped, fails=["17 ends with status 0"], takes=(3, 35)),
    ])
