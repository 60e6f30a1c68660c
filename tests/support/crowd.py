"""Many subscribers of event streams (tests/support/crowd/), and a herald who publishes to them."""
import ctypes
import json
import os
import subprocess
import time

from sluicetest import BIN, ROOT, PATIENCE, hammer_path, until


def program(name):
    """Of the tests' build: beside the broker, or in the release build."""
    for path in (os.path.join(os.path.dirname(BIN), "tests", name),
                 os.path.join(os.path.dirname(hammer_path()), name),
                 os.path.join(ROOT, "build/release/tests", name)):
        if os.path.exists(path):
            return os.path.abspath(path)
    raise FileNotFoundError("%s is not built" % name)


def _quiet_end():
    ctypes.CDLL(None).prctl(1, 9)  # it does not outlive the test


def argv(name, address, options):
    out = [program(name)]
    for k, v in options.items():
        if v is True:
            out.append("--" + k.replace("_", "-"))
        elif v is not None and v is not False:
            out += ["--" + k.replace("_", "-"), str(v)]
    return out + [address]


class Crowd:
    """Subscribers in a process of their own. Options: `crowd --help`."""

    def __init__(self, address, wait=True, **options):
        self.count = options["subscribers"]
        self.process = subprocess.Popen(argv("crowd", address, options), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=_quiet_end)
        if wait:
            self.until_open()

    def say(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "crowd ended with %s" % self.process.wait()
        return json.loads(line)

    def figures(self):
        return self.say("figures")

    def times(self):
        """The figures; times are counted anew from here on."""
        return self.say("times")

    def until_open(self, count=None, seconds=PATIENCE):
        until(lambda: self.figures()["open"] == (count or self.count), seconds, 0.05, "all subscribers are connected")

    def until_next(self, number, seconds=PATIENCE):
        """Until each that is open has seen all up to here."""
        until(lambda: self.figures()["next"]["least"] == number, seconds, 0.05, "all subscribers have seen all")

    def until_silent(self, quiet=0.5, seconds=PATIENCE):
        """Until nothing has come for a moment."""
        seen, since, over = -1, 0, time.monotonic() + seconds
        while time.monotonic() < over:
            events = self.figures()["events"]
            if events != seen:
                seen, since = events, time.monotonic()
            elif time.monotonic() - since > quiet:
                return
            time.sleep(0.05)
        raise AssertionError("messages do not end")

    def leave(self):
        """All close their connections; the figures."""
        return self.say("leave")

    def signal(self, number):
        self.process.send_signal(number)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Herald:
    """Publishes until it is told to stop, or as its options say: `herald --help`."""

    def __init__(self, address, **options):
        self.process = subprocess.Popen(argv("herald", address, options), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=_quiet_end)

    def stop(self, seconds=PATIENCE):
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait(seconds)

    def wait(self, seconds=PATIENCE):
        """Its figures, once it has ended by itself."""
        out, _ = self.process.communicate(timeout=seconds)
        return json.loads(out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def herald(address, seconds_at_most=1200, **options):
    """Runs one to its end."""
    with Herald(address, **options) as h:
        return h.wait(seconds_at_most)
