"""Samples of a broker under load, probes of its answers, and what must hold of them."""
import csv
import os
import threading
import time

from sluicetest import Client
from verdict import MiB, mib

# Beside its bytes a message has rows, and a page is not always full.
ROWS = 250


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


def unacknowledged(port, client_port=None):
    """Bytes that the broker on this port gave to the kernel and its clients have not acknowledged:
    of all its connections, or of the one with this client."""
    total = 0
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            w = line.split()
            if int(w[1].split(":")[1], 16) == port and client_port in (None, int(w[2].split(":")[1], 16)) and \
                    w[3] != "0A":
                total += int(w[4].split(":")[0], 16)
    return total


class Sampler(threading.Thread):
    """Looks at the broker every so often: /metrics over one connection, /proc/PID; `queues`:
    also what lies in the kernel for its clients."""

    def __init__(self, broker, every=0.25, queues=False):
        super().__init__(daemon=True)
        self.broker, self.every, self.queues = broker, every, queues
        self.samples, self.ended, self.error = [], threading.Event(), None
        self.client = broker.client(30)
        self.lock = threading.Lock()

    def look(self):
        began = time.monotonic()
        a = self.client.ask("GET", "/metrics")
        s = {"t": began, "scrape_ms": (time.monotonic() - began) * 1000, "scrape_bytes": len(a.body),
             "scrape_lines": a.body.count(b"\n")}
        for line in a.body.decode().splitlines():
            if line and line[0] != "#" and "_bucket" not in line:
                name, value = line.rsplit(" ", 1)
                s[name.replace("sluice_", "", 1)] = float(value)
        pid = self.broker.process.pid
        s.update(proc_status(pid))
        s["fds"] = len(os.listdir("/proc/%d/fd" % pid))
        if self.queues:
            s["kernel_queues"] = unacknowledged(self.broker.port)
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


def came_in_a_life(samples, life):
    """The most bytes of messages, with their rows, that came within any time of this length."""
    most, j = 0, 0
    for i, a in enumerate(samples):
        while j + 1 < len(samples) and samples[j]["t"] < a["t"] + life:
            j += 1
        most = max(most, sum(by * (samples[j][k] - a[k]) for k, by in
                             (("commit_bytes_total", 1), ("messages_accepted_total", ROWS))))
    return most


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
              "sluice_read_buffer_bytes", "sluice_read_buffer_waiting", "sluice_readers_parked", "sluice_uploads")
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
