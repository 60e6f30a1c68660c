"""A real broker for a test: started, asked over raw sockets, stopped, and checked.

Standard library only, Python 3.11. The program is $SLUICE_BIN, build/release/sluice when
that is not set; the load client `hammer` is looked for beside it, or in $SLUICE_HAMMER.
"""
import ctypes
import fcntl
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

from httpclient import PATIENCE, Answer, Client  # noqa: F401, for those who import it from here

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.path.abspath(os.environ.get("SLUICE_BIN") or os.path.join(ROOT, "build/release/sluice"))
SANITIZED = re.compile(
    r"ERROR: AddressSanitizer|WARNING: ThreadSanitizer|LeakSanitizer|runtime error:|"
    r"DEADLYSIGNAL|AddressSanitizer:DEADLY")


def hammer_path():
    for path in (os.environ.get("SLUICE_HAMMER"), os.path.join(os.path.dirname(BIN), "tests/hammer"),
                 os.path.join(ROOT, "build/release/tests/hammer")):
        if path and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise FileNotFoundError("hammer is not built; set SLUICE_HAMMER")


def clean_env():
    """The environment without SLUICE_BIN and its like, which are the tests' own: the broker
    does not start with a name that it does not know."""
    return {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}


class Ports:
    """A port is a byte of one file, which its process has locked until it ends: a broker that
    restarts finds its port free, though other tests look for theirs all the time."""

    def __init__(self):
        self.file = open(os.path.join(tempfile.gettempdir(), "sluice-test-ports-%d" % os.getuid()), "ab")
        self.mine = set()  # a process is not kept out by locks of its own

    def take(self, port):
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        self.mine.add(port)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return True
            except OSError:
                return False


PORTS = Ports()


def free_port():
    """Below the ports that the kernel gives to clients: between this question and the broker's
    bind, a load client beside us would take one of those."""
    while True:
        port = random.SystemRandom().randrange(10000, 32768)
        if port not in PORTS.mine and PORTS.take(port):
            return port


def until(check, seconds=PATIENCE, every=0.02, what="it"):
    """Calls `check` until it is true and returns what it said; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        said = check()
        if said:
            return said
        if time.monotonic() > end:
            raise AssertionError("%s did not come true in %g s" % (what, seconds))
        time.sleep(every)


def quote(name):
    return urllib.parse.quote(name, safe="")


def _before_exec():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # the broker does not outlive the tests
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Broker:
    """Settings are keywords: Broker(publish_buffer="1MiB", auto_create=False)."""

    def __init__(self, data_dir=None, start=True, **settings):
        self.own = tempfile.mkdtemp(prefix="sluice-test-")
        self.data_dir = data_dir or os.path.join(self.own, "data")
        self.settings = settings
        self.port = free_port()
        self.process = None
        self.stderr_path = os.path.join(self.own, "stderr")
        if start:
            self.start()

    def flags(self):
        out = ["--listen", "127.0.0.1:%d" % self.port, "--data-dir", self.data_dir]
        for k, v in self.settings.items():
            out += ["--" + k.replace("_", "-"), str(v).lower() if isinstance(v, bool) else str(v)]
        return out

    def spawn(self):
        env = clean_env()
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:exitcode=99")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        env.setdefault("TSAN_OPTIONS", "exitcode=66:second_deadlock_stack=1")
        with open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen([BIN] + self.flags(), stdout=err, stderr=err, env=env,
                                            preexec_fn=_before_exec, cwd=self.own)

    def start(self):
        self.spawn()
        until(self.is_ready, what="/readyz")

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("the broker ended with %d:\n%s" % (self.process.returncode, self.log()))
        try:
            return self.ask("GET", "/readyz").status == 200
        except (ConnectionError, TimeoutError):
            return False

    def log(self, most=4000):
        with open(self.stderr_path, errors="replace") as f:
            return f.read()[-most:]

    def check_log(self):
        with open(self.stderr_path, errors="replace") as f:
            text = f.read()
        found = SANITIZED.search(text)
        if found:
            raise AssertionError("a sanitizer reports:\n" + text[max(0, found.start() - 500):][:6000])

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds=PATIENCE):
        """SIGTERM; it must end by itself with status 0 and without a sanitizer's report."""
        if self.process is None:
            return
        self.terminate()
        try:
            self.wait_exit(seconds)
        finally:
            self.kill()

    def wait_exit(self, seconds=PATIENCE):
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("SIGTERM did not end it in %g s:\n%s" % (seconds, self.log())) from None
        self.check_log()
        assert status == 0, "exit status %d:\n%s" % (status, self.log())

    def kill(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process = None

    def restart(self, **settings):
        self.stop()
        self.settings.update(settings)
        self.start()

    def away(self, work):
        """Stops; does `work` where its clients do not find it; comes back to where they look. What `work` gives."""
        home = self.port
        self.stop()
        self.port = free_port()
        self.start()
        done = work()
        self.stop()
        self.port = home
        self.start()
        return done

    def remove(self):
        self.kill()
        shutil.rmtree(self.own, ignore_errors=True)

    # What to ask it.

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    @property
    def url(self):
        return "http://" + self.address

    def client(self, timeout=PATIENCE):
        return Client(self.port, timeout)

    def ask(self, method, path, body=None, headers=None):
        with self.client() as c:
            return c.ask(method, path, body, headers)

    def publish(self, topic, body, headers=None):
        return self.ask("POST", "/v1/topics/%s/messages" % quote(topic), body, headers)

    def offset(self, topic, body, headers=None):
        """Publishes; the offset."""
        a = self.publish(topic, body, headers)
        assert a.status == 201, a
        return a.json["offset"]

    def batch(self, topic, body, type="application/x-ndjson", headers=None):
        return self.ask("POST", "/v1/topics/%s/messages:batch" % quote(topic), body,
                        dict(headers or {}, **{"Content-Type": type}))

    def read(self, topic, headers=None, **query):
        q = urllib.parse.urlencode({k.rstrip("_"): v for k, v in query.items()})
        return self.ask("GET", "/v1/topics/%s/messages%s" % (quote(topic), "?" + q if q else ""),
                        headers=headers)

    def data(self, topic, **query):
        """The data of the messages that a read gives."""
        a = self.read(topic, **query)
        assert a.status == 200, a
        return [m.get("data") for m in a.json["messages"]]

    def message(self, topic, offset, headers=None):
        return self.ask("GET", "/v1/topics/%s/messages/%d" % (quote(topic), offset), headers=headers)

    def topic(self, topic):
        a = self.ask("GET", "/v1/topics/" + quote(topic))
        assert a.status == 200, a
        return a.json

    def metrics(self):
        with self.client() as c:
            return c.metrics()

    def metric(self, name):
        m = self.metrics()
        assert name in m, "%s is not in /metrics" % name
        return m[name]

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.process.pid))

    def open_fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def rss_anon(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no RssAnon")


def hammer(command, *args, check=True, **options):
    """Runs the load client to its end; its last line of figures as a dict."""
    done = subprocess.run(hammer_args(command, args, options), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=hammer_env(), text=True)
    if done.returncode == 2 or not done.stdout.strip():
        raise AssertionError("hammer: %s" % (done.stderr or done.returncode))
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    if check and done.returncode:
        raise AssertionError("hammer says:\n%s%s" % (done.stdout, done.stderr))
    figures["exit_status"], figures["stderr"] = done.returncode, done.stderr
    return figures


def hammer_args(command, args, options):
    flags = []
    for k, v in options.items():
        flag = "--" + k.replace("_", "-")
        if v is True:
            flags.append(flag)
        elif v is not False and v is not None:
            flags += [flag, str(v)]
    return [hammer_path(), command] + flags + [str(a) for a in args]


def hammer_env():
    return dict(os.environ, ASAN_OPTIONS="detect_leaks=0")


class Hammer:
    """A load client that runs beside the test. `say` gives it a command, `figures` reads a line."""

    def __init__(self, command, *args, **options):
        self.process = subprocess.Popen(hammer_args(command, args, options), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=hammer_env(), text=True)

    def figures(self):
        line = self.process.stdout.readline()
        assert line, "hammer ended with %s" % self.process.wait()
        return json.loads(line)

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.figures()

    def finish(self):
        """Lets it end by itself; its last figures."""
        out, _ = self.process.communicate()
        lines = out.strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class BrokerTest(unittest.TestCase):
    """One broker for all tests of a class, with `settings`; each test has a topic of its own."""

    settings = {}
    broker = None

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(**cls.settings)

    @classmethod
    def tearDownClass(cls):
        broker, cls.broker = cls.broker, None
        try:
            broker.stop()
        finally:
            broker.remove()

    def setUp(self):
        self.name = self.id().rsplit(".", 1)[-1]

    def tearDown(self):
        process = self.broker.process
        if process is not None and process.poll() is not None:
            status, log = process.returncode, self.broker.log()
            self.broker.process = None
            self.broker.start()
            self.fail("the broker died with %d:\n%s" % (status, log))

    def assertProblem(self, answer, status, code=None, retryable=None):
        """Every error is a complete problem document and says what the status line says."""
        self.assertEqual(answer.status, status, answer)
        self.assertEqual((answer.header("Content-Type") or "").split(";")[0],
                         "application/problem+json", answer)
        p = answer.json
        for field in ("type", "title", "status", "detail", "code", "retryable", "request_id"):
            self.assertIn(field, p)
        self.assertEqual(p["status"], status)
        self.assertTrue(p["title"] and p["code"] and p["request_id"])
        self.assertIsInstance(p["retryable"], bool)
        if code:
            self.assertEqual(p["code"], code, p)
        if retryable is not None:
            self.assertEqual(p["retryable"], retryable, p)
        return p

    def assertConserved(self, m=None):
        """accepted = live + expired + removed, in one sample."""
        m = m or self.broker.metrics()
        parts = (m["sluice_messages_live"], m["sluice_messages_expired_total"],
                 m["sluice_messages_removed_total"])
        self.assertEqual(m["sluice_messages_accepted_total"], sum(parts), parts)

    def assertIdle(self, broker=None, seconds=PATIENCE):
        """Whatever was held for clients is given back, all of it."""
        broker = broker or self.broker

        def held():
            m = broker.metrics()
            return {k: m[k] for k in ("sluice_publish_buffer_bytes", "sluice_publish_waiting",
                                      "sluice_read_buffer_waiting", "sluice_readers_parked") if m[k] != 0}
        try:
            until(lambda: not held(), seconds)
        except AssertionError:
            self.fail("still held while idle: %r" % held())


class SoloBrokerTest(BrokerTest):
    """A broker for each test: self.start(**settings)."""

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def start(self, **settings):
        self.broker = Broker(**settings)
        self.addCleanup(self._stop, self.broker)
        return self.broker

    def _stop(self, broker):
        try:
            broker.stop()
        finally:
            broker.remove()

    def tearDown(self):
        pass


def log(text):
    """A figure worth seeing in the output of a run."""
    print("    " + text, file=sys.stderr, flush=True)
