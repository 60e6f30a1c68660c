#!/usr/bin/env python3
"""A2: many readers fetch a large message at once, in waves; then a steady stream of them.

Memory does not scale with readers times size, and it comes back: what the broker says it
holds is 0 right after a wave, and the process is back near where it was.

Guards: messages of this size held whole, with buffers for as many as ask, for `waves`; for
`steady` a broker that forgets a free() now and then. The number of threads is the program's
own: no setting makes it grow with clients.
"""
import os
import threading
import time
import zlib

from readers import start_burst
from scenario import (KiB, MiB, Part, Sampler, ScenarioBroker, check_flat, is_sanitized, main, mib,
                      settled)

SIZE = 5 * MiB
# The protection off: messages of this size are held whole, and answers as many as asked.
BOUNDLESS = {"inline_max": "8MiB", "memory_limit": "12GiB", "read_buffer": "4GiB"}


class Caps:
    def __init__(self, c):
        self.readers, self.waves = c.pick(120, 300), c.pick(3, 5)
        self.idle_s = c.pick(1, 18)  # and 2 s after each
        self.memory, self.publish, self.read = c.pick((64, 16, 8), (256, 64, 32))

    def settings(self):
        return {"memory_limit": "%dMiB" % self.memory, "publish_buffer": "%dMiB" % self.publish,
                "read_buffer": "%dMiB" % self.read}


def wave(c, b, caps, body, number, sampler):
    began = time.monotonic()
    child, pipe = start_burst(b.port, "/v1/topics/large/messages/0", caps.readers)
    f = pipe.recv()
    child.join()
    ended = time.monotonic()
    good = f["statuses"] == {200: caps.readers} and not f["broken"] and f["crcs"] == [zlib.crc32(body)]
    c.report.check("wave %d: all get it, byte by byte" % number, good,
                   "%d x %s" % (caps.readers, mib(len(body))), str(f["statuses"]))
    time.sleep(2)
    after = [(s["t"] - ended, s["publish_buffer_bytes"] + s["read_buffer_bytes"]) for s in sampler.between(ended)]
    back = [t for t, left in after if not left]
    c.report.equal("wave %d: active bytes after 2 s" % number, int(after[-1][1]), 0)
    c.report.figure("... 0 after", "%.2f s" % (back[0] if back else -1))
    return began, ended


def waves(c):
    caps, body = Caps(c), os.urandom(SIZE)
    with ScenarioBroker(**(BOUNDLESS if c.guard else caps.settings())) as b:
        idle, threads = b.rss_anon(), b.threads()
        loops = 2 if c.guard else int(b.ask("GET", "/v1/limits").json["settings"]["loops"]["value"])
        assert b.publish("large", body).status == 201
        times = []
        with Sampler(b, 0.05) as sampler:
            for i in range(1 if c.guard else caps.waves):
                times.append(wave(c, b, caps, body, i + 1, sampler))
                time.sleep(caps.idle_s)
            time.sleep(c.pick(3, 10))
        c.report.equal("threads: main, writer and %d loops" % loops, threads, 2 + loops)
        c.report.check("threads, constant", set(sampler.series("Threads")) == {threads}, threads)
        if is_sanitized():
            return
        bound = idle + (caps.publish + caps.read + 64) * MiB + caps.readers * 64 * KiB
        c.report.most("RssAnon, most", sampler.most("RssAnon"), bound, mib)
        c.report.figure("... a copy for each reader would be", mib(caps.readers * SIZE))
        peaks = [sampler.most("RssAnon", *t) for t in times]
        if len(peaks) > 2:
            c.report.most("waves 3 and on, most, to wave 2's", max(peaks[2:]), 1.05 * peaks[1], mib, close=False)
        c.report.most("RssAnon after the last wave", sampler.samples[-1]["RssAnon"], idle + 64 * MiB, mib)
        c.report.figure("RssAnon: idle, waves", "%s" % mib(idle), ", ".join(mib(p) for p in peaks))
        c.report.key("waves %s" % ", ".join(mib(p) for p in peaks))
        sampler.save(c, "a2-waves")


def in_and_out(b, until_, n, lost):
    body = os.urandom(SIZE)
    crc = zlib.crc32(body)
    due = time.monotonic()
    while time.monotonic() < until_:
        offset = b.offset("steady", body)
        if zlib.crc32(b.message("steady", offset).body) != crc:
            lost.append(offset)
        n.append(offset)
        due += 1 / 3
        time.sleep(max(0, due - time.monotonic()))


def steady(c):
    """Three messages a second in and out. Their TTL keeps the store small."""
    caps, n, lost = Caps(c), [], []
    with ScenarioBroker(default_ttl="10s", disarm="leak" if c.guard else None, **caps.settings()) as b:
        in_and_out(b, time.monotonic() + 2, [], lost)
        with Sampler(b, 0.25) as sampler:
            began = time.monotonic()
            t = threading.Thread(target=in_and_out, args=(b, began + c.pick(16, 1800), n, lost))
            t.start()
            t.join()
            ended = time.monotonic()
        c.report.check("each comes back equal", n and not lost, len(n), "lost %d" % len(lost))
        settled(b, 2, c.report, "nothing held at the end")
        c.report.key("%d messages of %s" % (len(n), mib(SIZE)))
        if not is_sanitized():
            check_flat(c.report, sampler, began, ended)
        sampler.save(c, "a2-steady")


if __name__ == "__main__":
    main("A2 large responses", [
        Part("waves", waves, fails=["RssAnon, most"], takes=(13, 150)),
        Part("steady", steady, fails=["RssAnon, rise over the last two thirds"], takes=(18, 1810)),
    ])
