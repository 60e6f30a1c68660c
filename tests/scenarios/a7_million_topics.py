#!/usr/bin/env python3
"""A7: a million topics published to once each, while others wait for news; honest settings.

What the broker keeps in memory for topics has a limit in bytes, /metrics does not grow with
topics, and a setting is either what its documentation says or an error that says where.

Guards: a cache for all topics for `topics`; for `settings` every line is written as a comment: a
broker that reads over what it does not understand must be seen.
"""
import os
import re
import subprocess
import tempfile
import time

from scenario import (BIN, MiB, Part, Sampler, ScenarioBroker, clean_env, free_port, is_sanitized, main, mib, post,
                      play, settled, start_hammer, until)

WAITING, PUBLISHERS = 100, 128


def publish_topics(b, first, count):
    return play(b, [post("t-{n}", 16), "fill 16", "answer 201"], connections=PUBLISHERS, turns=count, **{"first-turn": first})


def topics(c):
    count = c.pick(60000, 1000000)
    budget = {"memory_limit": "64MiB", "topic_cache": "2MiB"}
    if c.guard:  # room for all of them
        budget = {"memory_limit": "4GiB", "topic_cache": "2GiB"}
    with ScenarioBroker(map_size="16GiB", **budget) as b:
        park = start_hammer("park", b, connections=WAITING, topic="quiet", repoll=True, wait=60, after=3600)
        until(lambda: b.metric("sluice_readers_parked") >= WAITING, 20, what="%d wait" % WAITING)
        publish_topics(b, 0, 5000)  # everything that is allocated once
        with Sampler(b, 0.25) as sampler:
            time.sleep(0.5)
            start = sampler.samples[-1]
            f = publish_topics(b, 5000, count - 5000)
            time.sleep(1.5)
        end = sampler.samples[-1]
        r = c.report
        r.check("a topic each, 201 each", f["status"].get("201") == count - 5000 and not f["broken"], str(f["status"]),
                "%.0f a second" % ((count - 5000) / f["seconds"]))
        r.equal("topics", int(end["topics"]), count + int(start["topics"]) - 5000)
        if not is_sanitized():
            # CI publishes too few topics for the scenario's 32 MiB of slack to mean anything.
            r.most("RssAnon growth", sampler.most("RssAnon") - start["RssAnon"], c.pick(4, 32 + 2) * MiB, mib)
        # And the topics of the one transaction under way: at most one for each publisher.
        r.most("topic cache, most", int(sampler.most("topic_cache_bytes")), 2 * MiB + PUBLISHERS * 512, mib, close=False)
        r.equal("/metrics, lines more", end["scrape_lines"] - start["scrape_lines"], 0)
        r.most("/metrics, bytes more: longer numbers", end["scrape_bytes"] - start["scrape_bytes"], 300)
        r.key("%d topics, RssAnon +%s" % (end["topics"], mib(sampler.most("RssAnon") - start["RssAnon"])))
        r.figure("publish p50, p99", "%.1f, %.1f ms" % (f["latency_ms"]["p50"], f["latency_ms"]["p99"]))
        r.figure("store bytes a topic", int((end["store_used_bytes"] - start["store_used_bytes"]) / (count - 5000)))
        if c.guard:
            park.kill()
            b.kill()
            return
        look(c, b, count)
        restart(c, b, count, park)
        sampler.save(c, "a7")


def look(c, b, count):
    """Cold topics are as they should be; the list is paged."""
    wrong = [i for i in range(0, count, count // 200)
             if b.message("t-%d" % i, 0).body != b"p" * 16 or b.topic("t-%d" % i)["next"] != 1]
    c.report.check("topics at random are as they should be", not wrong, count // (count // 200), str(wrong[:3] or ""))
    seen, after = 0, ""
    while seen < 3000:
        page = b.ask("GET", "/v1/topics?prefix=t-&limit=1000" + ("&after=" + after if after else "")).json
        seen += len(page["topics"])
        after = page["next"]
        if not after:
            break
    c.report.equal("listed page by page", seen, 3000)


def restart(c, b, count, park):
    park.kill()
    settled(b, 5, c.report, "the waiting ones leave: nothing held")
    b.stop()
    began = time.monotonic()
    b.start()
    c.report.timing("starts again in", (time.monotonic() - began) * 1000, 2000, stall=10000)
    c.report.most("RssAnon after the start", b.rss_anon(), 16 * MiB, mib)
    c.report.equal("counts on where it was", b.offset("t-7", b"again"), 1)


# ---- honest settings ----

# setting, value, the value in force or None: the start must fail
VALUES = [
    ("publish_buffer", "7e8", None), ("publish_buffer", "1e5", None), ("publish_buffer", "10MB", None),
    ("publish_buffer", "-1", None), ("publish_buffer", "", None), ("publish_buffer", "1MiB 2MiB", None),
    ("publish_buffer", "1MiB,2MiB", None), ("publish_buffer", "1mib", None), ("publish_buffer", "0", None),
    ("publish_buffer", "99999999999999999999", None), ("publish_buffer", "1.5MiB", None),
    ("publish_buffer", "0x100000", None), ("publish_buffer", "+1048576", None),
    ("publish_buffer", "4MiB", "4MiB"), ("publish_buffer", "4194304", "4MiB"), ("publish_buffer", "4096KiB", "4MiB"),
    ("default_ttl", "5 m", None), ("default_ttl", "1w", None), ("default_ttl", "-5s", None), ("default_ttl", "90", "90s"),
    ("default_ttl", "1500ms", "1500ms"), ("default_ttl", "2h", "2h"),
    ("max_connections", "1e3", None), ("max_connections", "0", None), ("max_connections", "500", "500"),
    ("auto_create", "yes", None), ("auto_create", "2", None), ("auto_create", "false", "false"),
    ("loops", "-1", None), ("loops", "1", "1"), ("log_level", "verbose", None),
    ("publish_bufer", "4MiB", None), ("topic_selector_cache", "4MiB", None), ("Publish_Buffer", "4MiB", None),
]
SAME = {"90s": ("90s", "90", "1m30s"), "1500ms": ("1500ms", "1.5s")}
# What no size option may take for a size; the last two are out of any range.
NO_SIZES = ("7e8", "1e5", "10MB", "", "-1", "1MiB 2MiB", "1mib", "16KiBB", "99999999999999999999", "2000000GiB")


def size_options():
    """All whose range is one of sizes, by the documentation that the program itself prints."""
    text = subprocess.run([BIN, "--help"], stdout=subprocess.PIPE, text=True, env=clean_env()).stdout
    options = re.split(r"^  --(?=[a-z])", text, flags=re.M)[1:]
    return [o.split()[0].replace("-", "_") for o in options
            if re.search(r"; \S+ to \d+[KMGT]iB\]$", " ".join(o.split("\n\n")[0].split()))]


def check_config(args, env, file):
    """(status, text) of `sluice check-config`, whose settings come from all three places."""
    argv = [BIN, "check-config"] + (["--config", file] if file else []) + args
    done = subprocess.run(argv, env=dict(clean_env(), **env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=20)
    return done.returncode, done.stdout


def in_force(text, name):
    for line in text.splitlines():
        words = line.replace("=", " ").split()
        if words and words[0] == name:
            return words[1]
    return None


class Tried:
    """What was tried, and what came out otherwise than documented."""

    def __init__(self, c):
        self.folder = tempfile.mkdtemp()
        self.file = os.path.join(self.folder, "sluice.conf")
        self.mute = "# " if c.guard else ""
        self.wrong, self.unlocated, self.tried = [], [], 0

    def ways(self, name, value):
        with open(self.file, "w") as f:
            f.write("# a comment\n\n%s%s = %s\n" % (self.mute, name, value))
        yield "file", ([], {}, self.file)
        if self.mute:
            return
        yield "flag", (["--" + name.replace("_", "-"), value], {}, None)
        if name == name.lower():  # it has no other spelling there
            yield "environment", ([], {"SLUICE_" + name.upper(): value}, None)

    def one(self, name, value, means):
        for way, how in self.ways(name, value):
            self.tried += 1
            status, text = check_config(*how)
            if (status == 0) != (means is not None):
                self.wrong.append("%s %s=%r: status %d" % (way, name, value, status))
            elif means and in_force(text, name) not in SAME.get(means, (means,)):
                self.wrong.append("%s %s=%r: is %s" % (way, name, value, in_force(text, name)))
            elif not means and not self.explains(way, text):
                self.unlocated.append("%s %s=%r: %s" % (way, name, value, text.strip()[:100]))

    def explains(self, way, text):
        """Where it is, and what was expected there or that there is no such setting."""
        place = self.file + ":3" in text if way == "file" else True
        return place and ("expected" in text or "no such setting" in text)


def settings(c):
    """By flag, by environment and by file: the value that is meant, or no start."""
    r, t = c.report, Tried(c)
    for name, value, means in VALUES:
        t.one(name, value, means)
    sizes = size_options()
    for name in sizes:
        for value in NO_SIZES:
            t.one(name, value, None)
    r.least("size options, all tried", len(sizes), 8)
    r.check("every value: as documented, or no start", not t.wrong, "%d tried" % t.tried, "; ".join(t.wrong[:3]))
    r.check("an error says where, and what was expected", not t.unlocated, "", "; ".join(t.unlocated[:2]))
    if not c.guard:
        starts(c, t.file, sizes)


def logged_settings(text):
    """(name, value, origin) of every line that tells a value in force."""
    lines = re.findall(r"module=config event=setting name=(\S+) value=(\S+) from=(.*)$", text, re.M)
    return [(name, value, origin.strip('"')) for name, value, origin in lines]


def starts(c, file, sizes):
    """The broker itself, not only check-config: it does not start, and says the value in force."""
    with open(file, "w") as f:
        f.write("publish_buffer = 7e8\n")
    argv = [BIN, "--config", file, "--listen", "127.0.0.1:%d" % free_port(), "--data-dir", os.path.dirname(file)]
    done = subprocess.run(argv, env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    c.report.check("a wrong value stops the start", done.returncode not in (0, None), done.returncode, done.stdout.strip()[:60])
    with ScenarioBroker(publish_buffer="3MiB", memory_limit="64MiB") as b:
        said = [x for x in logged_settings(b.log(60000)) if x[0] in sizes]
        shown = b.ask("GET", "/v1/limits").json["settings"]
        c.report.equal("size options whose value is logged, each once", sorted(x[0] for x in said) == sorted(sizes) and len(said),
                       len(sizes))
        differ = [x for x in said if x[1:] != (shown[x[0]]["value"], shown[x[0]]["from"]) or not x[1].endswith("B")]
        c.report.check("... with unit and origin, as they are shown", said and not differ, len(said), str(differ[:2] or ""))
        c.report.check("... that is what was asked for", ("publish_buffer", "3MiB", "--publish-buffer") in said)


if __name__ == "__main__":
    main("A7 bounded topics, honest settings", [
        Part("topics", topics, fails=["RssAnon growth", "topic cache, most"], takes=(4, 60)),
        Part("settings", settings, fails=["every value: as documented, or no start"], takes=(3, 3)),
    ])
