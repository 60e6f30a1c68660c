"""What every scenario has in common: its profile, its broker, its samples, its verdict.

A scenario is a list of parts. A part loads a broker and makes checks; each check has a name,
a figure and a bound. With --guard a part runs with its protection switched off, and the
checks that it names must fail: a check that cannot fail proves nothing.
"""
import argparse
import csv
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import sluicetest
from sluicetest import BIN, ROOT, Broker, Client, clean_env, free_port, hammer, hammer_path, until

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


def tool(name):
    """A program of the tests' build: beside the broker, or in the release build."""
    for path in (os.path.join(os.path.dirname(BIN), "tests", name),
                 os.path.join(os.path.dirname(hammer_path()), name),
                 os.path.join(ROOT, "build/release/tests", name)):
        if os.path.exists(path):
            return os.path.abspath(path)
    raise FileNotFoundError("%s is not built" % name)


def is_sanitized():
    with open(BIN, "rb") as f:
        data = f.read()
    return b"__asan_init" in data or b"__tsan_init" in data


# ---- the verdict ----

class Report:
    def __init__(self, title):
        self.title, self.began = title, time.monotonic()
        self.results = {}  # check: True, False or None (skipped)
        print("\n== " + title, flush=True)

    def figure(self, name, value, bound=""):
        print("   %-58s %16s  %s" % (name, value, bound), flush=True)

    def check(self, name, ok, value="", bound=""):
        """One verdict. The figure is printed beside what it was held against."""
        self.results[name] = bool(ok)
        self.figure(name, value, "%-28s %s" % (bound, "PASS" if ok else "FAIL"))
        return ok

    def most(self, name, value, bound, form=str):
        return self.check(name, value <= bound, form(value), "<= " + form(bound))

    def least(self, name, value, bound, form=str):
        return self.check(name, value >= bound, form(value), ">= " + form(bound))

    def equal(self, name, value, wanted, form=str):
        return self.check(name, value == wanted, form(value), "= " + form(wanted))

    def timing(self, name, ms, bound, stall=5000):
        """A time on a machine that others use as well: printed beside its bound, judged
        only as a stall, unless `stall` is the bound itself."""
        ok = ms <= max(stall, bound)
        self.results[name] = ok
        note = "over, not judged: below the stall bound %g ms" % stall if ok and ms > bound else ""
        self.figure(name, "%.1f ms" % ms, "%-28s %s %s" % ("<= %g ms" % bound, "PASS" if ok else "FAIL", note))
        return ok

    def skip(self, name, why):
        self.results[name] = None
        self.figure(name, "", "skipped: " + why)


def mib(n):
    return "%.2f MiB" % (n / MiB)


# ---- a scenario's command line ----

class Context:
    def __init__(self, report, full, guard, csv_dir):
        self.report, self.full, self.guard, self.csv_dir = report, full, guard, csv_dir

    def pick(self, ci, full):
        return full if self.full else ci


class Part:
    """`run(context)`; `fails`: the checks that must fail once the protection is off."""

    def __init__(self, name, run, fails=(), guard_only=False):
        self.name, self.run, self.fails, self.guard_only = name, run, fails, guard_only


def arguments(parts):
    a = argparse.ArgumentParser()
    a.add_argument("--profile", choices=("ci", "full"), default="ci")
    a.add_argument("--full", action="store_const", const="full", dest="profile")
    a.add_argument("--guard", action="store_true", help="protection off: the checks must fail")
    a.add_argument("--only", metavar="PART", action="append", choices=[p.name for p in parts])
    a.add_argument("--csv", metavar="DIR", help="keep the samples there")
    return a.parse_args()


def run_part(part, args, title):
    report = Report(title + ("  (guard: protection off)" if args.guard else ""))
    try:
        part.run(Context(report, args.profile == "full", args.guard, args.csv))
    except Exception as e:
        traceback.print_exc(file=sys.stdout)
        report.check("runs to its end", False, type(e).__name__, "no exception")
    if not args.guard:
        return report
    verdict = Report(title + ": without its protection it fails")
    for name in part.fails:
        verdict.check(name, report.results.get(name) is False,
                      {True: "passes", False: "fails", None: "not run"}[report.results.get(name)],
                      "must fail")
    return verdict


def main(name, parts):
    args = arguments(parts)
    counts = {True: 0, False: 0, None: 0}
    failed = []
    for part in parts:
        if (args.only and part.name not in args.only) or (args.guard and not part.fails) or \
                (part.guard_only and not args.guard):
            continue
        title = "%s: %s" % (name, part.name) if len(parts) > 1 else name
        report = run_part(part, args, title)
        print("   (%.0f s)" % (time.monotonic() - report.began))
        for check, result in report.results.items():
            counts[result] += 1
            if result is False:
                failed.append("%s: %s" % (title, check))
    print()
    for line in failed:
        print("FAILED  " + line)
    print("%d passed, %d failed, %d skipped" % (counts[True], counts[False], counts[None]))
    sys.exit(1 if counts[False] or not counts[True] else 0)


# ---- the broker and what is loaded into it ----

class ScenarioBroker(Broker):
    """A broker that may run with shims preloaded: slowdisk=N bytes/s, disarm="leak,hangup"."""

    def __init__(self, slowdisk=None, disarm=None, **settings):
        self.preload, self.environment = [], {}
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-scenario-")
        self.control, self.stats = (os.path.join(self.folder.name, f) for f in ("control", "stats"))
        if slowdisk is not None:
            self.preload.append(tool("slowdisk.so"))
            self.environment.update(SLOWDISK_BYTES_PER_S=str(slowdisk), SLOWDISK_CONTROL=self.control,
                                    SLOWDISK_STATS=self.stats)
        if disarm:
            self.preload.append(tool("disarm.so"))
            self.environment["DISARM"] = disarm
        super().__init__(**settings)

    def spawn(self):
        env = clean_env()
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:exitcode=99:verify_asan_link_order=0")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        env.setdefault("TSAN_OPTIONS", "exitcode=66:second_deadlock_stack=1")
        env.update(self.environment)
        if self.preload:
            env["LD_PRELOAD"] = " ".join(self.preload)
        with open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen([BIN] + self.flags(), stdout=err, stderr=err, env=env,
                                            preexec_fn=sluicetest._before_exec, cwd=self.own)

    def disk(self, *orders):
        """New orders for the slow disk: disk("hold 1"), disk("rate 1000000", "fail sync EIO")."""
        with open(self.control + ".new", "w") as f:
            f.write("".join(o + "\n" for o in orders))
        os.rename(self.control + ".new", self.control)
        time.sleep(0.05)

    def disk_written(self):
        with open(self.stats, "rb") as f:
            return int.from_bytes(f.read(8), "little")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            ended = self.process.poll() if self.process is not None else None
            print("   the broker %s; the end of its log:" %
                  ("runs" if ended is None else "ended with %d" % ended))
            print("".join("   | %s\n" % line for line in self.log(2000).splitlines()[-12:]))
        try:
            if kind is None and self.process is not None:
                self.stop()
        finally:
            self.remove()
            self.folder.cleanup()

    def setting_bytes(self, line):
        """The limit of a line of the memory budget."""
        for row in self.ask("GET", "/v1/limits").json["budget"]:
            if row["line"] == line:
                return row["limit_bytes"]
        raise KeyError(line)


def proc_status(pid):
    """RssAnon, RssFile in bytes and Threads."""
    out = {}
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            key, value = line.split(":", 1)
            if key in ("RssAnon", "RssFile"):
                out[key] = int(value.split()[0]) * 1024
            elif key == "Threads":
                out[key] = int(value)
    return out


# ---- load ----

def _quiet_end():
    ctypes.CDLL(None).prctl(1, 9)  # the load does not outlive the scenario


class Load:
    """A load program beside the scenario; `wait` gives its last line of figures."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=_quiet_end)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def wait(self, seconds=600):
        out, err = self.process.communicate(timeout=seconds)
        if not out.strip():
            raise AssertionError("the load said nothing: %s" % err)
        figures = json.loads(out.strip().splitlines()[-1])
        figures["stderr"] = err
        return figures


def start_hammer(command, broker, **options):
    return Load(sluicetest.hammer_args(command, [broker.address], options))


def start_play(broker, script, **options):
    """`script`: lines of a script of tests/support/play/script.h."""
    f = tempfile.NamedTemporaryFile("w", suffix=".play", delete=False)
    f.write("\n".join(script) + "\n")
    f.close()
    argv = [tool("play"), "--script", f.name]
    for k, v in options.items():
        argv += ["--" + k.replace("_", "-"), str(v)]
    return Load(argv + [broker.address])


def play(broker, script, **options):
    return start_play(broker, script, **options).wait()


def post(topic, length=None, headers="", path="messages"):
    """The head of a publish as a `send` line; no length: chunked."""
    framing = "Content-Length: %d" % length if length is not None else "Transfer-Encoding: chunked"
    return ("send POST /v1/topics/%s/%s HTTP/1.1\\r\\nHost: sluice\\r\\n%s%s\\r\\n\\r\\n"
            % (topic, path, headers, framing))


# ---- samples ----

class Sampler(threading.Thread):
    """Looks at the broker every so often: /metrics over one connection, /proc/PID."""

    def __init__(self, broker, every=0.25, keep=None):
        super().__init__(daemon=True)
        self.broker, self.every, self.keep = broker, every, keep
        self.samples, self.ended, self.error = [], threading.Event(), None
        self.client = broker.client(30)
        self.lock = threading.Lock()

    def look(self):
        began = time.monotonic()
        a = self.client.ask("GET", "/metrics")
        s = {"t": began, "scrape_ms": (time.monotonic() - began) * 1000, "scrape_bytes": len(a.body)}
        for line in a.body.decode().splitlines():
            if line and line[0] != "#" and "_bucket" not in line:
                name, value = line.rsplit(" ", 1)
                s[name.replace("sluice_", "", 1)] = float(value)
        pid = self.broker.process.pid
        s.update(proc_status(pid))
        s["fds"] = len(os.listdir("/proc/%d/fd" % pid))
        return s

    def run(self):
        due = time.monotonic()
        while not self.ended.is_set():
            try:
                s = self.look()
            except (OSError, AssertionError, ValueError) as e:
                self.error = e
                return
            with self.lock:
                self.samples.append(s)
            due += self.every
            self.ended.wait(max(0, due - time.monotonic()))

    def stop(self):
        self.ended.set()
        self.join()
        self.client.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def between(self, since=None, until=None):
        with self.lock:
            return [s for s in self.samples
                    if (since is None or s["t"] >= since) and (until is None or s["t"] <= until)]

    def series(self, name, since=None, until=None):
        return [s[name] for s in self.between(since, until)]

    def most(self, name, since=None, until=None):
        return max(self.series(name, since, until))

    def save(self, context, name):
        if not context.csv_dir or not self.samples:
            return
        os.makedirs(context.csv_dir, exist_ok=True)
        with open(os.path.join(context.csv_dir, name + ".csv"), "w", newline="") as f:
            w = csv.DictWriter(f, sorted(self.samples[0]), extrasaction="ignore")
            w.writeheader()
            w.writerows(self.samples)


class Prober(threading.Thread):
    """Asks one path over and over; the times of the answers."""

    def __init__(self, broker, path, every=0.1, expect=200):
        super().__init__(daemon=True)
        self.port, self.path, self.every, self.expect = broker.port, path, every, expect
        self.times, self.wrong, self.error, self.ended = [], 0, None, threading.Event()

    def run(self):
        try:
            with Client(self.port, 30) as c:
                while not self.ended.is_set():
                    began = time.monotonic()
                    self.wrong += c.ask("GET", self.path).status != self.expect
                    self.times.append((time.monotonic() - began) * 1000)
                    self.ended.wait(self.every)
        except OSError as e:
            self.error = e
            self.times.append(30000.0)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def quantile(self, q=0.99):
        return quantile(self.times, q)


def quantile(values, q=0.99):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def slope(points):
    """Least squares of (x, y): y per x."""
    n = len(points)
    if n < 2:
        return 0.0
    mx, my = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    below = sum((p[0] - mx) ** 2 for p in points)
    return sum((p[0] - mx) * (p[1] - my) for p in points) / below if below else 0.0


def check_flat(report, sampler, since, until_, name="RssAnon, rise over the last two thirds"):
    """The least-squares line of RssAnon over the last two thirds of a steady load: at most
    0.5 MiB a minute. A run of seconds cannot tell that from one page cluster, so there the
    line may rise by 1 MiB in all."""
    start = since + (until_ - since) / 3
    points = [(s["t"], s["RssAnon"]) for s in sampler.between(start, until_)]
    minutes = (until_ - start) / 60
    rise = slope(points) * 60 * minutes
    report.most(name, rise, max(0.5 * MiB * minutes, 1 * MiB), mib)


def settled(broker, seconds, report, name, fds=None, slack=2):
    """Every gauge of what clients hold is exactly 0 in time, and the descriptors are back."""
    gauges = ("sluice_publish_buffer_bytes", "sluice_publish_waiting", "sluice_requests_in_flight",
              "sluice_read_buffer_bytes", "sluice_readers_parked", "sluice_uploads")
    end = time.monotonic() + seconds

    def held():
        m = broker.metrics()
        out = {g[7:]: int(m[g]) for g in gauges if m.get(g)}
        if fds is not None and abs(broker.open_fds() - fds) > slack:
            out["fds"] = "%d, idle %d" % (broker.open_fds(), fds)
        return out
    left = held()
    while left and time.monotonic() < end:
        time.sleep(0.05)
        left = held()
    return report.check(name, not left, str(left) if left else "0", "all 0 in %g s" % seconds)


# ---- what hammer publishes ----

_LETTERS = bytes(range(ord("a"), ord("z") + 1))


def payload(run, conn, seq, size):
    """A message of tests/support/hammer/payload.h."""
    head = b"hammer %08d %06d %010d %010d " % (run, conn, seq, size)
    at, need = seq % 26, max(0, size - len(head))
    return (head + (_LETTERS * (need // 26 + 2))[at:at + need])[:size]


def acks(path):
    """(topic, offset, run, conn, seq, size) of every acknowledged message; whole lines only."""
    with open(path) as f:
        for line in f:
            if line.endswith("\n"):
                topic, offset, count, run, conn, seq, size = line.split()
                for i in range(int(count)):
                    yield topic, int(offset) + i, int(run), int(conn), int(seq) + i, int(size)


def missing(broker, path, least=1):
    """The acknowledged messages that are not there byte by byte, and how many were looked at."""
    lost, looked = [], 0
    with broker.client() as c:
        for topic, offset, run, conn, seq, size in acks(path):
            a = c.ask("GET", "/v1/topics/%s/messages/%d" % (topic, offset))
            looked += 1
            if a.status != 200 or a.body != payload(run, conn, seq, size):
                lost.append((topic, offset, a.status, len(a.body)))
    return lost, looked
