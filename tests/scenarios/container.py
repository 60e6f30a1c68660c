#!/usr/bin/env python3
"""The promise in a container of 64 MiB, everything at once, for ten minutes or one.

5,000 readers wait, 200 publishers of mixed sizes go as fast as they can with a TTL of 10 s, a
2 GiB upload and a slow 2 GiB download run beside them (short: 512 MiB, eight times the container,
and six lives of a message). The container is not killed, nothing
fails to allocate, every 201 is readable until it expires, /healthz answers in time.

Skipped where no Docker engine can be had. SCENARIO_IMAGE names an image that is there already,
SCENARIO_BINARY a program to put into it, SCENARIO_SECONDS another duration.
"""
import os
import subprocess
import time

from large import crc_of, download, result, upload
from readers import in_child
from scenario import (GiB, MiB, ROOT, Load, Part, Prober, Sampler, main, mib, start_hammer, tool, until)
from load import MemoryWatch
from sluicetest import Broker
from verdict import note_peak

IMAGE = "sluice-test"
LIMIT, TTL = 64 * MiB, 10
READERS, PUBLISHERS, VERIFIERS = 5000, 200, 24
MIX = "55%1KiB,25%16KiB,12%64KiB,5%300KiB,3%1MiB"
CLOSED = ("connections_idle_closed_total", "connections_left_total", "connections_slow_headers_total",
          "connections_stopped_readers_total", "readers_left_total", "requests_aborted_total")


def docker(*args, check=True):
    done = subprocess.run(("docker",) + args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode:
        raise AssertionError("docker %s: %s" % (args[0], done.stdout[-800:]))
    return done.stdout.strip()


def no_engine():
    """Why there is no engine, or None."""
    script = os.path.join(ROOT, "..", "shared", "docker-engine.sh")
    try:
        if os.access(script, os.X_OK) and os.getuid() == 0:
            subprocess.run([script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        docker("info")
    except FileNotFoundError:
        return "there is no docker command"
    except (OSError, AssertionError, subprocess.CalledProcessError) as e:
        return "no engine answers: " + str(e).strip().splitlines()[-1][:150]
    return None


def build_image():
    if not os.environ.get("SCENARIO_IMAGE"):
        docker("build", "--network=host", "-q", "-f", os.path.join(ROOT, "deploy/Dockerfile"), "-t", IMAGE, ROOT)


class ContainerBroker(Broker):
    """The shipped image on the host's network: a proxy in between would be measured as well."""

    def __init__(self, memory="64m", **settings):
        self.memory = memory
        self.name = "sluice-scenario-%d" % os.getpid()
        super().__init__(start=False, **settings)

    def start(self):
        flags = ["-d", "--name", self.name, "-m", self.memory, "--memory-swap", self.memory, "--read-only",
                 "--cap-drop", "ALL", "--network=host", "--ulimit", "nofile=20000:20000",
                 "-v", self.name + ":/var/lib/sluice", "-e", "SLUICE_LISTEN=" + self.address]
        for k, v in self.settings.items():
            flags += ["-e", "SLUICE_%s=%s" % (k.upper(), v)]
        if os.environ.get("SCENARIO_BINARY"):  # one built here, in place of the image's own
            flags += ["-v", os.path.abspath(os.environ["SCENARIO_BINARY"]) + ":/usr/bin/sluice:ro"]
        docker("run", *flags, os.environ.get("SCENARIO_IMAGE") or IMAGE)
        self.process = _Process(int(self.inspect("{{.State.Pid}}")))
        self.watch = MemoryWatch(self.process.pid)
        self.watch.start()
        until(self.is_ready, 20, what="/readyz")

    def inspect(self, form):
        return docker("inspect", "-f", form, self.name)

    def is_ready(self):
        try:
            return self.ask("GET", "/readyz").status == 200
        except (ConnectionError, TimeoutError):
            return False

    def remove(self):
        docker("rm", "-f", self.name, check=False)
        docker("volume", "rm", self.name, check=False)
        self.process = None
        super().remove()

    def cgroup(self):
        """The folder of its memory controller; cgroup v1 and v2."""
        with open("/proc/%d/cgroup" % self.process.pid) as f:
            for line in f:
                _, controllers, path = line.strip().split(":", 2)
                if "memory" in controllers.split(","):
                    return "/sys/fs/cgroup/memory" + path
                if not controllers:
                    unified = "/sys/fs/cgroup" + path
        return unified


class _Process:
    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        return None


def read_number(folder, *names):
    for name in names:
        try:
            with open(os.path.join(folder, name)) as f:
                return int(f.read())
        except (OSError, ValueError):
            pass
    return 0


def memory_stat(folder):
    out = {}
    try:
        with open(os.path.join(folder, "memory.stat")) as f:
            for line in f:
                k, v = line.split()
                out[k] = int(v)
    except OSError:
        pass
    return out


class ContainerSampler(Sampler):
    """As Sampler, and what the kernel says of the container."""

    def __init__(self, b, every):
        super().__init__(b, every)
        self.folder = b.cgroup()

    def look(self):
        s = super().look()
        stat = memory_stat(self.folder)
        s["cgroup_anon"] = stat.get("anon", stat.get("total_rss", 0))
        s["cgroup_file"] = stat.get("file", stat.get("total_cache", 0))
        s["cgroup_kernel"] = stat.get("kernel", 0) or read_number(self.folder, "memory.kmem.usage_in_bytes")
        # Version 1 does not tell what of its slabs could be taken back.
        s["cgroup_held"] = s["cgroup_anon"] + s["cgroup_kernel"] + stat.get("sock", 0) - stat.get("slab_reclaimable", 0)
        s["cgroup_peak"] = read_number(self.folder, "memory.peak", "memory.max_usage_in_bytes")
        return s


# ---- the run ----

def everything(c):
    why = no_engine()
    if why:
        c.report.skip("the container", why)
        return
    seconds = int(os.environ.get("SCENARIO_SECONDS") or c.pick(60, 600))
    build_image()
    b = ContainerBroker(default_ttl="%ds" % TTL, max_message_bytes="4GiB")
    try:
        b.start()
        with ContainerSampler(b, 0.5) as sampler:
            try:
                load(c, b, sampler, seconds, c.pick(512 * MiB, 2 * GiB))
            finally:
                sampler.save(c, "container")
    except Exception:
        print("   | " + docker("logs", "--tail", "15", b.name, check=False).replace("\n", "\n   | "))
        raise
    finally:
        b.remove()


def load(c, b, sampler, seconds, large):
    crc = crc_of(large)
    assert b.ask("PUT", "/v1/topics/library", '{"ttl":"1h"}').status == 201
    first = result(*in_child(upload, b.port, "library", large), 300)
    c.report.equal("large message to download: published", first["status"], 201)
    park = start_hammer("park", b, connections=READERS, topic="quiet", wait=60, repoll=True, after=100000)
    until(lambda: b.metric("sluice_readers_parked") >= READERS, 60, what="%d wait" % READERS)
    idle_kernel = sampler.samples[-1]["cgroup_kernel"]
    with Prober(b, "/healthz", 0.05) as health:
        began = time.monotonic()
        keep = Load([tool("keep"), "--publishers", str(PUBLISHERS), "--readers", str(VERIFIERS), "--seconds", str(seconds),
                     "--ttl", str(TTL), "--read-at", "0.5", "--size", MIX, b.address])
        down = in_child(download, b.port, "/v1/topics/library/messages/0", large / (seconds * 0.9))
        up = in_child(upload, b.port, "short", large)
        uploaded = result(*up, 2 * seconds)
        # Its TTL is over long before this one ends.
        pinned = in_child(download, b.port, "/v1/topics/short/messages/0", large / max(30, seconds * 0.3))
        f = keep.wait(2 * seconds)
        loaded = time.monotonic()
        downloaded, kept = result(*down, 120), result(*pinned, 120)
    park.kill()
    judge_large(c, large, crc, uploaded, downloaded, kept)
    judge_messages(c, f)
    judge_container(c, b, sampler, began, loaded, health)
    c.report.figure("kernel memory with %d waiting" % READERS, mib(idle_kernel))


def judge_large(c, large, crc, uploaded, downloaded, kept):
    r = c.report
    r.check("upload of %s beside the load" % mib(large), uploaded["status"] == 201, uploaded["status"],
            "%.0f s %s" % (uploaded["seconds"], uploaded.get("text", "") if uploaded["status"] != 201 else ""))
    for name, d in (("slow download", downloaded), ("... of a message that expires meanwhile", kept)):
        r.check(name + ": all of it, equal", d["status"] == 200 and d["got"] == large and d["crc"] == crc,
                mib(d["got"]), "%.0f s, status %s %s" % (d["seconds"], d["status"], d.get("text", "")))


def judge_messages(c, f):
    r = c.report
    publishing, reading = f["publishing"], f["reading"]
    r.figure("published", f["published"], "%.0f a second, %.1f MB/s" % (publishing["status"].get("201", 0) / f["seconds"],
                                                                      f["bytes"] / f["seconds"] / 1e6))
    r.key("%.0f publishes a second of %d" % (publishing["status"].get("201", 0) / f["seconds"], PUBLISHERS))
    r.check("every 201 is readable until it expires", f["read"] and not f["wrong"], f["read"],
            "%d wrong %s" % (f["wrong"], f["stderr"][:300].strip()))
    r.most("... not shown either way (read too late)", f["late"] + f["unread"], f["published"] // 100)
    bad = {k: v for k, v in publishing["status"].items() if k not in ("201", "429", "503")}
    r.check("publishing: 201, 429 or 503", not bad, str(publishing["status"]))
    bad = {k: v for k, v in reading["status"].items() if k not in ("200", "503") and not (k in ("404", "410") and f["late"])}
    r.check("reading: 200 or 503", not bad, str(reading["status"]))
    r.check("no connection is lost", not f["connections_lost"], f["connections_lost"],
            "publishing %s, reading %s" % (publishing["errors"], reading["errors"]))
    r.figure("publish p50, p99; read p50, p99", "%.0f, %.0f; %.0f, %.0f ms" % tuple(
        x["latency_ms"][q] for x in (publishing, reading) for q in ("p50", "p99")))


def judge_container(c, b, sampler, began, ended, health):
    r = c.report
    r.equal("killed for memory", b.inspect("{{.State.OOMKilled}}"), "false")
    r.equal("still running, never restarted", b.inspect("{{.State.Running}} {{.RestartCount}}"), "true 0")
    logs = docker("logs", b.name)
    # What modules limits and config say of memory is the budget and the settings.
    bad = [x for x in logs.splitlines() if "level=error" in x or
           "memory" in x.lower() and "module=limits" not in x and "module=config" not in x]
    r.check("no failed allocation, no error in the log", not bad, len(bad), (bad or [""])[0][:150])
    # A bound of the issue itself: it has to hold here.
    r.timing("p99 of /healthz", health.quantile(), 250, stall=250)
    r.key("/healthz p99 %.0f ms" % health.quantile())
    r.check("/healthz always 200", not health.wrong and not health.error, len(health.times), str(health.error or ""))
    # They all poll again once a minute, so the gauge dips then; their connections stay.
    waiting = sorted(sampler.series("readers_parked", began, ended))
    r.least("waiting readers, median", int(waiting[len(waiting) // 2]), READERS - READERS // 100)
    r.least("connections, least", int(min(sampler.series("connections", began, ended))), READERS)
    closed = {k: int(b.metric("sluice_" + k)) for k in CLOSED}
    r.figure("closed by the broker, or by clients", str({k: n for k, n in closed.items() if n}))
    judge_memory(c, b, sampler)


def judge_memory(c, b, sampler):
    """RssAnon against memory_limit is judged for every part, by its peak."""
    r, budget = c.report, print_budget(b, sampler)
    note_peak(max(b.watch.most, sampler.most("RssAnon")), budget["memory_limit_bytes"])
    lines = {row["line"]: row for row in budget["budget"] + budget["beside"]}
    for line in ("publish_buffer", "read_buffer", "connections"):
        r.most("line %s, most" % line, lines[line]["high_water_bytes"], lines[line]["limit_bytes"], mib, close=False)
    r.equal("the container's limit, as the broker sees it", int(budget["container_limit_bytes"]), LIMIT, mib)
    # The rest is page cache. At the limit the kernel finds nothing to take back, and kills.
    held = sampler.most("cgroup_held")
    r.most("anonymous and kernel, of the container's limit", held, LIMIT, mib)
    r.figure("... anonymous, kernel, at most", mib(sampler.most("cgroup_anon")),
             "%s, planned %s" % (mib(sampler.most("cgroup_kernel")), mib(lines["kernel"]["limit_bytes"])))
    r.figure("... peak with page cache", mib(sampler.samples[-1]["cgroup_peak"]))
    r.key("anonymous and kernel %.0f %% of %s" % (100 * held / LIMIT, mib(LIMIT)))


def print_budget(b, sampler):
    answer = b.ask("GET", "/v1/limits").json
    print("   %-24s %12s %12s" % ("the budget, line", "limit", "high water"))
    for row in answer["budget"] + answer["beside"]:
        high = row.get("high_water_bytes")
        print("   %-24s %12s %12s" % (row["line"], mib(row["limit_bytes"]), mib(high) if high is not None else "-"))
    print("   %-24s %12s %12s" % ("memory_limit, RssAnon", mib(answer["memory_limit_bytes"]), mib(sampler.most("RssAnon"))),
          flush=True)
    return answer


def guard(c):
    """A broker whose budget is not the container's: 1 GiB of buffers, then the limit of 64 MiB
    is set over it. It must not get through, or the limit bites nobody."""
    why = no_engine()
    if why:
        c.report.skip("the container", why)
        return
    build_image()
    b = ContainerBroker("1500m", default_ttl="%ds" % TTL, inline_max="16MiB", publish_buffer="700MiB", memory_limit="1GiB",
                        max_batch_bytes="32MiB", max_connections="1000")
    try:
        b.start()
        docker("update", "-m", "64m", "--memory-swap", "64m", b.name)
        keep = Load([tool("keep"), "--publishers", str(PUBLISHERS), "--seconds", "15", "--ttl", str(TTL),
                     "--size", "100%4MiB", b.address])
        time.sleep(15)
        keep.kill()
        c.report.equal("killed for memory", b.inspect("{{.State.OOMKilled}}"), "false")
    finally:
        b.remove()


if __name__ == "__main__":
    main("The container", [
        Part("64 MiB, everything at once", everything, takes=(100, 640)),
        Part("without a budget", guard, fails=["killed for memory"], guard_only=True, takes=(0, 40)),
    ])
