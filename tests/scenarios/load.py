"""The broker of a scenario, and the programs that load it."""
import ctypes
import json
import os
import subprocess
import tempfile
import threading
import time

import sluicetest
from sluicetest import BIN, ROOT, Broker, clean_env, hammer_path
from verdict import GiB, KiB, MiB, note_peak


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


def size_of(text):
    """A size as the broker reads it: 65536, 64KiB, 16MiB, 2GiB."""
    for unit, scale in (("KiB", KiB), ("MiB", MiB), ("GiB", GiB)):
        if str(text).endswith(unit):
            return int(str(text)[:-3]) * scale
    return int(text)


class MemoryWatch(threading.Thread):
    """A process's most anonymous memory, from its start to its end."""

    def __init__(self, pid, every=0.025):
        super().__init__(daemon=True)
        self.path, self.every, self.most = "/proc/%d/status" % pid, every, 0

    def run(self):
        try:
            while True:
                with open(self.path) as f:
                    lines = [x for x in f if x.startswith("RssAnon:")]
                if not lines:  # it has ended
                    return
                self.most = max(self.most, int(lines[0].split()[1]) * KiB)
                time.sleep(self.every)
        except OSError:
            pass


class ScenarioBroker(Broker):
    """A broker that may run with shims preloaded: slowdisk=N bytes/s, disarm="leak,hangup".
    Its anonymous memory is watched all the time, and held against memory_limit."""

    def __init__(self, slowdisk=None, disarm=None, **settings):
        self.preload, self.environment, self.watches = [], {}, []
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-scenario-")
        self.control, self.stats = (os.path.join(self.folder.name, f) for f in ("control", "stats"))
        if slowdisk is not None:
            self.preload.append(tool("slowdisk.so"))
            self.environment.update(SLOWDISK_BYTES_PER_S=str(slowdisk), SLOWDISK_CONTROL=self.control,
                                    SLOWDISK_STATS=self.stats)
        self.disarmed = bool(disarm)
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
        self.watches.append(MemoryWatch(self.process.pid))
        self.watches[-1].start()

    def memory_limit(self):
        return size_of(self.settings.get("memory_limit", 256 * MiB))

    def end(self, seconds):
        """SIGTERM; the exit status and how long it took. No end in time kills it: status None."""
        began = time.monotonic()
        self.terminate()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        self.check_log()
        self.kill()
        return status, time.monotonic() - began

    def disk(self, *orders):
        """New orders for the slow disk: disk("hold 1"), disk("rate 1000000", "fail sync EIO")."""
        with open(self.control + ".new", "w") as f:
            f.write("".join(o + "\n" for o in orders))
        os.rename(self.control + ".new", self.control)
        time.sleep(0.05)

    def disk_written(self):
        if not os.path.exists(self.stats):
            return 0
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
            if kind is None and self.process is not None and not self.disarmed:
                self.stop()
        finally:
            self.remove()
            self.folder.cleanup()
        if not is_sanitized():
            note_peak(max(w.most for w in self.watches), self.memory_limit())

    def setting_bytes(self, line):
        """The limit of a line of the memory budget."""
        for row in self.ask("GET", "/v1/limits").json["budget"]:
            if row["line"] == line:
                return row["limit_bytes"]
        raise KeyError(line)


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
